//! A node: the log, the keys, the view and the writers, put together.

mod backend;
mod birth;
pub(crate) mod checkpointer;
mod epochs;
mod life;
mod progress;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use billfold_core::{entropy::Entropy as _, id::ProcessId, keys::manager, subject::Generation};
use billfold_projector::{
    Keychain, Tree, audit,
    keychain::{self, Progress},
    tree::{self, Kept},
    view,
};
use billfold_streams::{
    EventLog,
    clock::{Clock, System},
    committer, custody,
    custody::Custody,
    entropy::Os,
    keys, log,
    pool::Pool,
    recorder,
    rewrapper::Rewrapper,
    sweeper::Sweeper,
};
use tokio::task::JoinHandle;

pub use backend::Backend;
pub use birth::{Born, create, new_token};
pub use life::{Life, lock};
pub use progress::for_terminal;

use self::checkpointer::{Notary, Often};
use crate::{
    config::Settings,
    seal::Managers,
    wallet::{self, Wallet},
};

/// Why a node did not come up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key manager's word.
    #[error(transparent)]
    Manager(#[from] manager::Error),
    /// The keys' word.
    #[error(transparent)]
    Custody(#[from] custody::Error),
    /// The view's word.
    #[error(transparent)]
    Keychain(#[from] keychain::Error),
    /// The audit index's word.
    #[error(transparent)]
    Audit(#[from] audit::Error),
    /// The tree's word.
    #[error(transparent)]
    Tree(#[from] tree::Error),
    /// The use cases' word.
    #[error(transparent)]
    Wallet(#[from] wallet::Error),
    /// The writers' word.
    #[error(transparent)]
    Commit(#[from] committer::Error),
    /// The file system's fault.
    #[error("the data folder {0} cannot be made: {1}")]
    DataDir(String, std::io::Error),
    /// The embedded log's word.
    #[error("the data folder {0}: {1}")]
    Embedded(String, billfold_streams::embedded::OpenError),
    /// The NATS server's word.
    #[error(transparent)]
    JetStream(#[from] billfold_streams::jetstream::ConnectError),
    /// There is a wallet already.
    #[error("there is a wallet on this log already; it is left as it is")]
    Exists,
    /// There is no wallet yet.
    #[error("there is no wallet on this log yet: run `billfold init`")]
    NoWallet,
    /// Shares were asked for that the key manager has none of.
    #[error("shamir has unseal shares, and every other key manager has recovery shares")]
    OtherShares,
    /// The key store's word.
    #[error(transparent)]
    Keys(#[from] keys::Error),
    /// The log's word.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// Keys are stored whose shares nobody has.
    #[error(
        "the creation of a wallet was interrupted here before its shares were handed out: \
         begin with an empty log and key store"
    )]
    Interrupted,
}

/// The engine of a node: what runs under the use cases.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) keychain: Arc<Keychain>,
    pub(crate) committer: committer::Handle,
    committing: JoinHandle<()>,
    following: JoinHandle<()>,
    filling: JoinHandle<()>,
    pool: Arc<Pool>,
}

/// A node that runs.
#[derive(Debug)]
pub struct Node {
    engine: Engine,
    wallet: Arc<Wallet>,
    recording: JoinHandle<()>,
    sweeping: JoinHandle<()>,
    rewrapping: JoinHandle<()>,
    auditing: JoinHandle<()>,
    tidying: JoinHandle<()>,
    resealing: JoinHandle<()>,
    attesting: JoinHandle<()>,
    keeping: JoinHandle<()>,
    rolling: JoinHandle<()>,
    granting: JoinHandle<()>,
    recounting: JoinHandle<()>,
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
        if engine
            .keychain
            .view()
            .root_token_mac()
            .map_err(keychain::Error::from)?
            .is_none()
        {
            return Err(Error::NoWallet);
        }
        let clock: Arc<dyn Clock> = Arc::new(System);
        let (recorder, recording) = recorder::start(recorder::Parts {
            log: backend.log(),
            generation: backend.generation(),
            custody: Arc::clone(engine.keychain.custody()),
            clock,
            patience: settings.patience(),
        });
        let sweeper = Arc::new(Sweeper::new(
            Arc::clone(engine.keychain.custody()),
            Arc::clone(&engine.keychain),
            engine.committer.clone(),
        ));
        let recounting = tokio::spawn(keep_counted(Arc::clone(&engine.keychain), recorder.clone()));
        let audit = open_audit(settings, engine.keychain.custody())?;
        let tree = open_tree(settings, backend, engine.keychain.custody())?;
        let kept = kept(settings);
        let (log, generation) = (backend.log(), backend.generation());
        let later = checkpointer::check_kept(&kept, &tree, &*log, generation).await?;
        let notary = Arc::new(Notary::new(
            log,
            generation,
            Arc::clone(&engine.keychain),
            Arc::clone(&tree),
            Arc::new(System),
        ));
        let wallet = Wallet::open(
            Arc::clone(&engine.keychain),
            engine.committer.clone(),
            recorder,
            Arc::clone(&audit),
            Arc::clone(&notary),
            managers(settings)?,
            settings.patience(),
            settings.rewrap_pace(),
        );
        let wallet = Arc::new(wallet.await?);
        wallet.confirm_generation().await?;
        let auditing = tokio::spawn(keep_audit(
            Arc::clone(&audit),
            Arc::clone(&tree),
            backend.log(),
            backend.generation(),
            Arc::clone(&engine.keychain),
        ));
        let rewrapper = Rewrapper::new(Arc::clone(&sweeper), settings.rewrap_pace());
        let rewrapping = tokio::spawn(rewrapper.run());
        let sweeping = tokio::spawn(async move { sweeper.run().await });
        let often = Often {
            commits: settings.checkpoint_commits.get(),
            seconds: settings.checkpoint_seconds.get(),
        };
        let attesting = tokio::spawn(checkpointer::keep_attested(notary, often));
        let keeping = tokio::spawn(checkpointer::keep_kept(
            kept,
            later,
            Arc::clone(&tree),
            Arc::clone(&engine.keychain),
        ));
        let tidying = tokio::spawn(keep_tidy(Arc::downgrade(&wallet)));
        let resealing = tokio::spawn(keep_resealed(
            Arc::downgrade(&wallet),
            Arc::clone(engine.keychain.custody()),
        ));
        let rolling = tokio::spawn(epochs::keep_rolling(
            Arc::downgrade(&wallet),
            epochs::Roller::new(settings),
        ));
        let granting = tokio::spawn(epochs::keep_granted(
            Arc::downgrade(&wallet),
            Arc::clone(engine.keychain.custody()),
        ));
        Ok(Self {
            engine,
            wallet,
            recording,
            sweeping,
            rewrapping,
            auditing,
            tidying,
            resealing,
            attesting,
            keeping,
            rolling,
            granting,
            recounting,
            audit,
            tree,
        })
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
        self.sweeping.abort();
        self.rewrapping.abort();
        self.auditing.abort();
        self.tidying.abort();
        self.resealing.abort();
        self.attesting.abort();
        self.keeping.abort();
        self.rolling.abort();
        self.granting.abort();
        self.recounting.abort();
        let _ = self.attesting.await;
        let _ = self.keeping.await;
        let _ = self.tidying.await;
        let _ = self.resealing.await;
        let _ = self.rolling.await;
        let _ = self.granting.await;
        let _ = self.recounting.await;
        let _ = self.sweeping.await;
        let _ = self.rewrapping.await;
        let _ = self.auditing.await;
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

impl Engine {
    pub(crate) async fn start(
        settings: &Settings,
        backend: &Backend,
        custody: Arc<Custody>,
        progress: Box<dyn Progress>,
    ) -> Result<Self, Error> {
        let clock: Arc<dyn Clock> = Arc::new(System);
        let (keychain, following) = Keychain::start(keychain::Parts {
            log: backend.log(),
            generation: backend.generation(),
            custody: Arc::clone(&custody),
            dir: settings.data_dir.join("view"),
            cache_bytes: settings.view_cache_mib << 20,
            progress,
        })
        .await?;
        let pool = Pool::new(Arc::clone(&custody), Arc::clone(&clock));
        let filling = tokio::spawn(Arc::clone(&pool).run());
        let (committer, committing) = committer::start(committer::Parts {
            log: backend.log(),
            generation: backend.generation(),
            courier: backend.courier(),
            custody,
            pool: Arc::clone(&pool),
            replica: Arc::clone(&keychain),
            clock,
            patience: settings.patience(),
        });
        Ok(Self {
            keychain,
            committer,
            committing,
            following,
            filling,
            pool,
        })
    }

    pub(crate) async fn stop(self) {
        let Self {
            keychain,
            committer,
            committing,
            following,
            filling,
            pool,
        } = self;
        drop(committer);
        let _ = committing.await;
        filling.abort();
        following.abort();
        let _ = filling.await;
        let _ = following.await;
        tracing::debug!(keys_ready = pool.ready(), "stopped");
        if let Err(error) = keychain.view().flush() {
            tracing::warn!(%error, "the view is not on disk; the next start catches up");
        }
    }
}

fn open_audit(settings: &Settings, custody: &Custody) -> Result<Arc<audit::Index>, Error> {
    /// The index is written in large batches and seldom read.
    const CACHE: u64 = 16 << 20;
    Ok(audit::open(
        &settings.data_dir.join("audit"),
        custody,
        CACHE,
    )?)
}

fn open_tree(
    settings: &Settings,
    backend: &Backend,
    custody: &Custody,
) -> Result<Arc<Tree>, Error> {
    /// Proofs read a few tiles each.
    const CACHE: u64 = 16 << 20;
    Ok(tree::open(
        &settings.data_dir.join("tree"),
        custody,
        backend.generation(),
        CACHE,
    )?)
}

/// Where checkpoints are kept outside the log: beside the views, and where the operator says.
fn kept(settings: &Settings) -> Vec<Kept> {
    let beside = settings.data_dir.join("checkpoint");
    let elsewhere = settings.checkpoint_file.clone();
    std::iter::once(beside)
        .chain(elsewhere)
        .map(Kept::at)
        .collect()
}

/// Clears away tokens that have ended, tells of a new unseal generation that was not told of, and
/// rotates when the policy wants it, now and then. Whichever node comes first does it.
async fn keep_tidy(wallet: Weak<Wallet>) {
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
async fn keep_resealed(wallet: Weak<Wallet>, custody: Arc<Custody>) {
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
async fn keep_counted(keychain: Arc<Keychain>, recorder: recorder::Handle) {
    loop {
        for refused in keychain.voided().await {
            recorder.again(&refused);
        }
    }
}

/// Follows the log for the audit index. What it finds broken, no other part may go on serving.
async fn keep_audit(
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

/// The key managers that the settings name.
pub(crate) fn managers(settings: &Settings) -> Result<Managers, Error> {
    let managers = Managers::of(settings);
    managers.map_err(|error| manager::Error::Configuration(error.to_string()).into())
}

pub(crate) fn new_process() -> ProcessId {
    ProcessId::from_bytes(Os::new().bytes())
}
