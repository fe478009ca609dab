//! Sessions as `list`, `show`, `save` and `resume` tell them.

use convosync_core::id::short_commit;
use convosync_core::protocol::SessionInfo;

use super::{Look, Text, ago, count};

/// How much of a title fits a line, in characters.
const TITLE_MAX: usize = 72;

/// How much of a title or a branch fits a line of the picker, in characters.
const SHORT_MAX: usize = 28;

/// Returns what a session is called: its save's message where somebody wrote one, else its title.
pub(crate) fn headline(info: &SessionInfo) -> String {
    let said = info.message.as_deref().filter(|text| *text != DEFAULT_MESSAGE);
    let text = said.or(info.title.as_deref()).or(info.message.as_deref());
    text.map_or_else(|| "(untitled)".to_owned(), |text| format!("\"{}\"", cut(text, TITLE_MAX)))
}

/// The message a save has when nobody wrote one.
const DEFAULT_MESSAGE: &str = "WIP: sync session";

fn cut(text: &str, length_max: usize) -> String {
    match text.char_indices().nth(length_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns where the code of a session stands, as in `main @ 1a2b3c4, uncommitted changes`.
pub(crate) fn place(branch: Option<&str>, commit: Option<&str>, dirty: bool) -> String {
    let commit = commit.map(short_commit);
    let mut place = match (branch, commit) {
        (Some(branch), Some(commit)) => format!("{branch} @ {commit}"),
        (Some(branch), None) => format!("{branch} (no commit yet)"),
        (None, Some(commit)) => format!("detached @ {commit}"),
        (None, None) => "no repository".to_owned(),
    };
    if dirty {
        place.push_str(" with uncommitted changes");
    }
    place
}

/// Returns the sign of a device's kind.
fn icon(look: Look, kind: &str) -> &'static str {
    let sign = match kind {
        "desktop" => "🖥 ",
        "laptop" => "💻 ",
        "phone" | "tablet" => "📱 ",
        "server" => "🗄 ",
        _ => "",
    };
    look.sign(sign, "")
}

/// Returns the lines of one entry of a list, the first with its number.
pub(crate) fn describe_session(
    number: usize,
    info: &SessionInfo,
    now_ms: i64,
    look: Look,
) -> [Text; 4] {
    let device = if info.this_device { "this device" } else { &info.device_name };
    let place = place(info.branch.as_deref(), info.commit.as_deref(), info.dirty);
    let mut facts = vec![count(info.messages, "message"), format!("save {}", info.save)];
    facts.push(info.project.clone());
    facts.extend(info.live.then(|| "running here".to_owned()));
    facts.extend((info.on_remote == Some(false)).then(|| "not on the remote yet".to_owned()));
    facts.extend((info.malformed > 0).then(|| count(info.malformed, "unreadable line")));
    [
        Text::new()
            .plain(&format!("{number:>2}. "))
            .strong(&info.short)
            .faint(&format!("  {}", ago(info.at_ms, now_ms))),
        Text::new().plain(&format!(
            "    {}{device} {} {place}",
            icon(look, &info.device_kind),
            look.arrow()
        )),
        Text::new().plain("    ").plain(&headline(info)),
        Text::new().plain("    ").faint(&facts.join(look.dot())),
    ]
}

/// Returns a session on one line, for the picker.
pub(crate) fn short_line(info: &SessionInfo, now_ms: i64, look: Look) -> String {
    let device = if info.this_device { "this device" } else { &info.device_name };
    let facts = [
        info.short.clone(),
        format!("{}{device}", icon(look, &info.device_kind)),
        ago(info.at_ms, now_ms),
        cut(info.branch.as_deref().unwrap_or("no branch"), SHORT_MAX),
        cut(&headline(info), SHORT_MAX),
    ];
    super::clean(&facts.join(look.dot()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_names_branch_and_commit() {
        let commit = Some("0123456789abcdef");
        assert_eq!(place(Some("main"), commit, false), "main @ 0123456789ab");
        assert_eq!(place(None, commit, true), "detached @ 0123456789ab with uncommitted changes");
        assert_eq!(place(Some("new"), None, false), "new (no commit yet)");
        assert_eq!(place(None, None, false), "no repository");
    }

    #[test]
    fn a_long_title_is_cut_between_characters() {
        assert_eq!(cut(&"ü".repeat(100), TITLE_MAX), format!("{}…", "ü".repeat(TITLE_MAX)));
        assert_eq!(cut("short", TITLE_MAX), "short");
    }
}
