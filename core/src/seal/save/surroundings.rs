//! What surrounded a save, in its record: what made it, and variables of the environment that its user named.
//!
//! They stand in fields of their own, which readers that know nothing of them pass over. What the conversation itself
//! tells (the version of Claude Code, the model) is not repeated here.

use crate::environment::{self, NAME_MAX, VALUE_MAX, Variables};
use crate::seal::head::cut;
use crate::wire::{Fields, WireError, Writer};

/// The longest version or name of a system in bytes; what is longer is cut.
const TEXT_MAX: usize = 64;

mod tag {
    pub(super) const MAKER: u8 = 17;
    pub(super) const ENVIRONMENT: u8 = 18;
    pub(super) const VARIABLE: u8 = 1;

    pub(super) mod maker {
        pub(in super::super) const CONVOSYNC: u8 = 1;
        pub(in super::super) const GIT: u8 = 2;
        pub(in super::super) const SYSTEM: u8 = 3;
    }

    pub(super) mod variable {
        pub(in super::super) const NAME: u8 = 1;
        pub(in super::super) const VALUE: u8 = 2;
    }
}

/// What surrounded a save.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// What made it; not known of saves from before this was told.
    pub maker: Option<Maker>,
    /// Variables that travel with the session; absent where they are those of the save before.
    pub environment: Option<Variables>,
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
    record.optional(tag::ENVIRONMENT, surroundings.environment.as_ref().map(write_all).as_deref());
}

pub(super) fn read(fields: &Fields<'_>) -> Result<Surroundings, WireError> {
    Ok(Surroundings {
        maker: fields.bytes(tag::MAKER)?.map(read_maker).transpose()?,
        environment: fields.bytes(tag::ENVIRONMENT)?.map(read_all).transpose()?,
    })
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

fn write_all(variables: &Variables) -> Vec<u8> {
    let mut record = Writer::new();
    for (name, value) in environment::bounded(variables.clone()) {
        let mut variable = Writer::new();
        variable.text(tag::variable::NAME, &name).text(tag::variable::VALUE, &value);
        record.bytes(tag::VARIABLE, &variable.finish());
    }
    record.finish()
}

/// What is refused now is passed over: whoever wrote it may have known less, or more.
fn read_all(bytes: &[u8]) -> Result<Variables, WireError> {
    let fields = Fields::parse(bytes)?;
    let read = |bytes: &[u8]| {
        let fields = Fields::parse(bytes)?;
        let name = fields.text(tag::variable::NAME, NAME_MAX)?;
        let value = fields.text(tag::variable::VALUE, VALUE_MAX)?;
        let name = name.ok_or(WireError::Missing(tag::variable::NAME))?;
        Ok((name, value.unwrap_or_default()))
    };
    let variables: Result<_, WireError> = fields.all(tag::VARIABLE).map(read).collect();
    variables.map(environment::bounded)
}
