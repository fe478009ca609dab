//! How large a repository's history is, as the files of its packs say; no program is started.

use std::fs;
use std::path::Path;

/// So many files of packs are looked at: git packs anew from fifty packs on.
const PACK_FILES_MAX: usize = 10_000;

/// How many bytes the packs of a repository take, in whose `common_dir` they lie: about what a whole clone of it has
/// to fetch. `None` where this clone has not the whole history itself, or has not packed any.
pub fn packed_bytes(common_dir: &Path) -> Option<u64> {
    if ["shallow", "objects/info/alternates"].iter().any(|name| common_dir.join(name).exists()) {
        return None;
    }
    let mut sum = 0_u64;
    for entry in fs::read_dir(common_dir.join("objects/pack")).ok()?.take(PACK_FILES_MAX).flatten()
    {
        match entry.path().extension().and_then(|extension| extension.to_str()) {
            Some("promisor") => return None,
            Some("pack") => sum = sum.saturating_add(entry.metadata().ok()?.len()),
            _ => {}
        }
    }
    (sum > 0).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lay(dir: &Path, name: &str, bytes: usize) {
        let path = dir.join(name);
        crate::disk::make_dirs(path.parent().unwrap()).unwrap();
        crate::disk::create_new(&path, &vec![0; bytes]).unwrap();
    }

    #[test]
    fn the_packs_of_a_whole_clone_are_counted_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(packed_bytes(dir.path()), None);
        lay(dir.path(), "objects/pack/pack-1.idx", 5);
        assert_eq!(packed_bytes(dir.path()), None, "nothing is packed");
        lay(dir.path(), "objects/pack/pack-1.pack", 70);
        lay(dir.path(), "objects/pack/pack-2.pack", 30);
        assert_eq!(packed_bytes(dir.path()), Some(100));
    }

    #[test]
    fn a_clone_without_the_whole_history_tells_no_size() {
        for mark in ["shallow", "objects/info/alternates", "objects/pack/pack-1.promisor"] {
            let dir = tempfile::tempdir().unwrap();
            lay(dir.path(), "objects/pack/pack-1.pack", 70);
            lay(dir.path(), mark, 0);
            assert_eq!(packed_bytes(dir.path()), None, "{mark}");
        }
    }
}
