//! The audit trail as the API tells it: the same rows however it is asked, and whatever became of the index.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

#[path = "audit/erased.rs"]
mod erased;
#[path = "audit/filters.rs"]
mod filters;
#[path = "audit/paging.rs"]
mod paging;
#[path = "audit/steps.rs"]
mod steps;
#[path = "audit/story.rs"]
mod story;

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use billfold_tests::{
    on_both_backends,
    wallet::{Backend, Wallet},
};
use erased::inv07_no_record_of_a_request_keeps_the_path_of_what_is_erased;
use filters::{
    inv03_every_filter_finds_what_the_record_says, inv07_what_is_erased_is_found_by_no_folder,
};
use paging::pages_neither_miss_nor_repeat_while_others_write;
use serde_json::{Value, json};
use tokio::time::sleep;

on_both_backends! {
    inv03_the_trail_tells_each_event_once_in_the_order_of_the_log,
    inv01_an_index_that_was_deleted_tells_the_same,
    inv03_verdicts_are_those_of_their_place_after_a_crash,
    inv03_every_filter_finds_what_the_record_says,
    inv07_what_is_erased_is_found_by_no_folder,
    inv07_no_record_of_a_request_keeps_the_path_of_what_is_erased,
    pages_neither_miss_nor_repeat_while_others_write,
}

async fn write(wallet: &Wallet, name: &str) {
    let body = json!({ "data": { "x": "y" } });
    let path = format!("/v1/secret/data/{name}");
    assert_eq!(wallet.node.root("POST", &path, body).await.status, 200);
}

async fn read(wallet: &Wallet, name: &str) {
    let path = format!("/v1/secret/data/{name}");
    assert_eq!(wallet.node.root("GET", &path, ()).await.status, 200);
}

async fn page(wallet: &Wallet, query: &str) -> (Vec<Value>, Option<String>) {
    story::page(&wallet.node, query).await
}

async fn pages(wallet: &Wallet, query: &str, limit: usize) -> Vec<Value> {
    story::pages(&wallet.node, query, limit).await
}

/// The rows but for those that asking itself makes.
fn but_audit(rows: Vec<Value>) -> Vec<Value> {
    let mut rows = rows;
    rows.retain(|row| row["operation"] != "read-audit");
    rows
}

fn now() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis()
}

/// Enough of everything that the index gathers several commits at once.
async fn make_history(wallet: &Wallet) -> u128 {
    for round in 0..4 {
        for name in ["a", "b/c"] {
            write(wallet, name).await;
        }
        for _ in 0..round {
            read(wallet, "a").await;
        }
    }
    sleep(Duration::from_millis(20)).await;
    let between = now();
    sleep(Duration::from_millis(20)).await;
    for _ in 0..40 {
        tokio::join!(read(wallet, "a"), read(wallet, "a"), read(wallet, "b/c"));
    }
    between
}

async fn inv03_the_trail_tells_each_event_once_in_the_order_of_the_log(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let between = make_history(&wallet).await;

    let (of_a, _) = page(&wallet, "credential=a").await;
    let events = |rows: &[Value], event: &str| {
        let rows = rows.iter();
        rows.filter(|row| row["event"] == event).count()
    };
    assert_eq!(events(&of_a, "CredentialWritten"), 4);
    assert_eq!(
        events(&but_audit(of_a.clone()), "ResolutionRequested"),
        6 + 80
    );
    assert!(of_a.iter().all(|row| row["credential"] == "a"));
    // The answer is about all that was asked before, itself included.
    assert_eq!(of_a.last().unwrap()["operation"], "read-audit");

    let (all, _) = page(&wallet, "limit=10000").await;
    let place = |row: &Value| {
        let id = row["audit_id"].as_str().unwrap();
        let (seq, number) = id.split_once('.').unwrap();
        (seq.parse::<u64>().unwrap(), number.parse::<u64>().unwrap())
    };
    assert!(all.windows(2).all(|two| place(&two[0]) < place(&two[1])));
    assert_eq!(all[0]["event"], "WalletCreated");
    assert_eq!(events(&all, "CredentialWritten"), 8);

    for limit in [2, 7, 50] {
        let paged = pages(&wallet, &format!("credential=a&to={}", now()), limit).await;
        assert_eq!(but_audit(paged), but_audit(of_a.clone()), "limit {limit}");
    }
    let early = pages(&wallet, &format!("credential=a&to={between}"), 7).await;
    let late = pages(&wallet, &format!("credential=a&from={between}"), 7).await;
    assert_eq!((early.len(), but_audit(late.clone()).len()), (4 + 6, 80));
    let both = [early, but_audit(late)].concat();
    assert_eq!(both, but_audit(of_a));
    let (none, next) = page(&wallet, &format!("from={between}&to={between}")).await;
    assert!(none.is_empty() && next.is_none());
    let far = now() + 86_400_000;
    assert!(page(&wallet, &format!("from={far}")).await.0.is_empty());
    wallet.assert_sound().await;
}

async fn inv01_an_index_that_was_deleted_tells_the_same(backend: Backend) {
    let mut wallet = Wallet::serve(backend).await;
    make_history(&wallet).await;
    let before = but_audit(page(&wallet, "limit=10000").await.0);
    // The index and the state beside it are made anew together, whichever of them is gone.
    for gone in ["", "index", "state"] {
        wallet.node.stop().await.unwrap();
        let folder = wallet.node.data_dir().join("audit").join(gone);
        fs::remove_dir_all(folder).unwrap();
        wallet.node.restart().await.unwrap();
        let after = but_audit(page(&wallet, "limit=10000").await.0);
        // A start may make something of its own: it comes behind.
        assert_eq!(after[..before.len()], before, "without {gone}");
    }
}

/// More is decided than the index folds before it writes its state down. Whatever it had on disk when it was killed, and
/// however it is stopped after that, each request is judged by the state at its place.
async fn inv03_verdicts_are_those_of_their_place_after_a_crash(backend: Backend) {
    let mut wallet = Wallet::serve(backend).await;
    let cast = story::prepare(&wallet.node).await;
    for round in 0..3 {
        for batch in 0..3 {
            let change = |number: u64| {
                let path = format!("secret/many/{}", (round * 3 + batch) * 700 + number);
                json!({ "op": "put", "path": path, "data": { "x": number } })
            };
            let changes: Vec<_> = (0..700).map(change).collect();
            let body = json!({ "changes": changes });
            let done = wallet.node.root("POST", "/api/transactions", body).await;
            assert_eq!(done.status, 200, "{}", done.text());
            story::act(&wallet.node, &cast).await;
        }
        match round {
            0 => wallet.node.kill9(),
            // The index has come to the end, and has just written its state, or is about to.
            1 => {
                page(&wallet, "limit=1").await;
                wallet.node.kill9();
            }
            _ => drop(wallet.node.stop().await.unwrap()),
        }
        wallet.node.restart().await.unwrap();
    }
    story::tighten(&wallet.node, &cast).await;
    let lines = story::record(&wallet).await;
    assert!(lines.len() > 6_000);
    let rows = pages(&wallet, "order=oldest", 10_000).await;
    for (row, line) in rows.iter().zip(&lines) {
        assert_eq!(story::place(row), story::place(line));
        for (of_row, of_line) in [("outcome", "verdict"), ("policies", "policies")] {
            assert_eq!(row[of_row], line[of_line], "{row} {line}");
        }
    }
    assert!(rows.len() > lines.len());
    wallet.assert_sound().await;
}
