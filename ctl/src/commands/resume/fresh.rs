//! A clone of a session's repository where there is none on this device, and the session resumed in it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use convosync_core::config::Config;
use convosync_core::disk::{self, FileLock};
use convosync_core::git::Git;
use convosync_core::project;
use convosync_core::protocol::{List, ListReply, Request, SessionInfo, SessionQuery};

use crate::args;
use crate::ask;
use crate::call::Call;
use crate::commands::{enable, list};
use crate::error::CtlError;
use crate::exit::ExitCode;
use crate::print::{bytes, short_line};
use crate::signals::Held;

/// Behind the name of the folder that a clone is for, before the number of the process that makes it.
const BESIDE: &str = ".convosync-";
/// The file that such a process holds locked as long as it lives: its number says nothing in another container, or
/// to another computer that has the same home.
const LOCK: &str = "lock";

/// Clones, enables, and resumes there.
pub(super) fn resume(
    call: &mut Call<'_>,
    args: &args::Resume,
    dir: Option<&Path>,
) -> Result<ExitCode, CtlError> {
    let info = find(call, args)?;
    if let Some(apart) = &info.apart {
        let hint = apart.hint.as_deref().unwrap_or_default();
        return Err(CtlError::refused(ExitCode::NeedsDecision, &apart.message, hint));
    }
    let Some(address) = info.address.clone().filter(|it| project::normalise(it).is_some()) else {
        return Err(CtlError::refused(
            ExitCode::Failed,
            &format!("it is not known here where `{}` can be cloned from", info.project),
            "clone it yourself, run `convosyncctl enable` in the clone, and resume there",
        ));
    };
    let dir = place(call, &info, dir)?;
    if args.dry_run {
        let text = format!("would clone {address} into `{}`: {}", dir.display(), size(&info));
        match call.print.json {
            true => call.print.answer(&serde_json::json!({ "session": info, "clone": dir }))?,
            false => call.print.done(&text)?,
        }
        return Ok(ExitCode::Ok);
    }
    clone(call, &address, &dir, &size(&info))?;
    let stands = |error| {
        let way_back = format!(
            "the clone stands in `{}`: `convosyncctl resume {}` there goes on",
            dir.display(),
            info.short
        );
        CtlError::PutAside { cause: Box::new(error), way_back }
    };
    call.options.directory = Some(dir.clone());
    enable(call).map_err(stands)?;
    let session = args.session.clone().unwrap_or_else(|| info.session.to_string());
    super::restore(call, args, Some(SessionQuery(session))).map_err(stands)
}

/// The session that is meant: one whose repository has no clone here.
fn find(call: &mut Call<'_>, args: &args::Resume) -> Result<SessionInfo, CtlError> {
    let request = List { all: true, refresh: true, ..List::default() };
    let reply: ListReply = call.ask(Request::List(request))?;
    list::print_problems(call, &reply)?;
    let is_named = |info: &SessionInfo| match &args.session {
        Some(name) => SessionQuery(name.clone()).matches(&info.session),
        None => true,
    };
    let named: Vec<_> = reply.sessions.into_iter().filter(is_named).collect();
    let root = |info: &SessionInfo| info.root.clone().filter(|root| root.join(".git").exists());
    let mut found: Vec<_> = named.iter().filter(|info| root(info).is_none()).cloned().collect();
    let mut seen = BTreeSet::new();
    found.retain(|info| seen.insert(info.session.clone()));
    let chosen = match (found.as_slice(), &args.session) {
        ([], _) => {
            let here = |info: &SessionInfo| root(info).map(|root| (root, info.short.clone()));
            return Err(none(named.iter().find_map(here).filter(|_| args.session.is_some())));
        }
        ([_, _, ..], Some(name)) => {
            let message = format!("{} sessions answer to `{name}`", found.len());
            return Err(CtlError::refused(ExitCode::Failed, &message, "write more of its id"));
        }
        ([_, _, ..], None) if call.is_interactive() => {
            let (now_ms, look) = ((call.env.now_ms)(), call.print.look);
            let lines = found.iter().map(|info| short_line(info, now_ms, look)).collect();
            ask::choose("Which session?", lines, 0)?
        }
        _ => 0,
    };
    Ok(found.swap_remove(chosen))
}

fn none(here: Option<(PathBuf, String)>) -> CtlError {
    match here {
        Some((root, short)) => CtlError::refused(
            ExitCode::NeedsDecision,
            &format!("its repository is on this device already, in `{}`", root.display()),
            &format!("`convosyncctl resume {short}`, without `--clone`, goes on there"),
        ),
        None => CtlError::refused(
            ExitCode::Failed,
            "there is no saved session whose repository has no clone here",
            "`convosyncctl list --all --refresh` shows all that is known here, and `convosyncctl status` which \
             remotes are read; what lies at another one is found in a clone of it: `git clone`, then \
             `convosyncctl enable`",
        ),
    }
}

/// Where the clone goes: nothing may be there yet.
fn place(call: &Call<'_>, info: &SessionInfo, dir: Option<&Path>) -> Result<PathBuf, CtlError> {
    let refused = |message: String, hint: &str| {
        Err(CtlError::refused(ExitCode::NeedsDecision, &message, hint))
    };
    let dir = match dir {
        Some(dir) => dir,
        None if is_plain(&info.project) => Path::new(&info.project),
        None => {
            let message = format!("`{}` is no name for a folder", info.project);
            return refused(message, "name one: `--clone=DIR`");
        }
    };
    let dir = call.resolve(dir);
    let is_free = match std::fs::read_dir(&dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    if !is_free {
        let message = format!("`{}` is there already", dir.display());
        return refused(
            message,
            "name another folder: `--clone=DIR`; where it is a clone of yours, run `convosyncctl enable` in \
             it, and resume there",
        );
    }
    match dir.parent().filter(|parent| parent.is_dir()) {
        Some(_) => Ok(dir),
        None => refused(format!("the folder of `{}` is not there", dir.display()), "make it first"),
    }
}

/// Whether a name that another device gave is one of a folder, and of no hidden one.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let is_one = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    is_one
        && !name.starts_with(['.', '-'])
        && !name.contains(['/', '\\'])
        && !name.chars().any(char::is_control)
}

/// What is known before of how much there is to fetch: git itself tells nobody.
fn size(info: &SessionInfo) -> String {
    match info.packed {
        Some(packed) => format!(
            "its whole history takes about {} on `{}`, and what its files were before stays at the remote until it is needed",
            bytes(packed),
            info.device_name
        ),
        None => "what its files were before stays at the remote until it is needed (how large the rest is \
                 cannot be said)"
            .to_owned(),
    }
}

/// A folder beside the one that a clone is for, in which it is made.
struct Beside {
    folder: PathBuf,
    /// Held while the clone is made; a file system may have none.
    lock: Option<FileLock>,
}

impl Beside {
    /// Makes one for `dir`, and removes those of processes that were killed.
    fn make(call: &mut Call<'_>, dir: &Path) -> Result<Self, CtlError> {
        let parent = dir.parent().unwrap_or(dir);
        let prefix = format!(".{}{BESIDE}", dir.file_name().unwrap_or_default().to_string_lossy());
        remove_left_over(call, parent, &prefix)?;
        let folder = parent.join(format!("{prefix}{}", std::process::id()));
        disk::make_dirs(&folder)?;
        match disk::lock(&folder.join(LOCK)) {
            Ok(None) => Err(CtlError::refused(
                ExitCode::NeedsDecision,
                &format!("something else holds `{}`", folder.display()),
                "run this again when no other clone into the same folder is being made",
            )),
            lock => Ok(Self { folder, lock: lock.ok().flatten() }),
        }
    }

    /// Removes it. Some file systems keep what is open: the lock goes first.
    fn remove(self) -> Result<(), CtlError> {
        drop(self.lock);
        Ok(disk::remove_tree(&self.folder)?)
    }
}

/// Has the user's own git clone beside `dir`, and moves the clone there when it is whole.
fn clone(call: &mut Call<'_>, address: &str, dir: &Path, size: &str) -> Result<(), CtlError> {
    let config = Config::load(&call.paths()?.config_file)?;
    let git = Git::find(config.git_program.as_deref(), &|name| call.env.get(name))?;
    let beside = Beside::make(call, dir)?;
    if !call.print.json {
        call.print.line(format!("cloning {address} into `{}`: {size}", dir.display()))?;
    }
    let moved = clone_beside(call, &git, address, (&beside.folder, dir));
    match (moved, beside.remove()) {
        (Err(_), Err(left)) => Err(left),
        (Ok(()), Err(left)) => Ok(call.print.note(&left.to_string(), None)?),
        (moved, Ok(())) => moved,
    }
}

fn clone_beside(
    call: &Call<'_>,
    git: &Git,
    address: &str,
    (folder, dir): (&Path, &Path),
) -> Result<(), CtlError> {
    let whole = folder.join(dir.file_name().unwrap_or_default());
    let held = Held::new();
    let mut arguments: Vec<OsString> =
        ["clone", "--filter=blob:none", "--", address].map(OsString::from).into();
    arguments.push(whole.clone().into());
    let parent = dir.parent().unwrap_or(dir);
    match git.as_user(parent, &call.env.variables).run(&arguments) {
        Ok(_) if held.came() => Err(CtlError::refused(
            ExitCode::NeedsDecision,
            "cancelled: nothing of the clone is left",
            "`convosyncctl resume --clone` begins anew",
        )),
        Ok(Some(0)) => Ok(disk::move_dir(&whole, dir)?),
        Ok(_) => Err(CtlError::refused(
            ExitCode::Failed,
            &format!("git did not clone {address}; what it said stands above"),
            "nothing was left behind; clone it yourself, run `convosyncctl enable` in the clone, and \
             resume there",
        )),
        Err(error) => Err(error.into()),
    }
}

/// Removes clones that were begun for the same folder and whose process was killed: there is nothing of the user's in
/// them, and nobody holds their lock.
fn remove_left_over(call: &mut Call<'_>, parent: &Path, prefix: &str) -> Result<(), CtlError> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let is_left_over = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let pid = name.strip_prefix(prefix).and_then(|pid| pid.parse::<u32>().ok());
        let is_folder = path.symlink_metadata().is_ok_and(|found| found.is_dir());
        // Where nothing can be locked, nothing is known: what is there stays.
        is_folder && pid.is_some() && matches!(disk::lock(&path.join(LOCK)), Ok(Some(_)))
    };
    for left in entries.map(|entry| entry.path()).filter(is_left_over) {
        // A git that lives on may still write there: it is not in the way of the next clone.
        let (told, hint) = match disk::remove_tree(&left) {
            Ok(()) => ("removed what an interrupted clone had left", None),
            Err(_) => ("an interrupted clone has left something", Some("remove it")),
        };
        if !call.print.json {
            call.print.note(&format!("{told}: `{}`", left.display()), hint)?;
        }
    }
    Ok(())
}

/// Has the clone saved from now on: only then a session can go on in it. It may have to be agreed to: git takes no
/// configuration over from the other side, but the remote may be a folder here, and the user's template for
/// repositories may hold settings.
fn enable(call: &mut Call<'_>) -> Result<(), CtlError> {
    let may_ask = call.is_interactive();
    let reply = enable::enable(call, false, may_ask)?;
    if call.print.json {
        return Ok(());
    }
    for project in &reply.projects {
        call.print.done(&format!("{} is saved from now on", project.name))?;
        if let Some(probe) = project.probe.as_ref().filter(|probe| !probe.works) {
            enable::print_probe(&mut call.print, probe)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_name_becomes_a_folder_unasked() {
        for name in ["shop", "my shop", "a.b"] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["", ".", "..", ".git", "-x", "a/b", "/etc", "a\\b", "a\nb"] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
