//! Lines that were typed into the shell while the session was written, where the user wants them to travel.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use convosync_core::cause::with_causes;
use convosync_core::config::Config;
use convosync_core::disk;
use convosync_core::protocol::{Request, Save, SaveOutlookReply};
use convosync_core::shell_history::{FILE_BYTES_MAX, Shell, Typed, choose, fitting, span};

use crate::call::Call;
use crate::env::Env;
use crate::error::CtlError;
use crate::print::count;

/// What of the shell's history goes along.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// The lines that the session does not have yet and has room for.
    pub(super) lines: Vec<Typed>,
    /// How many of those typed since the last one that it has stay, because they may hold a secret.
    pub(super) withheld: u32,
    trouble: Option<Trouble>,
}

/// Why there are no lines.
#[derive(Debug)]
struct Trouble {
    what: String,
    hint: Option<&'static str>,
}

impl Trouble {
    fn new(what: impl Into<String>, hint: Option<&'static str>) -> Self {
        Self { what: what.into(), hint }
    }
}

impl Taken {
    /// Nothing, because the user does not want it this time.
    pub(super) fn nothing() -> Self {
        Self::default()
    }
}

/// What a save asks by: whether lines are wanted at all.
pub(super) fn wanted(call: &Call<'_>) -> Result<Option<Vec<Typed>>, CtlError> {
    let is_wanted = Config::load(&call.paths()?.config_file)?.shell_history;
    Ok(is_wanted.then(Vec::new))
}

/// Asks what the lines are chosen by, and takes them.
pub(super) fn look(call: &mut Call<'_>, request: &Save) -> Result<Taken, CtlError> {
    if request.shell_history.is_none() {
        return Ok(Taken::nothing());
    }
    let outlook: SaveOutlookReply = call.ask(Request::SaveOutlook(request.clone()))?;
    Ok(take(call.env, &outlook))
}

/// Takes the lines that were typed while the session was written and that it does not have yet, as many as it has room
/// for. Without an answer to what they are chosen by, they are not wanted.
pub(super) fn take(env: &Env, outlook: &SaveOutlookReply) -> Taken {
    let Some(told) = &outlook.shell_history else { return Taken::nothing() };
    let Some((began_ms, ended_ms)) = told.began_ms.zip(told.ended_ms) else {
        return Taken::nothing();
    };
    let found = place(env).and_then(|(shell, path)| {
        let (bytes, is_end) = read(&path)?;
        let found = shell.read(&bytes, is_end);
        if found.typed.is_empty() && found.has_untimed {
            let what = format!("the lines in `{}` have no times", path.display());
            return Err(Trouble::new(what, shell.way_to_times()));
        }
        Ok(found.typed)
    });
    match found {
        Ok(typed) => {
            let told_ms = told.known.iter().map(|line| line.at_ms).max();
            let chosen = choose(typed, &span(began_ms, ended_ms, (env.now_ms)()), told_ms);
            let lines = fitting(chosen.lines, &told.known, &told.others);
            Taken { lines, withheld: chosen.withheld, trouble: None }
        }
        Err(trouble) => Taken { trouble: Some(trouble), ..Taken::nothing() },
    }
}

/// Which shell it is, and where it writes.
fn place(env: &Env) -> Result<(Shell, PathBuf), Trouble> {
    let program = env.get("SHELL").map(PathBuf::from).unwrap_or_default();
    let shell = Shell::of_program(&program);
    let at_home = |name: &str| {
        let no_home = || Trouble::new("HOME is not set", None);
        env.home().map(|home| home.join(name)).ok_or_else(no_home)
    };
    let named = env.variables.get("HISTFILE".as_ref() as &std::ffi::OsStr);
    match (shell, named) {
        (Some(Shell::Fish), _) => {
            let data = env.get("XDG_DATA_HOME").map(PathBuf::from);
            let data = data.filter(|data| data.is_absolute());
            let data = data.map_or_else(|| at_home(".local/share"), Ok)?;
            Ok((Shell::Fish, data.join("fish/fish_history")))
        }
        (_, Some(named)) if named.is_empty() => {
            Err(Trouble::new("HISTFILE is empty: the shell keeps no history", None))
        }
        (shell, Some(named)) => Ok((shell.unwrap_or(Shell::Bash), env.directory.join(named))),
        (Some(Shell::Zsh), None) => {
            let folder = env.get("ZDOTDIR").map(|folder| env.directory.join(folder));
            folder.map_or_else(|| at_home(""), Ok).map(|dir| (Shell::Zsh, dir.join(".zsh_history")))
        }
        (Some(Shell::Bash), None) => at_home(".bash_history").map(|file| (Shell::Bash, file)),
        (None, None) => {
            let what = format!("SHELL is `{}`, whose history is not known", program.display());
            Err(Trouble::new(
                what,
                Some("bash, zsh and fish are known; HISTFILE names another's file"),
            ))
        }
    }
}

/// The end of a history, which has to be a file of the user's own; and whether there is more before it.
fn read(path: &Path) -> Result<(Vec<u8>, bool), Trouble> {
    let mut file = disk::open_regular(path).map_err(|error| match error.is_missing() {
        true => Trouble::new(format!("there is no file `{}`", path.display()), None),
        false => Trouble::new(with_causes(&error), None),
    })?;
    if !is_own(&file) {
        return Err(Trouble::new(format!("`{}` is another user's", path.display()), None));
    }
    let failed = |error| Trouble::new(format!("read `{}`: {error}", path.display()), None);
    disk::read_end(&mut file, FILE_BYTES_MAX).map_err(failed)
}

fn is_own(file: &File) -> bool {
    let uid = rustix::process::getuid().as_raw();
    file.metadata().is_ok_and(|stat| stat.uid() == uid)
}

/// Says what was taken along, and what stays and why.
pub(super) fn tell(call: &mut Call<'_>, taken: &Taken, arrived: usize) -> Result<(), CtlError> {
    if call.print.json {
        return Ok(());
    }
    if arrived > 0 {
        let lines = count(arrived, "line");
        call.print.done(&format!("terminal: {lines} of the shell's history taken along"))?;
    }
    tell_rest(call, taken)
}

/// Says what would be taken along, and what would stay and why.
pub(super) fn foresee(call: &mut Call<'_>, taken: &Taken) -> Result<(), CtlError> {
    if !taken.lines.is_empty() {
        let lines = count(taken.lines.len(), "line");
        call.print.line(&*format!("would take {lines} of the shell's history along"))?;
    }
    tell_rest(call, taken)
}

fn tell_rest(call: &mut Call<'_>, taken: &Taken) -> Result<(), CtlError> {
    if taken.withheld > 0 {
        let lines = count(taken.withheld, "line");
        let what = format!("{lines} of the shell's history not taken along: may hold a secret");
        call.print.note(&what, None)?;
    }
    if let Some(Trouble { what, hint }) = &taken.trouble {
        let what = format!("nothing of the shell's history is taken along: {what}");
        call.print.note(&what, *hint)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[track_caller]
    fn check(variables: &[(&str, &str)], expected: Result<(Shell, &str), &str>) {
        let variables: BTreeMap<_, _> =
            variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let found = place(&Env::new(variables, PathBuf::from("/here")));
        let found = found.map_err(|trouble| trouble.what);
        let expected = expected.map(|(shell, path)| (shell, PathBuf::from(path)));
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn each_shells_file_is_where_its_handbook_says() {
        let home = ("HOME", "/home/a");
        let (bash, zsh) = (("SHELL", "/bin/bash"), ("SHELL", "/usr/bin/zsh"));
        let fish = ("SHELL", "fish");
        check(&[home, bash], Ok((Shell::Bash, "/home/a/.bash_history")));
        check(&[home, zsh], Ok((Shell::Zsh, "/home/a/.zsh_history")));
        check(&[home, zsh, ("ZDOTDIR", "/z")], Ok((Shell::Zsh, "/z/.zsh_history")));
        check(&[home, zsh, ("HISTFILE", "/h")], Ok((Shell::Zsh, "/h")));
        check(&[home, ("HISTFILE", "h")], Ok((Shell::Bash, "/here/h")));
        let of_fish = (Shell::Fish, "/home/a/.local/share/fish/fish_history");
        check(&[home, fish, ("HISTFILE", "/h")], Ok(of_fish));
        check(&[home, fish, ("XDG_DATA_HOME", "/d")], Ok((Shell::Fish, "/d/fish/fish_history")));
        check(
            &[home, bash, ("HISTFILE", "")],
            Err("HISTFILE is empty: the shell keeps no history"),
        );
        check(&[home, ("SHELL", "/bin/sh")], Err("SHELL is `/bin/sh`, whose history is not known"));
        check(&[bash], Err("HOME is not set"));
    }
}
