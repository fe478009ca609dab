//! With what a conversation was written and saved, as `show` and `log` print it.

use convosync_core::protocol::{SaveInfo, UsedInfo};

use crate::print::count;

/// Names and values, the newest save's among them; what is not known is empty.
pub(crate) fn facts(used: &UsedInfo, saves: &[SaveInfo]) -> [(&'static str, String); 6] {
    let made_by = saves.first().and_then(|save| save.made_by.as_ref());
    let saved_with = made_by
        .map(|maker| format!("ConvoSync {}, git {}, {}", maker.convosync, maker.git, maker.system));
    let mode = used.permission_mode.as_ref();
    [
        ("Claude Code", used.clients.join(", ")),
        ("Model", used.models.join(", ")),
        // Whoever resumes decides anew what Claude may do there.
        (
            "Permissions",
            mode.map(|mode| format!("{mode} (not applied by resume)")).unwrap_or_default(),
        ),
        ("Environment", used.environment.join(", ")),
        ("Terminal", terminal(used.shell_lines)),
        ("Saved with", saved_with.unwrap_or_default()),
    ]
}

fn terminal(lines: usize) -> String {
    match lines {
        0 => String::new(),
        lines => format!("{} of the shell's history (`log` shows them)", count(lines, "line")),
    }
}
