//! What an object is bound to, as bytes that can be read in one way only.

use crate::id::VaultId;

/// Everything that says what an object is and where it belongs, in one unambiguous form: each item
/// is its length (u32) and its bytes, the first item names the kind.
#[derive(Debug, Clone)]
pub(super) struct Context(Vec<u8>);

impl Context {
    /// Starts with the kind of object and the vault.
    pub(super) fn new(domain: &'static str, vault: VaultId) -> Self {
        Self(Vec::with_capacity(256)).item(domain.as_bytes()).item(&vault.0)
    }

    /// Adds an item.
    pub(super) fn item(mut self, bytes: &[u8]) -> Self {
        let len = u32::try_from(bytes.len()).expect("no item is as large as 4 GiB");
        self.0.extend_from_slice(&len.to_le_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds a number as eight bytes.
    pub(super) fn number(self, value: u64) -> Self {
        self.item(&value.to_le_bytes())
    }

    /// Returns the whole.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_do_not_run_into_each_other() {
        let new = || Context::new("kind", VaultId([1; 8]));
        assert_ne!(new().item(b"ab").item(b"c").0, new().item(b"a").item(b"bc").0);
        assert_ne!(new().item(b"").0, new().0);
    }
}
