//! Code states: what is captured of every state a repository can be in, and what it costs.

#[cfg(test)]
mod accidents;
#[cfg(test)]
mod captures;
#[cfg(test)]
mod device;
#[cfg(test)]
mod forge;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod large;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod look;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod quiet;
#[cfg(test)]
mod states;
#[cfg(test)]
mod trip;
