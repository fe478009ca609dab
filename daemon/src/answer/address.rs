//! Where a session's repository can be cloned from, by what a session says of it: its ids are addresses without
//! protocol and user.

use convosync_core::project::{normalise, same};
use convosync_core::remote;

/// Ids that are no addresses.
const NO_ADDRESS: [&str; 3] = ["root:", "dir:", "sha256:"];

/// The address of a repository with these ids; `store` is that of the remote its sessions are in, and `named` how the
/// user named it, before settings of theirs led elsewhere. Where that is another repository, the protocol is the
/// store's on the same host, else https.
pub(super) fn of(ids: &[String], named: Option<&str>, store: Option<&str>) -> Option<String> {
    let is_it = |url: &&str| normalise(url).is_some_and(|id| same(&[id], ids));
    match named.filter(is_it).or(store.filter(is_it)) {
        Some(url) => Some(remote::address_to_tell(url)),
        None => ids.iter().find_map(|id| written_out(id, store)),
    }
}

fn written_out(id: &str, store: Option<&str>) -> Option<String> {
    if NO_ADDRESS.iter().any(|prefix| id.starts_with(prefix)) {
        return None;
    }
    if let Some(path) = id.strip_prefix("file:") {
        return Some(format!("file://{}", path.replace('%', "%25")));
    }
    let (host, path) = id.split_once('/')?;
    // A port does not say whose it is.
    if host.contains(':') {
        return None;
    }
    let beside = store.filter(|url| !url.starts_with("http"));
    let is_beside = beside
        .and_then(normalise)
        .is_some_and(|id| id.split_once('/').is_some_and(|(other, _)| other == host));
    let user = beside.filter(|_| is_beside).map(user);
    Some(match user {
        Some(user) => format!("ssh://{user}{host}/{path}"),
        None => format!("https://{host}/{path}"),
    })
}

/// The user of an ssh address, with its `@`.
fn user(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let name = rest.split_once('@').map(|(name, _)| name).filter(|name| !name.contains([':', '/']));
    name.map(|name| format!("{name}@")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ids: &[&str], store: Option<&str>, expected: Option<&str>) {
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(of(&ids, None, store).as_deref(), expected, "{ids:?} {store:?}");
    }

    #[test]
    fn the_address_of_the_store_is_told_without_what_opens_it() {
        let ids = ["git.example/ada/shop"];
        let secret = "https://ada:token@git.example/ada/shop.git";
        check(&ids, Some(secret), Some("https://git.example/ada/shop.git"));
        let ssh = "git@git.example:ada/shop.git";
        check(&ids, Some(ssh), Some(ssh));
    }

    #[test]
    fn another_repository_is_reached_as_the_store_is_on_the_same_host() {
        let ids = ["git.example/ada/shop"];
        let https = Some("https://git.example/ada/shop");
        check(&ids, None, https);
        check(&ids, Some("https://git.example/ada/sessions.git"), https);
        check(&ids, Some("git@other.example:ada/sessions.git"), https);
        let ssh = Some("ssh://git@git.example/ada/shop");
        check(&ids, Some("git@git.example:ada/sessions.git"), ssh);
        check(&ids, Some("ssh://git@git.example/ada/sessions.git"), ssh);
        check(&["file:/srv/50%/shop"], None, Some("file:///srv/50%25/shop"));
    }

    #[test]
    fn a_store_is_known_by_the_name_it_was_given_too() {
        let ids = ["git.example/ada/shop".to_owned()];
        let named = Some("https://git.example/ada/shop.git");
        let led_to = Some("https://mirror.example:8443/ada/shop.git");
        assert_eq!(of(&ids, named, led_to).as_deref(), named);
        assert_eq!(of(&ids, led_to, named).as_deref(), named);
    }

    #[test]
    fn what_is_no_address_is_not_guessed() {
        check(&[], None, None);
        check(&["root:0123", "dir:work/shop", "sha256:ab"], None, None);
        check(&["git.example:8443/ada/shop"], None, None);
    }
}
