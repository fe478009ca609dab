//! The ConvoSync daemon.
pub mod engine;
