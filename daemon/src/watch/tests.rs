//! Folders that change in every way, with events and without.

use std::fs;
use std::io::{Read as _, Write as _};

use super::*;

/// How long anything here may take before the test fails: far more than it needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// How soon a transcript has to be noticed where there are events.
const NOTICED_WITHIN: Duration = Duration::from_secs(1);

/// Enough for every event that is on its way, our own included.
const QUIET: Duration = Duration::from_millis(500);

/// A root of Claude Code, watched.
struct Field {
    dir: tempfile::TempDir,
    watch: Watch,
    hints: Hints,
}

impl Field {
    /// Watches a root with an empty `projects`.
    async fn new() -> Self {
        // In memory, where there is such a place: thousands of files take seconds on a slow disk.
        let memory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let dir = memory.unwrap();
        fs::create_dir_all(dir.path().join("c/projects")).unwrap();
        Self::over(dir, true).in_mode(&Mode::Events).await
    }

    fn over(dir: tempfile::TempDir, events: bool) -> Self {
        let (watch, hints) = Watch::start(vec![dir.path().join("c")], events);
        Self { dir, watch, hints }
    }

    async fn in_mode(mut self, mode: &Mode) -> Self {
        let wanted = Hint::Mode { root: self.root(), mode: mode.clone() };
        self.until(|hint| *hint == wanted).await;
        self
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("c")
    }

    fn projects(&self) -> PathBuf {
        self.root().join("projects")
    }

    /// Waits for a hint, and returns all that came up to it.
    async fn until(&mut self, mut is_it: impl FnMut(&Hint) -> bool) -> Vec<Hint> {
        let mut all = Vec::new();
        let search = async {
            loop {
                let hints = self.hints.next().await;
                let found = hints.iter().any(&mut is_it);
                all.extend(hints);
                if found {
                    return;
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, search).await.is_ok();
        assert!(found, "the hint did not come; these did: {all:?}");
        all
    }

    /// Waits until nothing more comes, and returns what came.
    async fn quiet(&mut self) -> Vec<Hint> {
        let mut all = Vec::new();
        while let Ok(hints) = tokio::time::timeout(QUIET, self.hints.next()).await {
            all.extend(hints);
        }
        all
    }

    async fn noticed(&mut self, path: &Path) {
        self.until(|hint| *hint == Hint::Transcript(path.to_owned())).await;
    }
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Makes a folder with a transcript in it, as Claude Code does: without a pause.
fn begin_session(folder: &Path) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let transcript = folder.join("s.jsonl");
    append(&transcript, "{}\n");
    transcript
}

#[tokio::test]
async fn growth_is_noticed_also_while_the_file_stays_open() {
    let mut field = Field::new().await;
    let transcript = begin_session(&field.projects().join("-p"));
    field.noticed(&transcript).await;
    field.quiet().await;
    let mut open = fs::OpenOptions::new().append(true).open(&transcript).unwrap();
    for _ in 0..3 {
        open.write_all(b"{}\n").unwrap();
        field.noticed(&transcript).await;
    }
}

#[tokio::test]
async fn a_transcript_written_at_once_into_a_new_folder_is_noticed_within_a_second() {
    let mut field = Field::new().await;
    let (said, mut written) = tokio::sync::mpsc::unbounded_channel();
    let projects = field.projects();
    let writer = std::thread::spawn(move || {
        for n in 0..200 {
            let folder = projects.join(format!("-p{n}"));
            let deep = if n % 2 == 0 { folder.join("session/subagents") } else { folder };
            said.send((begin_session(&deep), Instant::now())).unwrap();
        }
    });
    let mut noticed = std::collections::BTreeMap::new();
    while noticed.keys().filter(|path: &&PathBuf| path.is_file()).count() < 200 {
        let hints = tokio::time::timeout(PATIENCE, field.hints.next()).await;
        for hint in hints.unwrap_or_else(|_| panic!("only {} were noticed", noticed.len())) {
            if let Hint::Transcript(path) = hint {
                noticed.entry(path).or_insert_with(Instant::now);
            }
        }
    }
    writer.join().unwrap();
    while let Some((path, at)) = written.recv().await {
        let took = noticed[&path].saturating_duration_since(at);
        assert!(took <= NOTICED_WITHIN, "{} took {took:?}", path.display());
    }
}

#[tokio::test]
async fn reading_everything_ten_times_is_no_reason_to_look_again() {
    let mut field = Field::new().await;
    for n in 0..20 {
        begin_session(&field.projects().join(format!("-p{n}")));
    }
    field.quiet().await;
    for _ in 0..10 {
        for folder in fs::read_dir(field.projects()).unwrap() {
            for file in fs::read_dir(folder.unwrap().path()).unwrap() {
                let mut bytes = Vec::new();
                fs::File::open(file.unwrap().path()).unwrap().read_to_end(&mut bytes).unwrap();
            }
        }
    }
    assert_eq!(field.quiet().await, []);
}

#[tokio::test]
async fn after_lost_events_everything_is_looked_at_and_new_folders_are_watched() {
    let mut field = Field::new().await;
    let folder = field.projects().join("-many");
    begin_session(&folder);
    field.quiet().await;
    let late = {
        // The watcher's callback waits for this lock, so that the kernel's queue fills up.
        let shared = Arc::clone(&field.hints.shared);
        let _held = shared.pending();
        for n in 0..20_000 {
            append(&folder.join(format!("{n}.jsonl")), "");
        }
        begin_session(&field.projects().join("-late"))
    };
    field.until(|hint| *hint == Hint::Rescan(Why::Overflow)).await;
    field.quiet().await;
    append(&late, "{}\n");
    field.noticed(&late).await;
}

#[tokio::test]
async fn a_root_that_appears_later_is_noticed() {
    let mut field = Field::over(tempfile::tempdir().unwrap(), true);
    let root = field.root();
    field.until(|hint| matches!(hint, Hint::Mode { mode: Mode::Missing(_), .. })).await;
    let transcript = begin_session(&root.join("projects/-p"));
    let hints = field.until(|hint| *hint == Hint::Rescan(Why::Appeared)).await;
    assert!(hints.contains(&Hint::Mode { root, mode: Mode::Events }), "{hints:?}");
    field.quiet().await;
    append(&transcript, "{}\n");
    field.noticed(&transcript).await;
}

#[tokio::test]
async fn a_root_that_is_replaced_is_watched_again() {
    let mut field = Field::new().await;
    let missing = |hint: &Hint| matches!(hint, Hint::Mode { mode: Mode::Missing(_), .. });
    fs::rename(field.root(), field.dir.path().join("old")).unwrap();
    field.until(missing).await;
    let transcript = begin_session(&field.projects().join("-p"));
    field.until(|hint| *hint == Hint::Rescan(Why::Appeared)).await;
    field.quiet().await;
    append(&transcript, "{}\n");
    field.noticed(&transcript).await;
    convosync_core::disk::remove_tree(&field.root()).unwrap();
    field.until(missing).await;
}

#[tokio::test]
async fn a_root_behind_a_link_is_watched_under_its_own_name() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().join("dotfiles/claude");
    fs::create_dir_all(&real).unwrap();
    fs::create_dir_all(dir.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(&real, dir.path().join("c")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), real.join("projects")).unwrap();
    let mut field = Field::over(dir, true).in_mode(&Mode::Events).await;
    let transcript = begin_session(&field.projects().join("-p"));
    field.noticed(&transcript).await;
}

#[tokio::test]
async fn a_folder_that_is_moved_in_is_noticed_with_what_it_holds() {
    let mut field = Field::new().await;
    begin_session(&field.dir.path().join("outside"));
    let inside = field.projects().join("-p");
    fs::rename(field.dir.path().join("outside"), &inside).unwrap();
    field.noticed(&inside.join("s.jsonl")).await;
    field.quiet().await;
    append(&inside.join("s.jsonl"), "{}\n");
    field.noticed(&inside.join("s.jsonl")).await;
}

#[tokio::test]
async fn running_sessions_are_noticed_once_the_registry_exists() {
    let mut field = Field::new().await;
    let registry = field.root().join("sessions");
    fs::create_dir(&registry).unwrap();
    field.until(|hint| *hint == Hint::Rescan(Why::Appeared)).await;
    field.quiet().await;
    append(&registry.join("12.json"), "{}");
    let root = field.root();
    field.until(|hint| *hint == Hint::Registry(root.clone())).await;
}

#[tokio::test]
async fn a_repository_is_noticed_until_it_is_forgotten() {
    let mut field = Field::new().await;
    let git = field.dir.path().join("r/.git");
    fs::create_dir_all(git.join("refs/heads")).unwrap();
    let name = field.dir.path().join("r");
    field.watch.watch_repository(name.clone(), git_folders(&git, &git));
    field.quiet().await;
    append(&git.join("index.lock"), "x");
    assert_eq!(field.quiet().await, []);
    fs::rename(git.join("index.lock"), git.join("index")).unwrap();
    field.until(|hint| *hint == Hint::Repository(name.clone())).await;
    append(&git.join("refs/heads/main"), "x");
    field.until(|hint| *hint == Hint::Repository(name.clone())).await;
    field.watch.forget_repository(&name);
    field.quiet().await;
    append(&git.join("HEAD"), "x");
    assert_eq!(field.quiet().await, []);
}

#[tokio::test]
async fn without_events_the_root_says_so_and_says_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("c/projects")).unwrap();
    let mode = Mode::RescanOnly("`watch.events` is false".to_owned());
    let mut field = Field::over(dir, false).in_mode(&mode).await;
    let transcript = begin_session(&field.projects().join("-p"));
    assert_eq!(field.quiet().await, []);
    field.watch.set_roots(vec![field.root()], true);
    let mut field = field.in_mode(&Mode::Events).await;
    append(&transcript, "{}\n");
    field.noticed(&transcript).await;
    field.watch.set_roots(vec![], true);
    field.quiet().await;
    append(&transcript, "{}\n");
    assert_eq!(field.quiet().await, []);
}

/// Set in the process that runs with few watches.
const FEW_WATCHES: &str = "CONVOSYNC_TEST_FEW_WATCHES";

#[test]
fn with_three_hundred_watches_roots_are_left_to_scanning_and_small_ones_go_on() {
    if std::env::var_os(FEW_WATCHES).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(check_few_watches());
    }
    let limit = "echo 300 > /proc/sys/user/max_inotify_watches";
    let probed = run("unshare", &["-Ur", "sh", "-c", limit]);
    if !probed.is_some_and(|output| output.status.success()) {
        return skip("the limit of watches cannot be set in a user namespace");
    }
    let name =
        "watch::tests::with_three_hundred_watches_roots_are_left_to_scanning_and_small_ones_go_on";
    let program = std::env::current_exe().unwrap();
    let script = format!("{limit} && {FEW_WATCHES}=1 exec \"$@\"");
    let words = ["-Ur", "sh", "-c", &script, "sh", program.to_str().unwrap(), "--exact", name];
    let output = run("unshare", &words).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

async fn check_few_watches() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..400 {
        begin_session(&dir.path().join(format!("c/projects/-p{n}")));
    }
    let mode = Mode::RescanOnly(
        "the system's limit of file watches is reached (on Linux: sysctl fs.inotify.max_user_watches)"
            .to_owned(),
    );
    let large = Field::over(dir, true).in_mode(&mode).await;
    // A root that fits is watched all the same, until it no longer fits.
    let mut field = Field::new().await;
    let transcript = begin_session(&field.projects().join("-p"));
    field.noticed(&transcript).await;
    for n in 0..400 {
        begin_session(&field.projects().join(format!("-q{n}")));
    }
    let wanted = Hint::Mode { root: field.root(), mode: mode.clone() };
    let hints = field.until(|hint| *hint == wanted).await;
    assert!(hints.contains(&Hint::Rescan(Why::EventsEnded)), "{hints:?}");

    drop(large);
}

#[expect(clippy::disallowed_methods, reason = "this test needs a process with other limits")]
fn run(program: &str, words: &[&str]) -> Option<std::process::Output> {
    std::process::Command::new(program).args(words).output().ok()
}

/// Reports the running test as skipped, by name; fails where nothing may be skipped.
fn skip(why: &str) {
    let thread = std::thread::current();
    let line = format!("skipped: {}: {why}\n", thread.name().unwrap_or("unnamed"));
    eprint!("{line}");
    if let Some(file) = std::env::var_os("CONVOSYNC_SKIPPED") {
        append(Path::new(&file), &line);
    }
    assert!(std::env::var_os("CONVOSYNC_REQUIRE_ALL").is_none(), "{line}");
}
