//! How a wallet begins, is sealed and is opened: by shares, by a transit key of a real OpenBao, by recovery shares.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

#[path = "seal/beside.rs"]
mod beside;
#[path = "seal/memory.rs"]
mod memory;
#[path = "seal/nodes.rs"]
mod nodes;
#[path = "seal/root.rs"]
mod root;
#[path = "seal/rotate.rs"]
mod rotate;
#[path = "seal/shares.rs"]
mod shares;
#[path = "seal/transit.rs"]
mod transit;

use std::time::{Duration, Instant};

use billfold_tests::billfold::{Billfold, Body, Client, Reply};
use serde_json::{Value, json};
use tokio::time::sleep;

/// How long something may take that does not depend on time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server under test, as somebody without a token meets it.
pub struct Closed {
    pub node: Billfold,
    pub client: Client,
}

impl Closed {
    pub fn of(node: Billfold) -> Self {
        let client = node.client();
        Self { node, client }
    }

    pub async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> Reply {
        self.as_whom(None, method, path, body).await
    }

    pub async fn as_whom(
        &self,
        token: Option<&str>,
        method: &str,
        path: &str,
        body: impl Into<Body>,
    ) -> Reply {
        let reply = self.client.call(method, path, token, body).await;
        reply.unwrap_or_else(|error| panic!("{method} {path}: {error:#}\n{}", self.node.log()))
    }

    pub async fn status(&self) -> Value {
        let reply = self.call("GET", "/v1/sys/seal-status", ()).await;
        assert_eq!(reply.status, 200);
        reply.json()
    }

    /// Initialises the wallet, and gives what was answered.
    pub async fn init(&self, wanted: Value) -> Begun {
        let reply = self.call("PUT", "/v1/sys/init", wanted).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        Begun(reply.json())
    }

    /// Hands in a share.
    pub async fn hand_in(&self, key: &str) -> Reply {
        self.call("PUT", "/v1/sys/unseal", json!({ "key": key }))
            .await
    }

    /// Hands in shares, and expects the wallet to be open then.
    pub async fn unseal(&self, keys: &[String]) {
        // Another node may have begun it a moment ago.
        let deadline = Instant::now() + PATIENCE;
        while self.status().await["n"] == 0 {
            assert!(Instant::now() < deadline, "{}", self.node.log());
            sleep(Duration::from_millis(5)).await;
        }
        for key in keys {
            let reply = self.hand_in(key).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
        }
        assert_eq!(self.status().await["sealed"], false);
    }

    /// Waits until its seal status is so.
    pub async fn until_sealed(&self, sealed: bool) {
        let deadline = Instant::now() + PATIENCE;
        while self.status().await["sealed"] != sealed {
            assert!(Instant::now() < deadline, "{}", self.node.log());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until its log says this.
    pub async fn until_log(&self, says: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.node.log().contains(says) {
            assert!(Instant::now() < deadline, "{says}: {}", self.node.log());
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What a wallet began with.
pub struct Begun(pub Value);

impl Begun {
    pub fn token(&self) -> String {
        self.0["root_token"].as_str().unwrap().to_owned()
    }

    pub fn list(&self, name: &str) -> Vec<String> {
        let list = self.0[name].as_array().unwrap().iter();
        list.map(|key| key.as_str().unwrap().to_owned()).collect()
    }
}

/// The one error of an answer.
pub fn error(reply: &Reply) -> String {
    reply.json()["errors"][0]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}
