//! What surrounds a save on this device.

use std::env::consts;

use convosync_core::environment::Variables;
use convosync_core::seal::{Maker, Surroundings};
use convosync_core::shell_history::{self, Typed};

use crate::house::House;

/// What a save that is made now tells: the programs that make it, and the variables and lines of the shell that the
/// user sent along.
pub fn now(house: &House, environment: Option<Variables>, typed: &[Typed]) -> Surroundings {
    let maker = Maker {
        convosync: env!("CARGO_PKG_VERSION").to_owned(),
        git: house.git.version().to_string(),
        system: format!("{} {}", consts::OS, consts::ARCH),
    };
    let vault = house.vault().filter(|_| !typed.is_empty());
    let shell = vault.map(|vault| shell_history::taken(typed, vault.device())).unwrap_or_default();
    Surroundings { maker: Some(maker), environment, shell }
}
