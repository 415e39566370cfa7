//! Several nodes on one log: they race, hand over, read each other's writes, die and join.

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
#[path = "two_nodes/handover.rs"]
mod handover;
#[path = "two_nodes/listing.rs"]
mod listing;
#[path = "two_nodes/mounts.rs"]
mod mounts;
#[path = "library/node.rs"]
mod node;
#[path = "two_nodes/policies.rs"]
mod policies;
#[path = "two_nodes/race.rs"]
mod race;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use billfold_tests::tools::{self, Rng};
use serde_json::json;
use tokio::{task::JoinSet, time::sleep};

use self::cluster::{Cluster, Digests, Door, Put};

const FAST: Duration = Duration::ZERO;
const SLOW: Duration = Duration::from_millis(5);

fn scaled(short: u64, long: u64) -> u64 {
    if tools::full() { long } else { short }
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_one_wins_each_race() {
    let cluster = Cluster::start(&[FAST, FAST]).await;
    let doors = cluster.doors();
    let mut wins = [0, 0];
    let rounds = scaled(1_000, 10_000);
    for round in 0..rounds {
        let (a, b) = tokio::join!(
            doors[0].put("race", Some(round), "a"),
            doors[1].put("race", Some(round), "b"),
        );
        let winner = match (&a, &b) {
            (Put::Version(version), Put::Refused(400)) if *version == round + 1 => 0,
            (Put::Refused(400), Put::Version(version)) if *version == round + 1 => 1,
            other => panic!("round {round}: {other:?}"),
        };
        wins[winner] += 1;
        if round % 50 == 0 {
            let expected = Some((round + 1, ["a", "b"][winner].to_owned()));
            for door in &doors {
                assert_eq!(door.read("race").await, Ok(expected.clone()));
            }
        }
    }
    println!("wins: {wins:?}");
    for door in &doors {
        assert_eq!(
            door.versions("race").await,
            rounds,
            "no version was made twice"
        );
    }
    cluster.assert_agreement().await;
}

/// Writes through one node that are told which version they made.
async fn writes(door: Door, name: String, count: u64, ids: bool) -> Vec<(Option<String>, u64)> {
    let mut made = Vec::new();
    for number in 0..count {
        let id = ids.then(|| node::command_id().to_string());
        let door = match &id {
            Some(id) => door.as_command(id),
            None => door.clone(),
        };
        let put = door.put("shared", None, &format!("{name}-{number}")).await;
        let Put::Version(version) = put else {
            panic!("write {number} of {name}: {put:?}")
        };
        made.push((id, version));
    }
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_node_makes_progress_beside_a_fast_one() {
    let cluster = Cluster::start(&[FAST, SLOW]).await;
    let doors = cluster.doors();
    let goes_on = Arc::new(AtomicBool::new(true));
    let mut fast = JoinSet::new();
    for task in 0..4 {
        let (door, goes_on) = (doors[0].clone(), goes_on.clone());
        fast.spawn(async move {
            let mut made = 0;
            while goes_on.load(Ordering::SeqCst) {
                let put = door.put(&format!("fast/{task}"), Some(made), "x").await;
                made += 1;
                assert_eq!(put, Put::Version(made));
            }
            made
        });
    }
    let (tasks, each) = (8, scaled(40, 500));
    let began = Instant::now();
    let mut slow = JoinSet::new();
    for task in 0..tasks {
        let (door, name) = (doors[1].clone(), format!("slow-{task}"));
        slow.spawn(writes(door, name, each, task % 2 == 0));
    }
    let made = tokio::time::timeout(Duration::from_secs(180), slow.join_all());
    let made = made
        .await
        .expect("the slow node's writes get through")
        .concat();
    let took = began.elapsed();
    goes_on.store(false, Ordering::SeqCst);
    let by_fast: u64 = fast.join_all().await.iter().sum();
    println!(
        "in {took:?}: {} writes by the slow node, {by_fast} by the fast one",
        made.len()
    );
    assert!(by_fast > 0, "the fast node goes on");

    let mut versions: Vec<u64> = made.iter().map(|(_, version)| *version).collect();
    versions.sort_unstable();
    let all: Vec<u64> = (1..=tasks * each).collect();
    assert_eq!(versions, all, "each write is one version");
    // A repetition, wherever it comes in, is told what was done and does nothing.
    for (id, version) in made
        .iter()
        .filter_map(|(id, v)| Some((id.as_ref()?, v)))
        .take(50)
    {
        let door = doors[usize::from(version % 2 == 0)].as_command(id);
        assert_eq!(
            door.put("shared", None, "again").await,
            Put::Version(*version)
        );
    }
    for door in &doors {
        assert_eq!(door.versions("shared").await, tasks * each);
    }
    cluster.assert_agreement().await;
}

/// Writes through one node and reads through the other, at once, over and over.
async fn reads_see_writes(cluster: &Cluster, tasks: u64, rounds: u64) {
    let mut pairs = JoinSet::new();
    for task in 0..tasks {
        let doors = cluster.doors();
        pairs.spawn(async move {
            let folder = format!("pairs-{task}");
            let path = format!("{folder}/value");
            for round in 0..rounds {
                let (writer, reader) = match (round + task) % 2 {
                    0 => (&doors[0], &doors[1]),
                    _ => (&doors[1], &doors[0]),
                };
                let value = format!("{task}-{round}");
                assert_eq!(
                    writer.put(&path, None, &value).await,
                    Put::Version(round + 1)
                );
                let seen = reader.read(&path).await;
                assert_eq!(
                    seen,
                    Ok(Some((round + 1, value))),
                    "a read must not be stale"
                );
                match round % 20 {
                    // What is deleted is gone at once, too.
                    7 => {
                        let gone = writer.call("DELETE", &format!("data/{path}"), None).await;
                        assert_eq!(gone.unwrap().status, 204);
                        assert_eq!(reader.read(&path).await, Ok(None));
                    }
                    13 => {
                        let name = format!("new-{round}");
                        let put = writer.put(&format!("{folder}/{name}"), None, "x").await;
                        assert_eq!(put, Put::Version(1));
                        assert!(reader.list(&folder).await.contains(&name));
                    }
                    _ => {}
                }
            }
        });
    }
    pairs.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv03_a_read_sees_what_another_node_has_just_written() {
    let cluster = Cluster::start(&[FAST, FAST]).await;
    reads_see_writes(&cluster, 8, scaled(250, 2_500)).await;
    cluster.assert_agreement().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv03_a_read_over_a_slow_link_sees_what_was_just_written() {
    let cluster = Cluster::start(&[FAST, SLOW]).await;
    reads_see_writes(&cluster, 16, scaled(30, 400)).await;
    cluster.assert_agreement().await;
}

/// What one writer was told of its own secret: the last version, and the value that it tried last.
struct Told {
    path: String,
    version: u64,
    tried: u64,
}

/// Writes a secret of its own until it is told to stop, or its node is gone.
async fn write_on(door: Door, path: String, goes_on: Arc<AtomicBool>, may_die: bool) -> Told {
    let (mut version, mut tried) = (0, 0);
    while goes_on.load(Ordering::SeqCst) {
        tried += 1;
        match door.put(&path, None, &tried.to_string()).await {
            Put::Version(told) => {
                assert_eq!(told, version + 1, "{path}");
                version = told;
            }
            _ if may_die => break,
            other => panic!("{path} after the other node died: {other:?}"),
        }
    }
    Told {
        path,
        version,
        tried,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv02_a_node_that_is_killed_takes_nothing_with_it() {
    let mut cluster = Cluster::start(&[FAST, FAST]).await;
    let mut rng = Rng::new(tools::seed(), "killed");
    let mut told = Vec::new();
    for life in 0..scaled(3, 20) {
        let goes_on = Arc::new(AtomicBool::new(true));
        let mut writers = JoinSet::new();
        for (node, door) in cluster.doors().into_iter().enumerate() {
            for task in 0..6 {
                let path = format!("life-{life}/{node}-{task}");
                writers.spawn(write_on(door.clone(), path, goes_on.clone(), node == 0));
            }
        }
        sleep(Duration::from_millis(200 + rng.below(800))).await;
        cluster.nodes[0].kill9();
        let before = cluster.doors()[1].state().await.0;
        // The other one goes on as if nothing had been.
        let deadline = Instant::now() + Duration::from_secs(60);
        while cluster.doors()[1].state().await.0 < before + 100 {
            assert!(Instant::now() < deadline, "the other node stands still");
            sleep(Duration::from_millis(20)).await;
        }
        goes_on.store(false, Ordering::SeqCst);
        told.extend(writers.join_all().await);
        cluster.nodes[0].restart().await.unwrap();
    }
    for door in cluster.doors() {
        for Told {
            path,
            version,
            tried,
        } in &told
        {
            // The last write of a node that died may have been done without its client hearing of it.
            match door.read(path).await.unwrap() {
                Some((found, value)) => {
                    assert!(found == *version || found == version + 1, "{path}: {found}");
                    assert_eq!(value, found.to_string(), "{path}");
                    assert!(found <= *tried, "{path}");
                }
                None => assert_eq!(*version, 0, "{path} was acknowledged"),
            }
        }
    }
    let writes: u64 = told.iter().map(|told| told.version).sum();
    println!("{writes} writes were acknowledged");
    cluster.assert_agreement().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv01_nodes_agree_wherever_they_meet() {
    let mut cluster = Cluster::start(&[FAST, SLOW]).await;
    let goes_on = Arc::new(AtomicBool::new(true));
    let mut writers = JoinSet::new();
    for (node, door) in cluster.doors().into_iter().enumerate() {
        for task in 0..3 {
            let path = format!("{node}-{task}");
            writers.spawn(write_on(door.clone(), path, goes_on.clone(), false));
        }
    }
    sleep(Duration::from_millis(500)).await;
    // A third one comes to a log that is being written.
    cluster.join(FAST).await;
    let doors = cluster.doors();
    let (mut digests, mut meetings) = (Digests::default(), 0);
    for _ in 0..scaled(300, 3_000) {
        let (a, b, c) = tokio::join!(doors[0].state(), doors[1].state(), doors[2].state());
        for (node, state) in [a, b, c].into_iter().enumerate() {
            meetings += u32::from(digests.add(node, state));
        }
    }
    goes_on.store(false, Ordering::SeqCst);
    writers.join_all().await;
    println!("two nodes were at one sequence {meetings} times");
    assert!(meetings > 0);
    cluster.assert_agreement().await;
    // It writes, too.
    assert_eq!(doors[2].put("third", None, "x").await, Put::Version(1));
    cluster.assert_agreement().await;
}

/// An answer that asks the log nothing shows whether a node waited for the place that it was told.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_with_an_index_sees_the_write_of_another_node() {
    let cluster = Cluster::start(&[FAST, Duration::from_millis(50)]).await;
    let doors = cluster.doors();
    let mut index = String::new();
    for number in 0..scaled(6, 200) {
        let body = json!({ "data": { "value": number.to_string() } });
        let written = doors[0].call("POST", "data/indexed", Some(body)).await;
        let written = written.unwrap();
        assert_eq!(written.status, 200, "{}", written.text());
        let header = |name| written.header(name).unwrap().to_owned();
        index = header("x-vault-index");
        let seq: u64 = header("x-billfold-seq").parse().unwrap();
        let behind = doors[1].with("X-Vault-Index", &index);
        let (there, _) = behind.state().await;
        assert!(there >= seq, "{there} is before {seq}");
        let read = behind.read("indexed").await.unwrap();
        assert_eq!(read, Some((number + 1, number.to_string())));
    }
    // Of two places the later one counts.
    let both = doors[1]
        .with("X-Vault-Index", "")
        .with("X-Vault-Index", &index);
    assert!(both.read("indexed").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn inv03_a_mount_is_as_another_node_has_just_made_it() {
    let cluster = Cluster::start(&[FAST, Duration::from_millis(50)]).await;
    let doors = cluster.doors();
    let (one, other) = (&doors[0], &doors[1]);
    assert_eq!(one.put("tuned", None, "x").await, Put::Version(1));
    for round in 0..scaled(4, 100) {
        for (keeps, oldest, warnings) in [(1, 1, 1), (0, 0, 0)] {
            let tuned = json!({ "max_versions": keeps, "cas_required": keeps == 1 });
            let told = one.call("PUT", "config", Some(tuned)).await.unwrap();
            assert_eq!(told.status, 204, "{}", told.text());
            let read = other.call("GET", "metadata/tuned", None).await.unwrap();
            assert_eq!(read.json()["data"]["oldest_version"], oldest);

            let told = one.call("PUT", "config", Some(json!({ "max_versions": 0 })));
            assert_eq!(told.await.unwrap().status, 204);
            let listed = other.call("LIST", "detailed-metadata", None).await.unwrap();
            let line = &listed.json()["data"]["key_info"]["tuned"];
            assert_eq!(line["oldest_version"], 0, "{}", listed.text());

            let none = json!({ "cas_required": false });
            let told = other
                .call("PUT", "metadata/tuned", Some(none))
                .await
                .unwrap();
            let told = match told.status {
                204 => 0,
                _ => told.json()["warnings"].as_array().unwrap().len(),
            };
            assert_eq!(told, warnings);
        }
        let mount = format!("/v1/sys/mounts/team{round}");
        let kind = json!({ "type": "kv-v2" });
        let enabled = one.send("POST", &mount, Some(kind)).await.unwrap();
        assert_eq!(enabled.status, 204, "{}", enabled.text());
        let path = format!("/v1/team{round}/data/first");
        let secret = json!({ "data": { "value": "x" } });
        let written = other.send("POST", &path, Some(secret)).await.unwrap();
        assert_eq!(written.status, 200, "{}", written.text());
    }
    cluster.assert_agreement().await;
}

/// Another node moves a mount while a read is on its way to the log: where the path leads by then is
/// the answer.
#[tokio::test(flavor = "multi_thread")]
async fn inv03_a_read_that_meets_a_moved_mount_looks_anew() {
    let cluster = Cluster::start(&[FAST, Duration::from_millis(50)]).await;
    let doors = cluster.doors();
    let (one, other) = (&doors[0], &doors[1]);
    let kind = json!({ "type": "kv-v2" });
    let enabled = one.send("POST", "/v1/sys/mounts/here", Some(kind)).await;
    assert_eq!(enabled.unwrap().status, 204);
    let secret = json!({ "data": { "value": "x" } });
    let written = one.send("POST", "/v1/here/data/app", Some(secret)).await;
    assert_eq!(written.unwrap().status, 200);
    let (mut from, mut to) = ("here", "there");
    for _ in 0..scaled(8, 100) {
        let path = format!("/v1/{from}/data/app");
        let sees = || async { other.send("GET", &path, None).await.unwrap() };
        // The other node knows where the mount is now.
        assert_eq!(sees().await.status, 200);
        let moved = json!({ "from": from, "to": to });
        let moved = one.send("POST", "/v1/sys/remount", Some(moved)).await;
        assert_eq!(moved.unwrap().status, 200);
        let read = sees().await;
        assert_eq!(read.status, 404, "{}", read.text());
        let told = "no handler for this route";
        assert_eq!(read.json()["errors"][0], told, "{}", read.text());
        std::mem::swap(&mut from, &mut to);
    }
    cluster.assert_agreement().await;
}
