//! Secrets that a test wrote, and what they must say.

use std::collections::BTreeMap;

use billfold_tests::{
    billfold::{Billfold, Body, Client, Reply},
    tools,
};
use serde_json::json;

/// Secrets under one folder.
pub struct Secrets {
    client: Client,
    token: String,
    folder: String,
    known: BTreeMap<String, String>,
}

impl Secrets {
    pub fn new(node: &Billfold, folder: impl Into<String>) -> Self {
        Self {
            client: node.client(),
            token: node.token().to_owned(),
            folder: folder.into(),
            known: BTreeMap::new(),
        }
    }

    pub fn count(&self) -> u64 {
        self.known.len() as u64
    }

    async fn call(&self, method: &str, url: &str, body: impl Into<Body>) -> Reply {
        let reply = self.client.call(method, url, Some(&self.token), body).await;
        reply.unwrap()
    }

    /// Writes one more secret; its path.
    pub async fn put_new(&mut self) -> String {
        let path = format!("{}/{}", self.folder, self.known.len());
        let value = hex::encode(tools::random::<16>());
        let body = json!({ "data": { "value": value } });
        let url = format!("/v1/secret/data/{path}");
        let reply = self.call("POST", &url, body).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        self.known.insert(path.clone(), value);
        path
    }

    pub async fn check(&self, path: &str) {
        let url = format!("/v1/secret/data/{path}");
        let reply = self.call("GET", &url, ()).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        assert_eq!(
            reply.json()["data"]["data"]["value"],
            self.known[path],
            "{path}"
        );
    }

    pub async fn check_all(&self) {
        for path in self.known.keys() {
            self.check(path).await;
        }
    }
}
