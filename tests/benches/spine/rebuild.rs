//! Rebuilding a view from a log of many small commits, beside reading the same log and nothing else.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::jetstream;
use billfold::{
    node::{self, Backend},
    seal::NewShares,
};
use billfold_core::{
    Millis, SecretBytes,
    command::{Action, Change, Command, NewNames, What},
    commit::{self, CommitHash, Entry, Header},
    decide::{Decision, Drawn, Sealer, Supply, decide},
    event::Actor,
    id::{ProcessId, RecordId, Seq},
    keys::page::{KeyRef, Page},
    names::Names,
    state::{At, Memory, State},
    subject::{Generation, Subject},
};
use billfold_projector::{Keychain, chain, fold::Fold, keychain, view::View};
use billfold_streams::{custody::Custody, entropy::Os, log::Filter};
use billfold_tests::tools;
use bytes::Bytes;
use futures::StreamExt as _;

use super::load::{Silent, settings};

/// How many events a commit of several holds.
const SEVERAL: u64 = 64;

/// What was measured.
pub(crate) struct Rebuilt {
    pub(crate) events: u64,
    pub(crate) singles: u64,
    pub(crate) commits: u64,
    pub(crate) bytes: u64,
    pub(crate) raw: Duration,
    pub(crate) opened: Duration,
    pub(crate) folded: Duration,
    pub(crate) rebuilt: Duration,
    pub(crate) sled: Duration,
    pub(crate) view_bytes: u64,
}

pub(crate) async fn measure(url: &str, events: u64) -> Rebuilt {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), Some(url));
    let backend = Backend::open(&settings, true).await.unwrap();
    node::create(
        &settings,
        &backend,
        "bench-root-token",
        NewShares::Recovery(None),
        Box::new(Silent),
    )
    .await
    .unwrap();
    let manager = billfold_upstreams::DevFile::open(&settings.dev_key(), false, &mut Os::new());
    let process = ProcessId::from_bytes(tools::random());
    let custody = Custody::open(backend.keys(), &manager.unwrap(), process)
        .await
        .unwrap();
    let custody = Arc::new(custody);
    let singles = events * 6 / 10;
    let filling = Filling {
        events,
        singles,
        secrets: singles,
        from: Millis(2_000_000_000_000),
    };
    let commits = fill(url, &backend, &custody, filling).await;
    eprintln!("the log is filled: {commits} commits");

    let (raw, bytes) = read_raw(url).await;
    let opened = read_and_open(&backend, &custody).await;
    let folded = read_open_and_fold(&backend, &custody).await;
    let view = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let parts = keychain::Parts {
        log: backend.log(),
        generation: Generation::FIRST,
        custody,
        dir: view.path().join("view"),
        cache_bytes: 64 << 20,
        progress: Box::new(Silent),
    };
    let (keychain, following) = Keychain::start(parts).await.unwrap();
    let rebuilt = began.elapsed();
    following.abort();
    let view_bytes = keychain.view().size_on_disk();
    let sled = insert_into_sled(singles, events - singles);
    Rebuilt {
        events,
        singles,
        commits,
        bytes,
        raw,
        opened,
        folded,
        rebuilt,
        sled,
        view_bytes,
    }
}

/// Reads all of it through an ordered consumer of the plain NATS client.
pub(crate) async fn read_raw(url: &str) -> (Duration, u64) {
    let context = jetstream::new(async_nats::connect(url).await.unwrap());
    let mut stream = context.get_stream("WALLET_EVENTS_1").await.unwrap();
    let last = stream.info().await.unwrap().state.last_sequence;
    let config = jetstream::consumer::push::OrderedConfig {
        deliver_subject: format!("_INBOX.bench-{}", hex::encode(tools::random::<8>())),
        ..Default::default()
    };
    let consumer = stream.create_consumer(config).await.unwrap();
    let mut messages = consumer.messages().await.unwrap();
    let (began, mut bytes) = (Instant::now(), 0);
    loop {
        let message = messages.next().await.unwrap().unwrap();
        bytes += message.payload.len() as u64;
        if message.info().unwrap().stream_sequence == last {
            return (began.elapsed(), bytes);
        }
    }
}

/// Reads and opens all of it, on one thread.
async fn read_and_open(backend: &Backend, custody: &Arc<Custody>) -> Duration {
    let filter = Filter::Decided(Generation::FIRST);
    let end = backend.log().head(filter).await.unwrap();
    let began = Instant::now();
    let mut tail = backend.log().read(filter, Seq::ZERO).await.unwrap();
    while let Some(message) = tail.next().await {
        let opened = chain::open(custody, &message.unwrap()).unwrap();
        if opened.seq == end {
            break;
        }
    }
    began.elapsed()
}

/// Reads, opens and folds all of it on one thread, and writes the view.
async fn read_open_and_fold(backend: &Backend, custody: &Arc<Custody>) -> Duration {
    let dir = tempfile::tempdir().unwrap();
    let filter = Filter::Decided(Generation::FIRST);
    let end = backend.log().head(filter).await.unwrap();
    let began = Instant::now();
    let view = Arc::new(View::open(dir.path(), custody, 64 << 20).unwrap());
    let mut fold = Fold::over(view, Arc::clone(custody));
    let mut tail = backend.log().read(filter, Seq::ZERO).await.unwrap();
    while fold.head().seq < end {
        let message = tail.next().await.unwrap().unwrap();
        fold.add(&chain::open(custody, &message).unwrap())
            .await
            .unwrap();
        if fold.unwritten_events() >= 4096 {
            fold.write().unwrap();
        }
    }
    fold.write().unwrap();
    began.elapsed()
}

/// Inserts as much into sled as such a view holds, and does nothing else: a record and a line of a
/// folder for each secret, and an older payload for each further version.
fn insert_into_sled(secrets: u64, versions: u64) -> Duration {
    const BATCH: u64 = 4096;
    let dir = tempfile::tempdir().unwrap();
    let tree = sled::Config::new()
        .path(dir.path())
        .cache_capacity(64 << 20)
        .mode(sled::Mode::HighThroughput)
        .open()
        .unwrap();
    let (record, payload) = (vec![7_u8; 600], vec![7_u8; 150]);
    let began = Instant::now();
    let mut batch = BTreeMap::new();
    let total = secrets + versions;
    for number in 1..=total {
        if number <= secrets {
            batch.insert(tools::random::<18>().to_vec(), record.clone());
            batch.insert(tools::random::<34>().to_vec(), vec![7; 16]);
        } else {
            batch.insert(tools::random::<21>().to_vec(), payload.clone());
        }
        if number % BATCH == 0 || number == total {
            let mut changes = sled::Batch::default();
            for (key, value) in std::mem::take(&mut batch) {
                changes.insert(key, value);
            }
            tree.apply_batch(changes).unwrap();
        }
    }
    began.elapsed()
}

/// Keys drawn page after page, without waiting for the key store.
struct Pages {
    made: Vec<Arc<Page>>,
    slot: usize,
}

impl Supply for Pages {
    fn draw(&mut self) -> Option<Drawn> {
        let page = self.made.last()?;
        let slot = u8::try_from(self.slot).ok()?;
        self.slot += 1;
        let key = KeyRef {
            page: page.id,
            slot,
        };
        let (dek, kek) = (page.key(slot)?, page.kek);
        Some(Drawn { key, dek, kek })
    }
}

/// What a log is filled with.
pub(crate) struct Filling {
    /// How many events.
    pub(crate) events: u64,
    /// How many of them are in commits of their own; the others come in commits of several.
    pub(crate) singles: u64,
    /// How many secrets they are about.
    pub(crate) secrets: u64,
    /// The time of the first commit; a hundred of them to a millisecond.
    pub(crate) from: Millis,
}

/// Fills the log as a committer would, but without waiting for each commit.
pub(crate) async fn fill(url: &str, backend: &Backend, custody: &Custody, filling: Filling) -> u64 {
    let Filling {
        events,
        singles,
        secrets,
        from,
    } = filling;
    let context = jetstream::new(async_nats::connect(url).await.unwrap());
    let subject = Subject::Decided(Generation::FIRST);
    let (mut state, mut previous) = begin(backend, custody).await;
    let mut pages = Pages {
        made: Vec::new(),
        slot: 256,
    };
    let mut entropy = Os::new();
    let mount = *state.mounts().unwrap().keys().next().unwrap();
    let root = {
        let wallet = state.wallet().unwrap().unwrap();
        Actor::Principal(wallet.root, wallet.root_token)
    };
    let (mut written, mut commits, mut acks) = (0, 0, Vec::new());
    while written < events {
        let size = if written < singles {
            1
        } else {
            SEVERAL.min(events - written)
        };
        let mut entries: Vec<Entry> = Vec::new();
        let time = from.plus(commits / 100);
        for number in written..written + size {
            // What comes after the last new secret is a new version of an older one.
            let path = format!(
                "team-{}/app-{}/secret-{}",
                number % 97,
                number % 991,
                number % secrets
            );
            let record: RecordId = custody.keys().id.record(mount, &path);
            let payload =
                SecretBytes::copied_from(br#"{"password":"correct horse battery staple"}"#);
            let names = NewNames::IfNew(Names {
                path,
                ..Names::default()
            });
            let put = What::Put {
                cas: None,
                basis: None,
                payload,
                names,
            };
            let action = Action::Change(vec![Change {
                mount,
                record,
                folders: Vec::new(),
                what: put,
            }]);
            let command = Command {
                id: None,
                actor: root,
                needs: Vec::new(),
                action,
            };
            if pages.slot > 250 {
                pages.made.push(custody.make_page(time).await.unwrap());
                pages.slot = 0;
            }
            let mut sealer = Sealer::new(custody.wallet(), &mut pages, &mut entropy);
            let key = &custody.keys().command;
            match decide(&mut state, At { time }, &command, key, &mut sealer).unwrap() {
                Decision::Events { entries: more, .. } => entries.extend(more),
                Decision::Already(_) => unreachable!(),
            }
        }
        let header = Header {
            wallet: custody.wallet(),
            subject,
            previous,
            writer: custody.process(),
            time,
            fact_keys: vec![custody.epoch().id],
        };
        let bytes: Bytes = commit::encode(&header, &entries, &custody.epoch(), &mut entropy);
        previous = CommitHash::of(&bytes);
        acks.push(context.publish(subject.to_string(), bytes).await.unwrap());
        if acks.len() == 512 {
            futures::future::try_join_all(acks.drain(..).map(IntoFuture::into_future))
                .await
                .unwrap();
        }
        written += size;
        commits += 1;
    }
    futures::future::try_join_all(acks.drain(..).map(IntoFuture::into_future))
        .await
        .unwrap();
    commits
}

/// The state and hash after what the wallet began with.
async fn begin(backend: &Backend, custody: &Custody) -> (State<Memory>, CommitHash) {
    let filter = Filter::Decided(Generation::FIRST);
    let end = backend.log().head(filter).await.unwrap();
    let mut tail = backend.log().read(filter, Seq::ZERO).await.unwrap();
    let mut state = State::over(Memory::default(), Default::default());
    loop {
        let opened = chain::open(custody, &tail.next().await.unwrap().unwrap()).unwrap();
        let at = At {
            time: Millis(1_600_000_000_000),
        };
        for entry in &opened.entries {
            state.apply(at, &entry.fact).unwrap();
        }
        state.keep();
        if opened.seq == end {
            return (state, opened.hash);
        }
    }
}
