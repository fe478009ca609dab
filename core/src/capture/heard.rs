//! Whoever waits for a capture hears how its reading goes.

use std::fmt;

/// How the reading of files goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// So many bytes are to be read, though some of them may have to be read again.
    Begins(u64),
    /// So many more were.
    Read(u64),
}

/// Hears of it, from any thread.
#[derive(Clone, Copy)]
pub struct Heard<'a>(pub &'a (dyn Fn(Reading) + Sync));

impl fmt::Debug for Heard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Heard")
    }
}
