//! End to end: real programs, a real remote, the real client.

#[cfg(test)]
mod counting;
#[cfg(test)]
mod real_client;
