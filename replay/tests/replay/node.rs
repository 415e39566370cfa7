//! The parts of a running server, and how they let go of their files.

use std::{path::Path, sync::Arc, time::Duration};

use billfold_core::{
    command::{Action, Command},
    entropy::Entropy as _,
    event::Actor,
    id::{ProcessId, Seq},
    subject::Generation,
};
use billfold_projector::{
    Keychain,
    keychain::{Parts, Progress},
};
use billfold_streams::{
    clock,
    committer::{self, Committed},
    custody::Custody,
    embedded::{Embedded, OpenError},
    entropy::Os,
    pool::Pool,
    recorder,
    replica::Replica as _,
    sweeper::Sweeper,
};
use billfold_upstreams::DevFile;
use tokio::task::JoinHandle;

use crate::fixture::PATIENCE;

/// The parts of a running server.
pub struct Node {
    pub embedded: Embedded,
    pub custody: Arc<Custody>,
    pub keychain: Arc<Keychain>,
    pub committer: committer::Handle,
    pub recorder: recorder::Handle,
    tasks: Vec<JoinHandle<()>>,
    endless: Vec<JoinHandle<()>>,
}

struct Silent;

impl Progress for Silent {
    fn at(&self, _: Seq, _: Seq) {}
    fn caught_up(&self, _: u64) {}
}

pub async fn open_custody(embedded: &Embedded, dir: &Path, process: ProcessId) -> Arc<Custody> {
    let manager = DevFile::open(&dir.join("dev.key"), false, &mut Os::new()).unwrap();
    Arc::new(
        Custody::found(embedded.keys(), &manager, process)
            .await
            .unwrap(),
    )
}

impl Node {
    pub async fn start(dir: &Path) -> Self {
        let embedded = Embedded::open(dir).unwrap();
        let process = ProcessId::from_bytes(Os::new().bytes());
        let custody = open_custody(&embedded, dir, process).await;
        let (log, clock) = (embedded.log(), Arc::new(clock::System));
        let parts = Parts {
            log: log.clone(),
            generation: Generation::FIRST,
            custody: custody.clone(),
            dir: dir.join("view"),
            cache_bytes: 8 << 20,
            progress: Box::new(Silent),
        };
        let (keychain, follower) = Keychain::start(parts).await.unwrap();
        let pool = Pool::new(custody.clone(), clock.clone());
        let filling = tokio::spawn(pool.clone().run());
        let (committer, committing) = committer::start(committer::Parts {
            log: log.clone(),
            generation: Generation::FIRST,
            courier: None,
            custody: custody.clone(),
            pool,
            replica: keychain.clone(),
            clock: clock.clone(),
            patience: PATIENCE,
        });
        let (recorder, recording) = recorder::start(recorder::Parts {
            log,
            generation: Generation::FIRST,
            custody: custody.clone(),
            clock,
            patience: PATIENCE,
        });
        let sweeper = Sweeper::new(custody.clone(), keychain.clone(), committer.clone());
        let sweeping = tokio::spawn(async move { sweeper.run().await });
        Self {
            embedded,
            custody,
            keychain,
            committer,
            recorder,
            tasks: vec![committing, recording],
            endless: vec![follower, filling, sweeping],
        }
    }

    pub async fn stop(self) {
        for task in &self.endless {
            task.abort();
        }
        drop((self.committer, self.recorder));
        for task in self.endless.into_iter().chain(self.tasks) {
            let _ = task.await;
        }
        drop((self.keychain, self.custody, self.embedded));
    }

    pub async fn submit(&self, actor: Actor, action: Action) -> Committed {
        let command = Command {
            id: None,
            actor,
            needs: Vec::new(),
            action,
        };
        let committed = self.committer.submit(command).await.unwrap();
        self.keychain.caught_up(committed.seq).await.unwrap();
        committed
    }
}

/// Waits until threads in the background have let go of the files in these folders.
pub async fn closed(dir: &Path, view: &Path) {
    while matches!(Embedded::open(dir), Err(OpenError::InUse)) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    view_closed(view).await;
}

/// Waits until sled's threads have let go of a view.
pub async fn view_closed(dir: &Path) {
    let database = std::fs::File::open(dir.join("db")).unwrap();
    while database.try_lock_shared().is_err() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
