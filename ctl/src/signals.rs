//! Ctrl-C while a program runs in the terminal for us: it ends that program, and we live on to clean up
//! and to say how things stand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

/// While it lives, signals that would end us are noted instead.
pub(crate) struct Held {
    noted: Arc<AtomicBool>,
    ids: Vec<SigId>,
}

impl Held {
    /// Begins to note signals. One that cannot be noted ends us as ever.
    pub(crate) fn new() -> Self {
        let noted = Arc::new(AtomicBool::new(false));
        let hold = |signal| signal_hook::flag::register(signal, noted.clone()).ok();
        let ids = [SIGINT, SIGTERM, SIGHUP, SIGQUIT].into_iter().filter_map(hold).collect();
        Self { noted, ids }
    }

    /// Whether one came.
    pub(crate) fn came(&self) -> bool {
        self.noted.load(Ordering::SeqCst)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            signal_hook::low_level::unregister(id);
        }
    }
}
