//! Reading what is being changed: names and versions whose keys go while they are read.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use billfold_tests::wallet::{Backend, Wallet};
use serde_json::{Value, json};

const ROUNDS: usize = 60;

/// What is read at each moment is what was there then, and never a fault of the wallet.
pub async fn what_is_changed_all_the_time_can_be_read(backend: Backend) {
    let wallet = Arc::new(Wallet::serve(backend).await);
    let done = async |wallet: &Wallet, method: &str, path: &str, body: Value| {
        let reply = wallet.node.root(method, path, body).await;
        assert!(reply.status < 300, "{method} {path}: {}", reply.text());
    };
    for (mount, kind) in [("one", "kv"), ("named", "kv-v2")] {
        let path = format!("/v1/sys/mounts/{mount}");
        done(&wallet, "POST", &path, json!({ "type": kind })).await;
    }
    done(&wallet, "POST", "/v1/one/over", json!({ "k": 0 })).await;
    done(
        &wallet,
        "POST",
        "/v1/secret/data/told",
        json!({ "data": { "k": 0 } }),
    )
    .await;
    let told = json!({ "custom_metadata": { "round": "first" } });
    done(&wallet, "POST", "/v1/secret/metadata/told", told).await;

    let goes_on = Arc::new(AtomicBool::new(true));
    let writing = {
        let (wallet, goes_on) = (Arc::clone(&wallet), Arc::clone(&goes_on));
        tokio::spawn(async move {
            let mut round = 0;
            while goes_on.load(Ordering::Relaxed) {
                round += 1;
                let text = round.to_string();
                let custom = json!({ "custom_metadata": { "round": text } });
                let described = json!({ "description": text });
                done(&wallet, "POST", "/v1/one/over", json!({ "k": round })).await;
                done(&wallet, "POST", "/v1/secret/metadata/told", custom).await;
                done(&wallet, "POST", "/v1/sys/mounts/named/tune", described).await;
            }
            round
        })
    };
    for _ in 0..ROUNDS {
        let read = wallet.node.root("GET", "/v1/one/over", ()).await;
        assert_eq!(read.status, 200, "{}", read.text());
        let read = wallet.node.root("GET", "/v1/secret/data/told", ()).await;
        assert_eq!(read.status, 200, "{}", read.text());
        let custom = &read.json()["data"]["metadata"]["custom_metadata"];
        assert!(custom["round"].is_string(), "{}", read.text());
        let listed = wallet.node.root("LIST", "/v1/secret/metadata", ()).await;
        assert_eq!(listed.status, 200, "{}", listed.text());
        assert_eq!(listed.json()["data"]["keys"], json!(["told"]));
    }
    goes_on.store(false, Ordering::Relaxed);
    let rounds: usize = writing.await.unwrap();
    assert!(rounds > 0, "something was changed meanwhile");
    wallet.assert_sound().await;
}
