//! Stands in for the network: objects are copied from store to store, and refs set, as a fetch would.

use std::fs;
use std::path::Path;

use convosync_core::history::History;
use convosync_core::store::RefName;
use convosync_tests::files;
use convosyncd::desk::Holding;

use crate::device::{Device, session};

/// Shows `to` the newest tip of `from`. Returns whether it is believed.
pub(crate) fn tip(from: &Device, to: &mut Device) -> bool {
    let Some(tip) = from.desk.own.tip else { return true };
    let reference = from.desk.own.reference;
    copy_objects(&from.desk.store.own_dir(), &to.desk.store.seen_dir());
    show(to, &reference, &tip.to_string());
    to.desk.take_peer(reference, tip, 0).is_some()
}

/// Puts a ref where listings come to.
pub(crate) fn show(to: &Device, reference: &RefName, tip: &str) {
    set_ref(&to.desk.store.seen_dir(), &reference.to_string(), tip);
}

/// Fetches a session as `resume` does, unless it is there.
pub(crate) fn session_of(from: &Device, to: &Device, holding: &Holding) -> History {
    let summary = &holding.summary;
    if !to.desk.store.has_commit(summary.commit) {
        copy_objects(&from.desk.store.own_dir(), &to.desk.store.own_dir());
        let name = to.vault.keys.session_name(&session());
        let reference = format!("refs/adopted/{name}/{}", holding.device);
        set_ref(&to.desk.store.own_dir(), &reference, &summary.commit.to_string());
    }
    to.desk
        .reader()
        .history(&summary.session, summary.commit, summary.save, summary.record)
        .expect("what another device acknowledged is whole")
}

fn set_ref(repository: &Path, reference: &str, tip: &str) {
    let path = repository.join(reference);
    files::write(&path, format!("{tip}\n"));
}

/// Copies every object that is missing.
pub(crate) fn copy_objects(from: &Path, to: &Path) {
    for folder in fs::read_dir(from.join("objects")).expect("a store has objects").flatten() {
        let name = folder.file_name();
        if name.len() != 2 {
            continue;
        }
        let target = to.join("objects").join(&name);
        fs::create_dir_all(&target).expect("a folder");
        for object in fs::read_dir(folder.path()).expect("a folder of objects").flatten() {
            let there = target.join(object.file_name());
            if !there.exists() {
                fs::copy(object.path(), there).expect("an object");
            }
        }
    }
}

/// Copies a folder with all that is in it.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    fs::set_permissions(to, fs::metadata(from).expect("it is there").permissions()).expect("ours");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let there = to.join(entry.file_name());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            copy_tree(&entry.path(), &there);
        } else {
            fs::copy(entry.path(), there).expect("a file");
        }
    }
}
