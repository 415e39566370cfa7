//! Random games through real committers: both backends lead to the same secrets, and every way of
//! folding a log leads to the same entries and the same digest (invariants 1 and 8).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![allow(clippy::print_stdout, missing_docs, unreachable_pub, dead_code)]

#[path = "library/folding.rs"]
mod folding;
#[path = "model/game.rs"]
mod game;
#[path = "library/node.rs"]
mod node;
#[path = "model/shown.rs"]
mod shown;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use billfold_core::{
    command::Action,
    decide::Refusal,
    id::{MountId, Seq},
    state::Memory,
    subject::Subject,
};
use billfold_projector::{View, chain::Opened};
use billfold_streams::{
    committer::Error,
    custody::Custody,
    keys::{Revision, Slot},
};
use billfold_tests::{nats::NatsServer, tools, tools::Rng};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tempfile::TempDir;
use tokio::{runtime::Runtime, time::sleep};

use self::{
    game::{Command, Model, games},
    node::{Node, PATIENCE, Setup},
};

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().worker_threads(2).build().unwrap()
}

/// Plays games that the seed of this run decides.
fn play(name: &str, cases: u32, test: impl Fn(Vec<Command>)) {
    let mut rng = Rng::new(tools::seed(), name);
    let seed: Vec<u8> = (0..4).flat_map(|_| rng.draw().to_le_bytes()).collect();
    let config = Config {
        cases: if tools::full() { cases * 20 } else { cases },
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let played = runner.run(&games(), |game| {
        test(game);
        Ok(())
    });
    played.unwrap_or_else(|failure| panic!("{failure}"));
}

/// A wallet on one backend, and a second node that only looks on.
struct World {
    setup: Setup,
    node: Node,
    other: Node,
}

impl World {
    async fn new(setup: Setup) -> Self {
        let node = setup.create().await;
        let idle = Setup {
            fills: false,
            ..setup.clone()
        };
        let other = idle.start().await;
        Self { setup, node, other }
    }

    /// Plays a game in a mount of its own, and holds each answer against the model's.
    async fn play(&self, game: &[Command]) -> (MountId, Model) {
        static CASE: AtomicU32 = AtomicU32::new(0);
        let path = format!("case-{}/", CASE.fetch_add(1, Ordering::SeqCst));
        let (node, root) = (&self.node, self.node.root());
        let new = node::mount(&node.custody, &path);
        let (mount, action) = (new.mount, Action::EnableMount(new));
        node.order(None, root, action).await.unwrap();
        let (mut model, mut last) = (Model::default(), Seq::ZERO);
        for (number, command) in game.iter().enumerate() {
            let (changes, expected) = model.step(node, mount, command);
            // A sequence that belongs to something else, now and then.
            if number % 5 == 0 {
                node.ask(changes[0].record).await.unwrap();
            }
            let id = (number % 2 == 0).then(node::command_id);
            match (
                node.order(id, root, Action::Change(changes)).await,
                expected,
            ) {
                (Ok(done), Some(versions)) => {
                    assert_eq!(done.done.versions, versions);
                    last = done.seq;
                }
                (
                    Err(Error::Refused(
                        Refusal::CasMismatch
                        | Refusal::MetadataCasMismatch
                        | Refusal::MetadataCasNew,
                    )),
                    None,
                ) => {}
                (outcome, expected) => panic!("{outcome:?} instead of {expected:?}"),
            }
        }
        // What is acknowledged is in the log; this view may still be on its way there.
        node.keychain_at(last).await;
        (mount, model)
    }

    /// Lets a sweeper destroy what was given up, and waits until it has.
    async fn sweep(&self) {
        let sweeping = self.node.sweep();
        let deadline = Instant::now() + PATIENCE;
        while self.has_dying_keys() {
            assert!(
                Instant::now() < deadline,
                "the sweeper does not come to an end"
            );
            sleep(Duration::from_millis(10)).await;
        }
        sweeping.abort();
        let _ = sweeping.await;
    }

    fn has_dying_keys(&self) -> bool {
        let mut pages = self.node.keychain.view().pages();
        pages.any(|page| !page.unwrap().1.dying.is_empty())
    }

    /// What is in the log now, and the fold of it in memory.
    async fn fold(&self) -> Folded {
        let messages = folding::everything(&self.setup.log).await;
        let decided = folding::decided(&self.node.custody, &messages);
        let (memory, digest) = folding::in_memory(&decided);
        let head = decided.last().unwrap().seq;
        self.node.keychain_at(head).await;
        self.other.keychain_at(head).await;
        for node in [&self.node, &self.other] {
            let meta = node.keychain.view().meta();
            assert_eq!((meta.head.seq, meta.digest), (head, digest));
            folding::assert_holds(node.keychain.view(), &memory, "a node that follows");
        }
        Folded {
            custody: self.setup.custody().await,
            decided,
            memory,
        }
    }
}

/// A log, and what it comes to.
struct Folded {
    custody: Arc<Custody>,
    decided: Vec<Opened>,
    memory: Memory,
}

impl Folded {
    /// Folds once more, into a view that is written to and closed at these places.
    async fn again(
        &self,
        stops: impl Fn(usize) -> bool,
        writes: impl Fn(usize) -> bool,
        what: &str,
    ) -> (Arc<View>, TempDir) {
        let dir = TempDir::new().unwrap();
        let view = folding::into_view(dir.path(), &self.custody, &self.decided, stops, writes);
        let view = view.await;
        let (_, digest) = folding::in_memory(&self.decided);
        assert_eq!(view.digest(), digest, "{what}");
        folding::assert_holds(&view, &self.memory, what);
        (view, dir)
    }
}

async fn assert_shows(view: &View, custody: &Custody, mount: MountId, model: &Model, what: &str) {
    let shown = shown::secrets(view, custody, mount).await;
    assert_eq!(shown, *model, "{what}");
    for (folder, expected) in model.folders() {
        let lines = shown::lines(view, custody, mount, &folder).await;
        assert_eq!(lines, expected, "{what}: folder {folder:?}");
    }
}

async fn every_fold_agrees(world: &World, game: &[Command], rng: &mut Rng) {
    let (mount, model) = world.play(game).await;
    let live = (world.node.keychain.view(), &world.node.custody);
    assert_shows(live.0, live.1, mount, &model, "live").await;
    world.sweep().await;
    assert_shows(live.0, live.1, mount, &model, "live, swept").await;
    let folded = world.fold().await;
    let looking_on = world.other.keychain.view();
    assert_shows(
        looking_on,
        &world.other.custody,
        mount,
        &model,
        "looking on",
    )
    .await;
    let mut marks: Vec<(bool, bool)> = Vec::new();
    for _ in &folded.decided {
        marks.push((rng.below(20) == 0, rng.below(3) == 0));
    }
    let rebuilt = [
        folded.again(|_| false, |_| false, "at once").await,
        folded.again(|_| false, |_| true, "one by one").await,
        folded
            .again(|n| marks[n].0, |n| marks[n].1, "with stops")
            .await,
    ];
    for (view, _dir) in &rebuilt {
        assert_shows(view, &folded.custody, mount, &model, "rebuilt").await;
    }
}

#[test]
fn inv01_every_fold_of_an_embedded_log_agrees() {
    let (runtime, dir) = (runtime(), TempDir::new().unwrap());
    let setup = Setup::embedded(&dir.path().join("data"), &dir.path().join("wallet.key"));
    let world = runtime.block_on(World::new(setup));
    let rng = std::cell::RefCell::new(Rng::new(tools::seed(), "stops"));
    play("embedded", 12, |game| {
        runtime.block_on(every_fold_agrees(&world, &game, &mut rng.borrow_mut()));
    });
}

#[test]
fn inv01_both_backends_lead_to_the_same_secrets() {
    let (runtime, dir, nats) = (runtime(), TempDir::new().unwrap(), NatsServer::start());
    let worlds = runtime.block_on(async {
        let key_file = dir.path().join("wallet.key");
        let embedded = Setup::embedded(&dir.path().join("data"), &key_file);
        let jetstream = Setup::jetstream(&nats.url(), &key_file).await;
        [World::new(embedded).await, World::new(jetstream).await]
    });
    let rng = std::cell::RefCell::new(Rng::new(tools::seed(), "stops on both"));
    play("both", 8, |game| {
        for world in &worlds {
            runtime.block_on(every_fold_agrees(world, &game, &mut rng.borrow_mut()));
        }
    });
}

/// The very same log, moved from one backend to the other.
#[test]
fn inv01_a_log_has_one_digest_wherever_it_is() {
    let runtime = runtime();
    play("moved", 3, |game| {
        runtime.block_on(async {
            let (dir, nats) = (TempDir::new().unwrap(), NatsServer::start());
            let key_file = dir.path().join("wallet.key");
            let world = World::new(Setup::embedded(&dir.path().join("data"), &key_file)).await;
            let (mount, model) = world.play(&game).await;
            world.sweep().await;
            let folded = world.fold().await;
            let moved = Setup::jetstream(&nats.url(), &key_file).await;
            copy(&world.setup, &moved).await;
            let there = Setup {
                fills: false,
                ..moved
            };
            let there = there.start().await;
            let (here, there_view) = (world.node.keychain.view(), there.keychain.view());
            assert_eq!(there_view.meta(), here.meta());
            folding::assert_holds(there_view, &folded.memory, "moved");
            assert_shows(there_view, &there.custody, mount, &model, "moved").await;
        });
    });
}

async fn copy(from: &Setup, to: &Setup) {
    let pages = from.keys.pages().await.unwrap();
    let slots = pages.into_iter().map(Slot::Page);
    for slot in [Slot::Keyring, Slot::Wallet].into_iter().chain(slots) {
        let stored = from.keys.read(slot).await.unwrap().unwrap();
        let written = to.keys.write(slot, Revision::NONE, stored.bytes);
        written.await.unwrap();
    }
    let mut ends: HashMap<Subject, Seq> = HashMap::new();
    for message in folding::everything(&from.log).await {
        let end = ends.entry(message.subject).or_default();
        *end = to
            .log
            .append(&message.subject, *end, message.bytes)
            .await
            .unwrap();
        assert_eq!(*end, message.seq);
    }
}
