//! Has git commit and push. Git's own all-or-nothing is relied on: what it refuses has not happened.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{CommitError, Manner, Plan, Site};
use crate::code::RepoPath;
use crate::disk::{self, DiskError, NewFile};
use crate::git::{GitCommand, GitError, UserGit};
use crate::id::Oid;

/// How long a remote may take to answer before it counts as out of reach.
const REACH_DEADLINE: Duration = Duration::from_secs(5);
/// How long looking through commits that are not pushed may take.
const COMMITS_DEADLINE: Duration = Duration::from_secs(30);
/// How much the list of what they hold may print.
const COMMITS_MAX: usize = 64 << 20;
/// How long marking many new files may take.
const MARK_DEADLINE: Duration = Duration::from_secs(120);

/// What a commit is made with.
#[derive(Debug, Clone, Copy)]
pub struct Hands<'a> {
    /// Where.
    pub site: Site<'a>,
    /// The terminal's environment.
    pub variables: &'a BTreeMap<OsString, OsString>,
    /// A folder of ours for scratch files.
    pub scratch: &'a Path,
    /// Whether somebody sits at the terminal.
    pub is_attended: bool,
    /// How long things may take where there is no terminal at all; `None` with one.
    pub alone: Option<Alone>,
}

/// How long commands may take that nobody sees.
#[derive(Debug, Clone, Copy)]
pub struct Alone {
    /// Committing, with the user's hooks.
    pub commit: Duration,
    /// Pushing.
    pub push: Duration,
}

/// What a command of the user's ended with.
struct Ran {
    code: Option<i32>,
    /// What it said, where no terminal shows it.
    said: Option<String>,
}

/// What came of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// It stands.
    Done(Oid),
    /// Git, a hook or signing refused: index and work tree are as before. What was said, where no terminal
    /// shows it.
    Refused(Option<String>),
}

/// Where a branch is pushed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The remote, as the user calls it.
    pub remote: String,
    /// The ref there.
    pub reference: String,
    /// The branch here, without `refs/heads/`.
    pub branch: String,
    /// Whether the branch follows none yet.
    pub is_first: bool,
}

impl Way {
    /// What people call the other end: `origin/main`.
    pub fn shown(&self) -> String {
        let name = self.reference.strip_prefix("refs/heads/").unwrap_or(&self.reference);
        format!("{}/{name}", self.remote)
    }
}

/// What came of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// The remote has it.
    Done,
    /// The remote has commits that are not here.
    Behind,
    /// The remote does not answer; what git said of it.
    Unreachable(String),
    /// The remote, or a hook of the user's, refused. What was said, where no terminal shows it.
    Refused(Option<String>),
    /// The commits hold what must not leave the device.
    Guarded(Vec<RepoPath>),
}

impl Hands<'_> {
    fn root(&self) -> &Path {
        &self.site.project.root
    }

    pub(super) fn user(&self) -> UserGit<'_> {
        self.site.git.as_user(self.root(), self.variables)
    }

    pub(super) fn ask(&self) -> GitCommand {
        self.site.git.command().dir(self.root())
    }

    /// Runs a command of the user's, in the terminal where there is one.
    fn run(&self, args: &[OsString], within: fn(&Alone) -> Duration) -> Result<Ran, GitError> {
        let Some(alone) = &self.alone else {
            return Ok(Ran { code: self.user().run(args)?, said: None });
        };
        let output = self.user().run_alone(args, within(alone))?;
        Ok(Ran { code: output.code, said: Some(output.said()) })
    }

    /// The commit that HEAD is at.
    fn head(&self) -> Result<Option<Oid>, CommitError> {
        let output = self.ask().args(["rev-parse", "--verify", "--quiet", "HEAD"]).run()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().parse().ok())
    }

    /// Commits as planned. What counts is whether HEAD moved: a hook that runs afterwards may fail.
    ///
    /// # Errors
    /// [`CommitError`]; index and work tree are as before.
    pub fn commit(&self, plan: &Plan, message: &str) -> Result<Committed, CommitError> {
        let Some(manner) = &plan.manner else { return Ok(Committed::Refused(None)) };
        let before = self.head()?;
        let listed = Listed::write(self.scratch, manner)?;
        self.mark(&plan.new)?;
        let mut args: Vec<OsString> = ["commit", "--quiet", "--message"].map(OsString::from).into();
        args.push(message.into());
        args.extend(match manner {
            Manner::AsStaged => None,
            Manner::All => Some("--all".into()),
            Manner::Include(_) => Some("--include".into()),
            Manner::Only(_) => Some("--only".into()),
        });
        if let Some(listed) = &listed {
            let mut from = OsString::from("--pathspec-from-file=");
            from.push(&listed.0);
            args.extend([from, "--pathspec-file-nul".into()]);
        }
        let ran = self.run(&args, |alone| alone.commit);
        let after = self.head()?;
        if let Some(commit) = after.filter(|_| after != before) {
            return Ok(Committed::Done(commit));
        }
        self.unmark(&plan.new)?;
        Ok(Committed::Refused(ran?.said))
    }

    /// Tells git of new files, without their contents: only of what it knows can it be told by name.
    fn mark(&self, new: &[RepoPath]) -> Result<(), CommitError> {
        if new.is_empty() {
            return Ok(());
        }
        let args = ["add", "--intent-to-add", "--pathspec-from-file=-", "--pathspec-file-nul"];
        let marked = self.ask().args(args).stdin(pathspecs(new)).deadline(MARK_DEADLINE).run();
        let marked = marked.map_err(CommitError::from);
        let marked = marked.and_then(|output| self.site.done("take in new files", output));
        if marked.is_err() {
            // Some of them may be marked already; that they cannot be unmarked is the lesser trouble.
            self.unmark(new).ok();
        }
        marked.map(drop)
    }

    /// Takes the marks away that are still nothing but marks.
    fn unmark(&self, new: &[RepoPath]) -> Result<(), CommitError> {
        if new.is_empty() {
            return Ok(());
        }
        let args =
            ["diff", "--no-ext-diff", "--no-renames", "--name-only", "-z", "--diff-filter=A"];
        let output = self.ask().args(args).stdout_limit(COMMITS_MAX).run()?;
        let bytes = self.site.done("tell what is new", output)?;
        let marked: Vec<u8> = bytes
            .split(|byte| *byte == 0)
            .filter(|name| new.binary_search_by(|path| path.as_bytes().cmp(name)).is_ok())
            .flat_map(|name| [name, b"\0"].concat())
            .collect();
        if marked.is_empty() {
            return Ok(());
        }
        let args = ["update-index", "--force-remove", "-z", "--stdin"];
        let output = self.ask().args(args).stdin(marked).deadline(MARK_DEADLINE).run()?;
        self.site.done("forget new files", output).map(drop)
    }

    /// Where git would push a branch to; `remote` where it is not said.
    ///
    /// # Errors
    /// [`CommitError`] when git does not tell.
    pub fn way(
        &self,
        branch: &str,
        remote: &str,
        upstream: Option<&str>,
    ) -> Result<Way, CommitError> {
        let name = format!("refs/heads/{branch}");
        let format = "--format=%(push:remotename)%0a%(push:remoteref)";
        let output = self.ask().args(["for-each-ref", format]).arg(&*name).run()?;
        let bytes = self.site.done("tell where it pushes to", output)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut lines = text.lines().map(|line| Some(line.to_owned()).filter(|l| !l.is_empty()));
        let named = lines.next().flatten();
        let reference = lines.next().flatten();
        Ok(Way {
            remote: named.unwrap_or_else(|| remote.to_owned()),
            reference: reference.unwrap_or(name),
            branch: branch.to_owned(),
            is_first: upstream.is_none(),
        })
    }

    /// Pushes a branch with the terminal attached, never by force.
    ///
    /// # Errors
    /// [`CommitError`] when git cannot be asked.
    pub fn push(&self, way: &Way) -> Result<Pushed, CommitError> {
        let guarded = self.guarded(way)?;
        if !guarded.is_empty() {
            return Ok(Pushed::Guarded(guarded));
        }
        // Somebody at the terminal may be asked for a passphrase, which looks like silence from here, and can
        // end what takes too long.
        if !self.is_attended
            && let Err(Some(said)) = self.there(way)
        {
            return Ok(Pushed::Unreachable(said));
        }
        let mut args: Vec<OsString> = vec!["push".into()];
        if way.is_first {
            args.push("--set-upstream".into());
        }
        let refspec = format!("refs/heads/{}:{}", way.branch, way.reference);
        args.extend(["--".into(), (&*way.remote).into(), refspec.into()]);
        let ran = self.run(&args, |alone| alone.push)?;
        if ran.code == Some(0) {
            return Ok(Pushed::Done);
        }
        self.why_not(way, ran.said)
    }

    /// Where the remote's branch is: the commit, if there is one. `Err(None)`: it answers, but not us.
    pub(super) fn there(&self, way: &Way) -> Result<Option<Oid>, Option<String>> {
        let args = ["ls-remote", "--quiet", "--", &*way.remote, &*way.reference];
        let args = args.map(OsString::from);
        let output = match self.alone {
            Some(_) => self.user().run_alone(&args, REACH_DEADLINE),
            None => self.user().ask(&args, REACH_DEADLINE),
        };
        match output {
            Err(GitError::Deadline { after, .. }) => {
                Err(Some(format!("no answer within {} s", after.as_secs())))
            }
            Err(_) => Err(None),
            Ok(output) if output.success() => {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                Ok(text.split_whitespace().next().and_then(|id| id.parse().ok()))
            }
            Ok(output) if is_out_of_reach(&output.stderr) => Err(Some(output.said())),
            Ok(_) => Err(None),
        }
    }

    /// Whether the branch at the other end was seen once.
    pub(super) fn remembers(&self, way: &Way) -> Result<bool, CommitError> {
        let name = format!("refs/remotes/{}^{{commit}}", way.shown());
        let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", &*name];
        Ok(self.ask().args(args).run()?.success())
    }

    /// Whether HEAD goes on from a commit.
    pub(super) fn has_below(&self, commit: Oid) -> Result<bool, CommitError> {
        let args = ["merge-base", "--is-ancestor", &commit.to_string(), "HEAD"].map(str::to_owned);
        Ok(self.ask().args(args).run()?.success())
    }

    /// How many commits below `from` a remote is not known to have.
    ///
    /// # Errors
    /// [`CommitError`] when git does not count them.
    pub fn unpushed(&self, from: &str, remote: &str) -> Result<u32, CommitError> {
        let known = format!("--remotes={remote}");
        let args = ["rev-list", "--count", from, "--not", &*known, "--"];
        let output = self.ask().args(args).deadline(COMMITS_DEADLINE).run()?;
        let bytes = self.site.done("count what is not pushed", output)?;
        Ok(String::from_utf8_lossy(&bytes).trim().parse().unwrap_or_default())
    }

    /// Why a push failed, by what the remote now has.
    fn why_not(&self, way: &Way, words: Option<String>) -> Result<Pushed, CommitError> {
        let there = match self.there(way) {
            Ok(there) => there,
            Err(Some(said)) => return Ok(Pushed::Unreachable(said)),
            Err(None) => return Ok(Pushed::Refused(words)),
        };
        let Some(there) = there else { return Ok(Pushed::Refused(words)) };
        if self.head()? == Some(there) {
            // The answer was lost on the way.
            return Ok(Pushed::Done);
        }
        let is_below = self.has_below(there)?;
        Ok(if is_below { Pushed::Refused(words) } else { Pushed::Behind })
    }

    /// What commits that the remote is not known to have bring of what must not leave the device.
    fn guarded(&self, way: &Way) -> Result<Vec<RepoPath>, CommitError> {
        let args =
            ["log", "-m", "--format=", "--name-only", "--no-renames", "-z", "--diff-filter=d"];
        let known = format!("--remotes={}", way.remote);
        let command = self.ask().args(args).args([&*format!("refs/heads/{}", way.branch), "--not"]);
        let command = command.arg(&*known).arg("--");
        let command = command.config("log.showSignature", "false");
        let output = command.deadline(COMMITS_DEADLINE).stdout_limit(COMMITS_MAX).run()?;
        let bytes = self.site.done("list what is not pushed", output)?;
        let mut found: Vec<RepoPath> = bytes
            .split(|byte| *byte == 0 || *byte == b'\n')
            .filter_map(|name| RepoPath::new(name).ok())
            .filter(|path| self.site.guard.covers(path))
            .collect();
        found.sort();
        found.dedup();
        Ok(found)
    }
}

/// Whether git says that nobody is there, rather than that we may not come in.
fn is_out_of_reach(said: &str) -> bool {
    const SIGNS: [&str; 9] = [
        "Could not resolve host",
        "Could not connect",
        "Failed to connect",
        "Connection refused",
        "Connection timed out",
        "Network is unreachable",
        "No route to host",
        "Operation timed out",
        "Temporary failure in name resolution",
    ];
    SIGNS.iter().any(|sign| said.contains(sign))
}

/// Paths as git takes them from a file: from the top, as they are written.
fn pathspecs(paths: &[RepoPath]) -> Vec<u8> {
    paths.iter().flat_map(|path| [b":(top,literal)", path.as_bytes(), b"\0"].concat()).collect()
}

/// A file that names paths to git; it is gone with this value.
struct Listed(PathBuf);

impl Listed {
    fn write(scratch: &Path, manner: &Manner) -> Result<Option<Self>, CommitError> {
        let (Manner::Include(paths) | Manner::Only(paths)) = manner else { return Ok(None) };
        disk::private_dir(scratch)?;
        let path = scratch.join(format!("save-{}.paths", std::process::id()));
        let failed = |source| DiskError::Io { deed: "write", path: path.clone(), source };
        let mut file = NewFile::create(&path)?;
        file.write_all(&pathspecs(paths)).map_err(failed)?;
        file.finish_replacing()?;
        Ok(Some(Self(path)))
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        // It holds nothing but names; the next save of the same process number writes over it.
        disk::remove_file(&self.0).ok();
    }
}

#[cfg(test)]
mod tests;
