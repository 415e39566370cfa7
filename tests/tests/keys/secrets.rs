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
    made: u64,
    known: BTreeMap<String, String>,
}

impl Secrets {
    pub fn new(node: &Billfold, folder: impl Into<String>) -> Self {
        Self {
            client: node.client(),
            token: node.token().to_owned(),
            folder: folder.into(),
            made: 0,
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

    /// How many were written, with those that were removed since.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// Writes one more secret; its path.
    pub async fn put_new(&mut self) -> String {
        let path = format!("{}/{}", self.folder, self.made);
        self.made += 1;
        let value = hex::encode(tools::random::<16>());
        let body = json!({ "data": { "value": value } });
        let url = format!("/v1/secret/data/{path}");
        let reply = self.call("POST", &url, body).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        self.known.insert(path.clone(), value);
        path
    }

    /// Removes the one that was written last, with its keys, for ever.
    pub async fn remove_last(&mut self) {
        let path = format!("{}/{}", self.folder, self.made - 1);
        self.known.remove(&path).unwrap();
        let url = format!("/v1/secret/metadata/{path}");
        let reply = self.call("DELETE", &url, ()).await;
        assert_eq!(reply.status, 204, "{path}: {}", reply.text());
        let read = self
            .call("GET", &format!("/v1/secret/data/{path}"), ())
            .await;
        assert_eq!(read.status, 404, "{path}: {}", read.text());
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
