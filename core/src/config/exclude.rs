//! Which project folders are never saved.

use std::path::Path;

/// Returns the first pattern that leaves out `folder`, if one does.
///
/// `*` and `?` stand for characters within one name, `**` for any number of folders, `~` for the
/// home directory. A pattern without a leading `/` or `~` may begin anywhere. A pattern that names a
/// folder leaves out everything below it too.
pub fn excluded_by<'a>(patterns: &'a [String], folder: &Path, home: &Path) -> Option<&'a str> {
    let names = names(folder);
    patterns.iter().map(String::as_str).find(|pattern| leaves_out(pattern, &names, home))
}

fn names(path: &Path) -> Vec<String> {
    let normal = path.components().filter_map(|component| match component {
        std::path::Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    });
    normal.collect()
}

fn leaves_out(pattern: &str, folder: &[String], home: &Path) -> bool {
    let mut wanted = Vec::new();
    let rest = match pattern.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            wanted.extend(names(home));
            rest
        }
        _ => pattern,
    };
    if wanted.is_empty() && !rest.starts_with('/') {
        wanted.push("**".to_owned());
    }
    wanted.extend(rest.split('/').filter(|name| !name.is_empty()).map(str::to_owned));
    wanted.push("**".to_owned());
    covers(&wanted, folder, |wanted| wanted == "**", |wanted, name| name_matches(wanted, name))
}

/// Whether a pattern names a branch, from its first name on; with `and_below` also one whose name goes on behind a `/`.
pub(super) fn fits_branch(pattern: &str, branch: &str, and_below: bool) -> bool {
    let mut wanted: Vec<&str> = pattern.split('/').collect();
    wanted.extend(and_below.then_some("**"));
    let names: Vec<&str> = branch.split('/').collect();
    covers(&wanted, &names, |wanted| *wanted == "**", |wanted, name| name_matches(wanted, name))
}

fn name_matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    covers(&pattern, &name, |wanted| *wanted == '*', |wanted, c| *wanted == '?' || wanted == c)
}

/// Compares a pattern with a sequence, where some parts of the pattern stand for any run. Goes back
/// only to the last such part, which is enough and keeps the work below pattern × sequence.
fn covers<P, T>(
    pattern: &[P],
    sequence: &[T],
    is_any: impl Fn(&P) -> bool,
    fits: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while seen < sequence.len() {
        match pattern.get(at) {
            Some(part) if is_any(part) => {
                retry = Some((at + 1, seen));
                at += 1;
            }
            Some(part) if fits(part, &sequence[seen]) => {
                at += 1;
                seen += 1;
            }
            _ => {
                let Some((after, from)) = retry else { return false };
                (at, seen) = (after, from + 1);
                retry = Some((after, from + 1));
            }
        }
    }
    pattern[at..].iter().all(is_any)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_excluded(pattern: &str, folders: &[&str], others: &[&str]) {
        let patterns = [pattern.to_owned()];
        let is_out =
            |folder: &&str| excluded_by(&patterns, Path::new(folder), Path::new("/home/me"));
        for folder in folders {
            assert_eq!(is_out(folder), Some(pattern), "{folder}");
        }
        for folder in others {
            assert_eq!(is_out(folder), None, "{pattern} leaves out {folder}");
        }
    }

    #[test]
    fn a_pattern_names_folders_and_what_is_below() {
        check_excluded("/srv/secret", &["/srv/secret", "/srv/secret/a/b"], &["/srv/secrets", "/"]);
        check_excluded("~/work/*", &["/home/me/work/a", "/home/me/work/a/b"], &["/home/me/work"]);
        check_excluded("~", &["/home/me", "/home/me/x"], &["/home/you"]);
        check_excluded("scratch-?", &["/a/scratch-1", "/scratch-2/x"], &["/a/scratch-10"]);
        check_excluded("/a/**/z", &["/a/z", "/a/b/c/z", "/a/z/y"], &["/a/b", "/b/a/z"]);
        check_excluded("client/*.git", &["/x/client/a.git"], &["/x/client/a", "/client/x/a.git"]);
    }

    #[test]
    fn a_hostile_pattern_takes_no_longer_than_pattern_times_path() {
        let pattern = "*a".repeat(60);
        let folder = format!("/{}", "a".repeat(250));
        assert!(
            excluded_by(&[format!("{pattern}b")], Path::new(&folder), Path::new("/h")).is_none()
        );
    }
}
