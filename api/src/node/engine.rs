//! What runs under the use cases: the view that follows the log, and the writer.

use std::sync::Arc;

use billfold_projector::{
    Keychain,
    keychain::{self, Progress},
};
use billfold_streams::{
    clock::{Clock, System},
    committer,
    custody::Custody,
    pool::Pool,
};
use tokio_util::task::AbortOnDropHandle;

use super::{Backend, Error};
use crate::config::Settings;

/// The engine of a node: what runs under the use cases.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) keychain: Arc<Keychain>,
    pub(crate) committer: committer::Handle,
    committing: AbortOnDropHandle<()>,
    following: AbortOnDropHandle<()>,
    filling: AbortOnDropHandle<()>,
    pool: Arc<Pool>,
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
        let following = AbortOnDropHandle::new(following);
        let pool = Pool::new(Arc::clone(&custody), Arc::clone(&clock));
        let filling = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&pool).run()));
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
            committing: AbortOnDropHandle::new(committing),
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
