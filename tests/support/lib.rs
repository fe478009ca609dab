//! What the end-to-end tests, the demo and the benchmarks share: devices, a remote, and time limits.
//!
//! A [`World`] holds several [`Device`]s, each with its own home, project path and state, and one
//! [`Remote`]. Conversations come from [`synthetic`], grow through a [`Writer`], and are looked at
//! with [`tree`]. The remote is reached as a directory, through a stand-in that counts, or through a real
//! [`sshd`] or [`web`] host, as the [`way`] says. [`claude`] runs the real client against [`api`], a loopback stand-in.
//!
//! Everything here starts real programs and touches real files; nothing here knows ConvoSync's
//! formats. All failures are panics, because every caller is a test or a demonstration.

pub mod api;
mod bus;
pub mod desktop;
pub mod claude;
pub mod device;
pub mod files;
pub mod forward;
pub mod home;
pub mod host;
mod http;
pub mod large;
pub mod login;
pub mod memory;
pub mod program;
pub mod relay;
pub mod remote;
pub mod skip;
pub mod sshd;
pub mod synthetic;
pub mod told;
pub mod tree;
pub mod trip;
pub mod wait;
pub mod way;
pub mod weather;
pub mod web;
pub mod work;
pub mod world;
pub mod writer;

pub use device::{Device, SAVED_WITHIN};
pub use home::Home;
pub use program::Run;
pub use remote::{Remote, Traffic};
pub use tree::Tree;
pub use trip::Trip;
pub use wait::eventually;
pub use weather::{Sky, Weather};
pub use world::{Opened, World};
pub use writer::Writer;
