//! A slow node beside a fast one that never rests, and a courier that may lose things between them.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use billfold_core::{
    command::Action,
    id::{MountId, ProcessId},
};
use billfold_streams::{
    Courier,
    committer::{Committed, Error},
    courier::{Lost, Parcel},
};
use billfold_tests::nats::NatsServer;
use bytes::Bytes;
use futures::stream::BoxStream;
use tempfile::TempDir;
use tokio::task::{JoinHandle, JoinSet};

use super::{
    delay::SlowLink,
    node::{Node, Setup},
};

/// How much longer the slow node's way to the log is, each way.
const DELAY: Duration = Duration::from_millis(5);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the courier is told to lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loses {
    Nothing,
    /// Every second answer.
    Answers,
    /// Every parcel, before anybody has it.
    Parcels,
}

/// Brings parcels, as far as it is not told to lose them.
#[derive(Debug)]
pub struct Lossy {
    inner: Arc<dyn Courier>,
    loses: Loses,
    tried: AtomicUsize,
    handed_over: AtomicUsize,
    pub lost: AtomicUsize,
    pub unsent: AtomicUsize,
}

impl Courier for Lossy {
    fn hand_over<'a, 'b>(
        &'a self,
        to: ProcessId,
        bytes: Bytes,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, Lost>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let tried = self.tried.fetch_add(1, Ordering::SeqCst);
            if self.loses == Loses::Parcels {
                return Err(Lost::Unsent("the test has it".to_owned()));
            }
            let answer = self.inner.hand_over(to, bytes).await;
            if matches!(answer, Err(Lost::Unsent(_))) {
                self.unsent.fetch_add(1, Ordering::SeqCst);
            }
            let answer = answer?;
            self.handed_over.fetch_add(1, Ordering::SeqCst);
            if self.loses == Loses::Answers && tried.is_multiple_of(2) {
                self.lost.fetch_add(1, Ordering::SeqCst);
                return Err(Lost::Unanswered("the test has it".to_owned()));
            }
            Ok(answer)
        })
    }

    fn inbox<'a, 'b>(
        &'a self,
        me: ProcessId,
    ) -> Pin<Box<dyn Future<Output = Result<BoxStream<'static, Parcel>, Lost>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        self.inner.inbox(me)
    }
}

/// A fast node that never rests, and a slow one.
pub struct Race {
    pub fast: Arc<Node>,
    pub slow: Arc<Node>,
    pub courier: Arc<Lossy>,
    pub mount: MountId,
    goes_on: Arc<AtomicBool>,
    load: Option<JoinHandle<u32>>,
    _link: SlowLink,
    _nats: NatsServer,
    _dir: TempDir,
}

impl Race {
    pub async fn start(loses: Loses) -> Self {
        let (nats, dir) = (NatsServer::start(), TempDir::new().unwrap());
        let key_file = dir.path().join("wallet.key");
        let fast = Setup::jetstream(&nats.url(), &key_file).await;
        let fast = Arc::new(fast.create().await);
        let link = SlowLink::to(nats.port(), DELAY).await;
        let mut setup = Setup::jetstream(&link.url(), &key_file).await;
        let courier = Arc::new(Lossy {
            inner: setup.courier.take().unwrap(),
            loses,
            tried: AtomicUsize::new(0),
            handed_over: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
            unsent: AtomicUsize::new(0),
        });
        setup.courier = Some(courier.clone());
        let slow = Arc::new(setup.start().await);
        let mount = fast.mount("secret/");
        let goes_on = Arc::new(AtomicBool::new(true));
        let load = tokio::spawn(hurry(fast.clone(), mount, goes_on.clone()));
        Self {
            fast,
            slow,
            courier,
            mount,
            goes_on,
            load: Some(load),
            _link: link,
            _nats: nats,
            _dir: dir,
        }
    }

    /// Ends the load, and returns how many writes it was.
    pub async fn end_load(&mut self) -> u32 {
        self.goes_on.store(false, Ordering::SeqCst);
        self.load.take().unwrap().await.unwrap()
    }

    /// Orders all of these on the slow node at once. The fast one rests once a hand-over was tried, so
    /// that the slow node comes to decide what was not handed over.
    pub async fn order_at_once(&mut self, actions: Vec<Action>) -> Vec<Result<Committed, Error>> {
        let mut ordering = JoinSet::new();
        for action in actions {
            let slow = self.slow.clone();
            ordering.spawn(async move { slow.order(None, slow.root(), action).await });
        }
        while self.courier.tried.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.end_load().await;
        ordering.join_all().await
    }

    pub fn handed_over(&self) -> usize {
        self.courier.handed_over.load(Ordering::SeqCst)
    }
}

async fn hurry(node: Arc<Node>, mount: MountId, goes_on: Arc<AtomicBool>) -> u32 {
    let mut written = 0;
    while goes_on.load(Ordering::SeqCst) {
        let done = node.put(mount, "busy", None, b"x").await.unwrap();
        assert!(done.done.versions[0] > written, "each is a new version");
        written = done.done.versions[0];
    }
    written
}

pub async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("in time")
}
