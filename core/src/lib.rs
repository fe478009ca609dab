//! ConvoSync's rules and formats.
//!
//! ```text
//! watch ─► transcript ─► log ─► seal ─► store ─► remote         outbound
//! restore ◄─ merge ◄─ log ◄─ seal ◄─ store ◄─ remote            inbound
//! ```
//!
//! The rooms stand in the order in which they may use each other: a room imports only rooms above
//! it (a tidy test reads this list). Nothing here is asynchronous, and nothing here watches.

pub mod cause;
pub mod id;
pub mod wire;
pub mod disk;
pub mod environment;
pub mod shell_history;
pub mod config;
pub mod claude;
pub mod transcript;
pub mod context;
pub mod seal;
pub mod vault;
pub mod log;
pub mod git;
pub mod project;
pub mod code;
pub mod capture;
pub mod commit;
pub mod checkout;
pub mod findings;
pub mod store;
pub mod remote;
pub mod history;
pub mod merge;
pub mod restore;
pub mod protocol;
pub mod outbound;
pub mod inbound;
