//! Locks of restores that were interrupted, and whose records are gone, or are not.

use convosync_core::checkout::{self, CheckoutError, Refusal};
use convosync_tests::files;

use super::look::look;
use super::losses::interrupted;
use super::trip::Device;

/// Its lock was taken for that of one that had not begun, and went without a word.
#[test]
fn the_lock_of_half_a_restore_whose_record_is_gone_goes_only_when_the_user_says_so() {
    let (place, _) = interrupted();
    let (a, b) = (Device::new(&place, "a"), Device::new(&place, "b"));
    let opened = a.save(&place.path("log-again"));
    files::remove_tree(&b.records);
    let half = look(&place, "b");
    for refused in [b.undo(), b.restore(&opened, true)] {
        let Err(CheckoutError::Refused(refusal)) = refused else { panic!("{refused:?}") };
        assert!(matches!(refusal, Refusal::RecordGone { .. }), "{refusal:?}");
        assert!(refusal.hint().unwrap().contains("undo --force"));
    }
    assert!(place.path("b/.git/index.lock").exists());

    assert!(checkout::forsake(b.place()).unwrap().forsaken);

    assert!(!place.path("b/.git/index.lock").exists());
    assert_eq!(look(&place, "b"), half);
    let again = checkout::forsake(b.place());
    assert!(matches!(again, Err(CheckoutError::Refused(Refusal::NothingToUndo))), "{again:?}");
    b.restore(&opened, true).unwrap();
    b.undo().unwrap();
    assert_eq!(look(&place, "b"), half);
}

/// A record that can be had is worth more than a free lock.
#[test]
fn force_does_not_free_the_lock_of_a_restore_that_can_be_ended() {
    let (place, before) = interrupted();
    let b = Device::new(&place, "b");
    let forsaken = checkout::forsake(b.place());
    assert!(matches!(forsaken, Err(CheckoutError::Refused(Refusal::NothingToUndo))));
    b.undo().unwrap();
    assert_eq!(look(&place, "b"), before);
}
