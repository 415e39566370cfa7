//! Several nodes at once: the same order twice, an order against a hold, an order against readers.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use billfold_tests::{billfold::Billfold, tools, wallet::within_reason};
use serde_json::Value;

use super::{
    WALLET,
    cluster::{Cluster, Door},
    erase, get, lift, put, read, swept,
};

async fn fill(node: &Billfold, folder: &str, count: usize) {
    for number in 0..count {
        put(node, &format!("{folder}/{number}")).await;
    }
}

/// The records that an order took; none when there was nothing left for it.
fn taken(status: u16, told: &Value) -> Vec<String> {
    match status {
        404 => Vec::new(),
        200 => {
            let receipts = told["receipts"].as_array().unwrap().iter();
            let records = receipts.flat_map(|receipt| receipt["records"].as_array().unwrap());
            records
                .map(|gone| gone["record"].as_str().unwrap().to_owned())
                .collect()
        }
        other => panic!("{other}: {told}"),
    }
}

async fn the_same_is_erased_once(delays: &[Duration]) {
    let cluster = Cluster::start(delays).await;
    let nodes = &cluster.nodes;
    for round in 0..if tools::full() { 20 } else { 4 } {
        let folder = format!("team{round}");
        fill(&nodes[0], &folder, 5).await;
        let path = format!("secret/{folder}/");
        let (one, other) = tokio::join!(erase(&nodes[0], &path), erase(&nodes[1], &path));
        let mut all = Vec::new();
        for reply in [one, other] {
            all.extend(taken(reply.status, &reply.json()));
        }
        let each: BTreeSet<_> = all.iter().collect();
        assert_eq!((all.len(), each.len()), (5, 5), "each is erased once");
        for node in nodes {
            assert_eq!(read(node, &format!("{folder}/0")).await, 404);
        }
    }
    // Every node tells the same, and each key is confirmed once.
    for receipt in get(&nodes[0], "erasures").await["erasures"]
        .as_array()
        .unwrap()
    {
        let id = receipt["id"].as_str().unwrap();
        let here = swept(&nodes[0], id).await;
        assert_eq!(swept(&nodes[1], id).await, here);
    }
    cluster.assert_agreement().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv07_two_nodes_erase_the_same_once() {
    within_reason(the_same_is_erased_once(&[Duration::ZERO; 2])).await;
}

/// The slow one loses its races, and hands its orders over.
#[tokio::test(flavor = "multi_thread")]
async fn inv07_a_slow_node_erases_as_well() {
    within_reason(the_same_is_erased_once(&[
        Duration::ZERO,
        Duration::from_millis(20),
    ]))
    .await;
}

async fn an_order_never_passes_a_hold() {
    let cluster = Cluster::start(&[Duration::ZERO, Duration::ZERO]).await;
    let nodes = &cluster.nodes;
    let (mut held, mut erased) = (0, 0);
    for round in 0..if tools::full() { 60 } else { 12 } {
        let folder = format!("team{round}");
        fill(&nodes[0], &folder, 2).await;
        let path = format!("secret/{folder}/");
        let wish = serde_json::json!({ "path": path, "reason": "a lawsuit" });
        let (first, second) = (&nodes[round % 2], &nodes[(round + 1) % 2]);
        let place = async {
            // Each comes first now and then.
            tokio::time::sleep(Duration::from_millis((round as u64 % 4) * 2)).await;
            first.root("POST", &format!("{WALLET}/holds"), wish).await
        };
        let (placed, told) = tokio::join!(place, erase(second, &path));
        assert_eq!(placed.status, 200, "{}", placed.text());
        let hold: u64 = placed.header("x-billfold-seq").unwrap().parse().unwrap();
        match told.status {
            403 => {
                held += 1;
                for node in nodes {
                    assert_eq!(read(node, &format!("{folder}/0")).await, 200);
                    assert_eq!(erase(node, &path).await.status, 403);
                }
            }
            200 => {
                erased += 1;
                let order = told.json()["receipts"][0]["sequence"].as_u64().unwrap();
                assert!(order <= hold, "erased at {order}, held since {hold}");
                assert_eq!(read(first, &format!("{folder}/0")).await, 404);
            }
            other => panic!("{other}: {}", told.text()),
        }
        let id = placed.json()["id"].as_str().unwrap().to_owned();
        assert_eq!(lift(second, &id).await, 204);
    }
    println!("{held} times the hold was first, {erased} times the order");
    cluster.assert_agreement().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv07_an_order_never_passes_a_hold_on_another_node() {
    within_reason(an_order_never_passes_a_hold()).await;
}

async fn readers_see_it_or_do_not() {
    let cluster = Cluster::start(&[Duration::ZERO, Duration::ZERO]).await;
    for round in 0..if tools::full() { 20 } else { 4 } {
        let path = format!("shared/{round}");
        put(&cluster.nodes[0], &path).await;
        let erased = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = cluster
            .nodes
            .iter()
            .map(|node| {
                let (door, path, erased) = (Door::of(node), path.clone(), Arc::clone(&erased));
                tokio::spawn(async move {
                    let mut seen = 0;
                    loop {
                        let was_erased = erased.load(Ordering::SeqCst);
                        match door.read(&path).await.unwrap() {
                            Some((1, value)) => {
                                assert_eq!(value, path);
                                assert!(!was_erased, "it is told after it was erased");
                                seen += 1;
                            }
                            Some(other) => panic!("{other:?}"),
                            None => break seen,
                        }
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let told = erase(&cluster.nodes[1], &format!("secret/{path}")).await;
        assert_eq!(told.status, 200, "{}", told.text());
        erased.store(true, Ordering::SeqCst);
        for reader in readers {
            reader.await.unwrap();
        }
    }
    cluster.assert_agreement().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv03_whoever_reads_while_it_is_erased_sees_it_or_does_not() {
    within_reason(readers_see_it_or_do_not()).await;
}
