//! Variables that came along with a session: set for Claude Code where this device's user names them, too.

use convosync_core::config::Config;
use convosync_core::environment::{Variables, bounded};
use convosync_core::protocol::ResumeReply;

use crate::args;
use crate::call::Call;
use crate::error::CtlError;

/// Variables that came along.
#[derive(Default)]
pub(super) struct Along {
    /// Those that are set.
    pub(super) set: Variables,
    /// The names of those that the user of this device does not name.
    others: Vec<String>,
}

impl Along {
    /// Takes the variables out of an answer. What another device allows, this one need not.
    pub(super) fn take(call: &Call<'_>, reply: &mut ResumeReply) -> Result<Self, CtlError> {
        let came = bounded(std::mem::take(&mut reply.environment));
        if came.is_empty() {
            return Ok(Self::default());
        }
        let named = Config::load(&call.paths()?.config_file)?.environment;
        let (set, others): (Variables, Variables) =
            came.into_iter().partition(|(name, _)| named.contains(name));
        Ok(Self { set, others: others.into_keys().collect() })
    }

    /// The names of those that are set.
    pub(super) fn names(&self) -> Vec<&str> {
        self.set.keys().map(String::as_str).collect()
    }

    /// Says what becomes of them.
    pub(super) fn tell(&self, call: &mut Call<'_>, args: &args::Resume) -> Result<(), CtlError> {
        let names = self.names().join(", ");
        match (names.is_empty(), args.launch || args.shell) {
            (true, _) => {}
            (false, true) => call.print.done(&format!("environment set: {names}"))?,
            (false, false) => {
                let what = format!("environment that came along: {names}");
                call.print.note(&what, Some("`resume --launch` or `--shell` sets it"))?;
            }
        }
        if self.others.is_empty() {
            return Ok(());
        }
        let what =
            format!("environment that came along and is not set: {}", self.others.join(", "));
        Ok(call.print.note(&what, Some("name what you want under `context.environment` here"))?)
    }
}
