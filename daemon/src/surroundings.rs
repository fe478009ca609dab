//! What surrounds a save on this device.

use std::env::consts;

use convosync_core::environment::Variables;
use convosync_core::seal::{Maker, Surroundings};

use crate::house::House;

/// What a save that is made now tells: the programs that make it, and the variables that the user sent along.
pub fn now(house: &House, environment: Option<Variables>) -> Surroundings {
    let maker = Maker {
        convosync: env!("CARGO_PKG_VERSION").to_owned(),
        git: house.git.version().to_string(),
        system: format!("{} {}", consts::OS, consts::ARCH),
    };
    Surroundings { maker: Some(maker), environment }
}
