//! The name of our ref: hosts differ in which they take, and one may change its mind.

use convosync_core::id::Oid;
use convosync_core::outbound::{OutboundError, Own};
use convosync_core::store::{RefKind, RefName, Store, StoreError};
use convosync_core::vault::Vault;

use super::Desk;

impl Desk {
    /// Gives our ref a name of another kind, for a host that takes no other; what it holds is to be sent
    /// there. Returns whether it had another kind before.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub fn rename(&mut self, kind: RefKind) -> Result<bool, StoreError> {
        let old = self.own.reference;
        if old.kind == kind {
            return Ok(false);
        }
        let new = RefName { kind, ..old };
        self.store.rename_own(&old, &new)?;
        self.own.reference = new;
        self.asked_own = false;
        self.keep_confirmed(None);
        Ok(true)
    }

    /// Our own ref under its old name, if a listing shows it beside the new one, which holds everything.
    /// Each is named once: a host that does not remove it is not asked for ever.
    pub fn left_over(&mut self) -> Option<(RefName, Oid)> {
        let old = |(reference, _): &&(RefName, Oid)| {
            self.own.reference.others().any(|other| other == *reference)
        };
        let (reference, tip) = *self.shown.iter().find(old)?;
        let is_held = |own: Oid| {
            self.store.descends_from(own, tip).unwrap_or(false) || self.went_on_from(tip)
        };
        let own = self.own.tip.filter(|_| !self.is_unsent())?;
        let asks = is_held(own) && self.asked_to_remove.replace(tip) != Some(tip);
        asks.then_some((reference, tip))
    }
}

/// Reads our ref under the name that the store has it by, whatever the host took when it was enabled: a
/// store that has both was stopped while it was renamed.
pub(super) fn load_own(
    store: &Store,
    vault: &Vault,
    reference: RefName,
) -> Result<Own, OutboundError> {
    let own = Own::load(store, vault, reference)?;
    let place = |own: &Own| own.head.as_ref().map(|(head, _)| (head.epoch, head.sequence));
    reference.others().try_fold(own, |own, other| {
        let other = Own::load(store, vault, other)?;
        Ok(if place(&other) > place(&own) { other } else { own })
    })
}
