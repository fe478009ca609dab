//! Simulated devices: real transcripts on disk, the real store and the daemon's desk, but no network, no
//! processes and no clock. What the daemon acknowledged must come back byte for byte, whatever happened.
//!
//! `CONVOSYNC_SIM_SEED` and `CONVOSYNC_SIM_CASES` choose other and more histories than the gate runs.

mod carry;
mod device;
mod histories;
mod lineage;
mod noise;
mod tampering;
mod vaults;
