//! ConvoSync's rules and formats.
//!
//! ```text
//! watch ─► transcript ─► log ─► seal ─► store ─► remote         outbound
//! restore ◄─ merge ◄─ log ◄─ seal ◄─ store ◄─ remote            inbound
//! ```
//!
//! The rooms stand in the order in which they may use each other: a room imports only rooms above
//! it (a tidy test reads this list). Nothing here is asynchronous, and nothing here watches.

pub mod id;
pub mod disk;
pub mod git;
pub mod project;
pub mod store;
pub mod remote;
