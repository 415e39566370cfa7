//! What the past was: deletions, versions that are gone, mounts that moved.

use std::time::{Duration, Instant};

use billfold_tests::wallet::{Backend, Wallet};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{DELETED, ERASED, NO_VALUE, ok, put, read, restore, sequence, versions, would};

const PATIENCE: Duration = Duration::from_secs(60);

fn because(path: &str, why: &str) -> Value {
    json!([{ "path": format!("secret/{path}"), "why": why }])
}

fn from(path: &str, version: u32) -> Value {
    json!([{ "path": format!("secret/{path}"), "from": version }])
}

pub async fn deletions_count_as_they_were_then(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let node = &wallet.node;
    let written = put(node, "a", "a1").await;
    let deleted = versions(node, "delete", "a", &[1]).await;
    let back = versions(node, "undelete", "a", &[1]).await;
    let again = versions(node, "delete", "a", &[1]).await;
    let a = ["secret/a"];
    for (at, expected) in [
        (written, from("a", 1)),
        (deleted, because("a", DELETED)),
        (back, from("a", 1)),
        (again, because("a", DELETED)),
    ] {
        assert_eq!(would(node, at, &a).await, expected, "{at}");
    }
    // In a folder it is left as it is.
    let left = restore(node, deleted, &["secret/"]).await;
    assert_eq!(left.json()["left"], because("a", DELETED));
    assert_eq!(read(node, "a").await, None);
    // What was deleted since comes back, as a version of its own.
    assert_eq!(restore(node, written, &a).await.status, 200);
    assert_eq!(read(node, "a").await, Some((2, "a1".to_owned())));
    put(node, "a", "a3").await;
    let destroyed = versions(node, "destroy", "a", &[1]).await;
    for at in [written, back, deleted] {
        assert_eq!(would(node, at, &a).await, because("a", ERASED), "{at}");
    }
    assert_eq!(restore(node, written, &a).await.status, 409);
    assert_eq!(would(node, destroyed, &a).await, json!([]));
    let refused = restore(node, written, &["secret/"]).await;
    assert_eq!(refused.status, 409, "in a folder, too: {}", refused.text());
    assert_eq!(read(node, "a").await, Some((3, "a3".to_owned())));
    wallet.assert_sound().await;
}

pub async fn what_was_to_delete_itself_is_deleted_then(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let node = &wallet.node;
    let settings = json!({ "delete_version_after": "1s" });
    ok(node, "POST", "/v1/secret/metadata/short", settings).await;
    let written = put(node, "short", "s1").await;
    let deadline = Instant::now() + PATIENCE;
    while read(node, "short").await.is_some() {
        assert!(Instant::now() < deadline, "it does not delete itself");
        sleep(Duration::from_millis(50)).await;
    }
    let gone = put(node, "other", "o1").await;
    assert_eq!(
        would(node, written, &["secret/short"]).await,
        from("short", 1)
    );
    assert_eq!(
        would(node, gone, &["secret/short"]).await,
        because("short", DELETED)
    );
    // Brought back, it does not delete itself any more.
    let back = versions(node, "undelete", "short", &[1]).await;
    assert_eq!(
        would(node, gone, &["secret/short"]).await,
        because("short", DELETED)
    );
    let told = restore(node, back, &["secret/short"]).await.json();
    assert_eq!(
        told["unchanged"],
        json!([{ "path": "secret/short", "version": 1 }])
    );
}

pub async fn what_fell_off_the_end_or_was_removed_is_told(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let node = &wallet.node;
    let before = put(node, "other", "o").await;
    let mut places = Vec::new();
    for number in 1..=12 {
        places.push(put(node, "a", &number.to_string()).await);
    }
    let a = ["secret/a"];
    for (version, at) in (1..).zip(&places) {
        let expected = match version {
            1 | 2 => because("a", ERASED),
            12 => json!([]),
            _ => from("a", version),
        };
        assert_eq!(would(node, *at, &a).await, expected, "{version}");
    }
    assert_eq!(would(node, before, &a).await, because("a", NO_VALUE));
    assert_eq!(
        would(node, before, &["secret/never"]).await,
        because("never", NO_VALUE)
    );

    // What comes to its place is another secret.
    ok(node, "DELETE", "/v1/secret/metadata/a", Value::Null).await;
    assert_eq!(would(node, places[11], &a).await, because("a", NO_VALUE));
    let anew = put(node, "a", "anew").await;
    put(node, "a", "newer").await;
    assert_eq!(would(node, places[11], &a).await, because("a", NO_VALUE));
    assert_eq!(would(node, anew, &a).await, from("a", 1));

    // Version 1 of the engine keeps one version.
    let mount = json!({ "type": "kv", "options": { "version": "1" } });
    ok(node, "POST", "/v1/sys/mounts/one", mount).await;
    let put_one = async |value: &str| {
        sequence(&ok(node, "POST", "/v1/one/x", json!({ "value": value })).await)
    };
    let (first, second) = (put_one("1").await, put_one("2").await);
    let erased = json!([{ "path": "one/x", "why": ERASED }]);
    assert_eq!(would(node, first, &["one/x"]).await, erased);
    let told = restore(node, second, &["one/x"]).await.json();
    assert_eq!(told["unchanged"][0]["path"], "one/x");
    wallet.assert_sound().await;
}

pub async fn a_moved_mount_and_a_new_view_know_the_same_past(backend: Backend) {
    let mut wallet = Wallet::serve(backend).await;
    let node = &wallet.node;
    let first = put(node, "app/a", "a1").await;
    put(node, "app/a", "a2").await;
    let deleted = versions(node, "delete", "app/a", &[2]).await;
    let body = json!({ "from": "secret", "to": "moved" });
    ok(node, "POST", "/v1/sys/remount", body).await;
    assert_eq!(restore(node, first, &["secret/app/a"]).await.status, 422);
    let (known, old) = (
        ["moved/app/a"],
        json!([{ "path": "moved/app/a", "from": 1 }]),
    );
    let why = json!([{ "path": "moved/app/a", "why": DELETED }]);
    assert_eq!(would(node, first, &known).await, old);
    assert_eq!(would(node, deleted, &known).await, why);

    wallet.node.stop().await.unwrap();
    wallet.delete_view();
    wallet.node.restart().await.unwrap();
    let node = &wallet.node;
    assert_eq!(would(node, first, &known).await, old);
    assert_eq!(would(node, deleted, &known).await, why);
    let done = restore(node, first, &["moved/"]).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let read = ok(node, "GET", "/v1/moved/data/app/a", Value::Null).await;
    assert_eq!(read.json()["data"]["data"]["value"], "a1");
    assert_eq!(sequence(&done), done.json()["sequence"].as_u64().unwrap());
    wallet.assert_sound().await;
}
