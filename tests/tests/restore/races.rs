//! Restoring while others write and destroy.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use billfold_tests::{
    billfold::{Billfold, Client},
    wallet::{Backend, Wallet},
};
use serde_json::{Value, json};

use super::{RESTORE, ok, put, sequence};

const ROUNDS: usize = 40;

/// Writes the next version of a secret until it is told to stop.
async fn write(client: Client, token: String, path: &'static str, goes_on: Arc<AtomicBool>) -> u32 {
    let mut written = 0;
    while goes_on.load(Ordering::SeqCst) {
        let url = format!("/v1/secret/data/{path}");
        let body = json!({ "data": { "value": format!("{path} {written}") } });
        let reply = client.call("POST", &url, Some(&token), body).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        written += 1;
    }
    written
}

/// The value of each version of a secret that is kept and readable.
async fn values(node: &Billfold, path: &str) -> BTreeMap<u64, String> {
    let metadata = format!("/v1/secret/metadata/{path}");
    let metadata = ok(node, "GET", &metadata, Value::Null).await.json();
    let mut values = BTreeMap::new();
    for number in metadata["data"]["versions"].as_object().unwrap().keys() {
        let url = format!("/v1/secret/data/{path}?version={number}");
        let told = node.root("GET", &url, ()).await.json();
        if let Some(value) = told["data"]["data"]["value"].as_str() {
            values.insert(number.parse().unwrap(), value.to_owned());
        }
    }
    values
}

/// Destroys the version that a restoration reads, at the same time, again and again: once that is
/// answered, nothing writes its value any more.
pub async fn inv07_nothing_erased_comes_back(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let node = &wallet.node;
    for round in 0..ROUNDS {
        let path = format!("round{round}");
        let full = format!("secret/{path}");
        let at = put(node, &path, "old").await;
        put(node, &path, "new").await;
        let destroying = async {
            // Sooner and later, so that it falls into each step of the other.
            tokio::time::sleep(std::time::Duration::from_micros(200 * round as u64)).await;
            let url = format!("/v1/secret/destroy/{path}");
            sequence(&ok(node, "POST", &url, json!({ "versions": [1] })).await)
        };
        let restoring = async {
            let body = json!({ "at": at, "paths": [full] });
            node.root("POST", RESTORE, body).await
        };
        let (destroyed, reply) = tokio::join!(destroying, restoring);
        let told = values(node, &path).await;
        match reply.status {
            200 => {
                assert!(
                    sequence(&reply) <= destroyed,
                    "written after it was destroyed"
                );
                let expected = BTreeMap::from([(2, "new".to_owned()), (3, "old".to_owned())]);
                assert_eq!(told, expected);
            }
            409 => {
                assert_eq!(told, BTreeMap::from([(2, "new".to_owned())]));
            }
            _ => panic!("{}: {}", reply.status, reply.text()),
        }
    }
    wallet.assert_sound().await;
}

/// What a node restores is what was there, whoever writes meanwhile: both secrets or neither.
pub async fn two_nodes_restore_and_write() {
    let wallet = Wallet::serve(Backend::JetStream).await;
    let second = wallet.node.builder().another_node().spawn().await.unwrap();
    let nodes = [&wallet.node, &second];
    for path in ["x", "y"] {
        let settings = json!({ "max_versions": 2000 });
        let url = format!("/v1/secret/metadata/{path}");
        ok(nodes[0], "POST", &url, settings).await;
    }
    put(nodes[0], "x", "x old").await;
    let at = put(nodes[1], "y", "y old").await;
    put(nodes[0], "x", "x new").await;
    put(nodes[1], "y", "y new").await;
    let goes_on = Arc::new(AtomicBool::new(true));
    let writer = write(
        nodes[1].client(),
        nodes[1].token().to_owned(),
        "x",
        Arc::clone(&goes_on),
    );
    let writer = tokio::spawn(writer);
    let mut restored = Vec::new();
    for round in 0..ROUNDS / 2 {
        let body = json!({ "at": at, "paths": ["secret/x", "secret/y"] });
        let node = nodes[round % 2];
        let reply = node.root("POST", RESTORE, body).await;
        // Whoever writes all the time holds no restoration up.
        assert_eq!(reply.status, 200, "{}", reply.text());
        restored.push(reply.json());
        if round == ROUNDS / 2 - 2 {
            goes_on.store(false, Ordering::SeqCst);
        }
        put(node, "y", &format!("y {round}")).await;
    }
    let written = writer.await.unwrap();
    assert!(written > 5, "{written}");
    let body = json!({ "at": at, "paths": ["secret/x", "secret/y"] });
    let last = nodes[0].root("POST", RESTORE, body).await;
    assert_eq!(last.status, 200, "{}", last.text());
    restored.push(last.json());

    let [x, y] = [values(nodes[1], "x").await, values(nodes[1], "y").await];
    let count = |values: &BTreeMap<u64, String>, old: &str| {
        values.values().filter(|value| *value == old).count()
    };
    let mut told = BTreeMap::from([("secret/x", 0), ("secret/y", 0)]);
    for done in &restored {
        for new in done["restored"].as_array().unwrap() {
            let (path, version) = (
                new["path"].as_str().unwrap(),
                new["version"].as_u64().unwrap(),
            );
            assert_eq!(new["from"], 1);
            let (values, old) = match path {
                "secret/x" => (&x, "x old"),
                _ => (&y, "y old"),
            };
            assert_eq!(values[&version], old, "{path} {version}");
            *told.get_mut(path).unwrap() += 1;
        }
    }
    // Beside the first writing, each is one that was told: what was refused wrote nothing.
    assert_eq!(count(&x, "x old"), 1 + told["secret/x"]);
    assert_eq!(count(&y, "y old"), 1 + told["secret/y"]);
    wallet.assert_sound().await;
}
