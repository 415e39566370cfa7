//! Clocks that are wrong: a node stops committing and says so, and comes back when it is mended; and
//! time in the log never goes back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![allow(clippy::print_stdout, missing_docs, unreachable_pub, dead_code)]

#[path = "library/folding.rs"]
mod folding;
#[path = "library/node.rs"]
mod node;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use billfold_core::{
    Millis,
    command::{Action, What},
    id::Seq,
    subject::Subject,
};
use billfold_streams::{
    clock::{Clock, Guard, System, TOLERANCE},
    committer::Error,
    log::Filter,
};
use billfold_tests::{
    nats::NatsServer,
    tools::{self, Rng},
};
use tempfile::TempDir;

use self::node::{GENERATION, Node, Setup};

/// The machine's clock, set wrong by so many milliseconds.
#[derive(Debug, Default)]
struct Wrong(AtomicI64);

impl Wrong {
    fn by(&self, millis: i64) {
        self.0.store(millis, Ordering::SeqCst);
    }
}

impl Clock for Wrong {
    fn now(&self) -> Millis {
        Millis(
            System
                .now()
                .0
                .saturating_add_signed(self.0.load(Ordering::SeqCst)),
        )
    }
}

struct Place {
    setup: Setup,
    clock: Arc<Wrong>,
    _nats: Option<NatsServer>,
    _dir: TempDir,
}

impl Place {
    async fn new(on_nats: bool) -> Self {
        let dir = TempDir::new().unwrap();
        let nats = on_nats.then(NatsServer::start);
        let key_file = dir.path().join("wallet.key");
        let setup = match &nats {
            Some(nats) => Setup::jetstream(&nats.url(), &key_file).await,
            None => Setup::embedded(&dir.path().join("data"), &key_file),
        };
        let clock = Arc::new(Wrong::default());
        Self {
            setup: Setup {
                clock: clock.clone(),
                ..setup
            },
            clock,
            _nats: nats,
            _dir: dir,
        }
    }

    /// The same wallet, for a node with a clock of its own.
    fn another(&self) -> (Setup, Arc<Wrong>) {
        let clock = Arc::new(Wrong::default());
        let setup = Setup {
            clock: clock.clone(),
            ..self.setup.clone()
        };
        (setup, clock)
    }

    async fn end(&self) -> Seq {
        self.setup.log.head(Filter::All(GENERATION)).await.unwrap()
    }

    async fn assert_time_only_goes_on(&self, node: &Node) {
        let messages = folding::everything(&self.setup.log).await;
        // This, too, refuses a commit that is older than the one before it.
        let decided = folding::decided(&node.custody, &messages);
        let times: Vec<_> = decided.iter().map(|commit| commit.header.time).collect();
        assert!(times.is_sorted());
    }
}

async fn a_node_stops_while_its_clock_is_wrong(on_nats: bool) {
    let place = Place::new(on_nats).await;
    let node = place.setup.create().await;
    let mount = node.mount("secret/");
    let id = node.custody.keys().id.record(mount, "s");
    let mut version = 0;
    for off in [2_600, -2_600, 3_600_000, -3_600_000, i64::MAX / 4] {
        version += 1;
        let done = node.put(mount, "s", None, b"x").await.unwrap();
        assert_eq!(done.done.versions, [version]);
        node.ask(id).await.unwrap();
        let before = place.end().await;
        place.clock.by(off);
        for _ in 0..3 {
            match node.put(mount, "s", None, b"x").await {
                Err(Error::Clock(told)) => {
                    assert!(told.off > TOLERANCE, "{told}");
                    assert!(told.to_string().contains("clock"), "{told}");
                }
                other => panic!("a clock that is {off} ms off: {other:?}"),
            }
            // What is asked cannot be put on record, and so is not answered.
            let asked = node.ask(id).await.unwrap_err();
            assert!(asked.to_string().contains("clock"), "{asked}");
        }
        assert_eq!(place.end().await, before, "nothing was written");
        place.clock.by(0);
    }
    // Off, but not by more than is allowed.
    for off in [TOLERANCE as i64 - 700, 700 - TOLERANCE as i64, 0] {
        place.clock.by(off);
        version += 1;
        let done = node.put(mount, "s", None, b"x").await.unwrap();
        assert_eq!(done.done.versions, [version]);
        node.ask(id).await.unwrap();
    }
    place.assert_time_only_goes_on(&node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_stops_while_its_clock_is_wrong_on_the_embedded_log() {
    a_node_stops_while_its_clock_is_wrong(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_stops_while_its_clock_is_wrong_on_jetstream() {
    a_node_stops_while_its_clock_is_wrong(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_never_goes_back_whatever_the_clocks_do() {
    let place = Place::new(false).await;
    let node = place.setup.create().await;
    let (other, other_clock) = place.another();
    let other = other.start().await;
    let mount = node.mount("secret/");
    let mut rng = Rng::new(tools::seed(), "clocks");
    let (mut written, mut refused) = (0, 0);
    for round in 0..if tools::full() { 2_000 } else { 150 } {
        for clock in [&place.clock, &other_clock] {
            let off = i64::try_from(rng.below(5_200)).unwrap() - 2_600;
            clock.by(off);
        }
        let path = round.to_string();
        let (a, b) = tokio::join!(
            node.put(mount, "both", None, b"a"),
            other.put(mount, &path, None, b"b"),
        );
        for outcome in [a, b] {
            match outcome {
                Ok(_) => written += 1,
                Err(Error::Clock(_)) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    println!("{written} written, {refused} refused");
    assert!(written > 0 && refused > 0);
    place.assert_time_only_goes_on(&node).await;
}

/// Each is within what is allowed, though they are further apart than that.
#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_within_bounds_do_not_stop_each_other() {
    let place = Place::new(false).await;
    let node = place.setup.create().await;
    let (other, other_clock) = place.another();
    let other = other.start().await;
    let mount = node.mount("secret/");
    place.clock.by(1_500);
    other_clock.by(-1_500);
    for round in 0..10 {
        for (by, node) in [("ahead", &node), ("behind", &other)] {
            let done = node.put(mount, by, None, b"x").await.unwrap();
            assert_eq!(done.done.versions, [round + 1]);
        }
    }
    place.assert_time_only_goes_on(&node).await;
}

/// A clock that is set while the last comparison is still fresh is found out, also when it is set
/// back just so far that it is as far from the comparison as it should be, on the other side.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_is_compared_again() {
    let place = Place::new(false).await;
    let guard = Guard::new(place.clock.clone());
    for back in [-6_000, -3_000, 3_000] {
        place.clock.by(0);
        assert!(guard.time(&*place.setup.log, Millis(0)).await.is_ok());
        tokio::time::sleep(Duration::from_millis(3_000)).await;
        assert!(guard.time(&*place.setup.log, Millis(0)).await.is_ok());
        place.clock.by(back);
        let told = guard.time(&*place.setup.log, Millis(0)).await;
        assert!(told.is_err(), "a clock set by {back} ms goes unnoticed");
    }
}

/// A commit that nobody knows the outcome of keeps its time, and what is decided on top of it while
/// the clock is wrong is not let into the log.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_for_a_moment_leaves_no_trace() {
    let place = Place::new(false).await;
    let node = Arc::new(place.setup.create().await);
    let mount = node.mount("secret/");
    let mut writing = tokio::task::JoinSet::new();
    for task in 0..8 {
        let node = node.clone();
        writing.spawn(async move {
            for _ in 0..60 {
                match node.put(mount, &task.to_string(), None, b"x").await {
                    Ok(_) | Err(Error::Clock(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    while !writing.is_empty() {
        place.clock.by(600_000);
        tokio::time::sleep(Duration::from_micros(300)).await;
        place.clock.by(0);
        tokio::select! {
            _ = writing.join_next() => {}
            () = tokio::time::sleep(Duration::from_millis(2)) => {}
        }
    }
    let last = place.setup.log.last(&Subject::Decided(GENERATION)).await;
    let decided = folding::decided(&node.custody, &folding::everything(&place.setup.log).await);
    assert_eq!(decided.last().unwrap().seq, last.unwrap().unwrap().seq);
    let latest = decided.iter().map(|commit| commit.header.time).max();
    assert!(
        latest.unwrap() <= System.now(),
        "a commit is from the future"
    );
    // So anyone can go on.
    place
        .setup
        .start()
        .await
        .put(mount, "after", None, b"x")
        .await
        .unwrap();
}

/// What was deleted is gone at once, also on a node whose clock is behind that of the node that
/// deleted it.
#[tokio::test(flavor = "multi_thread")]
async fn inv03_a_node_whose_clock_is_behind_does_not_tell_what_is_deleted() {
    let place = Place::new(false).await;
    let node = place.setup.create().await;
    let (other, other_clock) = place.another();
    let other = other.start().await;
    place.clock.by(1_500);
    other_clock.by(-1_500);
    let mount = node.mount("secret/");
    let id = node.custody.keys().id.record(mount, "s");
    node.put(mount, "s", None, b"x").await.unwrap();
    assert_eq!(other.ask(id).await.unwrap().verdict.name(), "permitted");
    let change = node.change(mount, "s", What::DeleteCurrent);
    let deleted = node.order(None, node.root(), Action::Change(vec![change]));
    deleted.await.unwrap();
    assert_eq!(other.ask(id).await.unwrap().verdict.name(), "deleted");
}
