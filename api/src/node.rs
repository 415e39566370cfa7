//! A node: the log, the keys, the view and the writers, put together.

mod backend;
mod birth;
pub(crate) mod checkpointer;
mod engine;
mod epochs;
mod error;
mod life;
mod progress;
mod stores;
mod tasks;
mod upkeep;

use std::sync::Arc;

use billfold_core::{entropy::Entropy as _, id::ProcessId, keys::manager};
use billfold_projector::{
    Keychain, Tree, audit,
    keychain::{self, Progress},
    tree::{Held, Kept},
};
use billfold_streams::{
    clock::{Clock, System},
    custody,
    custody::Custody,
    entropy::Os,
    recorder,
    rewrapper::Rewrapper,
    sweeper::Sweeper,
};
use tokio_util::task::AbortOnDropHandle;

pub use backend::Backend;
pub use birth::{Born, create, new_token};
pub use error::Error;
pub use life::{Life, lock};
pub use progress::for_terminal;

use self::{
    checkpointer::{Notary, Often},
    engine::Engine,
    tasks::Tasks,
};
use crate::{
    config::Settings,
    seal::Managers,
    wallet::{self, Wallet},
};

/// A node that runs.
#[derive(Debug)]
pub struct Node {
    tasks: Tasks,
    engine: Engine,
    wallet: Arc<Wallet>,
    recording: AbortOnDropHandle<()>,
    audit: Arc<audit::Index>,
    tree: Arc<Tree>,
}

impl Node {
    /// Starts a node of a wallet that exists, and that its first key manager opens.
    ///
    /// # Errors
    /// When there is none, people open it, or any part does not come up.
    pub async fn open(
        settings: &Settings,
        backend: &Backend,
        progress: Box<dyn Progress>,
    ) -> Result<Self, Error> {
        let manager = managers(settings)?.first()?.ok_or(Error::OtherShares)?;
        let opened = Custody::open(backend.keys(), &*manager, new_process()).await;
        let custody = match opened {
            Err(custody::Error::NoWallet) => return Err(Error::NoWallet),
            other => Arc::new(other?),
        };
        Self::start(settings, backend, custody, progress).await
    }

    /// Starts a node of a wallet that exists, with its open keys.
    ///
    /// # Errors
    /// When there is none, or any part does not come up.
    pub async fn start(
        settings: &Settings,
        backend: &Backend,
        custody: Arc<Custody>,
        progress: Box<dyn Progress>,
    ) -> Result<Self, Error> {
        let engine = Engine::start(settings, backend, custody, progress).await?;
        let keychain = &engine.keychain;
        let root = keychain.view().root_token_mac();
        if root.map_err(keychain::Error::from)?.is_none() {
            return Err(Error::NoWallet);
        }
        let (log, generation) = (backend.log(), backend.generation());
        let clock: Arc<dyn Clock> = Arc::new(System);
        let (recorder, recording) = recorder::start(recorder::Parts {
            log: Arc::clone(&log),
            generation,
            custody: Arc::clone(keychain.custody()),
            clock: Arc::clone(&clock),
            patience: settings.patience(),
        });
        let recording = AbortOnDropHandle::new(recording);
        let mut tasks = Tasks::new(Arc::clone(keychain));
        tasks.spawn(
            "counting refusals again",
            upkeep::keep_counted(Arc::clone(keychain), recorder.clone()),
        );
        let audit = stores::open_audit(settings, keychain.custody()).await?;
        let tree = stores::open_tree(settings, backend, keychain.custody()).await?;
        let kept = stores::kept(settings);
        let later = checkpointer::check_kept(&kept, &tree, &*log, generation).await?;
        let notary = Arc::new(Notary::new(
            Arc::clone(&log),
            generation,
            Arc::clone(keychain),
            Arc::clone(&tree),
            clock,
        ));
        let wallet = Arc::new(
            Wallet::open(wallet::Parts {
                keychain: Arc::clone(keychain),
                committer: engine.committer.clone(),
                recorder,
                audit: Arc::clone(&audit),
                notary: Arc::clone(&notary),
                managers: managers(settings)?,
                patience: settings.patience(),
                rewrap_pace: settings.rewrap_pace(),
            })
            .await?,
        );
        wallet.confirm_generation().await?;
        let node = Self {
            tasks,
            engine,
            wallet,
            recording,
            audit,
            tree,
        };
        Ok(node.with_upkeep(settings, backend, notary, (kept, later)))
    }

    /// Begins what a node does by itself.
    fn with_upkeep(
        mut self,
        settings: &Settings,
        backend: &Backend,
        notary: Arc<Notary>,
        (kept, later): (Vec<Kept>, Vec<Held>),
    ) -> Self {
        let keychain = &self.engine.keychain;
        let custody = keychain.custody();
        let wallet = || Arc::downgrade(&self.wallet);
        let tasks = &mut self.tasks;
        let audit = Arc::clone(&self.audit);
        tasks.spawn(
            "the audit index",
            upkeep::keep_audit(
                audit,
                Arc::clone(&self.tree),
                backend.log(),
                backend.generation(),
                Arc::clone(keychain),
            ),
        );
        let sweeper = Arc::new(Sweeper::new(
            Arc::clone(custody),
            Arc::clone(keychain),
            self.engine.committer.clone(),
        ));
        let rewrapper = Rewrapper::new(Arc::clone(&sweeper), settings.rewrap_pace());
        tasks.spawn("the rewrapper", rewrapper.run());
        tasks.spawn("the sweeper", async move { sweeper.run().await });
        let often = Often {
            commits: settings.checkpoint_commits.get(),
            seconds: settings.checkpoint_seconds.get(),
        };
        tasks.spawn(
            "making checkpoints",
            checkpointer::keep_attested(notary, often),
        );
        let keeping =
            checkpointer::keep_kept(kept, later, Arc::clone(&self.tree), Arc::clone(keychain));
        tasks.spawn("keeping checkpoints", keeping);
        tasks.spawn("tidying", upkeep::keep_tidy(wallet()));
        let resealing = upkeep::keep_resealed(wallet(), Arc::clone(custody));
        tasks.spawn("sealing anew", resealing);
        let roller = epochs::Roller::new(settings);
        tasks.spawn("the epochs", epochs::keep_rolling(wallet(), roller));
        let granting = epochs::keep_granted(wallet(), Arc::clone(custody));
        tasks.spawn("the auditors' grants", granting);
        self
    }

    /// The use cases.
    #[must_use]
    pub const fn wallet(&self) -> &Arc<Wallet> {
        &self.wallet
    }

    /// The view.
    #[must_use]
    pub const fn keychain(&self) -> &Arc<Keychain> {
        &self.engine.keychain
    }

    /// Lets what is under way come to its end, and puts the view on disk. No request may be open.
    pub async fn stop(self) {
        self.tasks.stop().await;
        if let Err(error) = self.audit.flush() {
            tracing::warn!(%error, "the audit index is not on disk; the next start catches up");
        }
        if let Err(error) = self.tree.flush() {
            tracing::warn!(%error, "the tree is not on disk; the next start catches up");
        }
        // The last handles go with the wallet: then both writers end by themselves.
        drop(self.wallet);
        let _ = self.recording.await;
        self.engine.stop().await;
    }
}

/// The key managers that the settings name.
pub(crate) fn managers(settings: &Settings) -> Result<Managers, Error> {
    let managers = Managers::of(settings);
    managers.map_err(|error| manager::Error::Configuration(error.to_string()).into())
}

pub(crate) fn new_process() -> ProcessId {
    ProcessId::from_bytes(Os::new().bytes())
}
