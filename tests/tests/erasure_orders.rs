//! Erasing by order: receipts, legal holds, and several nodes that do both at once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![allow(clippy::print_stdout, missing_docs, unreachable_pub, dead_code)]

#[path = "two_nodes/cluster.rs"]
mod cluster;
#[path = "erasure_orders/crashes.rs"]
mod crashes;
#[path = "two_nodes/delay.rs"]
mod delay;
#[path = "erasure_orders/holds.rs"]
mod holds;
#[path = "erasure_orders/nodes.rs"]
mod nodes;
#[path = "erasure_orders/orders.rs"]
mod orders;
#[path = "erasure_orders/receipts.rs"]
mod receipts;

use std::time::{Duration, Instant};

use billfold_tests::{
    billfold::{Billfold, Body, Reply},
    on_both_backends,
};
use serde_json::{Value, json};
use tokio::time::sleep;

pub use crashes::*;
pub use holds::*;
pub use orders::*;
pub use receipts::*;

on_both_backends! {
    inv07_an_order_erases_all_below_a_folder,
    inv07_an_order_is_finished_after_a_crash_at_each_step,
    inv07_an_order_for_versions_leaves_the_others,
    inv10_whoever_erases_needs_two_rights,
    inv12_an_order_is_carried_out_once,
    inv12_orders_that_are_no_orders_change_nothing,
    inv07_whatever_is_destroyed_has_a_receipt,
    inv08_receipts_come_back_with_a_rebuilt_view,
    receipts_come_page_by_page,
    a_hold_forbids_every_loss_until_it_is_lifted,
    a_hold_keeps_what_would_fall_off_the_end,
    inv10_holds_are_for_who_may,
}

pub const WALLET: &str = "/api/internal/wallet";

/// How long the sweeper may take on a machine that is busy with other tests.
const SWEPT_WITHIN: Duration = Duration::from_secs(120);

pub async fn put(node: &Billfold, path: &str) {
    let body = json!({ "data": { "value": path } });
    let path = format!("/v1/secret/data/{path}");
    let put = node.root("POST", &path, body).await;
    assert_eq!(put.status, 200, "{}", put.text());
}

/// What reading a secret is answered with, and that nothing else is told than what was written.
pub async fn read(node: &Billfold, path: &str) -> u16 {
    let read = node
        .root("GET", &format!("/v1/secret/data/{path}"), ())
        .await;
    if read.status == 200 {
        assert_eq!(read.json()["data"]["data"]["value"], path);
    }
    read.status
}

pub async fn erase(node: &Billfold, path: &str) -> Reply {
    let order = json!({ "path": path, "reason": "they left us" });
    node.root("POST", &format!("{WALLET}/erase"), order).await
}

pub async fn hold(node: &Billfold, path: &str) -> String {
    let wish = json!({ "path": path, "reason": "a lawsuit" });
    let placed = node.root("POST", &format!("{WALLET}/holds"), wish).await;
    assert_eq!(placed.status, 200, "{}", placed.text());
    placed.json()["id"].as_str().unwrap().to_owned()
}

pub async fn lift(node: &Billfold, id: &str) -> u16 {
    let path = format!("{WALLET}/holds/{id}");
    node.root("DELETE", &path, ()).await.status
}

/// Something of the wallet's own.
pub async fn get(node: &Billfold, path: &str) -> Value {
    let reply = node.root("GET", &format!("{WALLET}/{path}"), ()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// The receipts of all that was destroyed of a secret.
pub async fn receipts_of(node: &Billfold, path: &str) -> Vec<Value> {
    let found = get(node, &format!("erasures?path=secret/{path}")).await;
    found["erasures"].as_array().unwrap().clone()
}

/// A receipt once nothing is left to be swept.
pub async fn swept(node: &Billfold, id: &str) -> Value {
    let deadline = Instant::now() + SWEPT_WITHIN;
    loop {
        let receipt = get(node, &format!("erasures/{id}")).await;
        if receipt["state"] != "destroying" {
            return receipt;
        }
        assert!(Instant::now() < deadline, "{receipt} is not swept");
        sleep(Duration::from_millis(50)).await;
    }
}

pub async fn policy(node: &Billfold, name: &str, text: &str) {
    let path = format!("/v1/sys/policies/acl/{name}");
    let written = node.root("PUT", &path, json!({ "policy": text })).await;
    assert_eq!(written.status, 204, "{}", written.text());
}

/// A token with this policy alone.
pub async fn token(node: &Billfold, policy: &str) -> String {
    let wish = json!({ "policies": [policy], "no_default_policy": true });
    let made = node.root("POST", "/v1/auth/token/create", wish).await;
    let token = &made.json()["auth"]["client_token"];
    token.as_str().unwrap().to_owned()
}

pub async fn call(
    node: &Billfold,
    token: &str,
    verb: &str,
    path: &str,
    body: impl Into<Body>,
) -> Reply {
    let client = node.client();
    let called = client.call(verb, path, Some(token), body.into());
    called.await.unwrap()
}
