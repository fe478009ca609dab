//! Simulated devices: real transcripts on disk, the real store and the daemon's desk, but no network, no
//! processes and no clock. What the daemon acknowledged must come back byte for byte, whatever happened.
//!
//! `CONVOSYNC_SIM_SEED` and `CONVOSYNC_SIM_CASES` choose other and more histories than the gate runs.

#[cfg(test)]
mod bench;
#[cfg(test)]
mod carry;
#[cfg(test)]
mod device;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod lineage;
#[cfg(test)]
mod naming;
#[cfg(test)]
mod noise;
#[cfg(test)]
mod shell;
#[cfg(test)]
mod tampering;
#[cfg(test)]
mod vaults;
