//! Names of refs. Their depth is fixed for ever: git cannot hold `a` and `a/b` side by side.

use std::fmt;
use std::str::FromStr;

use crate::id::{DeviceId, IdError, SessionName, VaultId};

/// Where a host lets us keep our refs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum RefKind {
    /// `refs/convosync/…`: in nobody's branch list, fetched by nobody who does not ask.
    Custom,
    /// `refs/heads/convosync/…`: for hosts that take nothing but branches.
    Branch,
}

impl RefKind {
    /// Returns what all names of this kind begin with, the last `/` included.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Custom => "refs/convosync/",
            Self::Branch => "refs/heads/convosync/",
        }
    }
}

/// The name of one device's ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName {
    /// Where the host lets us keep it.
    pub kind: RefKind,
    /// The vault it belongs to.
    pub vault: VaultId,
    /// The device it belongs to, the only one that writes it.
    pub device: DeviceId,
}

impl RefName {
    /// Names the ref of `device`.
    pub fn new(kind: RefKind, vault: VaultId, device: DeviceId) -> Self {
        Self { kind, vault, device }
    }

    /// The names the same device's ref has on hosts of other kinds.
    pub fn others(self) -> impl Iterator<Item = Self> {
        let kinds = [RefKind::Custom, RefKind::Branch].into_iter();
        kinds.filter(move |kind| *kind != self.kind).map(move |kind| Self { kind, ..self })
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}/{}", self.kind.prefix(), self.vault, self.device)
    }
}

impl FromStr for RefName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let bad = || IdError::NotHex {
            text: text.chars().filter(|c| !c.is_control()).take(80).collect(),
            digits: 16,
        };
        let kinds = [RefKind::Custom, RefKind::Branch];
        let (kind, rest) = kinds
            .into_iter()
            .find_map(|kind| Some((kind, text.strip_prefix(kind.prefix())?)))
            .ok_or_else(bad)?;
        let (vault, device) = rest.split_once('/').ok_or_else(bad)?;
        Ok(Self { kind, vault: vault.parse()?, device: device.parse()? })
    }
}

/// What all refs begin with that keep adopted session commits; they never leave `own.git`.
pub(super) const ADOPTED: &str = "refs/adopted/";

/// What all refs begin with that keep believed tips; they never leave `seen.git`.
pub(super) const ACCEPTED: &str = "refs/accepted/";

/// The ref that keeps the tip of a device that was believed last.
pub(super) fn accepted(reference: &RefName) -> String {
    let name = reference.to_string();
    format!("{ACCEPTED}{}", name.strip_prefix("refs/").unwrap_or(&name))
}

/// The ref that keeps what was adopted of one session from one device.
pub(super) fn adopted(name: SessionName, device: DeviceId) -> String {
    format!("{ADOPTED}{name}/{device}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_as_it_prints() {
        for text in [
            "refs/convosync/0123456789abcdef/fedcba9876543210",
            "refs/heads/convosync/0123456789abcdef/fedcba9876543210",
        ] {
            assert_eq!(text.parse::<RefName>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_name_of_another_depth_case_or_place_is_refused() {
        for text in [
            "",
            "refs/convosync/0123456789abcdef",
            "refs/convosync/0123456789abcdef/fedcba9876543210/x",
            "refs/convosync/0123456789ABCDEF/fedcba9876543210",
            "refs/convosync/probe/fedcba9876543210",
            "refs/tags/0123456789abcdef/fedcba9876543210",
            "refs/convosync/0123456789abcdef/fedcba987654321\n",
        ] {
            assert!(text.parse::<RefName>().is_err(), "{text:?}");
        }
    }
}
