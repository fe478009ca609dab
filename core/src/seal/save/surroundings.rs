//! What surrounded a save, in its record: what made it, variables of the environment that its user named, and lines
//! that they typed into the shell.
//!
//! They stand in fields of their own, which readers that know nothing of them pass over. What the conversation itself
//! tells (the version of Claude Code, the model) is not repeated here.

use crate::environment::{self, NAME_MAX, VALUE_MAX, Variables};
use crate::id::DeviceId;
use crate::seal::head::cut;
use crate::shell_history::{self, LINE_MAX, ShellLine, ShellLines};
use crate::wire::{Fields, WireError, Writer};

/// The longest version or name of a system in bytes; what is longer is cut.
const TEXT_MAX: usize = 64;

mod tag {
    pub(super) const MAKER: u8 = 17;
    pub(super) const ENVIRONMENT: u8 = 18;
    pub(super) const SHELL: u8 = 19;
    pub(super) const VARIABLE: u8 = 1;
    pub(super) const OF_DEVICE: u8 = 1;

    pub(super) mod maker {
        pub(in super::super) const CONVOSYNC: u8 = 1;
        pub(in super::super) const GIT: u8 = 2;
        pub(in super::super) const SYSTEM: u8 = 3;
    }

    pub(super) mod variable {
        pub(in super::super) const NAME: u8 = 1;
        pub(in super::super) const VALUE: u8 = 2;
    }

    pub(super) mod shell {
        pub(in super::super) const DEVICE: u8 = 1;
        pub(in super::super) const LINE: u8 = 2;
        pub(in super::super) const AT: u8 = 1;
        pub(in super::super) const TEXT: u8 = 2;
    }
}

/// What surrounded a save.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// What made it; not known of saves from before this was told.
    pub maker: Option<Maker>,
    /// Variables that travel with the session; absent where they are those of the save before.
    pub environment: Option<Variables>,
    /// Lines that were typed into the shell, and that no save before tells; a full one tells all.
    pub shell: ShellLines,
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
    let shell = (!surroundings.shell.is_empty()).then(|| write_shell(&surroundings.shell));
    record.optional(tag::SHELL, shell.as_deref());
}

pub(super) fn read(fields: &Fields<'_>) -> Result<Surroundings, WireError> {
    Ok(Surroundings {
        maker: fields.bytes(tag::MAKER)?.map(read_maker).transpose()?,
        environment: fields.bytes(tag::ENVIRONMENT)?.map(read_all).transpose()?,
        shell: fields.bytes(tag::SHELL)?.map(read_shell).transpose()?.unwrap_or_default(),
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

fn write_shell(lines: &ShellLines) -> Vec<u8> {
    let lines = shell_history::bounded(lines.iter().cloned());
    let mut devices: Vec<DeviceId> = lines.iter().map(|line| line.device).collect();
    devices.sort_unstable();
    devices.dedup();
    let mut record = Writer::new();
    for device in devices {
        let mut of_device = Writer::new();
        of_device.bytes(tag::shell::DEVICE, &device.0);
        for line in lines.iter().filter(|line| line.device == device) {
            let mut one = Writer::new();
            one.time(tag::shell::AT, Some(line.at_ms)).text(tag::shell::TEXT, &line.text);
            of_device.bytes(tag::shell::LINE, &one.finish());
        }
        record.bytes(tag::OF_DEVICE, &of_device.finish());
    }
    record.finish()
}

/// As with variables, what is refused now is passed over.
fn read_shell(bytes: &[u8]) -> Result<ShellLines, WireError> {
    let mut lines = Vec::new();
    for of_device in Fields::parse(bytes)?.all(tag::OF_DEVICE) {
        let fields = Fields::parse(of_device)?;
        let device = DeviceId(fields.required(tag::shell::DEVICE)?);
        for line in fields.all(tag::shell::LINE) {
            let line = Fields::parse(line)?;
            let at_ms = line.time(tag::shell::AT)?.ok_or(WireError::Missing(tag::shell::AT))?;
            let text = line.text(tag::shell::TEXT, LINE_MAX)?.unwrap_or_default();
            lines.push(ShellLine { at_ms, device, text });
        }
    }
    Ok(shell_history::bounded(lines))
}
