//! Pages, while others write; and several nodes, each of which tells what all of them did.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use billfold_tests::{
    billfold::Billfold,
    wallet::{Backend, Wallet},
};
use serde_json::Value;

use super::story::{act, page, place, prepare, record, write};

/// Pages of one order, from the first to where a sequence is reached, while others write.
async fn walk(node: &Billfold, order: &str, until: impl Fn((u64, u64)) -> bool) -> Vec<(u64, u64)> {
    let (mut places, mut after) = (Vec::new(), String::new());
    loop {
        let query = format!("path=secret/&order={order}&limit=9{after}");
        let (rows, next) = page(node, &query).await;
        places.extend(rows.iter().map(place));
        let Some(next) = next.filter(|_| !places.last().copied().is_some_and(&until)) else {
            return places;
        };
        after = format!("&after={next}");
    }
}

pub async fn pages_neither_miss_nor_repeat_while_others_write(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let cast = prepare(&wallet.node).await;
    act(&wallet.node, &cast).await;
    let end = record(&wallet).await.last().unwrap()["sequence"]
        .as_u64()
        .unwrap();

    let writing = Arc::new(AtomicBool::new(true));
    let others = async {
        let mut written = 0;
        while writing.load(Ordering::Relaxed) {
            write(&wallet.node, "secret/data/team/busy").await;
            written += 1;
        }
        written
    };
    let reading = async {
        let oldest = walk(&wallet.node, "oldest", |(sequence, _)| sequence > end + 40).await;
        let newest = walk(&wallet.node, "newest", |_| false).await;
        writing.store(false, Ordering::Relaxed);
        (oldest, newest)
    };
    let (written, (oldest, newest)) = tokio::join!(others, reading);
    assert!(written > 10);

    let (all, next) = page(&wallet.node, "path=secret/&limit=10000").await;
    assert!(next.is_none());
    let all: Vec<_> = all.iter().map(place).collect();
    assert_eq!(oldest, all[..oldest.len()]);
    let newest: Vec<_> = newest.into_iter().rev().collect();
    assert_eq!(newest, all[..newest.len()]);
    wallet.assert_sound().await;
}

/// Each node tells at once what any node put on record before it was asked.
#[tokio::test(flavor = "multi_thread")]
async fn inv03_each_node_tells_what_all_of_them_were_asked() {
    let wallet = Wallet::serve(Backend::JetStream).await;
    let other = wallet.node.builder().another_node();
    let (one, other) = (&wallet.node, other.spawn().await.unwrap());
    let cast = prepare(one).await;
    for _ in 0..3 {
        tokio::join!(act(one, &cast), act(&other, &cast));
    }
    let mut asked = BTreeSet::new();
    for (reader, teller) in [(one, &other), (&other, one)].into_iter().cycle().take(20) {
        let reply = reader.root("GET", "/v1/secret/data/team/x", ()).await;
        let id = reply.header("x-request-id").unwrap().to_owned();
        for node in [teller, reader] {
            let (rows, _) = page(
                node,
                "path=secret/team/x&operation=read-data&order=newest&limit=1",
            )
            .await;
            assert_eq!(rows[0]["request"], id.as_str());
        }
        asked.insert(id);
    }
    assert_eq!(asked.len(), 20);

    let (of_one, _) = page(one, "limit=10000").await;
    let (of_other, _) = page(&other, "limit=10000").await;
    assert_eq!(of_one[..], of_other[..of_one.len()]);
    // Where they stand in the log and what they were answered is what an auditor finds there.
    let lines = record(&wallet).await;
    for (row, line) in of_one.iter().zip(&lines) {
        assert_eq!(place(row), place(line));
        assert_eq!(
            (&row["outcome"], &row["request"]),
            (&line["verdict"], &line["request"])
        );
    }
    let denied = |rows: &[Value]| rows.iter().filter(|row| row["outcome"] == "denied").count();
    assert!(denied(&of_one) >= 6 * 5);
}
