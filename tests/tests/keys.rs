//! The wallet's own keys: rotated, rewrapped and retired under load, by two nodes at once, and with a
//! crash at each step.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

#[path = "keys/crashes.rs"]
mod crashes;
#[path = "keys/damaged.rs"]
mod damaged;
#[path = "library/folding.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod folding;
#[path = "library/node.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod node;
#[path = "keys/retired.rs"]
mod retired;
#[path = "keys/secrets.rs"]
mod secrets;
#[path = "keys/slow.rs"]
mod slow;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use billfold_core::{command::Action, event::v1::RotationPolicy};
use billfold_streams::embedded::Embedded;
use billfold_tests::{
    bao::Bao,
    billfold::{Billfold, Reply, ended},
    on_both_backends,
    wallet::{self, Backend, Wallet},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use self::{
    crashes::{
        inv06_the_work_goes_on_after_a_crash_at_each_step,
        inv06_what_was_stored_before_a_compromise_is_not_trusted,
    },
    damaged::{a_page_that_is_none_holds_no_other_up, what_is_not_in_a_damaged_page_works},
    retired::inv07_a_copy_from_before_is_worth_nothing_after_a_retirement,
    secrets::Secrets,
    slow::{
        inv06_a_slow_node_wraps_nothing_under_an_older_version,
        inv06_no_version_is_destroyed_that_a_page_is_under,
    },
};

/// Longer than anything takes on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

const STATUS: &str = "/api/internal/wallet/key-status";
const ROTATE: &str = "/api/internal/wallet/rotate-kek";
const RETIRE: &str = "/api/internal/wallet/retire-kek";

/// Whoever can ask about the wallet with its root token.
trait Rooted {
    async fn ask(&self, path: &str) -> Reply;
}

impl Rooted for Billfold {
    async fn ask(&self, path: &str) -> Reply {
        self.root("GET", path, ()).await
    }
}

/// What the wallet says of its keys.
async fn status(node: &impl Rooted) -> Value {
    let reply = node.ask(STATUS).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// What the wallet says of a KEK version.
fn version(status: &Value, number: u64) -> Value {
    let versions = status["versions"].as_array().unwrap();
    let found = versions.iter().find(|kek| kek["version"] == number);
    found
        .unwrap_or_else(|| panic!("no version {number} in {status}"))
        .clone()
}

async fn rotate(node: &Billfold) -> u64 {
    let reply = node.root("POST", ROTATE, ()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["version"].as_u64().unwrap()
}

async fn retire(node: &Billfold, version: u64) -> Reply {
    node.root("POST", RETIRE, json!({ "version": version }))
        .await
}

/// Waits until nobody has this embedded log open: what the library had open is closed a moment later.
async fn until_free(data: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = Embedded::open(data) {
        assert!(Instant::now() < deadline, "{error}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the status is as it should be.
async fn until(node: &impl Rooted, why: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = status(node).await;
        if is_so(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "{why}: {status}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until no key is under an older version than the current one.
async fn until_rewrapped(node: &impl Rooted) -> Value {
    until(node, "not rewrapped", |status| {
        let versions = status["versions"].as_array().unwrap();
        let older = versions
            .iter()
            .filter(|kek| kek["version"] != status["current"]);
        older
            .into_iter()
            .all(|kek| kek["live"] == 0 && kek["dying"] == 0)
    })
    .await
}

async fn until_destroyed(node: &impl Rooted, number: u64) -> Value {
    until(node, "not destroyed", |status| {
        version(status, number)["state"] == "destroyed"
    })
    .await
}

async fn inv06_rotation_under_load(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let goes_on = Arc::new(AtomicBool::new(true));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let secrets = Secrets::new(&wallet.node, format!("client{client}"));
            tokio::spawn(write_and_read(secrets, Arc::clone(&goes_on)))
        })
        .collect();
    let mut newest = 1;
    for _ in 0..3 {
        sleep(Duration::from_millis(300)).await;
        newest = rotate(&wallet.node).await;
    }
    assert_eq!(newest, 4);
    until_rewrapped(&wallet.node).await;
    let retired = retire(&wallet.node, 3).await;
    assert_eq!(retired.status, 200, "{}", retired.text());
    until_destroyed(&wallet.node, 3).await;
    sleep(Duration::from_millis(300)).await;
    goes_on.store(false, Ordering::SeqCst);
    let mut written = 0;
    for client in clients {
        written += client.await.unwrap();
    }
    assert!(
        written > 50,
        "only {written} secrets were written meanwhile"
    );
    let status = until_rewrapped(&wallet.node).await;
    let [first, last] = [1, 4].map(|number| version(&status, number));
    assert_eq!((&first["live"], &first["pooled"]), (&json!(0), &json!(0)));
    // A payload and names of each secret, and what the wallet itself has.
    assert!(last["live"].as_u64().unwrap() >= 2 * written);
    wallet.assert_sound().await;
}

/// Writes secrets and reads each at once; how many.
async fn write_and_read(mut secrets: Secrets, goes_on: Arc<AtomicBool>) -> u64 {
    while goes_on.load(Ordering::SeqCst) || secrets.count() < 15 {
        let path = secrets.put_new().await;
        secrets.check(&path).await;
        if secrets.made().is_multiple_of(5) {
            secrets.remove_last().await;
        }
    }
    secrets.check_all().await;
    secrets.count()
}

async fn what_cannot_be_retired_is_refused(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let node = &wallet.node;
    let current = retire(node, 1).await;
    assert_eq!(current.status, 400);
    assert!(
        current.text().contains("rotate first"),
        "{}",
        current.text()
    );
    assert_eq!(retire(node, 7).await.status, 400);
    let since = wallet.settled().await;
    for body in [
        json!({}),
        json!({"version": 0}),
        json!({"version": -1}),
        json!({"version": "1"}),
        json!({"version": 1, "force": true}),
    ] {
        let refused = node.root("POST", RETIRE, body).await;
        assert_eq!(refused.status, 422, "{}", refused.text());
    }
    let refused = node.root("POST", ROTATE, json!({"compromise": true})).await;
    assert_eq!(refused.status, 422);
    wallet.assert_unchanged(&since).await;
    // Who may not rotate makes no keys either.
    let policy = r#"path "api/internal/wallet/*" { capabilities = ["read", "update"] }
                    path "sys/rotate*" { capabilities = ["read", "update"] }"#;
    let written = node
        .root(
            "POST",
            "/v1/sys/policies/acl/half",
            json!({ "policy": policy }),
        )
        .await;
    assert_eq!(written.status, 204);
    let made = node
        .root(
            "POST",
            "/v1/auth/token/create",
            json!({ "policies": ["half"] }),
        )
        .await;
    let token = made.json()["auth"]["client_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let half = async |method: &str, path: &str, body: Value| {
        let reply = node.client().call(method, path, Some(&token), body).await;
        reply.unwrap()
    };
    for (path, body) in [
        (ROTATE, json!({})),
        (RETIRE, json!({"version": 1})),
        ("/v1/sys/rotate", json!({})),
        ("/v1/sys/rotate/keyring", json!({})),
    ] {
        let refused = half("POST", path, body).await;
        assert_eq!(refused.status, 403, "{path}: {}", refused.text());
    }
    assert_eq!(half("GET", STATUS, Value::Null).await.status, 200);
    assert_eq!(status(node).await["current"], 1);
    assert_eq!(
        rotate(node).await,
        2,
        "a refused rotation leaves nothing behind"
    );
}

async fn bao_rotates_and_tells_the_term(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let bao = Bao::root(&wallet.node);
    let ran = async |args: &[&str]| {
        let ended = ended(bao.command(args)).await.unwrap();
        ended.success().unwrap().stdout
    };
    let told = ran(&["operator", "rotate"]).await;
    assert!(told.contains("Success! Rotated key"), "{told}");
    assert!(told.contains("Key Term            2"), "{told}");
    let told = ran(&["operator", "key-status"]).await;
    assert!(told.contains("Key Term            2"), "{told}");
    let config = "/v1/sys/rotate/config";
    let wanted = json!({ "interval": "48h", "max_operations": 2_000_000 });
    let written = wallet.node.root("POST", config, wanted).await;
    assert_eq!(written.status, 204, "{}", written.text());
    let read = wallet.node.root("GET", config, ()).await.json();
    let expected = json!({ "enabled": true, "interval": "48h0m0s", "max_operations": 2_000_000 });
    assert_eq!(read["data"], expected);
}

/// The policy is set before the node starts, and older than anything: the node rotates at once.
async fn inv06_the_wallet_rotates_by_itself(backend: Backend) {
    let folder = TempDir::new().unwrap();
    let (data, key) = (folder.path().join("data"), folder.path().join("key"));
    let (builder, nats) = wallet::on(Billfold::serve(), backend);
    let builder = builder.data_dir(&data).key_file(&key);
    builder.init().await.unwrap().success().unwrap();
    {
        let setup = match &nats {
            None => node::Setup::embedded(&data, &key),
            Some(nats) => node::Setup::jetstream(&nats.url(), &key).await,
        };
        let inside = setup.start().await;
        let policy = RotationPolicy {
            enabled: true,
            max_age: 1,
            max_wraps: 0,
        };
        let set = Action::SetRotationPolicy(policy);
        inside.order(None, inside.root(), set).await.unwrap();
    }
    if nats.is_none() {
        until_free(&data).await;
    }
    let node = builder.spawn().await.unwrap();
    until(&node, "it does not rotate", |status| status["current"] == 2).await;
}

/// After a compromise everything says the same under other keys, also in a view that is built anew,
/// and what was not changed since is listed.
async fn inv06_what_was_exposed_is_sealed_anew(backend: Backend) {
    let mut wallet = Wallet::serve(backend).await;
    let mut secrets = Secrets::new(&wallet.node, "exposed");
    for _ in 0..3 {
        secrets.put_new().await;
    }
    let node = &wallet.node;
    for value in ["one", "two", "three"] {
        let body = json!({ "data": { "value": value } });
        let written = node.root("POST", "/v1/secret/data/many", body).await;
        assert_eq!(written.status, 200);
    }
    let destroyed = node
        .root(
            "POST",
            "/v1/secret/destroy/many",
            json!({ "versions": [2] }),
        )
        .await;
    assert_eq!(destroyed.status, 204);
    assert_eq!(exposed(node).await, [""; 0], "nothing was ever exposed");
    let rotated = node
        .root("POST", ROTATE, json!({ "compromised": true }))
        .await;
    assert_eq!(rotated.status, 200, "{}", rotated.text());
    // A payload and names of each secret, and two more of its versions that can be read.
    until(node, "not sealed anew", |status| {
        version(status, 2)["used"] == 9
    })
    .await;
    until_rewrapped(node).await;
    let expected = ["exposed/0", "exposed/1", "exposed/2", "many"];
    assert_eq!(exposed(node).await, expected);
    secrets.check_all().await;
    let value = async |node: &Billfold, number: u32| {
        let url = format!("/v1/secret/data/many?version={number}");
        let read = node.root("GET", &url, ()).await;
        (read.status, read.json()["data"]["data"]["value"].clone())
    };
    assert_eq!(value(node, 1).await, (200, json!("one")));
    assert_eq!(value(node, 2).await, (404, Value::Null));
    assert_eq!(value(node, 3).await, (200, json!("three")));
    let changed = node
        .root(
            "POST",
            "/v1/secret/data/many",
            json!({ "data": { "value": "x" } }),
        )
        .await;
    assert_eq!(changed.status, 200);
    assert_eq!(exposed(node).await, expected[..3]);
    let before = wallet.settled().await;
    wallet.node.stop().await.unwrap();
    wallet.delete_view();
    wallet.node.restart().await.unwrap();
    let node = &wallet.node;
    let listed = node.root("LIST", "/v1/secret/metadata/", ()).await.json();
    assert_eq!(listed["data"]["keys"], json!(["exposed/", "many"]));
    secrets.check_all().await;
    assert_eq!(value(node, 1).await, (200, json!("one")));
    wallet.assert_unchanged(&before).await;
    wallet.assert_sound().await;
}

/// The secrets that are to be changed at their source, in order, page by page.
async fn exposed(node: &Billfold) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let url = format!("/api/internal/wallet/exposed?limit=2{after}");
        let page = node.root("GET", &url, ()).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let page = page.json();
        let secrets = page["secrets"].as_array().unwrap();
        found.extend(
            secrets
                .iter()
                .map(|secret| secret["path"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    found.sort_unstable();
    found
}

on_both_backends! {
    inv06_what_was_exposed_is_sealed_anew,
    what_is_not_in_a_damaged_page_works,
    a_page_that_is_none_holds_no_other_up,
    inv07_a_copy_from_before_is_worth_nothing_after_a_retirement,
    inv06_rotation_under_load,
    inv06_a_slow_node_wraps_nothing_under_an_older_version,
    inv06_no_version_is_destroyed_that_a_page_is_under,
    what_cannot_be_retired_is_refused,
    bao_rotates_and_tells_the_term,
    inv06_the_wallet_rotates_by_itself,
    inv06_the_work_goes_on_after_a_crash_at_each_step,
    inv06_what_was_stored_before_a_compromise_is_not_trusted,
}

/// Two nodes rotate at the same time, again and again, while both write.
#[tokio::test(flavor = "multi_thread")]
async fn inv06_two_nodes_rotate_at_once() {
    let wallet = Wallet::serve(Backend::JetStream).await;
    let second = wallet.node.builder().another_node().spawn().await.unwrap();
    let nodes = [&wallet.node, &second];
    let goes_on = Arc::new(AtomicBool::new(true));
    let clients: Vec<_> = nodes
        .iter()
        .enumerate()
        .map(|(at, node)| {
            let secrets = Secrets::new(node, format!("node{at}"));
            tokio::spawn(write_and_read(secrets, Arc::clone(&goes_on)))
        })
        .collect();
    for _ in 0..5 {
        let (a, b) = tokio::join!(rotate(nodes[0]), rotate(nodes[1]));
        assert!(a.abs_diff(b) <= 1, "{a} and {b}");
    }
    let current = status(nodes[0]).await["current"].as_u64().unwrap();
    assert!((6..=11).contains(&current), "{current}");
    until_rewrapped(nodes[0]).await;
    let (a, b) = tokio::join!(retire(nodes[0], current - 1), retire(nodes[1], current - 1));
    assert_eq!(
        (a.status, b.status),
        (200, 200),
        "{} {}",
        a.text(),
        b.text()
    );
    for node in nodes {
        until_destroyed(node, current - 1).await;
    }
    goes_on.store(false, Ordering::SeqCst);
    for client in clients {
        assert!(client.await.unwrap() > 5);
    }
    wallet.assert_sound().await;
}
