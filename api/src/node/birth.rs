//! How a wallet begins.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use billfold_core::{
    command::{Action, Command, NewMount, NewWallet},
    decide::Refusal,
    entropy::Entropy as _,
    event::{
        Actor,
        v1::{MountKind, Settings as MountSettings},
    },
    id::{MountId, PrincipalId, Seq, TokenId},
    keys::{
        manager::{self, GenerationId},
        recovery::Recovery,
        share::{Counts, Purpose, Set, Share},
    },
    names::MountNames,
};
use billfold_projector::keychain::Progress;
use billfold_streams::{
    committer,
    custody::{self, Custody},
    entropy::Os,
    keys::{Revision, Slot},
    log::{self, Filter},
};
use billfold_upstreams::{Shamir, shamir::recovery_shares};
use bytes::Bytes;
use zeroize::Zeroizing;

use super::{Backend, Engine, Error, managers, new_process, stores};
use crate::{
    config::Settings,
    seal::{Known, NewShares},
};

/// What came of creating a wallet.
#[derive(Debug)]
pub enum Born {
    /// It is there now, with the token.
    Now {
        /// Its shares, as they are handed out.
        shares: Vec<Zeroizing<Vec<u8>>>,
        /// The key that signs its checkpoints, as others check it.
        checkpoint_key: String,
    },
    /// It was there before, and is as it was.
    Before,
}

/// A new token: 192 random bits.
#[must_use]
pub fn new_token() -> Zeroizing<String> {
    let bytes: Zeroizing<[u8; 24]> = Zeroizing::new(Os::new().bytes());
    Zeroizing::new(format!("hvs.{}", BASE64_URL_SAFE_NO_PAD.encode(*bytes)))
}

/// Creates the wallet on a log that has none. Interrupted, it can be called again: keys that were
/// stored are used, and the wallet exists once its first commit is in the log. Only keys under shares
/// cannot be used again: nobody has the shares.
///
/// # Errors
/// When keys or log cannot be written, or belong to another key manager.
pub async fn create(
    settings: &Settings,
    backend: &Backend,
    token: &str,
    wanted: NewShares,
    progress: Box<dyn Progress>,
) -> Result<Born, Error> {
    let manager = managers(settings)?.first()?;
    let store = backend.keys();
    refuse_half(settings, backend).await?;
    let (custody, shamir) = match (&manager, wanted) {
        (None, NewShares::Unseal(_)) if exists(backend).await? => return Ok(Born::Before),
        (None, NewShares::Unseal(counts)) => {
            let shamir = Shamir::generate(counts, &mut Os::new());
            let found = Custody::found(store, &shamir, new_process()).await;
            let custody = found.map_err(|error| match error {
                custody::Error::Manager(manager::Error::WrongKey(_)) => Error::Interrupted,
                other => other.into(),
            });
            (custody?, Some(shamir))
        }
        (Some(manager), NewShares::Recovery(_)) => {
            let custody = Custody::found(store, &**manager, new_process()).await?;
            (custody, None)
        }
        _ => return Err(Error::OtherShares),
    };
    let custody = Arc::new(custody);
    let engine = Engine::start(settings, backend, Arc::clone(&custody), progress).await?;
    let command = first_command(&custody, token)?;
    let born = match engine.committer.submit(command).await {
        Ok(_) => Ok(true),
        Err(committer::Error::Refused(Refusal::WalletExists)) => Ok(false),
        Err(error) => Err(Error::from(error)),
    };
    engine.stop().await;
    if !born? {
        return Ok(Born::Before);
    }
    let shares = match (shamir, wanted) {
        (Some(shamir), _) => shamir.shares(first_generation(&custody), &mut Os::new()),
        // Only now: the shares of a wallet that was there before must stay good.
        (None, NewShares::Recovery(Some(counts))) => new_recovery(&custody, counts).await?,
        (None, _) => Vec::new(),
    };
    let signer = custody.checkpoint_signer(backend.generation(), None);
    let checkpoint_key = signer.ok_or(custody::Error::OtherCheckpointKey)?.verifier();
    Ok(Born::Now {
        shares: shares.iter().map(Share::encode).collect(),
        checkpoint_key: checkpoint_key.to_string(),
    })
}

/// Refuses to begin a wallet beside what is left of one: the log that is missing would be begun
/// anew under the same keys, and two logs would be signed by one checkpoint key.
pub(super) async fn refuse_half(settings: &Settings, backend: &Backend) -> Result<(), Error> {
    let has_keys = Known::read(&*backend.keys()).await?.is_some();
    let has_log = exists(backend).await?;
    // A creation that was interrupted leaves keys, and no checkpoint yet.
    let had_log = || {
        let kept = stores::kept(settings);
        kept.iter().any(|kept| {
            let path = kept.path();
            path.is_file() || path.join("latest").is_file()
        })
    };
    match (has_keys, has_log) {
        (false, true) => Err(Error::LostKeys),
        (_, false) if had_log() => Err(Error::LostLog),
        _ => Ok(()),
    }
}

/// Whether the log has a wallet.
pub(super) async fn exists(backend: &Backend) -> Result<bool, log::Error> {
    let decided = Filter::Decided(backend.generation());
    Ok(backend.log().head(decided).await? > Seq::ZERO)
}

fn first_generation(custody: &Custody) -> GenerationId {
    GenerationId {
        wallet: custody.wallet(),
        number: 1,
    }
}

/// Makes a recovery key in the place of the one there may be, and gives its shares.
async fn new_recovery(custody: &Custody, counts: Counts) -> Result<Vec<Share>, Error> {
    let (store, wallet) = (custody.store(), custody.wallet());
    let stored = store.read(Slot::Recovery).await?;
    let revision = stored.map_or(Revision::NONE, |stored| stored.revision);
    let number = 1;
    let (key, kept) = {
        let macs = &custody.keys().token_mac;
        Recovery::create(wallet, number, counts, macs, &mut Os::new())
    };
    let kept = Bytes::from(kept.encode());
    store.write(Slot::Recovery, revision, kept).await?;
    let set = Set::of(Purpose::Recovery, wallet, number);
    Ok(recovery_shares(&key, set, counts, &mut Os::new()))
}

fn first_command(custody: &Custody, token: &str) -> Result<Command, Error> {
    let mut entropy = Os::new();
    let path = "secret/";
    let mount = NewMount {
        mount: MountId::from_bytes(entropy.bytes()),
        kind: MountKind::KvV2,
        path: vec![custody.keys().id.mount_path(path)],
        settings: MountSettings::default(),
        names: MountNames {
            path: path.to_owned(),
            description: "key/value secret storage".to_owned(),
        },
    };
    let action = Action::CreateWallet(NewWallet {
        wallet: custody.wallet(),
        root: PrincipalId::from_bytes(entropy.bytes()),
        root_token: TokenId::from_bytes(entropy.bytes()),
        root_token_mac: custody.keys().token_mac.mac(token.as_bytes()),
        kek: custody.kek(),
        mounts: vec![mount],
    });
    Ok(Command {
        id: None,
        actor: Actor::System,
        needs: Vec::new(),
        action,
    })
}
