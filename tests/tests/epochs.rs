//! Epochs that end while nodes write and record: no commit is under a closed one, and a record that
//! comes behind the end of its own is void, judged by nobody, and made again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use billfold_core::{
    Millis,
    command::Action,
    event::{Actor, Event},
    id::{FactKeyId, Seq},
    proof::Checkpoint,
    state::{Key, Source as _, Value},
    subject::Subject,
};
use billfold_projector::{
    audit::{self, By, Order, Query, Row, STEPS},
    keychain::Outcome,
    tree::{self, Tree},
};
use billfold_replay::{Source, Walk, log, receipt, verify};
use billfold_streams::{
    EventLog,
    log::{AppendError, Error, Filter, Message, Tail},
};
use billfold_tests::{billfold::Billfold, nats::NatsServer, on_both_backends, wallet::Backend};
use bytes::Bytes;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::{sync::watch, time::sleep};

#[path = "two_nodes/delay.rs"]
mod delay;
#[allow(dead_code, reason = "this file needs less of it than others")]
#[path = "library/node.rs"]
mod node;

use node::{GENERATION, Node, PATIENCE, Setup};

on_both_backends! {
    inv09_nodes_that_end_an_epoch_at_once_end_one,
    inv03_a_record_behind_the_end_of_its_epoch_is_void,
    inv09_a_commit_under_a_closed_epoch_stops_every_reader,
    an_epoch_that_was_stored_is_taken_by_whoever_comes_next,
    an_epoch_in_which_nobody_did_anything_is_idle,
}

/// A log that keeps records back while it is told to: a node whose way to it is long.
#[derive(Debug)]
struct Held {
    inner: Arc<dyn EventLog>,
    holds: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

#[async_trait::async_trait]
impl EventLog for Held {
    fn max_message(&self) -> usize {
        self.inner.max_message()
    }

    async fn append(
        &self,
        subject: &Subject,
        expected: Seq,
        message: Bytes,
    ) -> Result<Seq, AppendError> {
        if !subject.is_decided() {
            self.waiting.send_modify(|waiting| *waiting += 1);
            let mut holds = self.holds.subscribe();
            let _ = holds.wait_for(|holds| !holds).await;
        }
        self.inner.append(subject, expected, message).await
    }

    async fn last(&self, subject: &Subject) -> Result<Option<Message>, Error> {
        self.inner.last(subject).await
    }

    async fn next_after(&self, subject: &Subject, after: Seq) -> Result<Option<Message>, Error> {
        self.inner.next_after(subject, after).await
    }

    async fn head(&self, filter: Filter) -> Result<Seq, Error> {
        self.inner.head(filter).await
    }

    async fn read(&self, filter: Filter, after: Seq) -> Result<Tail, Error> {
        self.inner.read(filter, after).await
    }

    async fn now(&self) -> Result<Millis, Error> {
        self.inner.now().await
    }
}

/// A backend in a folder of its own, and a wallet on it.
struct Stage {
    setup: Setup,
    _nats: Option<NatsServer>,
    _dir: TempDir,
}

impl Stage {
    async fn new(backend: Backend) -> Self {
        let dir = TempDir::with_prefix("billfold-epochs-").unwrap();
        let key = dir.path().join("key");
        let (setup, nats) = match backend {
            Backend::Embedded => (Setup::embedded(dir.path(), &key), None),
            Backend::JetStream => {
                let nats = NatsServer::start();
                (Setup::jetstream(&nats.url(), &key).await, Some(nats))
            }
        };
        Self {
            setup,
            _nats: nats,
            _dir: dir,
        }
    }

    async fn source(&self) -> Source {
        Source::of(Arc::clone(&self.setup.log), self.setup.custody().await)
    }
}

async fn begin_epoch(node: &Node) -> Seq {
    let (after, fact_key) = node.custody.make_next_epoch().await.unwrap();
    let action = Action::BeginEpoch { after, fact_key };
    let done = node.order(None, Actor::System, action).await.unwrap();
    node.keychain_at(done.seq).await;
    done.seq
}

fn epoch(node: &Node) -> FactKeyId {
    match node.keychain.view().get(&Key::Wallet).unwrap() {
        Some(Value::Wallet(wallet)) => wallet.epoch.unwrap(),
        _ => panic!("there is a wallet"),
    }
}

async fn inv09_nodes_that_end_an_epoch_at_once_end_one(backend: Backend) {
    const ROUNDS: usize = 12;
    let stage = Stage::new(backend).await;
    let one = stage.setup.create().await;
    let two = stage.setup.start().await;
    let mount = one.mount("secret/");
    for round in 0..ROUNDS {
        let path = format!("path/{round}");
        let (a, b, c, d) = tokio::join!(
            begin_epoch(&one),
            begin_epoch(&two),
            one.put(mount, &path, None, b"one"),
            two.put(mount, &path, None, b"two"),
        );
        c.unwrap();
        d.unwrap();
        let seen = a.max(b);
        one.keychain_at(seen).await;
        two.keychain_at(seen).await;
        assert_eq!(epoch(&one), epoch(&two));
        // Both record under the epoch that both know of.
        let record = one.custody.keys().id.record(mount, &path);
        one.ask(record).await.unwrap();
        two.ask(record).await.unwrap();
    }
    let source = stage.source().await;
    let end = stage.setup.log.head(Filter::All(GENERATION)).await.unwrap();
    let mut walk = Walk::start(&source, end).await.unwrap();
    let (mut current, mut began) = (None, Vec::new());
    while let Some(opened) = walk.next().await.unwrap() {
        if let Some(current) = current {
            assert_eq!(opened.header.fact_keys, [current], "at {}", opened.seq);
        }
        for entry in &opened.entries {
            match &entry.fact.event {
                Event::KekCreated(event) => current = Some(event.fact_key),
                Event::EpochBegan(event) => {
                    current = Some(event.fact_key);
                    began.push(event.fact_key);
                }
                _ => {}
            }
        }
        walk.fold(&opened).await.unwrap();
    }
    let known: BTreeSet<_> = began.iter().copied().collect();
    assert_eq!(known.len(), began.len(), "none began twice");
    assert!((1..=2 * ROUNDS).contains(&began.len()), "{}", began.len());
    // What one stored the other took: no more epochs are stored than began, and the first.
    one.custody.reload().await.unwrap();
    assert_eq!(one.custody.keys().epochs.len(), began.len() + 1);
    let report = verify::verify(&source, &mut |_, _| {}).await.unwrap();
    assert!(report.sound, "{:?}", report.findings);
}

async fn inv03_a_record_behind_the_end_of_its_epoch_is_void(backend: Backend) {
    let stage = Stage::new(backend).await;
    let one = stage.setup.create().await;
    let mount = one.mount("secret/");
    one.put(mount, "a", None, b"first").await.unwrap();
    let record = one.custody.keys().id.record(mount, "a");
    let held = Arc::new(Held {
        inner: Arc::clone(&stage.setup.log),
        holds: watch::Sender::new(true),
        waiting: watch::Sender::new(0),
    });
    let slow = Setup {
        log: Arc::<Held>::clone(&held),
        ..stage.setup.clone()
    };
    let two = slow.start().await;
    let before = epoch(&two);
    let mut waiting = held.waiting.subscribe();
    let asking = two.outcome(record);
    let ending = async {
        // The record is on its way; then its epoch ends.
        let _ = waiting.wait_for(|waiting| *waiting == 1).await;
        begin_epoch(&one).await;
        one.put(mount, "a", None, b"second").await.unwrap();
        // Nobody answers a question whose record is not there.
        held.holds.send_replace(false);
    };
    let (outcome, ()) = tokio::join!(asking, ending);
    assert!(matches!(outcome, Outcome::Void), "{outcome:?}");
    assert_ne!(epoch(&two), before);
    let again = two.ask(record).await.unwrap();
    assert_eq!(again.verdict.name(), "permitted");
    // Refusals come back to be counted again.
    held.holds.send_replace(true);
    let refusing = two.recorder.refusal();
    let ending = async {
        let _ = waiting.wait_for(|waiting| *waiting == 3).await;
        begin_epoch(&one).await;
        held.holds.send_replace(false);
    };
    let (refused, ()) = tokio::join!(refusing, ending);
    refused.unwrap();
    let voided = tokio::time::timeout(PATIENCE, two.keychain.voided()).await;
    let voided = voided.expect("in time");
    assert_eq!(voided.iter().map(|refused| refused.count).sum::<u32>(), 1);
    two.recorder.again(&voided[0]);
    let counted = async {
        // The second record of it is a commit of its own: the fourth on this subject.
        let _ = waiting.wait_for(|waiting| *waiting == 4).await;
    };
    tokio::time::timeout(PATIENCE, counted)
        .await
        .expect("in time");
    two.ask(record).await.unwrap();

    let source = stage.source().await;
    let mut told = Vec::new();
    let range = log::Query::default();
    log::log(&source, &range, &mut |line| {
        if line.subject == "observed" {
            let verdict = line.answer.as_ref().map(|answer| answer.verdict);
            told.push((line.void, verdict, line.refused));
        }
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(
        told,
        [
            (true, Some("void"), None),
            (false, Some("permitted"), None),
            (true, None, Some(1)),
            (false, None, Some(1)),
            (false, Some("permitted"), None),
        ]
    );
    let void = log::Query {
        filter: log::Filter {
            outcomes: vec!["void".parse().unwrap()],
            ..log::Filter::default()
        },
        ..log::Query::default()
    };
    let (mut rows, mut places) = (Vec::new(), Vec::new());
    log::log(&source, &void, &mut |line| {
        places.push(line.sequence);
        let row = billfold_replay::Row::of(source.wallet(), line);
        rows.push((row.event, row.outcome, row.refused));
        Ok(())
    })
    .await
    .unwrap();
    let expected = [
        ("ResolutionRequested", Some("void"), None),
        ("RequestsRefused", Some("void"), Some(1)),
    ];
    assert_eq!(rows, expected);
    let report = verify::verify(&source, &mut |_, _| {}).await.unwrap();
    assert!(report.sound, "{:?}", report.findings);
    assert_eq!(report.summary.requests["void"], 1);
    assert_eq!(report.summary.requests["permitted"], 2);
    assert_eq!(report.summary.refused, 1);
    tells_what_is_void(&stage, &two).await;
    no_receipt_is_made_of_what_is_void(&stage, &two, &source, &places).await;
}

/// A receipt does not show whether a record is void: so none is made of one that is.
async fn no_receipt_is_made_of_what_is_void(
    stage: &Stage,
    node: &Node,
    source: &Source,
    void: &[Seq],
) {
    let dir = TempDir::with_prefix("billfold-tree-").unwrap();
    let end = stage.setup.log.head(Filter::All(GENERATION)).await.unwrap();
    let tree = open_tree(dir.path(), node).await;
    tree.catch_up(&*stage.setup.log, GENERATION, end)
        .await
        .unwrap();
    let signer = node.custody.checkpoint_signer(GENERATION, None).unwrap();
    let checkpoint = Checkpoint {
        origin: tree.origin().clone(),
        size: tree.status().size(),
        root: tree.status().root(),
    };
    let wanted = receipt::Wanted {
        checkpoint: checkpoint.sign(&signer),
        ..receipt::Wanted::default()
    };
    for seq in (1..=end.0).map(Seq) {
        let made = receipt::prove(source, seq, &wanted, &mut |_, _| ()).await;
        let refused = made.err().map(|error| error.to_string());
        let is_void = refused.as_ref().is_some_and(|why| why.contains("is void"));
        assert_eq!(is_void, void.contains(&seq), "{seq}: {refused:?}");
        assert_eq!(refused.is_some(), is_void, "{seq}: {refused:?}");
    }
}

/// The audit index tells the same, in one piece and in two.
async fn tells_what_is_void(stage: &Stage, node: &Node) {
    let dir = TempDir::with_prefix("billfold-index-").unwrap();
    let end = stage.setup.log.head(Filter::All(GENERATION)).await.unwrap();
    let void = || async {
        let index = open_index(dir.path(), node).await;
        let following = tokio::spawn(audit::follow(
            Arc::clone(&index),
            open_tree(dir.path(), node).await,
            Arc::clone(&stage.setup.log),
            GENERATION,
            Arc::clone(&node.custody),
            Arc::clone(node.keychain.view()),
        ));
        let read = tokio::time::timeout(PATIENCE, index.read_up_to(end)).await;
        read.expect("in time");
        following.abort();
        let _ = following.await;
        let query = Query {
            by: vec![By::Outcome(audit::Outcome::Void)],
            from: Millis(0),
            to: Millis(u64::MAX),
            order: Order::Oldest,
            after: None,
            limit: 1000,
            steps: STEPS,
        };
        let rows = index.find(&node.custody, &query).unwrap().rows;
        let told = |row: &Row| {
            (
                row.fact.event.name(),
                row.told.clone().map(|told| told.outcome),
            )
        };
        rows.iter().map(told).collect::<Vec<_>>()
    };
    let expected = ["ResolutionRequested", "RequestsRefused"];
    let expected = expected.map(|event| (event, Some(audit::Outcome::Void)));
    assert_eq!(void().await, expected);
    assert_eq!(void().await, expected);
}

async fn open_index(dir: &Path, node: &Node) -> Arc<audit::Index> {
    let open = audit::open(&dir.join("audit"), &node.custody, 1 << 20).await;
    open.unwrap()
}

async fn open_tree(dir: &Path, node: &Node) -> Arc<Tree> {
    let open = tree::open(&dir.join("tree"), &node.custody, GENERATION, 1 << 20).await;
    open.unwrap()
}

async fn an_epoch_that_was_stored_is_taken_by_whoever_comes_next(backend: Backend) {
    let stage = Stage::new(backend).await;
    let one = stage.setup.create().await;
    let two = stage.setup.start().await;
    // A node that stores an epoch and dies leaves it to the others.
    let stored = one.custody.make_next_epoch().await.unwrap();
    assert_eq!(two.custody.make_next_epoch().await.unwrap(), stored);
    begin_epoch(&two).await;
    assert_eq!(epoch(&two), stored.1);
    // A rotation is for when keys may be known: it takes none that was stored before it.
    let waiting = two.custody.make_next_epoch().await.unwrap();
    let (kek, _) = two.custody.make_next_kek().await.unwrap();
    assert_ne!(kek.fact_key, waiting.1);
    let rotate = Action::RotateKek(kek);
    let done = two.order(None, Actor::System, rotate).await.unwrap();
    two.keychain_at(done.seq).await;
    // And what was stored before it never begins.
    one.keychain_at(done.seq).await;
    let next = one.custody.make_next_epoch().await.unwrap();
    assert_ne!(next.1, waiting.1);
    let (after, fact_key) = waiting;
    let late = Action::BeginEpoch { after, fact_key };
    one.order(None, Actor::System, late).await.unwrap();
    assert_eq!(epoch(&one), next.0);
}

async fn an_epoch_in_which_nobody_did_anything_is_idle(backend: Backend) {
    use billfold_core::{command::NewGrant, grant::AuditorSecret, id::GrantId};
    use billfold_streams::entropy::Os;

    let stage = Stage::new(backend).await;
    let node = stage.setup.create().await;
    let first = epoch(&node);
    let grant = GrantId::from_bytes([7; 16]);
    let new = NewGrant {
        grant,
        recipient: AuditorSecret::generate(&mut Os::new()).public().unwrap(),
        from: Millis(0),
        to: None,
        live: false,
        names: true,
    };
    let action = Action::GrantAuditor(Box::new(new));
    node.order(None, node.root(), action).await.unwrap();
    let began = begin_epoch(&node).await;
    assert_eq!(node.keychain.idle_since(began).await.unwrap(), Some(began));
    // What goes to auditors because an epoch ended is no reason to end the next.
    let action = Action::GrantEpochs {
        grant,
        part: 1,
        epochs: vec![first],
        sealed: Bytes::from_static(b"sealed"),
    };
    let granted = node.order(None, Actor::System, action).await.unwrap();
    assert!(granted.seq > began);
    let idle = node.keychain.idle_since(began).await.unwrap();
    assert_eq!(idle, Some(granted.seq));
    let mount = node.mount("secret/");
    node.put(mount, "a", None, b"x").await.unwrap();
    assert_eq!(node.keychain.idle_since(began).await.unwrap(), None);
}

/// A node that does not know its own rules: it commits under the epoch before.
async fn inv09_a_commit_under_a_closed_epoch_stops_every_reader(backend: Backend) {
    use billfold_core::{
        commit::{self, Entry, Header},
        event::{Fact, v1::KeyPageClosed},
        id::PageId,
    };
    use billfold_streams::{entropy::Os, replica::Replica as _};

    let stage = Stage::new(backend).await;
    let one = stage.setup.create().await;
    let stale = one.custody.epoch();
    begin_epoch(&one).await;
    let head = one.keychain.head();
    let header = Header {
        wallet: one.custody.wallet(),
        subject: Subject::Decided(GENERATION),
        previous: head.hash,
        writer: one.custody.process(),
        time: head.time,
        fact_keys: vec![stale.id],
    };
    let page = PageId::from_bytes([7; 16]);
    let fact = Fact {
        actor: Actor::System,
        command: None,
        event: Event::KeyPageClosed(KeyPageClosed { page }),
    };
    let entry = Entry {
        fact,
        names: None,
        payload: None,
    };
    let bytes = commit::encode(&header, &[entry], &stale, &mut Os::new());
    let appended = stage.setup.log.append(&header.subject, head.seq, bytes);
    let seq = appended.await.unwrap();
    let stopped = tokio::time::timeout(PATIENCE, one.keychain.until_stopped()).await;
    let told = stopped.expect("in time").to_string();
    assert!(told.contains(&format!("sequence {seq} ")), "{told}");
    assert!(told.contains(&stale.id.to_string()), "{told}");
    let report = verify::verify(&stage.source().await, &mut |_, _| {}).await;
    let report = report.unwrap();
    assert!(!report.sound);
    assert_eq!(report.findings[0].sequence, Some(seq));
}

/// A node far from the log goes on reading while epochs end: some of its records come too late, and
/// no client learns of it.
#[tokio::test(flavor = "multi_thread")]
async fn inv03_clients_get_their_answer_although_a_record_is_void() {
    let nats = NatsServer::start();
    let first = Billfold::serve()
        .nats(nats.url())
        .env("BILLFOLD_EPOCH_COMMITS", "5");
    first.init().await.unwrap().success().unwrap();
    let near = first.clone().spawn().await.unwrap();
    let link = delay::SlowLink::to(nats.port(), Duration::from_millis(60)).await;
    let far = first.another_node().nats(link.url()).spawn().await.unwrap();
    let body = json!({ "data": { "x": "y" } });
    let written = near.root("POST", "/v1/secret/data/a", body).await;
    assert_eq!(written.status, 200);
    let until_one_is_void = async {
        loop {
            for _ in 0..20 {
                let read = far.root("GET", "/v1/secret/data/a", ()).await;
                assert_eq!(read.status, 200, "{}", read.text());
            }
            let trail = near
                .root("GET", "/api/internal/secret-audit?limit=10000", ())
                .await;
            let trail: Json = serde_json::from_str(&trail.text()).unwrap();
            let rows = trail["rows"].as_array().unwrap();
            let void: Vec<_> = rows.iter().filter(|row| row["outcome"] == "void").collect();
            if let Some(void) = void.first() {
                let same = rows.iter().filter(|row| row["request"] == void["request"]);
                return same.count();
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    let records = tokio::time::timeout(Duration::from_secs(300), until_one_is_void).await;
    assert!(records.expect("in time") >= 2, "the same request once more");
}
