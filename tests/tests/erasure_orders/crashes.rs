//! `kill -9` between an order and each step of carrying it out: the next start finishes it, and says so
//! once.

use std::{fs, time::Instant};

use billfold_streams::fault_point::SWEEPING;
use billfold_tests::wallet::{Backend, Wallet};
use serde_json::json;
use tokio::time::sleep;

use super::{SWEPT_WITHIN, WALLET, erase, get, hold, put, read, swept};

pub async fn inv07_an_order_is_finished_after_a_crash_at_each_step(backend: Backend) {
    // The others come at a start, when the pages of a process that died are closed.
    let at_start = ["pages closed", "page removed"];
    for at in SWEEPING.iter().filter(|at| !at_start.contains(at)) {
        crash(backend, at).await;
    }
}

/// How often the order is given until it is on record before the crash.
const STARTS: usize = 5;

async fn order_and_die(wallet: &Wallet, at: &str) {
    let order = json!({ "path": "secret/team/", "reason": "they left us" });
    let (client, token) = (wallet.node.client(), wallet.node.token().to_owned());
    // The process may be gone before it answers.
    let path = format!("{WALLET}/erase");
    let _ = client.call("POST", &path, Some(&token), order).await;
    let deadline = Instant::now() + SWEPT_WITHIN;
    while client.call("GET", "/v1/sys/health", None, ()).await.is_ok() {
        assert!(Instant::now() < deadline, "it does not come to {at}");
        sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn crash(backend: Backend, at: &str) {
    let folder = tempfile::TempDir::new().unwrap();
    let trap = folder.path().join("fault");
    let wallet = Wallet::serve_with(backend, |builder| {
        builder.env("BILLFOLD_FAULT", format!("@{}", trap.display()))
    });
    let mut wallet = wallet.await;
    for path in ["team/a", "team/b", "held", "other"] {
        put(&wallet.node, path).await;
    }
    hold(&wallet.node, "secret/held").await;
    let mut receipts = json!([]);
    // What the start left to be swept may come to the same place before the order is on record.
    for _ in 0..STARTS {
        fs::write(&trap, at).unwrap();
        order_and_die(&wallet, at).await;
        fs::remove_file(&trap).unwrap();
        wallet.node.kill9();
        wallet.node.restart().await.unwrap();
        receipts = get(&wallet.node, "erasures").await["erasures"].clone();
        if receipts != json!([]) {
            break;
        }
    }
    let node = &wallet.node;
    assert_eq!(receipts.as_array().unwrap().len(), 1, "{at}: {receipts}");
    let receipt = swept(node, receipts[0]["id"].as_str().unwrap()).await;
    assert_eq!(
        json!([receipt["state"], receipt["keys"]]),
        json!(["pending", 4]),
        "{at}"
    );
    for (path, status) in [
        ("team/a", 404),
        ("team/b", 404),
        ("held", 200),
        ("other", 200),
    ] {
        assert_eq!(read(node, path).await, status, "{at}: {path}");
    }
    let forbidden = erase(node, "secret/held").await;
    assert_eq!(forbidden.status, 403, "{at}: {}", forbidden.text());
    let listed = wallet.replay(&["log"]).await.unwrap();
    let listed = listed.success().unwrap().stdout;
    assert_eq!(listed.matches("ErasureOrdered").count(), 1, "{at}");
    wallet.assert_sound().await;
}
