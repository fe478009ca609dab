//! Configuration files right and wrong, and where our own files lie.

use std::ffi::OsString;

use super::*;

fn check_parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("c.toml")).map_err(|error| match error.hint() {
        Some(hint) => format!("{error} / {hint}"),
        None => error.to_string(),
    })
}

#[test]
fn the_example_lists_every_key_with_its_default() {
    let example = include_str!("../../../config.example.toml");
    assert_eq!(check_parse(example), Ok(Config::default()));
    let example: toml::Table = example.parse().unwrap();
    let every_key: toml::Table = Config::default().to_toml().parse().unwrap();
    assert_eq!(example, every_key);
}

#[test]
fn the_handbook_names_every_key_with_its_default() {
    let handbook = include_str!("../../../docs/config.md");
    let every_key: toml::Table = Config::default().to_toml().parse().unwrap();
    for (section, keys) in &every_key {
        for (key, value) in keys.as_table().unwrap() {
            let row = format!("| `{section}.{key}` | `{value}` |");
            assert!(handbook.contains(&row), "docs/config.md lacks {row}");
        }
    }
}

#[test]
fn an_empty_or_missing_file_means_the_defaults() {
    assert_eq!(check_parse(""), Ok(Config::default()));
    assert_eq!(check_parse("[save]\n"), Ok(Config::default()));
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Config::load(&dir.path().join("none.toml")).unwrap(), Config::default());
    assert!(matches!(Config::load(dir.path()), Err(ConfigError::Read { .. })));
}

#[test]
fn what_is_shown_reads_back_as_the_same() {
    let config = Config {
        claude_roots: vec!["~/.claude".into(), "/srv/cl\"aude\\".into()],
        idle_after_ms: 90_500,
        codec: Codec::Gzip,
        exclude: vec!["scratch".into()],
        commit_suffix: "(saved)".into(),
        events: false,
        push_at_most_every_ms: 0,
        recent_ms: 0,
        poll_every_ms: 86_400_000,
        store_remote: Some("git@host:me/private.git".into()),
        git_program: Some("/usr/bin/git".into()),
        log_level: LogLevel::Trace,
        ..Config::default()
    };
    assert_eq!(check_parse(&config.to_toml()), Ok(config));
}

#[test]
fn durations_are_read_as_people_write_them() {
    for (text, ms) in [("500ms", 500), ("30s", 30_000), ("1h", 3_600_000), ("1m 30s", 90_000)] {
        let config = check_parse(&format!("[save]\nidle_after = \"{text}\"")).unwrap();
        assert_eq!(config.idle_after_ms, ms, "{text}");
    }
}

#[test]
fn a_wrong_file_is_refused_with_place_and_way_out() {
    for (text, message) in [
        (
            "[save]\nidle_aftr = \"1s\"",
            "c.toml:2:1: unknown key `idle_aftr` / did you mean `idle_after`?",
        ),
        ("[sav]\ncodec = \"zstd\"", "c.toml:1:2: unknown key `sav` / did you mean `save`?"),
        (
            "[log]\npoll_every = \"5m\"",
            "c.toml:2:1: unknown key `poll_every` / `poll_every` belongs to the section `[fetch]`",
        ),
        ("[claude]\nxyzzy = 1", "c.toml:2:1: unknown key `xyzzy`"),
        (
            "[save]\ncodec = \"gzp\"",
            "c.toml:2:9: `codec`: `gzp` is not possible, expected `zstd` or `gzip` / did you mean `gzip`?",
        ),
        (
            "[save]\n  idle_after = 30",
            "c.toml:2:16: `idle_after`: 30 has no unit: write \"30s\" for seconds",
        ),
        (
            "[save]\nidle_after = \"soon\"",
            "c.toml:2:14: `idle_after`: `soon` is not a duration like \"30s\" or \"5m\"",
        ),
        (
            "[save]\nidle_after = \"2h\"",
            "c.toml:2:14: `save.idle_after`: `2h` is not between `100ms` and `1h`",
        ),
        (
            "[save]\nidle_after = \"-5s\"",
            "c.toml:2:14: `save.idle_after`: `5s ago` is not between `100ms` and `1h`",
        ),
        (
            "[watch]\nevents = \"no\"",
            "c.toml:2:10: `events`: invalid type: string \"no\", expected a boolean",
        ),
        (
            "[claude]\nroots = [\n  \"~/.claude\",\n  \"claude\",\n]",
            "c.toml:4:3: `claude.roots`: `claude` begins neither with `/` nor with `~/`",
        ),
        (
            "[save]\ncommit_suffix = \"a\\nb\"",
            "c.toml:2:17: `save.commit_suffix`: this is not one line of at most 40 characters",
        ),
        (
            "[save]\nexclude = [\"/\"]",
            "c.toml:2:12: `save.exclude`: an empty pattern would leave out everything",
        ),
        (
            "[store]\nremote = \"--upload-pack=x\"",
            "c.toml:2:10: `store.remote`: this is not the address of a git repository",
        ),
        ("[git]\nprogram = \"git\"", "c.toml:2:11: `git.program`: `git` is not an absolute path"),
        (
            "[autosave]\ncode = \"comit\"",
            "c.toml:2:8: `code`: `comit` is not possible, expected one of `snapshot`, `commit`, `off` / did you mean `commit`?",
        ),
        (
            "[autosave]\ncode = \"commit\"",
            "c.toml:2:8: `autosave.code`: `commit` needs the folders of the projects in `commit_in`",
        ),
        (
            "[autosave]\ncommit_in = [\"~/work/*\"]",
            "c.toml:2:14: `autosave.commit_in`: `~/work/*` is not one project's folder, like `~/work/shop`",
        ),
        (
            "[autosave]\nprotected_branches = [\"/main\"]",
            "c.toml:2:23: `autosave.protected_branches`: `/main` is not the name of a branch, like `feature/*`",
        ),
        ("# ü\n[save\n", "c.toml:2:6: unclosed table, expected `]`"),
    ] {
        assert_eq!(check_parse(text), Err(message.to_owned()), "{text}");
    }
}

#[test]
fn a_file_that_is_not_text_or_endless_is_refused() {
    use std::io::Write as _;
    let check = |bytes: &[u8], message: &str| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let error = Config::load(file.path()).unwrap_err().to_string();
        assert!(error.ends_with(message), "{error}");
    };
    check(b"[save]\n# \xff", ":2:3: this is not UTF-8");
    check(&vec![b'#'; 300 << 10], "is larger than 262144 bytes");
}

fn env_of(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<OsString> {
    let pairs: Vec<(String, OsString)> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
    move |name| pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
}

fn check_paths(pairs: &[(&str, &str)], ours: &[&str]) -> Result<Paths, ConfigError> {
    Paths::locate(&env_of(pairs), &|dir| ours.iter().any(|path| Path::new(path) == dir))
}

#[test]
fn one_folder_can_hold_everything() {
    let paths = check_paths(&[("CONVOSYNC_HOME", "/c"), ("HOME", "/h")], &[]).unwrap();
    assert_eq!(paths.config_file, Path::new("/c/config.toml"));
    assert_eq!(paths.data_dir, Path::new("/c/keys"));
    assert_eq!(paths.state_dir, Path::new("/c/state"));
    assert_eq!(paths.socket, Path::new("/c/run/convosyncd.sock"));
    assert_eq!(paths.claude_default, Path::new("/h/.claude"));
    let relative = check_paths(&[("CONVOSYNC_HOME", "c"), ("HOME", "/h")], &[]);
    assert!(matches!(relative, Err(ConfigError::NotAbsolute { .. })));
}

#[test]
#[cfg(not(target_os = "macos"))]
fn files_lie_where_the_platform_keeps_them() {
    let paths = check_paths(&[("HOME", "/h"), ("XDG_STATE_HOME", "relative")], &[]).unwrap();
    assert_eq!(paths.config_file, Path::new("/h/.config/convosync/config.toml"));
    assert_eq!(paths.data_dir, Path::new("/h/.local/share/convosync"));
    assert_eq!(paths.state_dir, Path::new("/h/.local/state/convosync"));
    let moved =
        [("XDG_CONFIG_HOME", "/x/c"), ("XDG_DATA_HOME", "/x/d"), ("XDG_STATE_HOME", "/x/s")];
    let paths = check_paths(&[&moved[..], &[("HOME", "/h")]].concat(), &[]).unwrap();
    assert_eq!(paths.config_file, Path::new("/x/c/convosync/config.toml"));
    assert_eq!(paths.data_dir, Path::new("/x/d/convosync"));
    assert_eq!(paths.state_dir, Path::new("/x/s/convosync"));
}

#[test]
#[cfg(not(target_os = "macos"))]
fn the_socket_lies_in_the_first_runtime_directory_that_is_ours() {
    let uid = rustix::process::geteuid().as_raw();
    let standard = format!("/run/user/{uid}");
    let env = [("HOME", "/h"), ("XDG_RUNTIME_DIR", "/run/x"), ("PREFIX", "/p")];
    for (ours, dir) in [
        (vec!["/run/x", standard.as_str(), "/p/var/run"], "/run/x/convosync".to_owned()),
        (vec![standard.as_str(), "/p/var/run"], format!("{standard}/convosync")),
        (vec!["/p/var/run"], "/p/var/run/convosync".to_owned()),
        (vec![], "/h/.local/state/convosync/run".to_owned()),
    ] {
        let paths = check_paths(&env, &ours).unwrap();
        assert_eq!(paths.runtime_dir, Path::new(&dir));
        assert_eq!(paths.socket, Path::new(&dir).join(SOCKET_NAME));
    }
}

#[test]
fn a_socket_path_beyond_the_limit_is_refused_with_the_way_out() {
    let fits = format!("/{}", "a".repeat(SOCKET_PATH_MAX - 21));
    let paths = check_paths(&[("HOME", "/h"), ("CONVOSYNC_HOME", &fits)], &[]).unwrap();
    assert_eq!(paths.socket.as_os_str().len(), SOCKET_PATH_MAX);
    let long = format!("{fits}a");
    let error = check_paths(&[("HOME", "/h"), ("CONVOSYNC_HOME", &long)], &[]).unwrap_err();
    assert!(error.to_string().contains("has 104 bytes, but at most 103"), "{error}");
    assert!(error.hint().unwrap().contains("CONVOSYNC_HOME"));
}

#[test]
fn claude_roots_are_the_configured_ones_or_claude_codes_own() {
    let env = [("HOME", "/h"), ("CONVOSYNC_HOME", "/c"), ("CLAUDE_CONFIG_DIR", "/cl")];
    let paths = check_paths(&env, &[]).unwrap();
    assert_eq!(paths.claude_roots(&Config::default()), [PathBuf::from("/cl")]);
    let roots = ["~/.claude", "/srv/x", "~", "/h/.claude"].map(str::to_owned).to_vec();
    let config = Config { claude_roots: roots, ..Config::default() };
    let expected = ["/h/.claude", "/srv/x", "/h"].map(PathBuf::from);
    assert_eq!(paths.claude_roots(&config), expected);
}
