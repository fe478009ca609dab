//! What a program told its user, with a name for each thing that is another one in every run: so a message can be
//! compared whole, word for word.
//!
//! The names stand in brackets. What is the same in every run stays as it was told, so that a wrong word, number,
//! or plural is seen.

use crate::home::slug;
use crate::{Run, sshd, web};

/// The first letters of the folder that holds a world, and how many follow that nobody chose.
const WORLD: (&str, usize) = ("cs", 6);

/// Digits of a commit as people are shown it, and of its whole name.
const COMMIT: [usize; 2] = [12, 40];

/// Digits of a session as people are shown it.
const SESSION: usize = 8;

/// Digits that name the records of one work tree.
const WORK_TREE: usize = 24;

/// Digits of a commit as git shows it in a small repository.
const GIT: usize = 7;

/// Lengths of the parts of a session's whole id.
const UUID: [usize; 5] = [8, 4, 4, 4, 12];

/// Returns what a run printed, what it complained about, and how it ended.
///
/// # Panics
/// When there is no temporary folder.
pub fn told(run: &Run) -> String {
    let code =
        run.status.code().map_or("no exit code".to_owned(), |code| format!("exit code {code}"));
    let text = run.text();
    let text = if text.is_empty() { text } else { text + "\n" };
    shown(&format!("{text}--- errors\n{}--- {code}", run.errors()))
}

/// Returns what our own program complained about last, and how it ended. Before that stands what a program of the
/// user's said, in its own words.
///
/// # Panics
/// When it complained about nothing.
#[track_caller]
pub fn complaint(run: &Run) -> String {
    let all = told(run);
    let begin = all.rfind("\nconvosyncctl: ").unwrap_or_else(|| panic!("no complaint: {run}"));
    all[begin + 1..].to_owned()
}

/// Returns text of a program with a name for each thing that is another one in every run.
///
/// # Panics
/// When there is no temporary folder.
pub fn shown(text: &str) -> String {
    let folder = std::env::temp_dir().canonicalize().expect("the system has a temporary folder");
    let begins = [format!("{}/", folder.display()), format!("{}-", slug(&folder))];
    named(text, &begins.map(|begin| begin + WORLD.0))
}

/// What a rule makes of a text that begins where it looks: how many bytes go, and what stands for them.
type Found = Option<(usize, &'static str)>;

/// `worlds` are beginnings of the name of a folder that holds a world.
fn named(text: &str, worlds: &[String]) -> String {
    let world = |rest: &str| world(rest, worlds);
    let rules: [&dyn Fn(&str) -> Found; 11] =
        [&address, &world, &uuid, &range, &digits, &time, &age, &size, &save, &version, &process];
    let mut met = Met::default();
    let (mut named, mut rest, mut last) = (String::new(), text, '\n');
    while let Some(c) = rest.chars().next() {
        let found = rules.iter().find_map(|rule| rule(rest)).filter(|_| !last.is_alphanumeric());
        let (length, name) = found.unwrap_or_default();
        if length == 0 {
            named.push(c);
        } else {
            named.push_str(&met.name(name, &rest[..length]));
        }
        let taken = length.max(c.len_utf8());
        last = rest[..taken].chars().next_back().unwrap_or_default();
        rest = &rest[taken..];
    }
    named
}

/// The commits and sessions that a text has named so far.
#[derive(Default)]
struct Met {
    commits: Vec<String>,
    sessions: Vec<String>,
}

impl Met {
    /// The first one has no number, each other one has: so it is seen when one stands where another should.
    fn name(&mut self, name: &'static str, text: &str) -> String {
        let (met, digits) = match name {
            "[commit]" => (&mut self.commits, COMMIT[0]),
            "[session]" | "[session id]" => (&mut self.sessions, SESSION),
            _ => return name.to_owned(),
        };
        let begin = &text[..digits];
        let known = met.iter().position(|known| known == begin);
        let index = known.unwrap_or_else(|| {
            met.push(begin.to_owned());
            met.len() - 1
        });
        match index {
            0 => name.to_owned(),
            index => format!("{} {}]", name.trim_end_matches(']'), index + 1),
        }
    }
}

/// The folder that holds everything of a world, also as Claude Code writes it.
fn world(rest: &str, begins: &[String]) -> Found {
    let begin = begins.iter().find(|begin| rest.starts_with(begin.as_str()))?;
    let length = word(&rest[begin.len()..]);
    (length == WORLD.1).then_some((begin.len() + length, "[world]"))
}

/// Where the remote is, by each way that leads to it, or what the project is known by there; what follows is the
/// repository's name.
fn address(rest: &str) -> Found {
    const FOLDER: &str = "/remote/";
    let begins = ["file:", "ssh://", sshd::HOST];
    if let Some(length) = loopback(rest) {
        return Some((length, "[remote]/"));
    }
    let web = [web::HOST, web::HOST.trim_start_matches("https://")];
    let folder = begins.iter().any(|begin| rest.starts_with(begin)).then(|| rest.find(FOLDER));
    let folder = folder.flatten().map(|at| at + FOLDER.len());
    // An address with a password is no such address.
    let is_it = |end: &usize| {
        let user = rest[..*end].split_once('@').map_or("", |(user, _)| user);
        !rest[..*end].contains([' ', '\n', ',']) && !user.trim_start_matches("ssh:").contains(':')
    };
    let folder = folder.filter(is_it);
    let web = web.iter().find(|begin| rest.starts_with(**begin)).map(|begin| begin.len());
    Some((folder.or(web)?, "[remote]/"))
}

/// How long the address is that git makes of a web host's: a port of this machine.
fn loopback(rest: &str) -> Option<usize> {
    const HOST: &str = "127.0.0.1:";
    let begin = if rest.starts_with("https://") { "https://".len() } else { 0 };
    let port = rest[begin..].strip_prefix(HOST)?;
    let digits = port.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0)?;
    port[digits..].starts_with('/').then_some(begin + HOST.len() + digits + 1)
}

fn uuid(rest: &str) -> Found {
    let mut at = 0;
    for (index, length) in UUID.into_iter().enumerate() {
        at += usize::from(index > 0 && rest[at..].starts_with('-'));
        if hex(&rest[at..]) != length {
            return None;
        }
        at += length;
    }
    (at == UUID.iter().sum::<usize>() + UUID.len() - 1).then_some((at, "[session id]"))
}

/// A commit or a session by its digits.
fn digits(rest: &str) -> Found {
    match hex(rest) {
        length if COMMIT.contains(&length) => Some((length, "[commit]")),
        SESSION => Some((SESSION, "[session]")),
        WORK_TREE => Some((WORK_TREE, "[work tree]")),
        _ => None,
    }
}

/// From which commit to which a push went, in git's own words.
fn range(rest: &str) -> Found {
    let after = rest.get(GIT..).filter(|_| hex(rest) == GIT)?.strip_prefix("..")?;
    (hex(after) == GIT).then_some((GIT + 2 + GIT, "[commits]"))
}

/// When something was said.
fn time(rest: &str) -> Found {
    const LIKE: &str = "0000-00-00T00:00:00Z";
    let time = rest.get(..LIKE.len())?;
    let is_like =
        |(c, like): (char, char)| if like == '0' { c.is_ascii_digit() } else { c == like };
    time.chars().zip(LIKE.chars()).all(is_like).then_some((LIKE.len(), "[time]"))
}

/// How long ago something was that has just been done.
fn age(rest: &str) -> Found {
    const NOW: &str = "just now";
    if rest.starts_with(NOW) {
        return Some((NOW.len(), "[age]"));
    }
    let (number, after) = number(rest)?;
    let unit = [" minute ago", " minutes ago"].into_iter().find(|unit| after.starts_with(unit))?;
    Some((number + unit.len(), "[age]"))
}

/// How much of something travelled or was sealed.
fn size(rest: &str) -> Found {
    const TRAVELLED: [&str; 4] = [" sealed", " received", " to download", " on `"];
    let (number, after) = number(rest)?;
    let unit = [" B", " KiB", " MiB"].into_iter().find(|unit| after.starts_with(unit))?;
    let after = &after[unit.len()..];
    TRAVELLED.iter().any(|word| after.starts_with(word)).then_some((number + unit.len(), "[size]"))
}

/// The number of a save: the daemon may have made one before.
fn save(rest: &str) -> Found {
    let words = [("as save ", "as save [number]"), ("since save ", "since save [number]")];
    let (word, name) = words.into_iter().find(|(word, _)| rest.starts_with(word))?;
    let (length, _) = number(&rest[word.len()..])?;
    Some((word.len() + length, name))
}

/// A folder that a process made for itself.
fn process(rest: &str) -> Found {
    const BEGIN: &str = "convosync-";
    let (length, _) = number(rest.strip_prefix(BEGIN)?)?;
    Some((BEGIN.len() + length, "convosync-[process]"))
}

/// Which ConvoSync made a save, with which git, on which system.
fn version(rest: &str) -> Found {
    let made = rest.strip_prefix("ConvoSync ")?;
    let end = rest.find('\n').unwrap_or(rest.len());
    let is_it = number(made)?.1.starts_with(", git ");
    is_it.then_some((end, "ConvoSync [version], [git], [system]"))
}

/// How long a number is, with tenths or without, and what follows it.
fn number(rest: &str) -> Option<(usize, &str)> {
    let length = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    (length > 0).then(|| (length, &rest[length..]))
}

/// How long a word of letters and digits is.
fn word(rest: &str) -> usize {
    rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len())
}

/// How long a word of nothing but hexadecimal digits is; 0 where it has others.
fn hex(rest: &str) -> usize {
    let length = word(rest);
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if rest[..length].chars().all(is_hex) { length } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(named(text, &["/tmp/cs".to_owned(), "-tmp-cs".to_owned()]), expected);
    }

    #[test]
    fn what_is_another_one_in_every_run_gets_a_name() {
        for (text, expected) in [
            ("`/tmp/cs1a2B3c/ada/home`", "`[world]/ada/home`"),
            ("x/projects/-tmp-cs1a2B3c-bob-home", "x/projects/[world]-bob-home"),
            ("to file:///tmp/cs1a2B3c/remote/app.git", "to [remote]/app.git"),
            ("ssh://git.test/tmp/cs1a2B3c/remote/app.git", "[remote]/app.git"),
            ("https://git.test/app.git", "[remote]/app.git"),
            ("ssh://me:secret@git.test/tmp/x/remote/app", "ssh://me:secret@[remote]/app"),
            ("of file:/tmp/cs1a2B3c/remote/app, and", "of [remote]/app, and"),
            ("of git.test/tmp/cs1a2B3c/remote/app, and", "of [remote]/app, and"),
            ("of git.test/app, and", "of [remote]/app, and"),
            ("To https://127.0.0.1:34667/app.git", "To [remote]/app.git"),
            ("of 127.0.0.1:34667/app, and", "of [remote]/app, and"),
            ("   0123456..89abcde  main -> main", "   [commits]  main -> main"),
            ("user  2026-11-22T07:34:04Z", "user  [time]"),
            ("undo/0123456789abcdef01234567/1", "undo/[work tree]/1"),
            ("saved \"x\" as save 12", "saved \"x\" as save [number]"),
            ("nothing new since save 3 of", "nothing new since save [number] of"),
            ("'.fresh.convosync-17129'", "'.fresh.convosync-[process]'"),
            ("4d5611e5-241a-462a-8d15-5122611a9569.jsonl", "[session id].jsonl"),
            ("session-4d5611e5@7, main-4d5611e5", "session-[session]@7, main-[session]"),
            ("at 0123456789ab~ is", "at [commit]~ is"),
            ("0123456789abcdef0123456789abcdef01234567", "[commit]"),
            ("saved just now", "saved [age]"),
            ("1 minute ago, 12 minutes ago", "[age], [age]"),
            ("about 449 B on `ada`", "about [size] on `ada`"),
            ("2.2 KiB sealed, 345 B received", "[size] sealed, [size] received"),
            ("takes about 1.2 MiB on `ada`", "takes about [size] on `ada`"),
            (
                "with ConvoSync 0.1.0, git 2.47, linux x86_64\n",
                "with ConvoSync [version], [git], [system]\n",
            ),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn another_commit_or_session_than_the_first_is_seen() {
        check(
            "at 0123456789ab, and here at ba9876543210 and 0123456789abcdef0123456789abcdef01234567",
            "at [commit], and here at [commit 2] and [commit]",
        );
        check(
            "4d5611e5 is 4d5611e5-241a-462a-8d15-5122611a9569, not 5d5611e5-241a-462a-8d15-5122611a9569",
            "[session] is [session id], not [session id 2]",
        );
    }

    #[test]
    fn what_is_the_same_in_every_run_stays() {
        for text in [
            "2 hours ago, yesterday",
            "a commit of 51.0 MiB",
            "git 2.38 is needed, ConvoSync 0.1.0",
            "exit code 4, save 12, 500 messages, You named: save 1",
            "0123456, 0123456789, 0123456789abc, 0123456...89abcde",
            "file: not here, and /remote/ is elsewhere",
            "2026-11-22, convosync-a",
            "ABCDEF01 is no session, nor is xABCDEF01 or deadbeefs",
            "4d5611e5x-241a",
            "/tmp/csabcdefg/home, /tmp/cs/home, /cs1a2B3c",
            "https://example.invalid/app.git, 127.0.0.1, 127.0.0.1:1",
        ] {
            check(text, text);
        }
    }
}
