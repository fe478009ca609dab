//! What surrounded a save, in its record: what made it.
//!
//! It stands in a field of its own, which readers that know nothing of it pass over. What the conversation itself
//! tells (the version of Claude Code, the model) is not repeated here.

use crate::seal::head::cut;
use crate::wire::{Fields, WireError, Writer};

/// The longest version or name of a system in bytes; what is longer is cut.
const TEXT_MAX: usize = 64;

mod tag {
    pub(super) const MAKER: u8 = 17;

    pub(super) mod maker {
        pub(in super::super) const CONVOSYNC: u8 = 1;
        pub(in super::super) const GIT: u8 = 2;
        pub(in super::super) const SYSTEM: u8 = 3;
    }
}

/// What surrounded a save.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// What made it; not known of saves from before this was told.
    pub maker: Option<Maker>,
}

/// The programs that made a save, and where they ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maker {
    /// The version of ConvoSync.
    pub convosync: String,
    /// The version of git.
    pub git: String,
    /// The operating system and the processor's kind.
    pub system: String,
}

pub(super) fn write(record: &mut Writer, surroundings: &Surroundings) {
    record.optional(tag::MAKER, surroundings.maker.as_ref().map(write_maker).as_deref());
}

pub(super) fn read(fields: &Fields<'_>) -> Result<Surroundings, WireError> {
    Ok(Surroundings { maker: fields.bytes(tag::MAKER)?.map(read_maker).transpose()? })
}

fn write_maker(maker: &Maker) -> Vec<u8> {
    let mut record = Writer::new();
    record
        .text(tag::maker::CONVOSYNC, cut(&maker.convosync, TEXT_MAX))
        .text(tag::maker::GIT, cut(&maker.git, TEXT_MAX))
        .text(tag::maker::SYSTEM, cut(&maker.system, TEXT_MAX));
    record.finish()
}

fn read_maker(bytes: &[u8]) -> Result<Maker, WireError> {
    let fields = Fields::parse(bytes)?;
    let text = |tag| Ok(fields.text(tag, TEXT_MAX)?.unwrap_or_default());
    Ok(Maker {
        convosync: text(tag::maker::CONVOSYNC)?,
        git: text(tag::maker::GIT)?,
        system: text(tag::maker::SYSTEM)?,
    })
}
