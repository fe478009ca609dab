//! End to end: real programs, a real remote, the real client.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod aside;
#[cfg(test)]
mod autosave;
#[cfg(test)]
mod between;
#[cfg(test)]
mod branches;
#[cfg(test)]
mod budget;
#[cfg(test)]
mod cloning;
#[cfg(test)]
mod code;
#[cfg(test)]
mod context;
#[cfg(test)]
mod counting;
#[cfg(test)]
mod environment;
#[cfg(test)]
mod evenings;
#[cfg(test)]
mod formats;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod idle;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod large;
#[cfg(test)]
mod large_code;
#[cfg(test)]
mod losses;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod mishaps;
mod notices;
#[cfg(test)]
mod noticing;
#[cfg(test)]
mod phone;
#[cfg(test)]
mod pizza;
#[cfg(test)]
mod preflight;
#[cfg(test)]
mod privacy;
#[cfg(test)]
mod prompts;
#[cfg(test)]
mod protocols;
#[cfg(test)]
mod pulling;
#[cfg(test)]
mod real_client;
#[cfg(test)]
mod real_context;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod repositories;
#[cfg(test)]
mod resuming;
#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod saving;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod shell_history;
#[cfg(test)]
mod sleep;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod stops;
#[cfg(test)]
mod terminal;
#[cfg(test)]
mod very_large;
#[cfg(test)]
mod weather;
#[cfg(test)]
mod wild;

#[cfg(test)]
use convosync_tests::SAVED_WITHIN;
