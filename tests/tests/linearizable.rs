//! Histories of a mixed load, held against a register per key: whatever node answered, and whatever
//! died meanwhile, it must look as if there were one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![allow(clippy::print_stdout, missing_docs, unreachable_pub, dead_code)]

#[path = "two_nodes/cluster.rs"]
mod cluster;
#[path = "two_nodes/delay.rs"]
mod delay;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use billfold_tests::{
    billfold::Billfold,
    history::Recorder,
    tools::{self, Rng},
};
use tokio::{task::JoinSet, time::sleep};

use self::cluster::{Cluster, Door, Put};

const FAST: Duration = Duration::ZERO;
const SLOW: Duration = Duration::from_millis(5);
/// So few that operations meet all the time.
const KEYS: u64 = 4;
const WORKERS: u64 = 12;

fn operations() -> u64 {
    if tools::full() { 2_000 } else { 150 }
}

/// A load on some doors that records what it does.
struct Load {
    history: Arc<Recorder>,
    workers: JoinSet<()>,
    done: Arc<AtomicU64>,
    all: u64,
}

impl Load {
    fn start(doors: &[Door], name: &str) -> Self {
        let (history, done) = (Arc::new(Recorder::new()), Arc::new(AtomicU64::new(0)));
        let mut workers = JoinSet::new();
        for worker in 0..WORKERS {
            let rng = Rng::new(tools::seed(), &format!("{name} {worker}"));
            let (doors, history, done) = (doors.to_vec(), history.clone(), done.clone());
            workers.spawn(async move {
                work(&doors, &history, worker, rng, &done).await;
            });
        }
        Self {
            history,
            workers,
            done,
            all: WORKERS * operations(),
        }
    }

    /// Waits until this share of the operations is done.
    async fn until(&self, percent: u64) {
        while self.done.load(Ordering::SeqCst) < self.all * percent / 100 {
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn judge(self) {
        self.workers.join_all().await;
        let (operations, settled) = self.history.counts();
        println!("{operations} operations, {settled} with an outcome");
        self.history.assert_linearizable();
        // Nothing but a few at the moment of a crash may be open, or nothing was shown.
        assert!(settled * 10 > operations * 7, "too few outcomes");
    }
}

async fn work(doors: &[Door], history: &Recorder, worker: u64, mut rng: Rng, done: &AtomicU64) {
    for number in 0..operations() {
        let key = format!("key-{}", rng.below(KEYS));
        // A worker mostly stays where it is, and sometimes goes elsewhere.
        let door = match rng.below(4) {
            0 => &doors[usize::try_from(rng.below(doors.len() as u64)).unwrap()],
            _ => &doors[usize::try_from(worker).unwrap() % doors.len()],
        };
        if rng.below(2) == 0 {
            let value = format!("{worker}-{number}");
            let begun = history.begin_write(&key, &value);
            match door.put(&key, None, &value).await {
                Put::Version(version) => history.wrote(begun, version),
                // "Nothing has changed": so it must never be seen.
                Put::Unavailable => history.refused(begun),
                Put::Unknown => {
                    history.unknown(begun);
                    sleep(Duration::from_millis(20)).await;
                }
                Put::Refused(status) => panic!("a write was refused with {status}"),
            }
        } else {
            let begun = history.begin_read(&key);
            match door.read(&key).await {
                Ok(Some((version, value))) => history.saw(begun, version, &value),
                Ok(None) => history.saw_nothing(begun),
                Err(()) => {
                    history.unknown(begun);
                    sleep(Duration::from_millis(20)).await;
                }
            }
        }
        done.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv03_two_nodes_are_one_register() {
    let cluster = Cluster::start(&[FAST, FAST]).await;
    Load::start(&cluster.doors(), "two").judge().await;
    cluster.assert_agreement().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv03_two_nodes_are_one_register_over_a_slow_link_and_restarts() {
    let mut cluster = Cluster::start(&[FAST, SLOW]).await;
    let mut rng = Rng::new(tools::seed(), "restarts");
    let load = Load::start(&cluster.doors(), "slow");
    load.until(20 + rng.below(10)).await;
    cluster.nodes[1].kill9();
    sleep(Duration::from_millis(rng.below(300))).await;
    cluster.nodes[1].restart().await.unwrap();
    load.until(50 + rng.below(10)).await;
    // This one is asked to stop, and ends what it has begun.
    cluster.nodes[0].restart().await.unwrap();
    load.judge().await;
    cluster.assert_agreement().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv03_two_nodes_are_one_register_over_a_restart_of_the_log() {
    let mut cluster = Cluster::start(&[FAST, SLOW]).await;
    let mut rng = Rng::new(tools::seed(), "log");
    let load = Load::start(&cluster.doors(), "log");
    load.until(30 + rng.below(20)).await;
    cluster.nats.kill();
    sleep(Duration::from_millis(rng.below(500))).await;
    cluster.nats.run();
    load.judge().await;
    cluster.assert_agreement().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv03_an_embedded_node_is_one_register_over_a_restart() {
    let builder = Billfold::serve();
    builder.init().await.unwrap().success().unwrap();
    let mut node = builder.spawn().await.unwrap();
    let mut rng = Rng::new(tools::seed(), "embedded");
    let load = Load::start(&[Door::of(&node)], "embedded");
    load.until(30 + rng.below(10)).await;
    node.kill9();
    node.restart().await.unwrap();
    load.until(60 + rng.below(10)).await;
    node.restart().await.unwrap();
    load.judge().await;
}
