//! Progress on standard error, for whoever waits at a terminal.

use std::io::{self, Write as _};
use std::time::Duration;

use convosync_core::protocol::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{bytes, clean};
use crate::socket::Watcher;

/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(120);

/// Shows that a request is on its way, once it takes longer than a moment.
pub(crate) struct Wait {
    allowed: bool,
    bar: Option<ProgressBar>,
    last: Option<Progress>,
    announces: bool,
}

impl Wait {
    /// Shows nothing at all unless `allowed`.
    pub(crate) fn new(allowed: bool) -> Self {
        Self { allowed, bar: None, last: None, announces: false }
    }

    /// Announces a large download in a line of its own, terminal or not, so that whoever pays for it can stop it.
    pub(crate) fn announcing(mut self, announces: bool) -> Self {
        self.announces = announces;
        self
    }

    /// Prints a line that stays.
    pub(crate) fn line(&self, text: &str) {
        // That nobody reads it keeps nobody from the rest.
        let print = || drop(writeln!(io::stderr(), "{}", clean(text)));
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn draw(&self) {
        let (Some(bar), Some(progress)) = (&self.bar, &self.last) else { return };
        bar.set_message(clean(&progress.step));
        if let (Some(done), Some(total)) = (progress.done, progress.total) {
            bar.set_style(style("{spinner} {msg} [{bar:24}] {pos}/{len}"));
            bar.set_length(total);
            bar.set_position(done);
        } else {
            bar.set_style(style("{spinner} {msg}"));
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are well formed")
}

impl Watcher for Wait {
    fn slow(&mut self) {
        if self.allowed && self.bar.is_none() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(style("{spinner} {msg}"));
            bar.set_message("waiting for the daemon");
            bar.enable_steady_tick(TICK);
            self.bar = Some(bar);
            self.draw();
        }
    }

    fn progress(&mut self, progress: &Progress) {
        // The daemon says it again and again, for as long as it lasts.
        let is_news = self.last.as_ref().and_then(|last| last.download) != progress.download;
        if let Some(size) = progress.download
            && self.announces
            && is_news
        {
            self.line(&format!("{} to download, at most", bytes(size)));
        }
        self.last = Some(progress.clone());
        self.draw();
    }

    fn done(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.done();
    }
}
