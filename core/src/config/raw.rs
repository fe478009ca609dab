//! The configuration file as it was typed.
//!
//! One list of keys serves for reading, for `config show` and for the defaults: the fields below.

use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::autosave::RawAutosave;
use super::nearest::nearest;
use super::value::{Duration, Size};
use super::{Code, Codec, Config, LogLevel};
use crate::environment;

/// So many folders of Claude Code at most: each costs file watches.
const ROOTS_MAX: usize = 16;
/// What stands behind the first line of a commit's message has to leave room for it.
const SUFFIX_MAX: usize = 40;
/// So many patterns at most: each is compared with every project.
pub(super) const EXCLUDE_MAX: usize = 256;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Below a tenth of a second every line would be a save.
const IDLE_AFTER: RangeInclusive<i64> = 100..=HOUR;
/// Rarer than daily would lose a day.
const SAVE_AT_LEAST_EVERY: RangeInclusive<i64> = SECOND..=DAY;
/// A scan of 200 000 files takes most of a second; an hour is what a lost event may cost.
const RESCAN_EVERY: RangeInclusive<i64> = SECOND..=HOUR;
/// `git status` of a large repository takes a second.
const CODE_CHECK_EVERY: RangeInclusive<i64> = SECOND..=HOUR;
/// Longer than a week is no longer recent.
const RECENT: RangeInclusive<i64> = 0..=7 * DAY;
/// Zero pushes every save at once.
const PUSH_AT_MOST_EVERY: RangeInclusive<i64> = 0..=DAY;
/// Hosts limit how often they are asked.
const POLL_EVERY: RangeInclusive<i64> = SECOND..=DAY;
/// Less than a second starts no ssh connection; an hour holds up everything else.
const GIT_DEADLINE: RangeInclusive<i64> = SECOND..=HOUR;

/// The whole of a code state is one log, and read into a scratch file.
const CODE_BYTES: RangeInclusive<u64> = 0..=4 << 30;
/// So many entries are read back at most.
const CODE_FILES: RangeInclusive<u32> = 0..=100_000;

/// What is wrong, and at which byte.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) at: usize,
    pub(super) what: What,
}

/// What is wrong.
#[derive(Debug)]
pub(super) enum What {
    Syntax(String),
    Key { key: String, suggestion: Option<String> },
    Value { key: Option<String>, message: String, suggestion: Option<String> },
}

pub(super) fn bad_value(key: &str, span: &Range<usize>, message: String) -> Wrong {
    let what = What::Value { key: Some(key.to_owned()), message, suggestion: None };
    Wrong { at: span.start, what }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawConfig {
    claude: RawClaude,
    save: RawSave,
    autosave: RawAutosave,
    code: RawCode,
    context: RawContext,
    watch: RawWatch,
    store: RawStore,
    fetch: RawFetch,
    notify: RawNotify,
    git: RawGit,
    log: RawLog,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawClaude {
    roots: Spanned<Vec<Spanned<String>>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawSave {
    idle_after: Spanned<Duration>,
    save_at_least_every: Spanned<Duration>,
    codec: Codec,
    exclude: Spanned<Vec<Spanned<String>>>,
    commit_suffix: Spanned<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawCode {
    capture: bool,
    file_max: Spanned<Size>,
    total_max: Spanned<Size>,
    files_max: Spanned<u32>,
    guard: Spanned<Vec<Spanned<String>>>,
    include_secrets: Spanned<Vec<Spanned<String>>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawContext {
    environment: Spanned<Vec<Spanned<String>>>,
    shell_history: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawWatch {
    events: bool,
    rescan_every: Spanned<Duration>,
    code_check_every: Spanned<Duration>,
    recent: Spanned<Duration>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawStore {
    remote: Spanned<String>,
    push_at_most_every: Spanned<Duration>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawFetch {
    poll_every: Spanned<Duration>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawNotify {
    trouble: bool,
    arrivals: bool,
    program: Spanned<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawGit {
    program: Spanned<String>,
    deadline: Spanned<Duration>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLog {
    level: LogLevel,
}

impl From<&Config> for RawConfig {
    fn from(config: &Config) -> Self {
        let program = |path: &Option<PathBuf>| {
            unplaced(
                path.as_ref().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default(),
            )
        };
        Self {
            claude: RawClaude { roots: unplaced_list(&config.claude_roots) },
            save: RawSave {
                idle_after: unplaced(Duration(config.idle_after_ms)),
                save_at_least_every: unplaced(Duration(config.save_at_least_every_ms)),
                codec: config.codec,
                exclude: unplaced_list(&config.exclude),
                commit_suffix: unplaced(config.commit_suffix.clone()),
            },
            autosave: RawAutosave::from(&config.autosave),
            code: RawCode {
                capture: config.code.capture,
                file_max: unplaced(Size(config.code.file_max)),
                total_max: unplaced(Size(config.code.total_max)),
                files_max: unplaced(config.code.files_max),
                guard: unplaced_list(&config.code.guard),
                include_secrets: unplaced_list(&config.code.include_secrets),
            },
            context: RawContext {
                environment: unplaced_list(&config.environment),
                shell_history: config.shell_history,
            },
            watch: RawWatch {
                events: config.events,
                rescan_every: unplaced(Duration(config.rescan_every_ms)),
                code_check_every: unplaced(Duration(config.code_check_every_ms)),
                recent: unplaced(Duration(config.recent_ms)),
            },
            store: RawStore {
                remote: unplaced(config.store_remote.clone().unwrap_or_default()),
                push_at_most_every: unplaced(Duration(config.push_at_most_every_ms)),
            },
            fetch: RawFetch { poll_every: unplaced(Duration(config.poll_every_ms)) },
            notify: RawNotify {
                trouble: config.notify_trouble,
                arrivals: config.notify_arrivals,
                program: program(&config.notify_program),
            },
            git: RawGit {
                program: program(&config.git_program),
                deadline: unplaced(Duration(config.git_deadline_ms)),
            },
            log: RawLog { level: config.log_level },
        }
    }
}

/// Wraps a value that stands in no file.
pub(super) fn unplaced<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}

pub(super) fn unplaced_list(values: &[String]) -> Spanned<Vec<Spanned<String>>> {
    unplaced(values.iter().cloned().map(unplaced).collect())
}

/// A section or key that is not in the file has its default.
macro_rules! default_from_config {
    ($($section:ty => $field:ident),*) => {$(
        impl Default for $section {
            fn default() -> Self {
                RawConfig::default().$field
            }
        }
    )*};
}

impl Default for RawConfig {
    fn default() -> Self {
        Self::from(&Config::default())
    }
}

default_from_config!(
    RawClaude => claude, RawSave => save, RawAutosave => autosave, RawCode => code, RawContext => context,
    RawWatch => watch, RawStore => store,
    RawFetch => fetch, RawNotify => notify, RawGit => git, RawLog => log
);

/// Reads the text of a configuration file.
pub(super) fn parse(text: &str) -> Result<RawConfig, Wrong> {
    let at = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    if let Err(error) = text.parse::<toml::Table>() {
        return Err(Wrong { at: at(&error), what: What::Syntax(error.message().to_owned()) });
    }
    toml::from_str(text).map_err(|error| Wrong {
        at: at(&error),
        what: describe(error.message(), line_at(text, at(&error))),
    })
}

fn line_at(text: &str, at: usize) -> &str {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    text[start..].lines().next().unwrap_or_default()
}

/// Turns serde's message into ours: it names the key or word in backticks, then what was expected.
fn describe(message: &str, line: &str) -> What {
    let mut words = message.split('`').skip(1).step_by(2);
    let typed = words.next().unwrap_or_default();
    let meant = nearest(typed, words).map(|word| format!("did you mean `{word}`?"));
    if message.starts_with("unknown field") {
        let suggestion = meant.or_else(|| home_section(typed));
        return What::Key { key: typed.to_owned(), suggestion };
    }
    let key = line.split_once('=').map(|(key, _)| key.trim().to_owned());
    let message = match message.strip_prefix("unknown variant") {
        Some(rest) => format!(
            "{} is not possible{}",
            rest.split(',').next().unwrap_or(rest).trim(),
            expected(rest)
        ),
        None => message.to_owned(),
    };
    What::Value { key, message, suggestion: meant }
}

fn expected(rest: &str) -> String {
    rest.split_once(',').map(|(_, expected)| format!(",{expected}")).unwrap_or_default()
}

/// Says where a key belongs that was put into the wrong section.
fn home_section(key: &str) -> Option<String> {
    let known: toml::Table = Config::default().to_toml().parse().ok()?;
    known
        .iter()
        .find(|(_, section)| section.get(key).is_some())
        .map(|(section, _)| format!("`{key}` belongs to the section `[{section}]`"))
}

impl RawConfig {
    /// Decides what the file means.
    pub(super) fn check(self) -> Result<Config, Wrong> {
        Ok(Config {
            claude_roots: rooted_paths("claude.roots", self.claude.roots)?,
            idle_after_ms: within("save.idle_after", &self.save.idle_after, IDLE_AFTER)?,
            save_at_least_every_ms: within(
                "save.save_at_least_every",
                &self.save.save_at_least_every,
                SAVE_AT_LEAST_EVERY,
            )?,
            codec: self.save.codec,
            exclude: patterns("save.exclude", self.save.exclude)?,
            commit_suffix: one_line("save.commit_suffix", self.save.commit_suffix)?,
            autosave: self.autosave.check()?,
            code: self.code.check()?,
            environment: variables("context.environment", self.context.environment)?,
            shell_history: self.context.shell_history,
            events: self.watch.events,
            rescan_every_ms: within("watch.rescan_every", &self.watch.rescan_every, RESCAN_EVERY)?,
            code_check_every_ms: within(
                "watch.code_check_every",
                &self.watch.code_check_every,
                CODE_CHECK_EVERY,
            )?,
            recent_ms: within("watch.recent", &self.watch.recent, RECENT)?,
            store_remote: remote("store.remote", self.store.remote)?,
            push_at_most_every_ms: within(
                "store.push_at_most_every",
                &self.store.push_at_most_every,
                PUSH_AT_MOST_EVERY,
            )?,
            poll_every_ms: within("fetch.poll_every", &self.fetch.poll_every, POLL_EVERY)?,
            notify_trouble: self.notify.trouble,
            notify_arrivals: self.notify.arrivals,
            notify_program: program("notify.program", self.notify.program)?,
            git_program: program("git.program", self.git.program)?,
            git_deadline_ms: within("git.deadline", &self.git.deadline, GIT_DEADLINE)?,
            log_level: self.log.level,
        })
    }
}

impl RawCode {
    fn check(self) -> Result<Code, Wrong> {
        let files_max = *self.files_max.get_ref();
        if !CODE_FILES.contains(&files_max) {
            let message = format!("{files_max} is more than {}", CODE_FILES.end());
            return Err(bad_value("code.files_max", &self.files_max.span(), message));
        }
        Ok(Code {
            capture: self.capture,
            file_max: size("code.file_max", &self.file_max)?,
            total_max: size("code.total_max", &self.total_max)?,
            files_max,
            guard: patterns("code.guard", self.guard)?,
            include_secrets: secrets("code.include_secrets", self.include_secrets)?,
        })
    }
}

fn size(key: &str, value: &Spanned<Size>) -> Result<u64, Wrong> {
    let Size(bytes) = *value.get_ref();
    if CODE_BYTES.contains(&bytes) {
        return Ok(bytes);
    }
    let message =
        format!("`{}` is more than `{}`", Size(bytes).text(), Size(*CODE_BYTES.end()).text());
    Err(bad_value(key, &value.span(), message))
}

/// Secrets are allowed project by project: a pattern that could mean every project is none.
fn secrets(key: &str, list: Spanned<Vec<Spanned<String>>>) -> Result<Vec<String>, Wrong> {
    let check = |pattern: Spanned<String>| {
        let text = pattern.get_ref();
        let names: Vec<&str> = text.split('/').filter(|name| !name.is_empty()).collect();
        let is_vague = names.is_empty()
            || names.iter().take(2).any(|name| name.contains('*'))
            || names == ["~"];
        if is_rooted(text) && !is_vague {
            return Ok(pattern.into_inner());
        }
        let message =
            format!("`{text}` does not name one project's files, like `~/work/shop/.env`");
        Err(bad_value(key, &pattern.span(), message))
    };
    limited(key, list, EXCLUDE_MAX)?.into_iter().map(check).collect()
}

fn variables(key: &str, list: Spanned<Vec<Spanned<String>>>) -> Result<Vec<String>, Wrong> {
    let check = |name: Spanned<String>| match environment::refusal(name.get_ref()) {
        None => Ok(name.into_inner()),
        Some(why) => {
            let message = format!("`{}` {}", name.get_ref(), why.as_str());
            Err(bad_value(key, &name.span(), message))
        }
    };
    limited(key, list, environment::VARIABLES_MAX)?.into_iter().map(check).collect()
}

fn within(key: &str, value: &Spanned<Duration>, bounds: RangeInclusive<i64>) -> Result<i64, Wrong> {
    let Duration(ms) = *value.get_ref();
    if bounds.contains(&ms) {
        return Ok(ms);
    }
    let (min, max) = (Duration(*bounds.start()), Duration(*bounds.end()));
    let message =
        format!("`{}` is not between `{}` and `{}`", Duration(ms).text(), min.text(), max.text());
    Err(bad_value(key, &value.span(), message))
}

pub(super) fn limited(
    key: &str,
    list: Spanned<Vec<Spanned<String>>>,
    max: usize,
) -> Result<Vec<Spanned<String>>, Wrong> {
    let (count, span) = (list.get_ref().len(), list.span());
    if count > max {
        return Err(bad_value(key, &span, format!("{count} entries are more than {max}")));
    }
    Ok(list.into_inner())
}

/// Whether a path means the same wherever the daemon was started.
pub(super) fn is_rooted(path: &str) -> bool {
    path.starts_with('/') || path == "~" || path.starts_with("~/")
}

fn rooted_paths(key: &str, list: Spanned<Vec<Spanned<String>>>) -> Result<Vec<String>, Wrong> {
    let check = |path: Spanned<String>| {
        let span = path.span();
        let path = path.into_inner();
        if is_rooted(&path) {
            Ok(path)
        } else {
            Err(bad_value(key, &span, format!("`{path}` begins neither with `/` nor with `~/`")))
        }
    };
    limited(key, list, ROOTS_MAX)?.into_iter().map(check).collect()
}

fn patterns(key: &str, list: Spanned<Vec<Spanned<String>>>) -> Result<Vec<String>, Wrong> {
    let check = |pattern: Spanned<String>| {
        if pattern.get_ref().chars().all(|c| c == '/') {
            let message = "an empty pattern would leave out everything".to_owned();
            return Err(bad_value(key, &pattern.span(), message));
        }
        Ok(pattern.into_inner())
    };
    limited(key, list, EXCLUDE_MAX)?.into_iter().map(check).collect()
}

fn one_line(key: &str, value: Spanned<String>) -> Result<String, Wrong> {
    let text = value.get_ref();
    if text.chars().count() > SUFFIX_MAX || text.chars().any(char::is_control) {
        let message = format!("this is not one line of at most {SUFFIX_MAX} characters");
        return Err(bad_value(key, &value.span(), message));
    }
    Ok(value.into_inner().trim().to_owned())
}

fn remote(key: &str, value: Spanned<String>) -> Result<Option<String>, Wrong> {
    let text = value.get_ref();
    if text.starts_with('-') || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        let message = "this is not the address of a git repository".to_owned();
        return Err(bad_value(key, &value.span(), message));
    }
    Ok(Some(value.into_inner()).filter(|text| !text.is_empty()))
}

fn program(key: &str, value: Spanned<String>) -> Result<Option<PathBuf>, Wrong> {
    let text = value.get_ref();
    if !text.is_empty() && !text.starts_with('/') {
        let message = format!("`{text}` is not an absolute path");
        return Err(bad_value(key, &value.span(), message));
    }
    Ok(Some(value.into_inner()).filter(|text| !text.is_empty()).map(PathBuf::from))
}
