//! The two backends as the suite sees them.

use std::{sync::Arc, time::Duration};

use billfold_core::{
    id::{PageId, ProcessId, Seq},
    subject::{Generation, Subject},
};
use billfold_streams::{
    EventLog, KeyStore,
    embedded::Embedded,
    jetstream::{Config, JetStream},
    log::{Error, Filter, Message, Tail},
    settle::{SettleError, append_settled},
};
use billfold_tests::{nats::NatsServer, tools};
use bytes::Bytes;
use futures::StreamExt;
use tempfile::TempDir;

/// Longer than anything takes on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(90);
pub const GENERATION: Generation = Generation::FIRST;
pub const DECIDED: Subject = Subject::Decided(GENERATION);
pub const ALL: Filter = Filter::All(GENERATION);

/// A backend that a test can take away and bring back.
#[allow(async_fn_in_trait)]
pub trait Fixture: Sized {
    async fn new() -> Self;
    fn log(&self) -> Arc<dyn EventLog>;
    fn keys(&self) -> Arc<dyn KeyStore>;
    /// The log and the key store as another writer has them.
    async fn another(&self) -> (Arc<dyn EventLog>, Arc<dyn KeyStore>);
    /// Takes the backend away, waits, and brings it back. Old handles and tails may or may not
    /// live on; [`Self::OUTLIVES`] tells.
    async fn restart(&mut self, pause: Duration);
    /// Whether handles live on over a restart.
    const OUTLIVES: bool;
}

pub struct OnRedb {
    dir: TempDir,
    open: Option<Embedded>,
}

impl OnRedb {
    pub fn of(open: Embedded, dir: TempDir) -> Self {
        Self {
            dir,
            open: Some(open),
        }
    }
}

impl Fixture for OnRedb {
    const OUTLIVES: bool = false;

    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let open = Some(Embedded::open(dir.path()).unwrap());
        Self { dir, open }
    }

    fn log(&self) -> Arc<dyn EventLog> {
        self.open.as_ref().unwrap().log()
    }

    fn keys(&self) -> Arc<dyn KeyStore> {
        self.open.as_ref().unwrap().keys()
    }

    async fn another(&self) -> (Arc<dyn EventLog>, Arc<dyn KeyStore>) {
        // One process owns the files, and all its writers share them.
        (self.log(), self.keys())
    }

    async fn restart(&mut self, pause: Duration) {
        self.open = None;
        tokio::time::sleep(pause).await;
        self.open = Some(Embedded::open(self.dir.path()).unwrap());
    }
}

pub struct OnNats {
    pub server: NatsServer,
    pub open: JetStream,
}

pub fn config(url: String) -> Config {
    Config {
        ack_timeout: Duration::from_secs(5),
        ..Config::dev(url)
    }
}

impl Fixture for OnNats {
    const OUTLIVES: bool = true;

    async fn new() -> Self {
        let server = NatsServer::start();
        let open = JetStream::connect(config(server.url())).await.unwrap();
        Self { server, open }
    }

    fn log(&self) -> Arc<dyn EventLog> {
        self.open.log()
    }

    fn keys(&self) -> Arc<dyn KeyStore> {
        self.open.keys()
    }

    async fn another(&self) -> (Arc<dyn EventLog>, Arc<dyn KeyStore>) {
        let other = JetStream::connect(config(self.server.url())).await.unwrap();
        (other.log(), other.keys())
    }

    async fn restart(&mut self, pause: Duration) {
        self.server.kill();
        tokio::time::sleep(pause).await;
        self.server.run();
    }
}

pub fn process() -> ProcessId {
    ProcessId::from_bytes(tools::random())
}

pub fn page() -> PageId {
    PageId::from_bytes(tools::random())
}

pub fn observed(process: ProcessId) -> Subject {
    Subject::Observed(GENERATION, process)
}

/// Bytes that nothing else holds.
pub fn unique(size: usize) -> Bytes {
    let mut bytes = vec![0; size.max(16)];
    bytes[..16].copy_from_slice(&tools::random::<16>());
    bytes.into()
}

/// Appends until the outcome is known, for as long as the backend may be away.
pub async fn settle(
    log: &Arc<dyn EventLog>,
    subject: &Subject,
    after: Seq,
    bytes: Bytes,
) -> Result<Seq, SettleError> {
    within(async {
        loop {
            match append_settled(&**log, subject, after, bytes.clone(), |_| {}).await {
                // Nobody was there to take it for as long as one attempt waits.
                Err(SettleError::Refused(why)) => eprintln!("not yet: {why}"),
                known => break known,
            }
        }
    })
    .await
}

/// Appends, for as long as the backend may be away.
pub async fn append(log: &Arc<dyn EventLog>, subject: &Subject, after: Seq, bytes: Bytes) -> Seq {
    settle(log, subject, after, bytes).await.unwrap()
}

/// Asks, for as long as the backend may be away.
pub async fn ask<T>(mut question: impl AsyncFnMut() -> Result<T, Error>) -> T {
    within(async {
        loop {
            match question().await {
                Ok(answer) => break answer,
                Err(Error::Unavailable(why)) => eprintln!("not yet: {why}"),
                Err(other) => panic!("{other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

/// Fails a test that hangs.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it must end in time")
}

/// The next messages of a tail.
pub async fn take(tail: &mut Tail, count: usize) -> Vec<Message> {
    let mut messages = Vec::new();
    for _ in 0..count {
        messages.push(
            within(tail.next())
                .await
                .expect("a tail goes on")
                .expect("without an error"),
        );
    }
    messages
}

/// All that the log holds.
pub async fn everything(log: &Arc<dyn EventLog>) -> Vec<Message> {
    let head = ask(|| log.head(ALL)).await;
    let mut tail = ask(|| log.read(ALL, Seq::ZERO)).await;
    let messages = take(&mut tail, usize::try_from(head.0).unwrap()).await;
    for (message, seq) in messages.iter().zip(1..) {
        assert_eq!(message.seq, Seq(seq), "sequences have no gap");
    }
    messages
}
