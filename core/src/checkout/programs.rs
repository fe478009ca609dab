//! Files that make programs run as soon as somebody works in a folder.

use crate::code::RepoPath;

/// Folders of which every file may.
const FOLDERS: [&str; 5] = [".claude/hooks", ".idea", ".husky", ".githooks", ".devcontainer"];
/// Single files, wherever they lie.
const NAMES: [&str; 4] = [".mcp.json", ".envrc", ".gitattributes", ".gitmodules"];
/// Single files in a folder of that name, wherever it lies.
const INSIDE: [(&str, &str); 4] = [
    (".claude", "settings.json"),
    (".claude", "settings.local.json"),
    (".vscode", "tasks.json"),
    (".vscode", "settings.json"),
];

/// Whether a file makes an agent, an editor, a shell or git run a program. Letters of either case count:
/// so they do on many disks.
pub fn runs_programs(path: &RepoPath) -> bool {
    let text = path.shown().to_lowercase();
    let name = text.rsplit('/').next().unwrap_or_default();
    let is_below = |folder: &str| {
        text.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
            || text.contains(&format!("/{folder}/"))
    };
    let is_inside = |(folder, file): &(&str, &str)| {
        text == format!("{folder}/{file}") || text.ends_with(&format!("/{folder}/{file}"))
    };
    FOLDERS.iter().any(|folder| is_below(folder))
        || NAMES.contains(&name)
        || INSIDE.iter().any(is_inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_make_programs_run_are_told_from_others() {
        let runs = |text: &str| runs_programs(&RepoPath::new(text).unwrap());
        for text in [
            ".claude/settings.json",
            ".claude/settings.local.json",
            ".Claude/Settings.json",
            ".claude/hooks/a/b.sh",
            "api/.claude/settings.json",
            ".mcp.json",
            ".envrc",
            "a/.envrc",
            ".vscode/tasks.json",
            ".vscode/settings.json",
            ".idea/workspace.xml",
            ".husky/pre-commit",
            ".githooks/x",
            ".gitattributes",
            "a/.gitattributes",
            ".gitmodules",
        ] {
            assert!(runs(text), "{text}");
        }
        for text in ["Makefile", "src/settings.json", ".claude/notes.md", "x.envrc", ".ideas/a"] {
            assert!(!runs(text), "{text}");
        }
    }
}
