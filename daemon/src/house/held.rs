//! Saves that stay on this device because the user said so. The word outlives the daemon: it stands as a
//! file beside the store.

use std::path::PathBuf;

use convosync_core::disk::{self, DiskError};

use super::{House, Place};
use crate::engine::Event;

/// The file that says it.
const FILE: &str = "held";
/// What a person reads in it.
const TEXT: &[u8] =
    b"`convosyncctl save --no-push` was here: nothing is pushed until `convosyncctl sync`\n";

impl Place {
    fn held_file(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    /// Whether nothing may be pushed. A file that cannot be looked for counts as there.
    pub fn is_held(&self) -> bool {
        self.held_file().try_exists().unwrap_or(true)
    }
}

impl House {
    /// Keeps everything of a store on this device from now on; when it returns, no push begins any more.
    ///
    /// # Errors
    /// [`DiskError`] when that cannot be written down.
    pub fn hold(&self, place: &Place) -> Result<(), DiskError> {
        disk::write_atomic(&place.held_file(), TEXT)?;
        self.report(Event::Held(place.key, true));
        Ok(())
    }

    /// Lets everything of a store be pushed again.
    ///
    /// # Errors
    /// [`DiskError`] when that cannot be written down.
    pub fn release(&self, place: &Place) -> Result<(), DiskError> {
        if place.is_held() {
            disk::remove_file(&place.held_file())?;
            self.report(Event::Held(place.key, false));
        }
        Ok(())
    }
}
