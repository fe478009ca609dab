//! What installing and removing a service is made of: small deeds that can be shown before they are done.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use serde::Serialize;

use super::ServiceError;
use crate::env::Env;
use crate::files;
use crate::start;

/// How long a supervisor may take to notice a new service: `runsvdir` looks every 5 s.
const APPEAR_LIMIT: Duration = Duration::from_secs(12);

/// How long a tool is tried again that cannot do its work yet: `launchctl` while the old agent leaves.
const SOON_LIMIT: Duration = Duration::from_secs(25);

/// How much of what a tool said goes into an error, in characters.
const SAID_MAX: usize = 300;

/// Whether a tool has to succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Need {
    /// It has to.
    Must,
    /// It has to, but may need some tries.
    Soon,
    /// Its failure means that there was nothing to do.
    May,
}

/// One deed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(crate) enum Step {
    /// Write a file.
    Write { path: PathBuf, text: String, mode: u32, folder_mode: u32 },
    /// Make a folder.
    Folder { path: PathBuf, mode: u32 },
    /// Remove a file.
    Remove { path: PathBuf },
    /// Remove a folder, if nothing else is in it.
    RemoveFolder { path: PathBuf },
    /// Run a tool.
    Run { program: &'static str, args: Vec<OsString>, need: Need },
    /// Wait until something exists.
    Await { path: PathBuf, hint: &'static str },
}

impl Step {
    /// Builds a tool's run.
    pub(crate) fn run(program: &'static str, args: Vec<OsString>, need: Need) -> Self {
        Self::Run { program, args, need }
    }

    /// Does it.
    pub(crate) fn perform(&self, env: &Env) -> Result<(), ServiceError> {
        match self {
            Self::Write { path, text, mode, folder_mode } => {
                Ok(files::put(path, text, *mode, *folder_mode)?)
            }
            Self::Folder { path, mode } => Ok(files::make_folder(path, *mode)?),
            Self::Remove { path } => Ok(files::remove(path)?),
            Self::RemoveFolder { path } => Ok(files::remove_empty(path)?),
            Self::Run { program, args, need } => run(env, program, args, *need),
            Self::Await { path, hint } => {
                let seen = start::until(APPEAR_LIMIT, || path.exists().then_some(()));
                seen.ok_or_else(|| ServiceError::Absent { path: path.clone(), hint })
            }
        }
    }

    /// Says what would be done, on one line or as a file with its text.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Write { path, mode, .. } => {
                format!("write {} (mode {mode:04o}):", path.display())
            }
            Self::Folder { path, .. } => format!("make folder {}", path.display()),
            Self::Remove { path } => format!("remove {}", path.display()),
            Self::RemoveFolder { path } => format!("remove {} if it is empty", path.display()),
            Self::Run { program, args, need } => {
                let note = if *need == Need::May { " (may fail)" } else { "" };
                format!("run {}{note}", command_line(program, args))
            }
            Self::Await { path, .. } => format!("wait for {}", path.display()),
        }
    }
}

fn run(
    env: &Env,
    program: &'static str,
    args: &[OsString],
    need: Need,
) -> Result<(), ServiceError> {
    let hint = tool_hint(program);
    let Some(path) = env.find_program(program) else {
        return match need {
            Need::May => Ok(()),
            _ => Err(ServiceError::NoTool { program, hint }),
        };
    };
    let limit = if need == Need::Soon { SOON_LIMIT } else { Duration::ZERO };
    let mut last = None;
    start::until(limit, || match once(env, &path, program, args) {
        Ok(()) => {
            last = None;
            Some(())
        }
        Err(error) => {
            last = Some(error);
            None
        }
    });
    match last {
        Some(error) if need != Need::May => Err(error),
        _ => Ok(()),
    }
}

fn once(
    env: &Env,
    path: &Path,
    program: &'static str,
    args: &[OsString],
) -> Result<(), ServiceError> {
    let output = start::tool(env, path, args)?;
    if output.status.success() {
        return Ok(());
    }
    Err(ServiceError::Tool {
        command: command_line(program, args),
        status: output.status.to_string(),
        said: said(&output),
    })
}

/// Returns what a tool said, on one line.
pub(crate) fn said(output: &Output) -> String {
    let bytes = if output.stdout.trim_ascii().is_empty() { &output.stderr } else { &output.stdout };
    let text = String::from_utf8_lossy(bytes);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(SAID_MAX).collect()
}

fn command_line(program: &str, args: &[OsString]) -> String {
    let args = args.iter().map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once(program.to_owned()).chain(args).collect::<Vec<_>>().join(" ")
}

fn tool_hint(program: &str) -> &'static str {
    match program {
        "sv" => "pkg install termux-services, then open a new Termux session",
        _ => "another kind of service: `convosyncctl service install --kind plain`",
    }
}
