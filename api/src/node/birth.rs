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
    id::{MountId, PrincipalId, TokenId},
    names::MountNames,
};
use billfold_projector::keychain::Progress;
use billfold_streams::{committer, custody::Custody, entropy::Os};
use zeroize::Zeroizing;

use super::{Backend, Engine, Error, key_manager, new_process};
use crate::config::Settings;

/// What came of creating a wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Born {
    /// It is there now, with the token.
    Now,
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
/// stored are used, and the wallet exists once its first commit is in the log.
///
/// # Errors
/// When keys or log cannot be written, or belong to another key manager.
pub async fn create(
    settings: &Settings,
    backend: &Backend,
    token: &str,
    progress: Box<dyn Progress>,
) -> Result<Born, Error> {
    let manager = key_manager(settings)?;
    let custody = Arc::new(Custody::found(backend.keys(), &*manager, new_process()).await?);
    let engine = Engine::start(settings, backend, Arc::clone(&custody), progress).await?;
    let command = first_command(&custody, token)?;
    let born = match engine.committer.submit(command).await {
        Ok(_) => Ok(Born::Now),
        Err(committer::Error::Refused(Refusal::WalletExists)) => Ok(Born::Before),
        Err(error) => Err(error.into()),
    };
    engine.stop().await;
    born
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
