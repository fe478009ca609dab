//! Answers the client's requests. Each runs on a thread of its own and may block; long ones tell how far
//! they are.

mod address;
mod browse;
mod code;
mod diff;
mod keys;
mod log;
mod projects;
mod resume;
mod save;
mod status;

use std::path::Path;
use std::sync::Arc;

use convosync_core::protocol::{ErrorKind, Failure, Nothing, Progress, Request};
use convosync_core::vault::Vault;
use serde::Serialize;
use serde_json::Value;

use crate::fail;
use crate::house::{Home, House};

pub use status::RootReports;

/// What a request may tell while it runs.
pub trait Tell {
    /// Says what is being done now.
    fn progress(&self, progress: &Progress);
}

/// Says what is being done, where no number is known.
pub(crate) fn step(tell: &dyn Tell, step: &str) {
    tell.progress(&Progress { step: step.to_owned(), ..Progress::default() });
}

/// What answering needs besides the house.
pub struct Clerk<'a> {
    /// The house.
    pub house: &'a Arc<House>,
    /// What the last scans found out about the roots.
    pub roots: &'a RootReports,
    /// Where progress goes.
    pub tell: &'a dyn Tell,
}

/// Answers every request that is not the shell's own (`hello`, `watch`, `reload` and `stop`).
///
/// # Errors
/// A [`Failure`] with a hint wherever the user can do something.
pub fn answer(clerk: &Clerk<'_>, request: Request) -> Result<Value, Failure> {
    match request {
        Request::Init(init) => value(&keys::init(clerk.house, &init)?),
        Request::Recover(recover) => value(&keys::recover(clerk, &recover)?),
        Request::KeyExport(Nothing {}) => value(&keys::export(clerk.house)?),
        Request::Enable(enable) => value(&projects::enable(clerk, &enable)?),
        Request::Disable(disable) => value(&projects::disable(clerk.house, &disable)?),
        Request::Probe(probe) => value(&projects::probe(clerk, &probe)?),
        Request::Status(status) => value(&status::status(clerk, &status)),
        Request::Save(save) => value(&save::save(clerk, &save)?),
        Request::SaveOutlook(save) => value(&save::outlook(clerk, &save)?),
        Request::Sync(sync) => value(&save::sync(clerk, &sync)?),
        Request::List(list) => value(&browse::list(clerk, &list)?),
        Request::Show(show) => value(&browse::show(clerk, &show)?),
        Request::Log(log) => value(&log::log(clerk, &log)?),
        Request::Diff(diff) => value(&diff::diff(clerk, &diff)?),
        Request::Read(read) => value(&browse::read(clerk, &read)?),
        Request::Code(code) => value(&code::code(clerk, &code)?),
        Request::Resume(resume) => value(&resume::resume(clerk, &resume)?),
        Request::Hello(_) | Request::Watch(_) | Request::Reload(_) | Request::Stop(_) => {
            Err(Failure::new(ErrorKind::BadRequest, "this request cannot be answered here"))
        }
    }
}

fn value(reply: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(reply).map_err(|error| fail::failure(ErrorKind::Failed, &error, None))
}

/// This device's keys, or the way to get some.
pub(crate) fn vault(house: &House) -> Result<Arc<Vault>, Failure> {
    house.vault().ok_or_else(|| no_keys(house))
}

/// What a device without keys is told. Keys that were there once are never made anew.
pub(crate) fn no_keys(house: &House) -> Failure {
    if house.has_lost_keys() {
        let message =
            format!("this device's keys are gone from `{}`", house.paths.data_dir.display());
        return Failure::new(ErrorKind::NotInitialised, message).with_hint(
            "put that folder back, or run `convosyncctl join --recover` with your recovery phrase; what is on the remote stays as it is",
        );
    }
    Failure::new(ErrorKind::NotInitialised, "this device has no keys yet").with_hint(
        "run `convosyncctl init` on your first device, or `convosyncctl join --recover` on every other one",
    )
}

/// The enabled project of a directory, or the way to enable it.
pub(crate) fn home(house: &House, directory: &Path) -> Result<Arc<Home>, Failure> {
    vault(house)?;
    house.owner(directory).ok_or_else(|| {
        Failure::new(
            ErrorKind::NotEnabled,
            format!("`{}` belongs to no enabled project", directory.display()),
        )
        .with_hint("run `convosyncctl enable` there")
    })
}

#[cfg(test)]
mod tests;
