//! `init`: this device's keys, the recovery phrase, and the current project.

use std::path::{Path, PathBuf};

use convosync_core::disk;
use convosync_core::id::{Random, SystemRandom};
use convosync_core::protocol::{EnableReply, ErrorKind, Failure, Init, InitReply, Request};
use convosync_core::seal::Phrase;
use serde::Serialize;

use super::enable::{self, FirstEnable};
use crate::args::{self, Device, Kind};
use crate::ask::{self, AskError};
use crate::call::Call;
use crate::env::Env;
use crate::error::CtlError;
use crate::exit::ExitCode;
use crate::print::Frame;
use crate::socket::SocketError;

/// How many words of the phrase are asked back.
const CONFIRMED_WORDS: usize = 2;

/// Where `--yes` puts the phrase, below the home folder.
const PHRASE_FILE: &str = "convosync-recovery-phrase.txt";

/// What `init --json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    init: &'a InitReply,
    phrase_file: Option<&'a Path>,
    enable: Option<&'a EnableReply>,
    problem: Option<String>,
}

/// Sets this device up.
pub(crate) fn run(call: &mut Call<'_>, args: &args::Init) -> Result<ExitCode, CtlError> {
    refuse_initialised(call)?;
    if !args.yes && !call.is_interactive() {
        let instead = "run it in a terminal, or with --yes, which writes the phrase to a file";
        return Err(AskError::NoTerminal { what: "the recovery phrase", instead }.into());
    }
    let (name, kind) = name_device(call, &args.device, args.yes)?;
    let phrase = Phrase::create(&mut SystemRandom);
    let words = phrase.words();
    let file = match args.yes {
        true => Some(write_phrase(call, args.phrase_file.as_deref(), &words)?),
        false => confirm_phrase(call, &words).map(|()| None)?,
    };
    let request = Init { name, kind: kind.word().to_owned(), phrase: words.join(" ") };
    let reply: InitReply = match call.ask(Request::Init(request)) {
        Ok(reply) => reply,
        Err(error) => {
            forget_phrase(file.as_deref(), &error);
            return Err(error);
        }
    };
    let may_ask = call.is_interactive() && !args.yes;
    let enabled = FirstEnable::try_now(call, args.all, may_ask);
    report(call, &reply, file.as_deref(), &enabled)?;
    Ok(enabled.outcome())
}

/// Refuses to make keys where there are some, before anything is asked.
pub(crate) fn refuse_initialised(call: &mut Call<'_>) -> Result<(), CtlError> {
    if !call.hello()?.initialised {
        return Ok(());
    }
    let failure = Failure::new(ErrorKind::AlreadyInitialised, "this device has keys already")
        .with_hint("`convosyncctl enable` adds this project; `convosyncctl status` shows the rest");
    Err(SocketError::Failed(failure).into())
}

/// Settles name and kind of this device: as typed, else as answered, else as guessed.
pub(crate) fn name_device(
    call: &Call<'_>,
    typed: &Device,
    yes: bool,
) -> Result<(String, Kind), CtlError> {
    let ask = !yes && call.is_interactive();
    let guess = || gethostname::gethostname().to_string_lossy().into_owned();
    let name = match &typed.name {
        Some(name) => name.clone(),
        None if ask => ask::text("What is this device called?", &guess())?,
        None => guess(),
    };
    let kind = match typed.kind {
        Some(kind) => kind,
        None if ask => ask::kind(guess_kind(call.env))?,
        None => guess_kind(call.env),
    };
    Ok((name, kind))
}

/// Guesses what this device is: Termux runs on phones, batteries are in laptops.
fn guess_kind(env: &Env) -> Kind {
    let is_termux = env.get("TERMUX_VERSION").is_some();
    let has_battery = || {
        let supplies = std::fs::read_dir("/sys/class/power_supply").into_iter().flatten().flatten();
        supplies.into_iter().any(|entry| entry.file_name().as_encoded_bytes().starts_with(b"BAT"))
    };
    if is_termux {
        Kind::Phone
    } else if has_battery() {
        Kind::Laptop
    } else {
        Kind::Desktop
    }
}

/// Shows the phrase and has two of its words typed back.
fn confirm_phrase(call: &mut Call<'_>, words: &[&str]) -> Result<(), CtlError> {
    let mut frame = Frame::new("RECOVERY PHRASE")
        .line("Write these 24 words on paper. They bring your sessions back when")
        .line("every device is lost; whoever has them can read everything.")
        .line("");
    for (row, chunk) in words.chunks(4).enumerate() {
        let row: Vec<_> = chunk
            .iter()
            .enumerate()
            .map(|(column, word)| format!("{:>2} {word:<9}", row * 4 + column + 1))
            .collect();
        frame = frame.line(row.join(" ").trim_end());
    }
    call.print.frame(&frame)?;
    for index in pick_words(words.len(), &mut SystemRandom) {
        ask::word(index + 1, words[index])?;
    }
    Ok(())
}

/// Picks which words are asked back, in ascending order.
fn pick_words(words: usize, random: &mut impl Random) -> Vec<usize> {
    let mut picked = Vec::new();
    while picked.len() < CONFIRMED_WORDS.min(words) {
        let [byte] = random.bytes();
        let index = usize::from(byte) % words;
        if !picked.contains(&index) {
            picked.push(index);
        }
    }
    picked.sort_unstable();
    picked
}

fn write_phrase(
    call: &Call<'_>,
    typed: Option<&Path>,
    words: &[&str],
) -> Result<PathBuf, CtlError> {
    let path = match typed {
        Some(path) => call.resolve(path),
        None => at_home(call, PHRASE_FILE)?,
    };
    disk::create_new(&path, format!("{}\n", words.join(" ")).as_bytes())?;
    Ok(path)
}

/// Returns the path of a file that the user should notice and take away.
pub(crate) fn at_home(call: &Call<'_>, name: &str) -> Result<PathBuf, CtlError> {
    let folder = call.env.get("CONVOSYNC_HOME").map(PathBuf::from).or_else(|| call.env.home());
    folder.map(|folder| folder.join(name)).ok_or_else(|| {
        CtlError::refused(
            ExitCode::Usage,
            "there is no home folder to write to",
            "name a file, or set HOME",
        )
    })
}

/// Removes a phrase that belongs to no keys. When the answer never came, the keys may exist: it stays.
fn forget_phrase(file: Option<&Path>, error: &CtlError) {
    if let (Some(file), Some(_)) = (file, error.failure()) {
        // The file is useless then, not harmful: failing to remove it must not hide the real error.
        disk::remove_file(file).ok();
    }
}

fn report(
    call: &mut Call<'_>,
    reply: &InitReply,
    file: Option<&Path>,
    enabled: &FirstEnable,
) -> Result<(), CtlError> {
    if call.print.json {
        let problem = enabled.problem().map(CtlError::message);
        let answer = Answer { init: reply, phrase_file: file, enable: enabled.reply(), problem };
        return Ok(call.print.answer(&answer)?);
    }
    call.print.done(&format!("this device has keys now, in {}", reply.keys.display()))?;
    if let Some(file) = file {
        call.print.done(&format!("the recovery phrase is in {}", file.display()))?;
        call.print.note("move that file to a safe place off this device", None)?;
    }
    enabled.print(&mut call.print)?;
    match enabled.reply() {
        Some(reply) => enable::next(&mut call.print, reply),
        None => Ok(call.print.next("go to a project with a git remote: convosyncctl enable")?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use convosync_core::id::SeededRandom;

    #[test]
    fn two_different_words_are_asked_back() {
        for seed in 0..50 {
            let picked = pick_words(24, &mut SeededRandom::new(seed));
            assert!(picked[0] < picked[1] && picked[1] < 24, "{picked:?}");
        }
    }
}
