//! Addresses of remotes, made comparable: two devices reach one repository in different ways.

use crate::seal::project_key;
use std::path::Path;

/// How long an address may be: longer ones are not ours to compare.
const ADDRESS_MAX: usize = 1024;

/// Hosts that ignore the case of a path, under the name all their addresses get.
const FOLDING_HOSTS: &[&str] = &["github.com", "gitlab.com", "bitbucket.org", "codeberg.org"];
/// Second names of hosts, for ssh through a firewall.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("ssh.github.com", "github.com"),
    ("altssh.gitlab.com", "gitlab.com"),
    ("altssh.bitbucket.org", "bitbucket.org"),
    ("www.github.com", "github.com"),
];

/// Makes the address of a remote comparable: `host/path` without user, default port, `.git` and
/// trailing slash, the host in lower case; `file:/path` for a directory. `None` for what names no
/// repository another device could know: relative paths, helpers, options, control characters.
pub fn normalise(url: &str) -> Option<String> {
    let url = url.trim();
    if url.is_empty()
        || url.len() > ADDRESS_MAX
        || url.starts_with('-')
        || url.chars().any(char::is_control)
        || names_helper(url)
    {
        return None;
    }
    if let Some((scheme, rest)) = url.split_once("://") {
        return match scheme.to_ascii_lowercase().as_str() {
            "file" => local(&decode(&rest[rest.find('/')?..])),
            "ssh" | "git+ssh" | "ssh+git" => remote(rest, "22"),
            "https" => remote(rest, "443"),
            "http" => remote(rest, "80"),
            "git" => remote(rest, "9418"),
            _ => None,
        };
    }
    if url.starts_with('/') { local(url) } else { scp_like(url) }
}

/// `ext::…` and its like start a program.
fn names_helper(url: &str) -> bool {
    url.split_once("::")
        .is_some_and(|(helper, _)| helper.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'))
}

/// Whether two projects are one: they share a name, written out or in the short form of summaries.
pub fn same(a: &[String], b: &[String]) -> bool {
    a.iter().any(|one| b.iter().any(|other| project_key(one) == project_key(other)))
}

/// `[user@]host[:port]/path`.
fn remote(rest: &str, default_port: &str) -> Option<String> {
    let (authority, path) = rest.split_once('/')?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match host.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((inner, after)) => (inner, after.strip_prefix(':').unwrap_or("")),
        None => host.split_once(':').unwrap_or((host, "")),
    };
    join(host, if port == default_port { "" } else { port }, &decode(path))
}

/// `[user@]host:path`, which is ssh unless a slash comes before the colon.
fn scp_like(url: &str) -> Option<String> {
    let (host, path) = match url.split_once("]:") {
        Some((host, path)) if host.contains('[') => (host.replace('[', ""), path),
        _ => url.split_once(':').map(|(host, path)| (host.to_owned(), path))?,
    };
    let host = host.rsplit_once('@').map_or(host.as_str(), |(_, host)| host);
    // One letter is a drive, not a host.
    if host.contains('/') || host.len() < 2 {
        return None;
    }
    let (host, port) =
        host.split_once(':').filter(|(_, port)| !port.contains(':')).unwrap_or((host, ""));
    join(host, if port == "22" { "" } else { port }, path)
}

fn join(host: &str, port: &str, path: &str) -> Option<String> {
    let host = host.trim_end_matches('.').to_lowercase();
    let named = OTHER_NAMES.iter().find(|(other, _)| *other == host).map(|(_, name)| *name);
    let (host, port) = named.map_or((host.as_str(), port), |name| (name, ""));
    let mut path = clean(path);
    if FOLDING_HOSTS.contains(&host) {
        path = path.to_lowercase();
    }
    let (host, path) = azure(host, path);
    if host.is_empty() || path.is_empty() {
        return None;
    }
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Some(if port.is_empty() { format!("{host}/{path}") } else { format!("{host}:{port}/{path}") })
}

/// Azure has two shapes: `ssh.dev.azure.com/v3/org/project/repo` and `dev.azure.com/org/project/_git/repo`.
fn azure(host: &str, path: String) -> (String, String) {
    let path = match host {
        "ssh.dev.azure.com" => path.strip_prefix("v3/").map_or(path.clone(), str::to_owned),
        "dev.azure.com" => path.replacen("/_git/", "/", 1),
        _ => path,
    };
    (if host == "ssh.dev.azure.com" { "dev.azure.com".to_owned() } else { host.to_owned() }, path)
}

fn local(path: &str) -> Option<String> {
    let path = clean(path);
    (!path.is_empty()).then(|| format!("file:/{path}"))
}

/// A path without empty and `.` parts, `..` resolved, and without the endings git adds by itself.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if parts.last() == Some(&".git") {
        parts.pop();
    }
    let path = parts.join("/");
    path.strip_suffix(".git").unwrap_or(&path).to_owned()
}

/// Undoes `%20`; what is no such escape stays.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = bytes
            .get(at + 1..at + 3)
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], escape) {
            (b'%', Some(byte)) if !byte.is_ascii_control() => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

/// One remote of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedRemote {
    /// What the user calls it.
    pub(super) name: String,
    /// Where git would push to.
    pub(super) push_url: String,
    /// Every comparable form of its addresses.
    pub(super) ids: Vec<String>,
}

/// The remotes in the order in which they matter: the one the current branch is pushed to, the default
/// one, `origin`, and the others by name.
pub(super) fn remotes(
    settings: &[(String, String)],
    branch: Option<&str>,
    root: &Path,
) -> Vec<NamedRemote> {
    let last = |wanted: &str| {
        settings.iter().rev().find(|(key, _)| key == wanted).map(|(_, value)| value.clone())
    };
    let of_branch = |key: &str| branch.and_then(|name| last(&format!("branch.{name}.{key}")));
    let preferred = [
        of_branch("pushremote"),
        last("remote.pushdefault"),
        of_branch("remote"),
        Some("origin".to_owned()),
    ];
    let mut names: Vec<String> =
        preferred.into_iter().flatten().filter(|name| name != ".").collect();
    names.extend(remote_names(settings));
    let mut seen = Vec::new();
    names.retain(|name| {
        !seen.contains(name) && {
            seen.push(name.clone());
            true
        }
    });
    names.iter().filter_map(|name| named(name, settings, root)).collect()
}

fn remote_names(settings: &[(String, String)]) -> Vec<String> {
    let name = |key: &str| {
        key.strip_prefix("remote.")?
            .rsplit_once('.')
            .filter(|(_, last)| *last == "url" || *last == "pushurl")
            .map(|(name, _)| name.to_owned())
    };
    let mut names: Vec<_> = settings.iter().filter_map(|(key, _)| name(key)).collect();
    names.sort();
    names
}

fn named(name: &str, settings: &[(String, String)], root: &Path) -> Option<NamedRemote> {
    let first = |key: &str| {
        settings
            .iter()
            .find(|(other, _)| *other == format!("remote.{name}.{key}"))
            .map(|(_, value)| value.clone())
    };
    // `branch.<name>.remote` may hold an address instead of a name.
    let address = first("url").or_else(|| normalise(name).map(|_| name.to_owned()));
    let explicit = first("pushurl");
    let url = address.or_else(|| explicit.clone())?;
    let fetch_url = rewrite(&url, settings, ".insteadof").unwrap_or_else(|| url.clone());
    let push_url = match explicit {
        Some(push) => rewrite(&push, settings, ".insteadof").unwrap_or(push),
        None => rewrite(&url, settings, ".pushinsteadof").unwrap_or_else(|| fetch_url.clone()),
    };
    let push_url = absolute(&push_url, root);
    let forms = [push_url.clone(), absolute(&fetch_url, root), absolute(&url, root)];
    let mut ids: Vec<String> = forms.iter().filter_map(|form| normalise(form)).collect();
    ids.dedup();
    Some(NamedRemote { name: name.to_owned(), push_url, ids })
}

/// Returns where git would push to, given an address that no remote has.
pub(super) fn written_out(url: &str, settings: &[(String, String)]) -> String {
    let written_out = rewrite(url, settings, ".pushinsteadof");
    written_out.or_else(|| rewrite(url, settings, ".insteadof")).unwrap_or_else(|| url.to_owned())
}

/// Replaces the longest prefix that `url.<base><kind>` names, as git does.
fn rewrite(url: &str, settings: &[(String, String)], kind: &str) -> Option<String> {
    let base = |key: &str| key.strip_prefix("url.")?.strip_suffix(kind).map(str::to_owned);
    let matching = settings
        .iter()
        .filter_map(|(key, prefix)| Some((base(key)?, prefix)))
        .filter(|(_, prefix)| url.starts_with(prefix.as_str()));
    // Of equally long ones git takes the first.
    let (base, prefix) = matching.rev().max_by_key(|(_, prefix)| prefix.len())?;
    Some(format!("{base}{}", &url[prefix.len()..]))
}

/// A relative path means one below the work tree.
fn absolute(url: &str, root: &Path) -> String {
    let is_relative_path = url.starts_with("./")
        || url.starts_with("../")
        || !url.contains(':') && !url.starts_with('/');
    if is_relative_path { format!("{}/{url}", root.display()) } else { url.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: &str) {
        assert_eq!(normalise(url).as_deref(), (!expected.is_empty()).then_some(expected), "{url}");
    }

    #[test]
    fn all_ways_to_one_repository_have_one_name() {
        for url in [
            "git@github.com:Me/App.git",
            "github.com:me/app",
            "ssh://git@github.com/me/app.git",
            "ssh://git@github.com:22/me/app.git/",
            "ssh://git@ssh.github.com:443/me/app.git",
            "git+ssh://git@GitHub.com/me/app",
            "https://github.com/me/app",
            "https://github.com/me/app/",
            "https://github.com:443//me/./app.git",
            "https://user:token@GITHUB.com/me/app.git",
            "http://github.com:80/me/app",
            "git://github.com:9418/me/app.git",
            "HTTPS://github.com/me/app.git",
            "  https://github.com/me/app.git\n",
        ] {
            check(url, "github.com/me/app");
        }
    }

    #[test]
    fn other_hosts_keep_case_ports_and_depth() {
        check("https://git.example.org:8443/Team/Sub/App.git", "git.example.org:8443/Team/Sub/App");
        check("ssh://git@git.example.org:2222/~me/app.git", "git.example.org:2222/~me/app");
        check("me@server:/srv/git/app.git", "server/srv/git/app");
        check("ssh://me@server/srv/git/app.git", "server/srv/git/app");
        check("[me@server:2222]:app.git", "server:2222/app");
        check("ssh://git@[2001:DB8::1]:2222/a/b", "[2001:db8::1]:2222/a/b");
        check("https://example.org/with%20space/a.git", "example.org/with space/a");
        check("https://me@dev.azure.com/org/project/_git/repo", "dev.azure.com/org/project/repo");
        check("git@ssh.dev.azure.com:v3/org/project/repo", "dev.azure.com/org/project/repo");
    }

    #[test]
    fn directories_have_one_name_too() {
        for url in [
            "/srv/git/app.git",
            "file:///srv/git/app.git",
            "file:///srv/git/app/",
            "file://localhost/srv/git/app",
            "/srv/git/app/.git",
            "/srv/x/../git/app",
        ] {
            check(url, "file:/srv/git/app");
        }
    }

    #[test]
    fn what_names_no_shared_repository_has_no_name() {
        for url in [
            "",
            "   ",
            "app.git",
            "./app",
            "../app",
            "C:\\git\\app",
            "c:/git/app",
            "ext::sh -c touch% /tmp/x",
            "fd::3",
            "-oProxyCommand=x:y",
            "--upload-pack=x",
            "https://",
            "https://host",
            "https://host/",
            "host:",
            "ftp://host/x",
            "a\0b:c",
            "/",
            "file:///",
        ] {
            check(url, "");
        }
        assert_eq!(normalise(&format!("https://host/{}", "a".repeat(2000))), None);
    }

    #[test]
    fn two_projects_are_one_when_they_share_a_name() {
        let ids = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(same(&ids(&["a", "b"]), &ids(&["c", "b"])));
        assert!(!same(&ids(&["a"]), &ids(&["b"])));
        assert!(!same(&[], &[]));
    }

    fn check_order(settings: &[(&str, &str)], branch: Option<&str>, expected: &[&str]) {
        let settings: Vec<_> =
            settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let found: Vec<_> = remotes(&settings, branch, Path::new("/work"))
            .into_iter()
            .map(|remote| remote.push_url)
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_remote_one_pushes_to_comes_first() {
        let three =
            [("remote.zeta.url", "z:z"), ("remote.origin.url", "o:o"), ("remote.alpha.url", "a:a")];
        check_order(&three, None, &["o:o", "a:a", "z:z"]);
        check_order(
            &[&three[..], &[("remote.pushdefault", "zeta")]].concat(),
            Some("main"),
            &["z:z", "o:o", "a:a"],
        );
        check_order(
            &[&three[..], &[("branch.main.remote", "alpha")]].concat(),
            Some("main"),
            &["a:a", "o:o", "z:z"],
        );
        check_order(
            &[&three[..], &[("remote.pushdefault", "zeta"), ("branch.main.pushremote", "alpha")]]
                .concat(),
            Some("main"),
            &["a:a", "z:z", "o:o"],
        );
        check_order(
            &[("branch.main.remote", "."), ("remote.x.url", "xx:x")],
            Some("main"),
            &["xx:x"],
        );
        check_order(&[("branch.main.remote", "https://host/x")], Some("main"), &["https://host/x"]);
        check_order(&[], Some("main"), &[]);
    }

    #[test]
    fn addresses_are_rewritten_as_git_does() {
        let short = [
            ("remote.origin.url", "gh:me/app"),
            ("url.git@github.com:.insteadof", "gh:"),
            ("url.https://github.com/.insteadof", "gh:me/"),
        ];
        check_order(&short, None, &["https://github.com/app"]);
        let push = [
            ("remote.origin.url", "https://github.com/me/app"),
            ("url.git@github.com:.pushinsteadof", "https://github.com/"),
        ];
        check_order(&push, None, &["git@github.com:me/app"]);
        let explicit =
            [&push[..], &[("remote.origin.pushurl", "https://github.com/me/fork")]].concat();
        check_order(&explicit, None, &["https://github.com/me/fork"]);
        check_order(&[("remote.origin.url", "../bare.git")], None, &["/work/../bare.git"]);
    }
}
