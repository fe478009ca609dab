//! Which file systems report no changes, or not those made elsewhere.

use std::path::Path;

/// Magic numbers of `statfs`, from linux/magic.h and the file systems' own headers.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SILENT: &[(u64, &str)] = &[
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFF53_4D42, "SMB"),
    (0xFE53_4D42, "SMB"),
    (0x6573_5546, "FUSE"),
    (0x5DCA_2DF5, "Android's shared storage"),
    (0x0102_1997, "9p"),
    (0x00C3_6400, "Ceph"),
    (0x5346_414F, "AFS"),
    (0x6B41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x564C, "NetWare"),
    (0x4D44, "FAT"),
    (0x2011_BAB0, "exFAT"),
    (0x786F_4256, "a VirtualBox shared folder"),
];

/// Returns the name of the file system at `path` if its events cannot be relied on.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn silent(path: &Path) -> Option<&'static str> {
    let found = rustix::fs::statfs(path).ok()?;
    // The field's type differs between architectures; the numbers have 32 bits everywhere.
    silent_magic((i128::from(found.f_type) & 0xFFFF_FFFF) as u64)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn silent_magic(magic: u64) -> Option<&'static str> {
    SILENT.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
}

/// Other systems report what happens on any file system.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn silent(_path: &Path) -> Option<&'static str> {
    None
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;

    #[test]
    fn network_and_fuse_file_systems_are_known_to_be_silent() {
        assert_eq!(silent_magic(0x6969), Some("NFS"));
        assert_eq!(silent_magic(0x6573_5546), Some("FUSE"));
        for local in [0xEF53, 0x9123_683E, 0x5846_5342, 0x0102_1994] {
            assert_eq!(silent_magic(local), None, "{local:#x}");
        }
        assert_eq!(silent(Path::new("/nowhere/at/all")), None);
    }
}
