//! Tells the user outside of any terminal, by the desktop's notifier or Termux's: that a remote refuses, or
//! that another device saved. Optional, never waited for, and always in our own words: neither what a remote
//! says nor anything of a conversation, a project or a device gets into another program's arguments.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use convosync_core::config::Config;
use convosync_core::git::Git;
use convosync_core::remote::PermanentKind;

/// A notifier that takes longer is given up; `termux-notification` waits for ever without its app.
const DEADLINE: Duration = Duration::from_secs(10);

/// So many notifications may wait for the one that is shown; more are let go of, `status` has them all.
const WAITING_MAX: usize = 8;

/// Notifiers by name, in the order in which they are looked for.
const KNOWN: [(&str, Style); 3] = [
    ("termux-notification", Style::Termux),
    ("notify-send", Style::FreeDesktop),
    ("osascript", Style::AppleScript),
];

/// What the user is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notification {
    /// A remote does not take our saves until somebody acts.
    NotSent(PermanentKind),
    /// A remote does not let us read other devices' saves until somebody acts.
    NotListed(PermanentKind),
    /// A remote works, and says that it has another address now.
    Moved,
    /// Other devices saved so many sessions.
    Arrived(u32),
}

impl Notification {
    fn is_wanted(self, config: &Config) -> bool {
        match self {
            Self::NotSent(_) | Self::NotListed(_) | Self::Moved => config.notify_trouble,
            Self::Arrived(_) => config.notify_arrivals,
        }
    }

    /// Where a notifier replaces what it showed before: by the next of its sort.
    fn id(self) -> &'static str {
        match self {
            Self::NotSent(_) | Self::NotListed(_) | Self::Moved => "convosync-trouble",
            Self::Arrived(_) => "convosync-arrivals",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::NotSent(_) => "ConvoSync: not on the remote",
            Self::NotListed(_) => "ConvoSync: no news from the remote",
            Self::Moved => "ConvoSync: the remote has moved",
            Self::Arrived(_) => "ConvoSync: saved on another device",
        }
    }

    fn body(self) -> String {
        match self {
            Self::NotSent(kind) => format!("Saved on this device only: {}.", why(kind)),
            Self::NotListed(kind) => format!("Other devices' saves are not seen: {}.", why(kind)),
            Self::Moved => {
                "It still works. `convosyncctl status` shows the new address.".to_owned()
            }
            Self::Arrived(1) => "`convosyncctl resume` continues the session here.".to_owned(),
            Self::Arrived(sessions) => {
                format!("{sessions} sessions: `convosyncctl resume` continues one here.")
            }
        }
    }
}

fn why(kind: PermanentKind) -> String {
    format!("{}. Way out: {}", kind.cause(), kind.hint())
}

/// How a notifier wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// `notify-send`, whose body is markup.
    FreeDesktop,
    /// `termux-notification`, which reads its content.
    Termux,
    /// `osascript`.
    AppleScript,
    /// The user's own program: title and body.
    Own,
}

impl Style {
    /// The program's arguments and standard input.
    fn tell(self, notification: Notification) -> (Vec<OsString>, Option<Vec<u8>>) {
        let (title, body) = (notification.title(), notification.body());
        let list = |words: &[&str]| words.iter().map(OsString::from).collect();
        match self {
            Self::FreeDesktop => {
                let body = body.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                (list(&["--app-name=ConvoSync", "--", title, &body]), None)
            }
            Self::Termux => {
                (list(&["--id", notification.id(), "--title", title]), Some(body.into_bytes()))
            }
            Self::AppleScript => {
                let script = [
                    "-e",
                    "on run argv",
                    "-e",
                    "display notification (item 2 of argv) with title (item 1 of argv)",
                    "-e",
                    "end run",
                ];
                (list(&[&script[..], &[title, &body]].concat()), None)
            }
            Self::Own => (list(&[title, &body]), None),
        }
    }
}

/// Hands notifications to a thread of its own.
#[derive(Debug)]
pub struct Notifier {
    queue: SyncSender<(Notification, Option<PathBuf>)>,
}

impl Notifier {
    /// Starts the thread, which ends with this value.
    pub fn start(git: Git) -> Self {
        let (queue, waiting) = sync_channel(WAITING_MAX);
        let thread = thread::Builder::new().name("notifier".to_owned());
        if let Err(error) = thread.spawn(move || show_all(&git, &waiting)) {
            tracing::warn!(%error, "nothing is notified of");
        }
        Self { queue }
    }

    /// Has a notification shown if the configuration wants it; never waits.
    pub fn notify(&self, notification: Notification, config: &Config) {
        if !notification.is_wanted(config) {
            return;
        }
        if self.queue.try_send((notification, config.notify_program.clone())).is_err() {
            tracing::debug!("a notification was let go of");
        }
    }
}

fn show_all(git: &Git, waiting: &Receiver<(Notification, Option<PathBuf>)>) {
    for (notification, own) in waiting {
        show(git, notification, own);
    }
}

fn show(git: &Git, notification: Notification, own: Option<PathBuf>) {
    let known = || KNOWN.iter().find_map(|(name, style)| Some((git.find_other(name)?, *style)));
    let Some((program, style)) = own.map(|own| (own, Style::Own)).or_else(known) else {
        tracing::debug!("there is no notifier on PATH");
        return;
    };
    let (args, stdin) = style.tell(notification);
    match git.run_other(&program, &args, stdin, DEADLINE) {
        Ok(output) if output.success() => tracing::debug!("notified"),
        Ok(output) => tracing::debug!(code = output.code, "the notifier failed"),
        Err(error) => tracing::debug!(%error, "the notifier could not be run"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use convosync_core::disk;

    use super::*;

    /// Git that sees the programs of `dir` before all others.
    fn git(dir: &Path) -> Git {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(dir.to_owned()).chain(std::env::split_paths(&path));
        let path = std::env::join_paths(path).unwrap();
        Git::find(None, &|name| (name == "PATH").then(|| path.clone())).unwrap()
    }

    fn program(path: &Path, body: &str) {
        disk::write_atomic(path, format!("#!/bin/sh\n{body}\n").as_bytes()).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
    }

    #[test]
    fn termux_reads_the_text_and_its_arguments_hold_none() {
        let dir = tempfile::tempdir().unwrap();
        let told = dir.path().join("told");
        let body = format!("{{ echo \"$@\"; cat; }} >> '{}'", told.display());
        program(&dir.path().join("termux-notification"), &body);
        show(&git(dir.path()), Notification::NotSent(PermanentKind::Quota), None);
        let told = std::fs::read_to_string(told).unwrap();
        let (args, text) = told.split_once('\n').unwrap();
        assert!(args.starts_with("--id convosync-trouble ") && !args.contains("full"), "{args}");
        assert!(text.contains("the repository or the account is full"), "{text}");
        assert!(text.contains("make room"), "{text}");
    }

    #[test]
    fn the_desktop_gets_its_markup_escaped() {
        let (args, stdin) = Style::FreeDesktop.tell(Notification::NotSent(PermanentKind::Login));
        let body = args.last().unwrap().to_str().unwrap();
        assert!(body.contains("git ls-remote &lt;address&gt;"), "{body}");
        assert_eq!((args[1].to_str(), stdin), (Some("--"), None));
    }

    #[test]
    fn what_is_switched_off_is_not_shown_and_a_full_queue_stops_nobody() {
        let (queue, waiting) = sync_channel(1);
        let notifier = Notifier { queue };
        let quiet = Config { notify_trouble: false, ..Config::default() };
        notifier.notify(Notification::Moved, &quiet);
        assert!(waiting.try_recv().is_err());
        notifier.notify(Notification::Arrived(1), &quiet);
        notifier.notify(Notification::Arrived(2), &quiet);
        assert_eq!(
            waiting.try_iter().map(|(told, _)| told).collect::<Vec<_>>(),
            [Notification::Arrived(1)]
        );
    }

    #[test]
    fn a_notifier_that_fails_or_is_missing_is_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        let broken = dir.path().join("broken");
        program(&broken, "exit 3");
        let git = git(dir.path());
        show(&git, Notification::Moved, Some(broken));
        show(&git, Notification::Moved, Some(dir.path().join("nowhere")));
    }
}
