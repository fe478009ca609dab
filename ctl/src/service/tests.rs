//! What is installed, and whether the real tools take it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use super::*;

/// A folder whose name means something to every format.
const AWKWARD: &str = "it's 100% \"R&D\" <x> $HOME @PROGRAM@ %h";

/// How long runit may take for anything.
const LIMIT: Duration = Duration::from_secs(20);

fn facts(kind: ServiceKind, program: &Path) -> Facts {
    let variables = [("CONVOSYNC_HOME", AWKWARD), ("PATH", "/usr/bin:/bin")];
    Facts {
        kind,
        program: program.to_owned(),
        home: "/home/ada".into(),
        config_home: "/home/ada/.config".into(),
        prefix: "/data/data/com.termux/files/usr".into(),
        uid: 501,
        log: "/home/ada/R&D/state/convosyncd.log".into(),
        variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
    }
}

fn awkward_facts(kind: ServiceKind) -> Facts {
    facts(kind, &Path::new("/opt").join(AWKWARD).join("convosyncd"))
}

fn written(steps: &[Step], name: &str) -> String {
    let text = steps.iter().find_map(|step| match step {
        Step::Write { path, text, .. } if path.ends_with(name) => Some(text.clone()),
        _ => None,
    });
    text.unwrap()
}

fn described(steps: &[Step]) -> Vec<String> {
    steps.iter().map(Step::describe).collect()
}

fn process_env() -> Env {
    Env { program: None, ..Env::of_process() }
}

/// Finds a program, or says that a test is skipped for want of it.
fn tool_or_skip(test: &str, name: &str) -> Option<PathBuf> {
    let found = process_env().find_program(name);
    if found.is_none() {
        let line = format!("skipped: {test}: `{name}` is not installed");
        println!("{line}");
        if let Some(file) = std::env::var_os("CONVOSYNC_SKIPPED") {
            let (mut file, _) = files::append_log(Path::new(&file)).unwrap();
            writeln!(file, "{line}").unwrap();
        }
        assert!(std::env::var_os("CONVOSYNC_REQUIRE_ALL").is_none(), "{line}");
    }
    found
}

/// Compares a filled template with its file; `CONVOSYNC_BLESS=1` writes the file anew.
fn check_golden(kind: ServiceKind, name: &str, golden: &str) {
    let text = written(&awkward_facts(kind).install().unwrap(), name);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/service/tests").join(golden);
    if std::env::var_os("CONVOSYNC_BLESS").is_some_and(|value| value == "1") {
        files::put(&path, &text, 0o644, 0o755).unwrap();
    }
    assert_eq!(Some(text), files::read(&path).unwrap(), "{golden}");
}

#[test]
fn every_template_is_filled_with_awkward_values_escaped() {
    check_golden(ServiceKind::Systemd, "convosyncd.service", "convosyncd.service");
    let plist = "org.convosync.convosyncd.plist";
    check_golden(ServiceKind::Launchd, plist, plist);
    check_golden(ServiceKind::Termux, "convosyncd/run", "run");
    check_golden(ServiceKind::Termux, "log/run", "log-run");
}

#[test]
fn a_path_that_a_format_cannot_hold_is_refused() {
    let broken = Path::new("/opt/new\nline/convosyncd");
    for kind in [ServiceKind::Systemd, ServiceKind::Launchd] {
        let refused = facts(kind, broken).install();
        assert!(matches!(refused, Err(ServiceError::Fill(FillError::Control(_)))), "{kind:?}");
    }
    assert!(facts(ServiceKind::Termux, broken).install().is_ok());
    let no_text: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"/opt/\xff");
    let refused = facts(ServiceKind::Termux, Path::new(no_text)).install();
    assert!(matches!(refused, Err(ServiceError::Fill(FillError::NotText(_)))));
}

#[test]
fn installing_and_removing_are_these_steps() {
    let program = Path::new("/usr/bin/convosyncd");
    let systemd = facts(ServiceKind::Systemd, program);
    assert_eq!(
        described(&systemd.install().unwrap()),
        [
            "write /home/ada/.config/systemd/user/convosyncd.service (mode 0644):",
            "run systemctl --user daemon-reload",
            "run systemctl --user enable convosyncd.service",
            "run systemctl --user restart convosyncd.service",
        ]
    );
    assert_eq!(
        described(&systemd.uninstall()),
        [
            "run systemctl --user disable --now convosyncd.service (may fail)",
            "remove /home/ada/.config/systemd/user/convosyncd.service",
            "run systemctl --user daemon-reload (may fail)",
            "run systemctl --user reset-failed convosyncd.service (may fail)",
        ]
    );
    let launchd = facts(ServiceKind::Launchd, program);
    let plist = "/home/ada/Library/LaunchAgents/org.convosync.convosyncd.plist";
    assert_eq!(
        described(&launchd.install().unwrap()),
        [
            "make folder /home/ada/R&D/state".to_owned(),
            format!("write {plist} (mode 0644):"),
            "run launchctl bootout gui/501/org.convosync.convosyncd (may fail)".to_owned(),
            "run launchctl enable gui/501/org.convosync.convosyncd".to_owned(),
            format!("run launchctl bootstrap gui/501 {plist}"),
        ]
    );
    let termux = facts(ServiceKind::Termux, program);
    let folder = "/data/data/com.termux/files/usr/var/service/convosyncd";
    assert_eq!(
        described(&termux.install().unwrap()),
        [
            format!("write {folder}/down (mode 0600):"),
            format!("write {folder}/log/run (mode 0700):"),
            format!("write {folder}/finish (mode 0700):"),
            format!("write {folder}/run (mode 0700):"),
            format!("remove {folder}/down"),
            format!("wait for {folder}/supervise/ok"),
            format!("run sv up {folder}"),
        ]
    );
}

#[test]
fn a_service_file_of_somebody_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let facts = Facts { config_home: dir.path().to_owned(), ..awkward_facts(ServiceKind::Systemd) };
    assert!(!facts.is_installed().unwrap());
    files::put(&facts.file().unwrap(), "[Service]\n", 0o644, 0o755).unwrap();
    assert!(matches!(facts.is_installed(), Err(ServiceError::Foreign { .. })));
    facts.install().unwrap()[0].perform(&process_env()).unwrap();
    assert!(facts.is_installed().unwrap());
}

#[test]
fn a_service_serves_only_the_home_it_was_installed_for() {
    for kind in [ServiceKind::Systemd, ServiceKind::Launchd, ServiceKind::Termux] {
        let here = awkward_facts(kind);
        let text: String = here
            .install()
            .unwrap()
            .iter()
            .map(|step| match step {
                Step::Write { text, .. } => text.clone(),
                _ => String::new(),
            })
            .collect();
        let other =
            Facts { variables: vec![("CONVOSYNC_HOME".into(), "/x".into())], ..here.clone() };
        let usual = Facts { variables: Vec::new(), ..here.clone() };
        assert!(here.is_same_home(&text), "{kind:?}");
        assert!(!other.is_same_home(&text) && !usual.is_same_home(&text), "{kind:?}");
    }
}

#[test]
fn the_kind_follows_from_the_surroundings() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("systemd")).unwrap();
    executable(&dir.path().join("systemctl"), "#!/bin/sh\n");
    let env = |variables: &[(&str, &Path)]| {
        let pairs = variables.iter().map(|(name, value)| ((*name).into(), value.into()));
        Env::new(pairs.collect::<BTreeMap<_, _>>(), "/".into())
    };
    let nowhere = dir.path().join("nowhere");
    let termux = env(&[("PREFIX", Path::new("/data/data/com.termux/files/usr"))]);
    assert_eq!(detect(&termux), ServiceKind::Termux);
    if cfg!(target_os = "linux") {
        let systemd = env(&[("XDG_RUNTIME_DIR", dir.path()), ("PATH", dir.path())]);
        assert_eq!(detect(&systemd), ServiceKind::Systemd);
        let no_tool = env(&[("XDG_RUNTIME_DIR", dir.path()), ("PATH", &nowhere)]);
        assert_eq!(detect(&no_tool), ServiceKind::Plain);
        let no_manager = env(&[("XDG_RUNTIME_DIR", &nowhere), ("PATH", dir.path())]);
        assert_eq!(detect(&no_manager), ServiceKind::Plain);
    }
}

fn executable(path: &Path, text: &str) {
    files::put(path, text, 0o755, 0o755).unwrap();
}

#[test]
fn systemd_takes_the_unit() {
    let Some(analyze) = tool_or_skip("systemd_takes_the_unit", "systemd-analyze") else { return };
    for folder in [AWKWARD, "plain 100% R&D (x)"] {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join(folder).join("convosyncd");
        executable(&program, "#!/bin/sh\n");
        let steps = facts(ServiceKind::Systemd, &program).install().unwrap();
        let path = dir.path().join("convosyncd.service");
        files::put(&path, &written(&steps, "convosyncd.service"), 0o644, 0o755).unwrap();
        let mut env = process_env();
        env.variables.insert("XDG_RUNTIME_DIR".into(), dir.path().into());
        let args = ["--user".into(), "--man=no".into(), "verify".into(), path.into()];
        let output = start::tool(&env, &analyze, &args).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("convosyncd.service"), "{said}");
    }
}

#[test]
fn plistutil_takes_the_property_list() {
    let Some(plistutil) = tool_or_skip("plistutil_takes_the_property_list", "plistutil") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let plist = written(
        &awkward_facts(ServiceKind::Launchd).install().unwrap(),
        "org.convosync.convosyncd.plist",
    );
    let [source, binary, back] =
        ["a.plist", "b.plist", "c.plist"].map(|name| dir.path().join(name));
    files::put(&source, &plist, 0o644, 0o755).unwrap();
    for (from, to) in [(&source, &binary), (&binary, &back)] {
        let args = ["-i".into(), from.into(), "-o".into(), to.into()];
        let output = start::tool(&process_env(), &plistutil, &args).unwrap();
        assert!(output.status.success(), "{}", steps::said(&output));
    }
    let back = files::read(&back).unwrap().unwrap();
    let program = "/opt/it's 100% \"R&amp;D\" &lt;x&gt; $HOME @PROGRAM@ %h/convosyncd";
    assert!(back.contains(program), "{back}");
}

/// A real `runsvdir`, which ends with its services.
struct Supervisor(Child);

impl Drop for Supervisor {
    fn drop(&mut self) {
        // SIGHUP has runsvdir end its services; it is gone already when the test has failed early.
        let process = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(process, rustix::process::Signal::HUP).ok();
        self.0.wait().ok();
    }
}

fn supervise(runsvdir: &Path, folder: &Path) -> Supervisor {
    let mut command = start::command(runsvdir, &process_env());
    command.arg(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Supervisor(command.spawn().unwrap())
}

/// Stands in for the daemon: says who it is and what it was given, and leaves on SIGTERM.
const STAND_IN: &str = "#!/bin/sh
trap 'echo left >> \"$CONVOSYNC_HOME/said\"; exit 0' TERM
echo \"$$ $(umask)\" >> \"$CONVOSYNC_HOME/said\"
echo hello log
while :; do sleep 0.05; done
";

#[test]
fn runit_starts_restarts_stops_and_forgets_the_service() {
    let name = "runit_starts_restarts_stops_and_forgets_the_service";
    let tools = ["runsvdir", "runsv", "sv", "svlogd"].map(|tool| tool_or_skip(name, tool));
    let [Some(runsvdir), Some(_), Some(_), Some(svlogd)] = tools else { return };
    let dir = tempfile::tempdir().unwrap();
    let prefix = dir.path().join("usr");
    let home = dir.path().join(AWKWARD);
    let program = home.join("convosyncd");
    executable(&program, STAND_IN);
    fs::create_dir_all(prefix.join("var/service")).unwrap();
    fs::create_dir_all(prefix.join("var/log/sv/convosyncd")).unwrap();
    fs::create_dir_all(prefix.join("bin")).unwrap();
    symlink("/bin/sh", prefix.join("bin/sh")).unwrap();
    let log = prefix.join("var/log/sv/convosyncd");
    let logger = format!("#!/bin/sh\nexec '{}' '{}'\n", svlogd.display(), log.display());
    executable(&prefix.join("share/termux-services/svlogger"), &logger);
    let variables = ["CONVOSYNC_HOME".into(), "PATH".into()];
    let values = [home.to_str().unwrap().into(), std::env::var("PATH").unwrap()];
    let facts = Facts {
        program,
        prefix: prefix.clone(),
        variables: variables.into_iter().zip(values).collect(),
        ..awkward_facts(ServiceKind::Termux)
    };
    let _supervisor = supervise(&runsvdir, &prefix.join("var/service"));
    check_round_trip(&facts, &home.join("said"));
}

fn check_round_trip(facts: &Facts, said: &Path) {
    let env = process_env();
    let perform = |steps: &[Step]| steps.iter().try_for_each(|step| step.perform(&env)).unwrap();
    let said = |lines: usize| {
        start::until(LIMIT, || {
            let text = files::read(said).unwrap().unwrap_or_default();
            let all: Vec<_> = text.lines().map(str::to_owned).collect();
            (all.len() >= lines).then_some(all)
        })
        .unwrap()
    };

    perform(&facts.install().unwrap());
    let first = said(1)[0].clone();
    assert!(first.ends_with(" 0077"), "{first}");
    // The service may say something before its supervisor has noted that it runs.
    let runs = || facts.word(&env).filter(|word| word.starts_with("run: "));
    assert!(start::until(LIMIT, runs).is_some(), "{:?}", facts.word(&env));
    assert_eq!(facts.process(&env).unwrap().to_string(), first.split(' ').next().unwrap());
    let log = start::until(LIMIT, || files::read(&termux::log_file(facts)).unwrap());
    assert!(log.is_some());

    let pid = i32::try_from(facts.process(&env).unwrap()).unwrap();
    let process = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    let restarted = said(3);
    assert_eq!(restarted[1], "left");
    assert_ne!(restarted[2], first);

    perform(&facts.stop());
    assert_eq!(said(4)[3], "left");
    assert!(facts.word(&env).unwrap().starts_with("down: "));
    perform(&facts.start());
    said(5);

    perform(&facts.uninstall());
    assert_eq!(said(6)[5], "left");
    let folder = facts.file().unwrap().parent().unwrap().to_owned();
    let gone = start::until(LIMIT, || {
        perform(&facts.uninstall());
        (!folder.exists()).then_some(())
    });
    assert!(gone.is_some(), "{:?}", fs::read_dir(folder).unwrap().collect::<Vec<_>>());
}

#[test]
fn a_script_is_readable_only_by_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    let facts = Facts { prefix: dir.path().to_owned(), ..awkward_facts(ServiceKind::Termux) };
    for step in &facts.install().unwrap()[..4] {
        step.perform(&process_env()).unwrap();
    }
    let mode = facts.file().unwrap().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
