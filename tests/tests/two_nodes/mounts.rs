//! Mounts that one node moves, replaces and removes, while another has not seen it yet.

use std::time::Duration;

use billfold_tests::billfold::Reply;
use serde_json::{Value, json};

use super::cluster::{Cluster, Door};

/// The first node is at once where the log is; the second sees what the first does some time later.
async fn cluster() -> (Cluster, Door, Door) {
    let cluster = Cluster::start(&[Duration::ZERO, Duration::from_millis(50)]).await;
    let doors = cluster.doors();
    let (ahead, behind) = (doors[0].clone(), doors[1].clone());
    (cluster, ahead, behind)
}

async fn sent(door: &Door, method: &str, path: &str, body: Value, status: u16) -> Reply {
    let body = (!body.is_null()).then_some(body);
    let reply = door.send(method, path, body).await.unwrap();
    assert_eq!(reply.status, status, "{method} {path}: {}", reply.text());
    reply
}

async fn enable(door: &Door, path: &str) {
    let kind = json!({ "type": "kv-v2" });
    sent(door, "POST", &format!("/v1/sys/mounts/{path}"), kind, 204).await;
}

async fn remount(door: &Door, from: &str, to: &str, status: u16) {
    let body = json!({ "from": from, "to": to });
    sent(door, "POST", "/v1/sys/remount", body, status).await;
}

async fn write(door: &Door, path: &str, value: &str) -> u64 {
    let body = json!({ "data": { "value": value } });
    let written = sent(door, "POST", &format!("/v1/{path}"), body, 200).await;
    written.json()["data"]["version"].as_u64().unwrap()
}

async fn value(door: &Door, path: &str) -> Value {
    let read = door
        .send("GET", &format!("/v1/{path}"), None)
        .await
        .unwrap();
    match read.status {
        200 => read.json()["data"]["data"]["value"].clone(),
        404 => Value::Null,
        _ => panic!("{path}: {}", read.text()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv03_what_was_moved_away_is_not_removed_or_moved_back() {
    let (cluster, ahead, behind) = cluster().await;
    enable(&ahead, "a").await;
    write(&ahead, "a/data/x", "kept").await;
    assert_eq!(value(&behind, "a/data/x").await, "kept");
    remount(&ahead, "a", "b", 200).await;
    // There is nothing at this path by now.
    sent(&behind, "DELETE", "/v1/sys/mounts/a", Value::Null, 204).await;
    assert_eq!(value(&ahead, "b/data/x").await, "kept");

    remount(&ahead, "b", "c", 200).await;
    remount(&behind, "b", "d", 400).await;
    let tuned = json!({ "description": "another" });
    sent(&behind, "POST", "/v1/sys/mounts/b/tune", tuned, 400).await;
    for door in [&ahead, &behind] {
        assert_eq!(value(door, "c/data/x").await, "kept");
        assert_eq!(value(door, "b/data/x").await, Value::Null);
    }
    cluster.assert_agreement().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv03_a_path_leads_where_it_leads_by_now() {
    let (cluster, ahead, behind) = cluster().await;
    for round in 0..4 {
        let (path, away) = (format!("a{round}"), format!("b{round}"));
        enable(&ahead, &path).await;
        write(&ahead, &format!("{path}/data/x"), "first").await;
        assert_eq!(value(&behind, &format!("{path}/data/x")).await, "first");
        match round % 2 {
            0 => remount(&ahead, &path, &away, 200).await,
            _ => {
                let mount = format!("/v1/sys/mounts/{path}");
                sent(&ahead, "DELETE", &mount, Value::Null, 204).await;
            }
        }
        enable(&ahead, &path).await;
        match round {
            // What is written goes into the mount that stands there now.
            0 | 1 => assert_eq!(write(&behind, &format!("{path}/data/x"), "second").await, 1),
            _ => {
                write(&ahead, &format!("{path}/data/x"), "second").await;
            }
        }
        assert_eq!(value(&behind, &format!("{path}/data/x")).await, "second");
        let kept = value(&ahead, &format!("{away}/data/x")).await;
        assert_eq!(
            kept,
            if round % 2 == 0 {
                json!("first")
            } else {
                Value::Null
            }
        );
    }
    // Holds and erasures mean the secret that is there by now, too.
    enable(&ahead, "held").await;
    write(&ahead, "held/data/x", "first").await;
    assert_eq!(value(&behind, "held/data/x").await, "first");
    remount(&ahead, "held", "away", 200).await;
    enable(&ahead, "held").await;
    write(&ahead, "held/data/x", "second").await;
    let erased = json!({ "path": "held/x", "reason": "asked for" });
    sent(&behind, "POST", "/api/internal/wallet/erase", erased, 200).await;
    assert_eq!(value(&ahead, "away/data/x").await, "first");
    assert_eq!(value(&ahead, "held/data/x").await, Value::Null);
    cluster.assert_agreement().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv06_a_mount_goes_with_all_its_secrets() {
    let (cluster, ahead, behind) = cluster().await;
    enable(&ahead, "full").await;
    write(&ahead, "full/data/seen", "x").await;
    assert_eq!(value(&behind, "full/data/seen").await, "x");
    for number in 0..5 {
        write(&ahead, &format!("full/data/unseen{number}"), "x").await;
    }
    sent(&behind, "DELETE", "/v1/sys/mounts/full", Value::Null, 204).await;
    let told = cluster.replay(&["log", "--json"]).await;
    let count = |event: &str| told.matches(&format!("\"event\":\"{event}\"")).count();
    assert_eq!(count("CredentialWritten"), 6);
    assert_eq!(count("MetadataDeleted"), 6, "no secret outlives its mount");
    assert_eq!(count("MountDisabled"), 1);
    cluster.assert_agreement().await;
}
