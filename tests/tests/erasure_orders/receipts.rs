//! Receipts: of every way in which something is destroyed, by path, page by page, and for ever.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use billfold_tests::wallet::{Backend, Wallet};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{SWEPT_WITHIN, erase, get, put, receipts_of, swept};

/// What each receipt says was done to which versions.
fn done(receipts: &[Value]) -> Vec<(String, Value, u64)> {
    let one = |receipt: &Value| {
        let versions = receipt["records"][0]["versions"].clone();
        let what = receipt["what"].as_str().unwrap().to_owned();
        (what, versions, receipt["keys"].as_u64().unwrap())
    };
    receipts.iter().map(one).collect()
}

pub async fn inv07_whatever_is_destroyed_has_a_receipt(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let node = &wallet.node;
    put(node, "app").await;
    assert_eq!(receipts_of(node, "app").await, Vec::<Value>::new());
    put(node, "app").await;
    put(node, "app").await;
    let destroyed = json!({ "versions": [1, 2] });
    let change = node.root("POST", "/v1/secret/destroy/app", destroyed).await;
    assert_eq!(change.status, 204);
    let settings = json!({ "max_versions": 2 });
    let change = node.root("POST", "/v1/secret/metadata/app", settings).await;
    assert_eq!(change.status, 204);
    put(node, "app").await;
    put(node, "app").await;
    let order = json!({ "path": "secret/app", "versions": [4], "reason": "r" });
    let erased = node.root("POST", "/api/internal/wallet/erase", order).await;
    assert_eq!(erased.status, 200, "{}", erased.text());
    let change = node.root("DELETE", "/v1/secret/metadata/app", ()).await;
    assert_eq!(change.status, 204);
    let text = |what: &str| what.to_owned();
    let expected = [
        (text("destroyed"), json!([1, 2]), 2),
        (text("trimmed"), json!([1]), 1),
        (text("trimmed"), json!([2]), 1),
        (text("trimmed"), json!([3]), 1),
        (text("erased"), json!([4]), 1),
        // The last version, and the names.
        (text("removed"), json!([]), 2),
    ];
    let receipts = receipts_of(node, "app").await;
    assert_eq!(done(&receipts), expected);
    assert_eq!(receipts[4]["id"], erased.json()["receipts"][0]["id"]);
    assert!(
        receipts
            .iter()
            .all(|receipt| receipt["by"]["token"].is_string())
    );
    // A secret of the same path begins anew, and what was before stays told.
    put(node, "app").await;
    assert_eq!(erase(node, "secret/app").await.status, 200);
    let deadline = Instant::now() + SWEPT_WITHIN;
    let receipts = loop {
        let receipts = receipts_of(node, "app").await;
        let states: BTreeSet<_> = receipts
            .iter()
            .map(|r| r["state"].as_str().unwrap())
            .collect();
        if states == BTreeSet::from(["pending"]) {
            break receipts;
        }
        assert!(Instant::now() < deadline, "{receipts:?}");
        sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(done(&receipts)[..6], expected);
    assert_eq!(done(&receipts)[6], (text("erased"), json!([1]), 2));
    // Two of the versions that fell off the end had been destroyed before.
    for receipt in receipts.iter().filter(|r| r["what"] != "trimmed") {
        let (order, outcome) = (&receipt["sequence"], &receipt["outcome_sequence"]);
        assert!(outcome.as_u64() > order.as_u64(), "{receipt}");
    }
    assert_eq!(receipts_of(node, "other").await, Vec::<Value>::new());
    wallet.assert_sound().await;
}

pub async fn inv08_receipts_come_back_with_a_rebuilt_view(backend: Backend) {
    let mut wallet = Wallet::serve(backend).await;
    for path in ["team/a", "team/b", "keep"] {
        put(&wallet.node, path).await;
    }
    let erased = erase(&wallet.node, "secret/team/").await.json();
    let id = erased["receipts"][0]["id"].as_str().unwrap().to_owned();
    let held = super::hold(&wallet.node, "secret/keep").await;
    let receipt = swept(&wallet.node, &id).await;
    let told = receipts_of(&wallet.node, "team/a").await;
    let holds = get(&wallet.node, "holds").await;
    let before = wallet.settled().await;
    assert_eq!(wallet.node.stop().await.unwrap(), 0);
    wallet.delete_view();
    wallet.node.restart().await.unwrap();
    let at = before.sequence.to_string();
    let digest = wallet.replay(&["digest", "--at", &at]).await.unwrap();
    assert!(digest.success().unwrap().stdout.contains(&before.digest));
    assert_eq!(swept(&wallet.node, &id).await, receipt);
    assert_eq!(receipts_of(&wallet.node, "team/a").await, told);
    assert_eq!(get(&wallet.node, "holds").await, holds);
    assert_eq!(erase(&wallet.node, "secret/keep").await.status, 403);
    assert_eq!(super::lift(&wallet.node, &held).await, 204);
    wallet.assert_sound().await;
}

pub async fn receipts_come_page_by_page(backend: Backend) {
    let wallet = Wallet::dev(backend).await;
    let node = &wallet.node;
    for number in 0..5 {
        let path = format!("s{number}");
        put(node, &path).await;
        assert_eq!(erase(node, &format!("secret/{path}")).await.status, 200);
        put(node, "again").await;
        assert_eq!(erase(node, "secret/again").await.status, 200);
    }
    for (what, all) in [("erasures", 10), ("erasures?path=secret/again", 5)] {
        let join = if what.contains('?') { '&' } else { '?' };
        let whole = get(node, what).await;
        let whole = whole["erasures"].as_array().unwrap().clone();
        assert_eq!(whole.len(), all);
        let (mut pages, mut after) = (Vec::new(), String::new());
        loop {
            let page = get(node, &format!("{what}{join}limit=2{after}")).await;
            let receipts = page["erasures"].as_array().unwrap();
            assert!(receipts.len() <= 2);
            pages.extend(receipts.iter().map(|r| r["sequence"].clone()));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        let sequences: Vec<_> = whole.iter().map(|r| r["sequence"].clone()).collect();
        assert_eq!(pages, sequences, "{what}");
    }
}
