//! `init`, `join --recover` and `key export`: the only requests that make or show keys.

use std::collections::BTreeMap;

use convosync_core::id::{SystemRandom, VaultId};
use convosync_core::project;
use convosync_core::protocol::{
    ErrorKind, Failure, Init, InitReply, KeyExportReply, Recover, RemoteStatus,
};
use convosync_core::remote::{Remote, TIP_DOWNLOAD_MAX};
use convosync_core::seal::{DeviceKind, Phrase, SealError, Sealed};
use convosync_core::store::{RefName, Store, Tip, Where};
use convosync_core::vault::{Recovered, Vault};

use super::{Clerk, status, step, vault};
use crate::clock::now_ms;
use crate::fail;
use crate::house::{self, Asker, House};
use crate::work;

/// How many vaults of one remote are tried: a team's shared repository may hold several.
const VAULTS_MAX: usize = 16;

pub(super) fn init(house: &House, init: &Init) -> Result<InitReply, Failure> {
    refuse_second(house)?;
    let (kind, phrase) = (kind(&init.kind)?, phrase(&init.phrase)?);
    let made = Vault::create(
        &house.paths.data_dir,
        &phrase,
        &init.name,
        kind,
        now_ms(),
        &mut SystemRandom,
    );
    let vault = made.map_err(|error| fail::vault(&error))?;
    Ok(introduce(house, vault))
}

fn introduce(house: &House, vault: Vault) -> InitReply {
    let vault = house.set_vault(vault);
    tracing::info!(vault = %vault.id(), device = %vault.device(), "this device has keys now");
    // What `store.remote` names can be read now.
    house.open_remotes();
    InitReply {
        vault: vault.id(),
        device: vault.device(),
        keys: house.paths.data_dir.clone(),
        remote: None,
    }
}

fn refuse_second(house: &House) -> Result<(), Failure> {
    match house.vault() {
        None => Ok(()),
        Some(_) => Err(Failure::new(ErrorKind::AlreadyInitialised, "this device has keys already")
            .with_hint("run `convosyncctl enable` in a project to have it saved")),
    }
}

fn kind(text: &str) -> Result<DeviceKind, Failure> {
    text.parse().map_err(|error| fail::failure(ErrorKind::BadRequest, &error, None))
}

fn phrase(text: &str) -> Result<Phrase, Failure> {
    Phrase::parse(text).map_err(|error| fail::failure(ErrorKind::WrongPhrase, &error, error.hint()))
}

pub(super) fn export(house: &House) -> Result<KeyExportReply, Failure> {
    vault(house)?;
    let text = Vault::export(&house.paths.data_dir).map_err(|error| fail::vault(&error))?;
    Ok(KeyExportReply { text: text.to_string() })
}

pub(super) fn recover(clerk: &Clerk<'_>, recover: &Recover) -> Result<InitReply, Failure> {
    let house = clerk.house;
    refuse_second(house)?;
    let (kind, phrase) = (kind(&recover.kind)?, phrase(&recover.phrase)?);
    step(clerk.tell, "looking for your vault on the remote");
    let (recovered, url) = find(house, recover, &phrase)?;
    let made = Vault::recover(
        &house.paths.data_dir,
        recovered,
        &recover.name,
        kind,
        now_ms(),
        &mut SystemRandom,
    );
    let vault = made.map_err(|error| fail::vault(&error))?;
    let reply = introduce(house, vault);
    Ok(InitReply { remote: Some(read_from(clerk, &url)), ..reply })
}

/// Reads from the remote that the user joined by from now on, and looks what lies there. The keys are made: what
/// fails here is told, and is no failure of the request.
fn read_from(clerk: &Clerk<'_>, url: &str) -> RemoteStatus {
    step(clerk.tell, "looking for your other devices' saves");
    let opened = clerk.house.read_from(url);
    let listed = opened.and_then(|place| {
        let listed = work::list(clerk.house, place.key, Asker::Person);
        listed.map(|_| status::remote(clerk.house, &place))
    });
    listed.unwrap_or_else(|failure| RemoteStatus {
        remote: convosync_core::remote::without_credentials(url),
        problem: Some(fail::problem_of(&failure, now_ms())),
        ..RemoteStatus::default()
    })
}

/// Looks through the vaults on the remote for a grant to the paper that the phrase stands for. Nothing is
/// written but what was downloaded. Returns the remote's address, too, as the user named it.
fn find(house: &House, recover: &Recover, phrase: &Phrase) -> Result<(Recovered, String), Failure> {
    let project =
        project::discover(&recover.directory, &house.git).map_err(|error| fail::project(&error))?;
    let configured = recover.remote.clone().or_else(|| house.config().store_remote.clone());
    // The user runs this in the repository, and types the phrase: nothing here happens by itself.
    let settings =
        project::settings(&project, &house.git).map_err(|error| fail::project(&error))?;
    let written_out = configured.map(|named| (settings.written_out(&named), named));
    let own = || project.push_url.clone().map(|url| (url.clone(), url));
    let (url, named) = written_out.or_else(own).ok_or_else(|| {
        Failure::new(
            ErrorKind::NoRemote,
            format!("`{}` has no remote to look for your vault on", recover.directory.display()),
        )
        .with_hint("name the remote that a project of yours is saved to: `--remote URL`")
    })?;
    if recover.remote.is_some() && project::normalise(&url).is_none() {
        return Err(no_address(&url));
    }
    let settings = settings.everything();
    let dir = house::store_dir(&house.paths.state_dir, Some(&url), &project.root);
    let store = Store::open(&dir).map_err(|error| fail::store(&error))?;
    let nobody = VaultId([0; VaultId::LEN]);
    let git = house.remote_git();
    let remote =
        Remote::new(&git, &store, &settings, &url, nobody).map_err(|error| fail::remote(&error))?;
    let _turn = house.line.turn(Asker::Person, None);
    let (refs, _) = remote.list_vaults().map_err(|error| fail::remote(&error))?;
    let mut vaults: BTreeMap<VaultId, Vec<RefName>> = BTreeMap::new();
    for (reference, _) in refs {
        vaults.entry(reference.vault).or_default().push(reference);
    }
    let mut trouble = None;
    for references in vaults.values().take(VAULTS_MAX) {
        match try_vault(&remote, &store, references, phrase) {
            Ok(Some(recovered)) => return Ok((recovered, named)),
            Ok(None) => {}
            Err(failure) => trouble = Some(failure),
        }
    }
    Err(trouble.unwrap_or_else(|| wrong_phrase(&url, vaults.len())))
}

fn no_address(url: &str) -> Failure {
    let shown = convosync_core::remote::without_credentials(url);
    Failure::new(ErrorKind::BadRequest, format!("`{shown}` is no address of a remote")).with_hint(
        "write all of it, as `git clone` takes it in any folder: `git@host:me/app.git`, or a URL",
    )
}

fn wrong_phrase(url: &str, vaults: usize) -> Failure {
    let shown = convosync_core::remote::without_credentials(url);
    let message = match vaults {
        0 => format!("there is no vault on {shown} yet"),
        _ => format!("this phrase opens none of the vaults on {shown}"),
    };
    Failure::new(ErrorKind::WrongPhrase, message)
        .with_hint("check the phrase, and that the other device has sent something (`convosyncctl status` there)")
}

fn try_vault(
    remote: &Remote<'_>,
    store: &Store,
    references: &[RefName],
    phrase: &Phrase,
) -> Result<Option<Recovered>, Failure> {
    remote.fetch_tips(references, TIP_DOWNLOAD_MAX).map_err(|error| fail::remote(&error))?;
    let mut best: Option<Recovered> = None;
    for reference in references {
        let Some(at) = store.seen_tip(reference).ok().flatten() else { continue };
        let Ok(tip) = store.read_tip(Where::Seen, at) else { continue };
        match open(&tip, phrase) {
            Ok(found)
                if best.as_ref().is_none_or(|best| best.roster.len() < found.roster.len()) =>
            {
                best = Some(found)
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, device = %reference.device, "a tip opens nothing")
            }
        }
    }
    Ok(best)
}

fn open(tip: &Tip, phrase: &Phrase) -> Result<Recovered, SealError> {
    let paper = Recovered::device(phrase);
    let (Some(grant), Some(roster)) = (tip.grants.get(&paper), &tip.roster) else {
        return Err(SealError::NotEnrolled(paper));
    };
    Recovered::open(phrase, grant, &Sealed::from_bytes(roster.clone())?)
}
