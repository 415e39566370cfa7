//! What a node does by itself, beside checkpoints and epochs.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use billfold_core::subject::Generation;
use billfold_projector::{Keychain, Tree, audit, tree, view};
use billfold_streams::{EventLog, custody::Custody, log, recorder};

use crate::wallet::Wallet;

/// Clears away tokens that have ended, tells of a new unseal generation that was not told of, and
/// rotates when the policy wants it, now and then. Whichever node comes first does it.
pub(super) async fn keep_tidy(wallet: Weak<Wallet>) {
    const PAUSE: Duration = Duration::from_secs(60);
    while let Some(wallet) = wallet.upgrade() {
        if let Err(error) = wallet.clear_tokens().await {
            tracing::debug!(%error, "tokens that have ended are cleared away later");
        }
        if let Err(error) = wallet.confirm_generation().await {
            tracing::debug!(%error, "the unseal generation is looked at again later");
        }
        if let Err(error) = wallet.rotate_if_due().await {
            tracing::warn!(%error, "the KEK could not be rotated; trying again");
        }
        drop(wallet);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Seals anew what is under keys that may be known to others, after each rotation that says so.
pub(super) async fn keep_resealed(wallet: Weak<Wallet>, custody: Arc<Custody>) {
    const PAUSE: Duration = Duration::from_secs(2);
    loop {
        let current = custody.current_kek();
        let Some(open) = wallet.upgrade() else {
            return;
        };
        let resealed = open.reseal().await;
        drop(open);
        match resealed {
            Ok(true) => custody.rotated(current).await,
            // What was decided on may have changed meanwhile: it is looked at once more.
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "exposed secrets could not be sealed anew; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Counts refusals again whose record came behind the end of its epoch.
pub(super) async fn keep_counted(keychain: Arc<Keychain>, recorder: recorder::Handle) {
    loop {
        for refused in keychain.voided().await {
            recorder.again(&refused);
        }
    }
}

/// Follows the log for the audit index. What it finds broken, no other part may go on serving.
pub(super) async fn keep_audit(
    audit: Arc<audit::Index>,
    tree: Arc<Tree>,
    log: Arc<dyn EventLog>,
    generation: Generation,
    keychain: Arc<Keychain>,
) {
    /// Before it goes on after something failed: a disk that was full may have room again.
    const PAUSE: Duration = Duration::from_secs(2);
    loop {
        let followed = audit::follow(
            Arc::clone(&audit),
            Arc::clone(&tree),
            Arc::clone(&log),
            generation,
            Arc::clone(keychain.custody()),
            Arc::clone(keychain.view()),
        );
        let Err(error) = followed.await;
        match error {
            audit::Error::Broken(_)
            | audit::Error::Evidence { .. }
            | audit::Error::Log(log::Error::Damaged { .. })
            | audit::Error::Tree(
                tree::Error::Broken(_)
                | tree::Error::Evidence(_)
                | tree::Error::Log(log::Error::Damaged { .. }),
            ) => return keychain.stop(error.to_string()),
            audit::Error::Index(view::Error::Unusable(_)) => {
                audit.condemn();
                tracing::error!(%error, "the audit index is not kept until the next start");
                return;
            }
            error => tracing::error!(%error, "the audit index cannot go on; trying again"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
