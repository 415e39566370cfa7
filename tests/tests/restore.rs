//! Restoring: what secrets said at a moment of the past is written anew, all of it or nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![allow(missing_docs, unreachable_pub)]

#[path = "restore/command.rs"]
mod command;
#[path = "restore/history.rs"]
mod history;
#[path = "restore/policies.rs"]
mod policies;
#[path = "restore/races.rs"]
mod races;

use billfold_tests::{
    billfold::{Billfold, Reply},
    on_both_backends,
    wallet::{Backend, Wallet},
};
use serde_json::{Value, json};

use self::{
    command::the_command_tells_what_it_did,
    history::{
        a_moved_mount_and_a_new_view_know_the_same_past, deletions_count_as_they_were_then,
        what_fell_off_the_end_or_was_removed_is_told, what_was_to_delete_itself_is_deleted_then,
    },
    policies::inv10_each_permission_is_needed,
    races::{inv07_nothing_erased_comes_back, two_nodes_restore_and_write},
};

const RESTORE: &str = "/api/internal/wallet/restore";
const NO_VALUE: &str = "it had no value then, or was removed since";
const DELETED: &str = "its value was deleted then";
const ERASED: &str = "its value of then is erased";

/// A place in the log, as the header of an answer has it.
fn sequence(reply: &Reply) -> u64 {
    reply.header("x-billfold-seq").unwrap().parse().unwrap()
}

async fn ok(node: &Billfold, method: &str, path: &str, body: Value) -> Reply {
    let reply = node.root(method, path, body).await;
    let text = reply.text();
    assert!(matches!(reply.status, 200 | 204), "{method} {path}: {text}");
    reply
}

/// Writes the next version of a secret; its sequence.
async fn put(node: &Billfold, path: &str, value: &str) -> u64 {
    let url = format!("/v1/secret/data/{path}");
    let body = json!({ "data": { "value": value } });
    sequence(&ok(node, "POST", &url, body).await)
}

/// Deletes, brings back or destroys versions; the sequence.
async fn versions(node: &Billfold, what: &str, path: &str, versions: &[u32]) -> u64 {
    let url = format!("/v1/secret/{what}/{path}");
    sequence(&ok(node, "POST", &url, json!({ "versions": versions })).await)
}

/// Version and value of a secret; none when it is deleted or not there.
async fn read(node: &Billfold, path: &str) -> Option<(u64, String)> {
    let reply = node
        .root("GET", &format!("/v1/secret/data/{path}"), ())
        .await;
    let data = &reply.json()["data"];
    let value = data["data"]["value"].as_str()?.to_owned();
    Some((data["metadata"]["version"].as_u64().unwrap(), value))
}

async fn restore(node: &Billfold, at: impl Into<Value>, paths: &[&str]) -> Reply {
    let body = json!({ "at": at.into(), "paths": paths });
    node.root("POST", RESTORE, body).await
}

/// What would be restored: each path and the version of then.
async fn would(node: &Billfold, at: impl Into<Value>, paths: &[&str]) -> Value {
    let body = json!({ "at": at.into(), "paths": paths, "dry_run": true });
    let reply = node.root("POST", RESTORE, body).await;
    match reply.status {
        200 => {
            assert_eq!(reply.json()["dry_run"], true);
            reply.json()["restored"].clone()
        }
        409 => reply.json()["refused"].clone(),
        _ => panic!("{}: {}", reply.status, reply.text()),
    }
}

async fn values_of_then_are_written_as_new_versions(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let node = &wallet.node;
    // As fast as it goes: many of them have one millisecond.
    let mut places = Vec::new();
    for number in 1..=8 {
        places.push(put(node, "a", &format!("a{number}")).await);
    }
    for (version, place) in (1..).zip(&places[..7]) {
        let expected = json!([{ "path": "secret/a", "from": version }]);
        assert_eq!(would(node, *place, &["secret/a"]).await, expected);
    }
    put(node, "app/b", "b1").await;
    let then = put(node, "app/c", "c1").await;
    put(node, "app/b", "b2").await;
    put(node, "app/c", "c2").await;
    put(node, "app/c", "c1").await;
    put(node, "app/later", "l1").await;

    let since = wallet.settled().await;
    let dry = json!({ "at": then, "paths": ["secret/a", "secret/app/"], "dry_run": true });
    let told = ok(node, "POST", RESTORE, dry).await.json();
    let mut expected = json!({
        "dry_run": true,
        "restored": [{ "path": "secret/app/b", "from": 1 }],
        "unchanged": [
            { "path": "secret/a", "version": 8 },
            { "path": "secret/app/c", "version": 3 },
        ],
        "left": [{ "path": "secret/app/later", "why": NO_VALUE }],
        "time": null,
        "sequence": told["sequence"],
    });
    assert_eq!(told, expected);
    // One path that cannot be restored, and none is.
    let refused = restore(node, then, &["secret/app/b", "secret/app/later"]).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    let why = json!([{ "path": "secret/app/later", "why": NO_VALUE }]);
    assert_eq!(refused.json()["refused"], why);
    assert_eq!(refused.json()["error"], "nothing was restored");
    wallet.assert_unchanged(&since).await;

    let done = restore(node, then, &["secret/a", "secret/app/", "secret/app/b"]).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let told = done.json();
    expected["dry_run"] = json!(false);
    expected["restored"][0]["version"] = json!(3);
    for field in ["time", "sequence"] {
        assert!(!told[field].is_null());
        expected[field] = told[field].clone();
    }
    assert_eq!(told, expected);
    assert_eq!(read(node, "app/b").await, Some((3, "b1".to_owned())));
    assert_eq!(read(node, "app/later").await, Some((1, "l1".to_owned())));
    let again = restore(node, then, &["secret/a", "secret/app/"]).await;
    assert_eq!(again.json()["restored"], json!([]));
    assert_eq!(again.json()["time"], Value::Null);

    // By time: all commits of that millisecond count.
    let metadata = ok(node, "GET", "/v1/secret/metadata/app/b", Value::Null).await;
    let time = &metadata.json()["data"]["versions"]["2"]["created_time"];
    let expected = json!([{ "path": "secret/app/b", "from": 2 }]);
    assert_eq!(would(node, time.clone(), &["secret/app/b"]).await, expected);
    let millis = billfold_core::Millis::parse(time.as_str().unwrap())
        .unwrap()
        .0;
    assert_eq!(would(node, millis, &["secret/app/b"]).await, expected);
    assert_eq!(
        would(node, millis.to_string(), &["secret/app/b"]).await,
        expected
    );

    let listed = wallet.replay(&["log", "--json"]).await.unwrap();
    let listed = listed.success().unwrap().stdout;
    let asked = listed.lines().filter(|line| line.contains("restore-data"));
    assert!(asked.clone().count() > 10);
    assert!(
        asked
            .clone()
            .all(|line| line.contains(r#""verdict":"permitted""#))
    );
    wallet.assert_sound().await;
}

async fn what_is_wrong_is_refused(backend: Backend) {
    let wallet = Wallet::dev(backend).await;
    let node = &wallet.node;
    let at = put(node, "a", "a1").await;
    put(node, "a", "a2").await;
    let since = wallet.settled().await;
    let many = vec!["secret/a"; 1001];
    for body in [
        json!({}),
        json!({ "at": at }),
        json!({ "paths": ["secret/a"] }),
        json!({ "at": at, "paths": [] }),
        json!({ "at": at, "paths": "secret/a" }),
        json!({ "at": at, "paths": [7] }),
        json!({ "at": at, "paths": many }),
        json!({ "at": at, "paths": ["secret/a"], "dry_run": "yes" }),
        json!({ "at": at, "paths": ["secret/a"], "force": true }),
        json!({ "at": at, "paths": ["nowhere/a"] }),
        json!({ "at": at, "paths": ["secret/nothing/"] }),
        json!({ "at": at, "paths": ["secret/../a"] }),
        json!({ "at": at, "paths": ["/"] }),
        json!({ "at": at, "paths": [""] }),
        json!({ "at": 0, "paths": ["secret/a"] }),
        json!({ "at": -1, "paths": ["secret/a"] }),
        json!({ "at": 1.5, "paths": ["secret/a"] }),
        json!({ "at": null, "paths": ["secret/a"] }),
        json!({ "at": "yesterday", "paths": ["secret/a"] }),
        json!({ "at": 999_999, "paths": ["secret/a"] }),
        json!({ "at": "2999-01-01T00:00:00Z", "paths": ["secret/a"] }),
    ] {
        let refused = node.root("POST", RESTORE, body.clone()).await;
        assert_eq!(refused.status, 422, "{body}: {}", refused.text());
        assert!(!refused.text().contains("yesterday") && !refused.text().contains("nowhere"));
    }
    wallet.assert_unchanged(&since).await;
}

/// Each fits into a commit, all of them do not.
async fn more_than_fits_is_refused_with_the_limit(backend: Backend) {
    let wallet = Wallet::dev(backend).await;
    let node = &wallet.node;
    let large = |filler: &str| filler.repeat(400_000);
    let paths = ["l/1", "l/2", "l/3", "l/4"];
    let mut at = 0;
    for path in paths {
        at = put(node, path, &large("x")).await;
    }
    for path in paths {
        put(node, path, "small").await;
    }
    let since = wallet.settled().await;
    let refused = restore(node, at, &["secret/l/"]).await;
    assert_eq!(refused.status, 413, "{}", refused.text());
    assert!(
        refused.text().contains("the limit is"),
        "{}",
        refused.text()
    );
    wallet.assert_unchanged(&since).await;
    let done = restore(node, at, &["secret/l/1", "secret/l/2"]).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(read(node, "l/2").await, Some((3, large("x"))));
}

on_both_backends! {
    values_of_then_are_written_as_new_versions,
    what_is_wrong_is_refused,
    more_than_fits_is_refused_with_the_limit,
    deletions_count_as_they_were_then,
    what_was_to_delete_itself_is_deleted_then,
    what_fell_off_the_end_or_was_removed_is_told,
    a_moved_mount_and_a_new_view_know_the_same_past,
    inv10_each_permission_is_needed,
    inv07_nothing_erased_comes_back,
    the_command_tells_what_it_did,
}

#[tokio::test(flavor = "multi_thread")]
async fn inv01_two_nodes_restore_and_write() {
    billfold_tests::wallet::within_reason(two_nodes_restore_and_write()).await;
}
