//! The part of `save` that is the user's own git: commit and push.

use std::path::{Path, PathBuf};

use convosync_core::code::{Guard, Head};
use convosync_core::commit::{
    self, Committed, Facts, Hands, Known, LARGE_COMMIT, Left, Plan, Pushed, Refusal, Site,
    Switched, Way,
};
use convosync_core::config::Config;
use convosync_core::git::Git;
use convosync_core::id::short_commit;
use convosync_core::outbound::DEFAULT_MESSAGE;
use convosync_core::project::{self, Project};

use super::tell;
use crate::ask;
use crate::call::Call;
use crate::error::CtlError;
use crate::exit::ExitCode;
use crate::print::{bytes, count};
use crate::signals::Held;

/// As many large files are named.
const LARGE_SHOWN: usize = 3;

/// The work tree of a directory, and how it stands.
pub(in crate::commands) struct Work {
    project: Project,
    git: Git,
    guard: Guard,
    scratch: PathBuf,
    suffix: String,
    needs_remote: bool,
    no_push: bool,
    facts: Facts,
}

/// What was done to the code.
#[derive(Debug, Default)]
pub(in crate::commands) struct Done {
    /// What was committed.
    pub(in crate::commands) commit: Option<Commit>,
    /// Whether the branch is another one than before.
    pub(in crate::commands) switched: Option<(String, Switched)>,
    /// What stays as it is.
    pub(in crate::commands) left: Vec<Left>,
    /// Where it was pushed to, and with which result.
    pub(in crate::commands) push: Option<(Way, Pushed)>,
    /// How many commits a push brought, or was to bring.
    pub(in crate::commands) commits: u32,
    /// Commits that nobody pushed, of a branch.
    pub(in crate::commands) unpushed: Option<(String, u32)>,
}

/// A commit that was made.
#[derive(Debug)]
pub(in crate::commands) struct Commit {
    pub(in crate::commands) id: String,
    pub(in crate::commands) branch: String,
    pub(in crate::commands) message: String,
    pub(in crate::commands) modified: usize,
    pub(in crate::commands) new: usize,
}

impl Done {
    /// Nothing was committed.
    pub(in crate::commands) fn nothing(plan: &Plan, facts: &Facts) -> Self {
        let unpushed = plan.branch.clone().filter(|_| facts.ahead > 0);
        Self {
            left: plan.left.clone(),
            unpushed: unpushed.map(|branch| (branch, facts.ahead)),
            ..Self::default()
        }
    }

    /// Whether commits that were to be pushed are on this device only.
    pub(in crate::commands) fn is_held_up(&self) -> bool {
        self.push.as_ref().is_some_and(|(_, pushed)| *pushed != Pushed::Done)
    }

    /// What was done, if anything was.
    pub(in crate::commands) fn in_a_word(&self) -> Option<String> {
        let pushed = match &self.push {
            Some((way, Pushed::Done)) => format!(" and pushed to {}", way.shown()),
            _ => String::new(),
        };
        match &self.commit {
            Some(commit) => Some(format!("{} was committed{pushed}", short_commit(&commit.id))),
            None if pushed.is_empty() => None,
            None => Some(format!("the branch was{}", pushed.trim_start_matches(" and"))),
        }
    }
}

impl Work {
    /// Looks at the work tree of the directory; `None` where there is none under git.
    pub(in crate::commands) fn of(
        call: &Call<'_>,
        directory: &Path,
        no_push: bool,
    ) -> Result<Option<Self>, CtlError> {
        if !directory.ancestors().any(|above| above.join(".git").exists()) {
            return Ok(None);
        }
        let paths = call.paths()?;
        let config = Config::load(&paths.config_file)?;
        let git = Git::find(config.git_program.as_deref(), &|name| call.env.get(name))?;
        let project = project::discover(directory, &git)?;
        let home = call.env.home().unwrap_or_default();
        let guard = Guard::of(&config.code, &project.root, &home);
        let site = Site { project: &project, git: &git, guard: &guard };
        let Some(facts) = commit::look(&site)? else { return Ok(None) };
        Ok(Some(Self {
            scratch: paths.state_dir,
            suffix: config.commit_suffix,
            needs_remote: config.store_remote.is_none() && !no_push,
            no_push,
            project,
            git,
            guard,
            facts,
        }))
    }

    /// Lets nothing leave this device.
    pub(in crate::commands) fn keep_here(&mut self) {
        self.no_push = true;
    }

    pub(in crate::commands) fn facts(&self) -> &Facts {
        &self.facts
    }

    fn hands<'a>(&'a self, call: &'a Call<'_>) -> Hands<'a> {
        let site = Site { project: &self.project, git: &self.git, guard: &self.guard };
        let is_attended = call.env.terminal.is_interactive();
        let (variables, scratch) = (&call.env.variables, &*self.scratch);
        Hands { site, variables, scratch, is_attended, alone: None }
    }

    /// Decides what is committed, on `branch` if another one is meant.
    pub(in crate::commands) fn plan(&self, branch: Option<&str>) -> Result<Plan, CtlError> {
        self.decide(branch).map_err(|refusal| CtlError::Refused {
            code: ExitCode::NeedsDecision,
            message: refusal.to_string(),
            hint: Some(refusal.hint()),
        })
    }

    /// The same, with the reason why not as it is.
    pub(in crate::commands) fn decide(&self, branch: Option<&str>) -> Result<Plan, Refusal> {
        let mut facts = self.facts.clone();
        if let Some(branch) = branch {
            facts.head.branch = Some(branch.to_owned());
        }
        commit::plan(&facts, self.needs_remote)
    }

    /// Asks before much is committed; without anybody to ask, that is the end.
    pub(in crate::commands) fn confirm(
        &self,
        call: &mut Call<'_>,
        plan: &Plan,
        force: bool,
    ) -> Result<(), CtlError> {
        if !plan.is_large() {
            return Ok(());
        }
        let message = large(plan);
        let hint = "keep large files out of git with `git lfs track`, or name them in `.gitignore`; \
                    many hosts refuse files of more than 100 MiB";
        if force {
            call.print.note(&message, Some(hint))?;
            return Ok(());
        }
        if !call.is_interactive() {
            let hint = format!("{hint}; `--force` commits them all the same");
            return Err(CtlError::refused(ExitCode::NeedsDecision, &message, &hint));
        }
        call.print.note(&message, Some(hint))?;
        match ask::confirm("Commit all of it?")? {
            true => Ok(()),
            false => Err(ask::AskError::Cancelled.into()),
        }
    }

    /// Switches, commits and pushes. Ctrl-C ends what runs, and what it left half done is taken back.
    pub(in crate::commands) fn carry_out(
        mut self,
        call: &mut Call<'_>,
        branch: Option<&str>,
        message: Option<&str>,
    ) -> Result<Done, CtlError> {
        let held = Held::new();
        let before = self.facts.head.clone();
        let switched = branch.map(|branch| self.switch(call, branch)).transpose()?;
        let plan = match switched {
            Some(Switched::Here { .. }) => self.look_again().and_then(|()| self.plan(None)),
            _ => self.plan(None),
        };
        let said = message.map(str::trim).filter(|text| !text.is_empty());
        let message = commit::message(said.unwrap_or(DEFAULT_MESSAGE), &self.suffix);
        let made = plan.and_then(|plan| Ok((self.commit(call, &plan, &message, &held)?, plan)));
        let (commit, plan) = match (made, switched, branch) {
            (Err(error), Some(Switched::Here { is_new }), Some(branch)) => {
                self.hands(call).switch_back(branch, is_new, &before)?;
                return Err(error);
            }
            (made, _, _) => made?,
        };
        let mut done = Done { commit, left: plan.left, ..Done::default() };
        done.switched = branch.map(str::to_owned).zip(switched);
        tell::committed(call, &done)?;
        self.push(call, &mut done)?;
        tell::pushed(call, &done)?;
        Ok(done)
    }

    fn look_again(&mut self) -> Result<(), CtlError> {
        let site = Site { project: &self.project, git: &self.git, guard: &self.guard };
        self.facts = commit::look(&site)?.unwrap_or_default();
        Ok(())
    }

    fn switch(&self, call: &Call<'_>, branch: &str) -> Result<Switched, CtlError> {
        let Head { branch: before, .. } = &self.facts.head;
        match self.hands(call).switch(branch, &self.facts.head, self.facts.remote.as_deref())? {
            Switched::Refused => Err(CtlError::refused(
                ExitCode::NeedsDecision,
                &format!("git did not switch to `{branch}`; what it said stands above"),
                &format!(
                    "nothing was changed; save on {}, or switch yourself",
                    before
                        .as_deref()
                        .map_or("a branch".to_owned(), |name| format!("`{name}` first"))
                ),
            )),
            switched => Ok(switched),
        }
    }

    fn commit(
        &self,
        call: &Call<'_>,
        plan: &Plan,
        message: &str,
        held: &Held,
    ) -> Result<Option<Commit>, CtlError> {
        if plan.manner.is_none() {
            return Ok(None);
        }
        match self.hands(call).commit(plan, message)? {
            Committed::Done(id) => Ok(Some(Commit {
                id: id.to_string(),
                branch: plan.branch.clone().unwrap_or_default(),
                message: message.to_owned(),
                modified: plan.modified,
                new: plan.new.len(),
            })),
            Committed::Refused(_) if held.came() => Err(ask::AskError::Cancelled.into()),
            Committed::Refused(_) => Err(CtlError::refused(
                ExitCode::Failed,
                "git did not commit; what it, a hook or signing said stands above",
                "index and files are as before: mend it and save again, or save with `--stash`",
            )),
        }
    }

    fn push(&self, call: &Call<'_>, done: &mut Done) -> Result<(), CtlError> {
        let Facts { head, remote, upstream, .. } = &self.facts;
        if self.no_push {
            return Ok(());
        }
        if let (Some(branch), Some(remote)) = (&head.branch, remote) {
            let hands = self.hands(call);
            let way = hands.way(branch, remote, upstream.as_deref())?;
            done.commits = hands.unpushed("HEAD", &way.remote)?;
            let pushed = hands.push(&way)?;
            done.push = Some((way, pushed));
        }
        Ok(())
    }

    /// Pushes what is committed already.
    pub(in crate::commands) fn push_again(&self, call: &mut Call<'_>) -> Result<Done, CtlError> {
        let _held = Held::new();
        let mut done = Done::default();
        let Facts { head, ahead, upstream, .. } = &self.facts;
        if head.commit.is_some() && (*ahead > 0 || upstream.is_none()) {
            self.push(call, &mut done)?;
        }
        tell::pushed(call, &done)?;
        Ok(done)
    }

    /// Where a commit would be pushed to, and how many commits of before would go there with it.
    pub(in crate::commands) fn destination(
        &self,
        call: &Call<'_>,
        branch: &str,
    ) -> Result<Option<(String, u32)>, CtlError> {
        let Some(remote) = self.facts.remote.as_ref().filter(|_| !self.no_push) else {
            return Ok(None);
        };
        let hands = self.hands(call);
        let way = hands.way(branch, remote, self.facts.upstream.as_deref())?;
        let before = match hands.known(branch, Some(remote))? {
            Known::Here => hands.unpushed(&format!("refs/heads/{branch}"), &way.remote)?,
            Known::Nowhere if self.facts.head.commit.is_some() => {
                hands.unpushed("HEAD", &way.remote)?
            }
            Known::There | Known::Nowhere => 0,
        };
        Ok(Some((way.shown(), before)))
    }
}

fn large(plan: &Plan) -> String {
    if plan.large.is_empty() {
        let most = bytes(LARGE_COMMIT);
        return format!(
            "the commit would have {}, and that is more than {most}",
            bytes(plan.bytes)
        );
    }
    let named = plan.large.iter().take(LARGE_SHOWN);
    let names: Vec<_> =
        named.map(|(path, size)| format!("`{}` ({})", path.shown(), bytes(*size))).collect();
    let more = plan.large.len().saturating_sub(LARGE_SHOWN);
    let more = if more > 0 { format!(" and {}", count(more, "more file")) } else { String::new() };
    format!("what would be committed is large: {}{more}", names.join(", "))
}
