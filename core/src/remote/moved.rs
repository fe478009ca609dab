//! The new address of a repository that was renamed or moved, where the host goes on serving the old one.

use super::words;
use crate::project::normalise;

/// What hosts say before they name it: GitHub, GitLab, git itself.
const SAID: &[&str] = &["this repository moved", "was moved to", "warning: redirecting to"];

/// Finds the address in what a child said: in the line that says so, or in one after it.
pub(super) fn address(stderr: &str) -> Option<String> {
    let lines: Vec<&str> = stderr.split(['\r', '\n']).collect();
    let says = |line: &&str| SAID.iter().any(|words| line.to_lowercase().contains(words));
    let at = lines.iter().position(says)?;
    let named = lines[at..].iter().flat_map(|line| line.split_whitespace()).find(|word| {
        word.contains("://") || word.split_once('@').is_some_and(|(_, rest)| rest.contains(':'))
    });
    named.map(words::printable).filter(|address| normalise(address).is_some())
}

/// Whether an address is another one than `known`, and not only spelled in another way.
pub(super) fn is_another(address: &str, known: &str) -> bool {
    let plain = |address: &str| normalise(address).unwrap_or_default().to_lowercase();
    plain(address) != plain(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_address_is_found_in_what_the_hosts_say() {
        for (said, expected) in [
            (
                "remote: This repository moved. Please use the new location:        \nremote:   https://github.com/RDorville/testsite.git        \nTo https://github.com/old/testsite.git\n",
                "https://github.com/RDorville/testsite.git",
            ),
            (
                "remote: This repository moved. Please use the new location:\nremote:   git@github.com:City/gastrack.git\n",
                "git@github.com:City/gastrack.git",
            ),
            (
                "remote: \nremote: Project 'XXX/api' was moved to 'OOO/oxapi'.\nremote: \nremote: Please update your Git remote:\nremote: \nremote:   git remote set-url origin git@10.10.10.100:OOO/oxapi.git\n",
                "git@10.10.10.100:OOO/oxapi.git",
            ),
            (
                "warning: redirecting to https://git.example/new/app.git/\n",
                "https://git.example/new/app.git/",
            ),
        ] {
            assert_eq!(address(said).as_deref(), Some(expected), "{said}");
        }
        assert_eq!(
            address("remote: Resolving deltas: 100% (1/1), done.\nTo https://x/y.git\n"),
            None
        );
        assert_eq!(address("remote: This repository moved.\n"), None);
    }

    #[test]
    fn another_spelling_is_no_move() {
        assert!(!is_another("https://git.example/a/App.git/", "https://git.example/a/app"));
        assert!(is_another("https://git.example/b/app.git", "https://git.example/a/app.git"));
    }
}
