//! Erasure (invariant 7): what was given up is in no writing of the key store, what is in use stays
//! readable, and both hold wherever in the work a process died.

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
#[path = "library/folding.rs"]
mod folding;
#[path = "library/node.rs"]
mod node;
#[path = "erasure/owner.rs"]
mod owner;
#[path = "erasure/wallet.rs"]
mod wallet;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use billfold_core::id::RecordId;
use billfold_streams::fault_point::SWEEPING;
use billfold_tests::{
    billfold::Billfold,
    tools::{self, Rng},
};
use serde_json::json;
use tokio::time::sleep;

use self::{
    cluster::{Door, Put},
    wallet::{Inside, Wallet},
};

/// Secrets and whether each of their versions is to be readable.
#[derive(Debug, Default)]
struct Secrets(BTreeMap<String, Vec<bool>>);

impl Secrets {
    async fn put(&mut self, door: &Door, path: &str) {
        let versions = self.0.entry(path.to_owned()).or_default();
        versions.push(true);
        let version = versions.len() as u64;
        let put = door.put(path, None, &format!("{path}-{version}")).await;
        assert_eq!(put, Put::Version(version));
    }

    async fn destroy(&mut self, door: &Door, path: &str, version: usize) {
        let body = json!({ "versions": [version] });
        let done = door
            .call("POST", &format!("destroy/{path}"), Some(body))
            .await;
        assert_eq!(done.unwrap().status, 204);
        self.0.get_mut(path).unwrap()[version - 1] = false;
    }

    /// Destroys a version of a process that may be gone before it answers.
    async fn destroy_of_the_dying(&mut self, door: &Door, path: &str, version: usize) {
        let body = json!({ "versions": [version] });
        let path_of_call = format!("destroy/{path}");
        if let Ok(done) = door.call("POST", &path_of_call, Some(body)).await {
            assert_eq!(done.status, 204);
        }
        self.0.get_mut(path).unwrap()[version - 1] = false;
    }

    async fn remove(&mut self, door: &Door, path: &str) {
        let done = door.call("DELETE", &format!("metadata/{path}"), None).await;
        assert_eq!(done.unwrap().status, 204);
        self.0.remove(path);
    }

    async fn check(&self, door: &Door) {
        for (path, versions) in &self.0 {
            for (number, readable) in (1..).zip(versions) {
                let path_and_version = format!("data/{path}?version={number}");
                let read = door.call("GET", &path_and_version, None).await.unwrap();
                let data = &read.json()["data"];
                match readable {
                    true => {
                        assert_eq!(read.status, 200, "{path} {number}: {}", read.text());
                        assert_eq!(data["data"]["value"], json!(format!("{path}-{number}")));
                    }
                    false => {
                        assert_eq!(read.status, 404, "{path} {number}");
                        assert_eq!(data["metadata"]["destroyed"], json!(true));
                    }
                }
            }
        }
        let listed = door.list("").await;
        assert_eq!(listed, self.0.keys().cloned().collect::<Vec<_>>());
    }
}

/// The record of a path, found by anyone who has the wallet's keys.
async fn record(wallet: &Wallet, path: &str) -> RecordId {
    let mut setup = wallet.setup().await;
    setup.fills = false;
    let node = setup.start().await;
    node.custody.keys().id.record(node.mount("secret/"), path)
}

async fn destroyed_keys_are_nowhere(on_nats: bool) {
    let wallet = Wallet::new(on_nats).await;
    let mut node = wallet.builder.clone().spawn().await.unwrap();
    let door = Door::of(&node);
    let mut secrets = Secrets::default();
    let mut states = vec![door.state().await];
    for path in ["a", "a", "a", "b", "c", "d", "d"] {
        secrets.put(&door, path).await;
        states.push(door.state().await);
    }
    secrets.destroy(&door, "a", 2).await;
    secrets.remove(&door, "d").await;
    states.push(door.state().await);
    secrets.check(&door).await;
    let inside = wallet.until_finished().await;
    secrets.check(&door).await;
    inside.assert_whole();
    states.push(door.state().await);
    node.kill9();
    let (a, d) = (record(&wallet, "a").await, record(&wallet, "d").await);
    let inside = Inside::of(&wallet.setup().await).await;
    let gone = [(a, 2), (d, 1), (d, 2)].map(|(record, version)| {
        let key = inside.key_of(record, version).expect("it was written");
        assert!(!inside.holds(key), "the page still holds {key}");
        key
    });
    let destroyed = inside.destroyed();
    assert!(gone.iter().all(|key| destroyed.contains(key)));
    // And the key of the names of what was removed, each once.
    assert_eq!(destroyed.len(), gone.len() + 1, "{destroyed:?}");
    let kept = inside.key_of(a, 1).unwrap();
    assert!(
        inside.holds(kept) && kept.page == gone[0].page,
        "its neighbour stays"
    );
    for (sequence, digest) in states {
        let now = inside.digest_at(sequence).to_string();
        assert_eq!(now, digest, "erasure changed the past at {sequence}");
    }
    // A page that a dead process left is swept by the next one, and nothing is lost by it.
    node.restart().await.unwrap();
    wallet.until_finished().await.assert_whole();
    secrets.check(&Door::of(&node)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv07_destroyed_keys_are_nowhere_on_the_embedded_store() {
    destroyed_keys_are_nowhere(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv07_destroyed_keys_are_nowhere_on_jetstream() {
    destroyed_keys_are_nowhere(true).await;
}

/// Waits until the process behind this door has ended itself.
async fn until_dead(node: &mut Billfold) {
    let door = Door::of(node);
    let deadline = Instant::now() + Duration::from_secs(60);
    while door.call("GET", "data/a", None).await.is_ok() {
        assert!(Instant::now() < deadline, "the fault does not come");
        sleep(Duration::from_millis(10)).await;
    }
    // It answers no more before all that it held is free.
    node.kill9();
}

async fn work_goes_on_after_a_crash_at(fault: &str, on_nats: bool) {
    let wallet = Wallet::new(on_nats).await;
    let faulty = wallet.builder.clone().env("BILLFOLD_FAULT", fault);
    let mut secrets = Secrets::default();
    if ["pages closed", "page removed"].contains(&fault) {
        // These come at the start, when the pages of a process that died are closed.
        let mut node = wallet.builder.clone().spawn().await.unwrap();
        let door = Door::of(&node);
        for path in ["a", "a", "b", "c"] {
            secrets.put(&door, path).await;
        }
        secrets.destroy(&door, "a", 1).await;
        secrets.remove(&door, "c").await;
        node.kill9();
        // It may die before it serves.
        if let Ok(mut node) = faulty.spawn().await {
            until_dead(&mut node).await;
        }
    } else {
        wallet.tidy().await;
        let mut node = faulty.spawn().await.unwrap();
        let door = Door::of(&node);
        for path in ["a", "a", "b", "c"] {
            secrets.put(&door, path).await;
        }
        secrets.destroy_of_the_dying(&door, "a", 1).await;
        until_dead(&mut node).await;
    }
    let key = {
        let a = record(&wallet, "a").await;
        let inside = Inside::of(&wallet.setup().await).await;
        inside.assert_whole();
        let key = inside.key_of(a, 1).unwrap();
        let stored = &inside.pages[&key.page];
        let (held, confirmed) = (inside.holds(key), inside.destroyed().contains(&key));
        match fault {
            "keys given up" => assert!(held && !confirmed),
            "page written" => assert!(!held && stored.writings == 2 && !confirmed),
            "older pages erased" => assert!(!held && stored.writings == 1 && !confirmed),
            "destruction confirmed" => assert!(!held && stored.writings == 1 && confirmed),
            _ => assert!(stored.using.closed, "it died after the page was closed"),
        }
        key
    };
    let node = wallet.builder.clone().spawn().await.unwrap();
    let door = Door::of(&node);
    let inside = wallet.until_finished().await;
    inside.assert_whole();
    assert!(!inside.holds(key));
    let confirmed = inside.destroyed();
    let times = confirmed.iter().filter(|known| **known == key).count();
    assert_eq!(times, 1, "it is told once that it was destroyed");
    secrets.check(&door).await;
    secrets.put(&door, "after").await;
    secrets.check(&door).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv07_the_work_goes_on_after_a_crash_at_each_step_on_the_embedded_store() {
    for fault in SWEEPING {
        work_goes_on_after_a_crash_at(fault, false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv07_the_work_goes_on_after_a_crash_at_each_step_on_jetstream() {
    for fault in SWEEPING {
        work_goes_on_after_a_crash_at(fault, true).await;
    }
}

async fn nothing_is_lost_or_left_over_crashes(on_nats: bool) {
    let wallet = Wallet::new(on_nats).await;
    let mut rng = Rng::new(tools::seed(), if on_nats { "nats" } else { "embedded" });
    let mut secrets = Secrets::default();
    let mut node = wallet.builder.clone().spawn().await.unwrap();
    let door = Door::of(&node);
    for _ in 0..if tools::full() { 50 } else { 6 } {
        for _ in 0..5 + rng.below(15) {
            let path = format!("s{}", rng.below(6));
            let versions = secrets.0.get(&path).map_or(0, Vec::len);
            match (rng.below(5), versions) {
                (0, 1..) => secrets.remove(&door, &path).await,
                (1 | 2, 1..) => {
                    let version = 1 + usize::try_from(rng.below(versions as u64)).unwrap();
                    secrets.destroy(&door, &path, version).await;
                }
                (_, 0..9) => secrets.put(&door, &path).await,
                _ => {}
            }
        }
        sleep(Duration::from_millis(rng.below(40))).await;
        node.kill9();
        node.restart().await.unwrap();
        secrets.check(&door).await;
    }
    let inside = wallet.until_finished().await;
    inside.assert_whole();
    secrets.check(&door).await;
    println!("{} keys were destroyed", inside.destroyed().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn inv07_nothing_is_lost_or_left_over_crashes_on_the_embedded_store() {
    nothing_is_lost_or_left_over_crashes(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv07_nothing_is_lost_or_left_over_crashes_on_jetstream() {
    nothing_is_lost_or_left_over_crashes(true).await;
}
