//! What the end-to-end tests, the demo and the benchmarks share: devices, a remote, and time limits.
//!
//! A [`World`] holds several [`Device`]s, each with its own home, project path and state, and one
//! [`Remote`]. Conversations come from [`synthetic`], grow through a [`Writer`], and are looked at
//! with [`tree`]. [`claude`] runs the real client against [`api`], a loopback stand-in.
//!
//! Everything here starts real programs and touches real files; nothing here knows ConvoSync's
//! formats. All failures are panics, because every caller is a test or a demonstration.

pub mod api;
pub mod claude;
pub mod device;
pub mod files;
pub mod home;
pub mod host;
pub mod program;
pub mod remote;
pub mod skip;
pub mod synthetic;
pub mod tree;
pub mod wait;
pub mod world;
pub mod writer;

pub use device::Device;
pub use home::Home;
pub use program::Run;
pub use remote::{Remote, Traffic};
pub use tree::Tree;
pub use wait::eventually;
pub use world::World;
pub use writer::Writer;
