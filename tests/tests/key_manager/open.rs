//! An open wallet under some key manager, and what is asked of it.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Instant,
};

use billfold_tests::{
    billfold::{Billfold, Builder, Reply},
    nats::NatsServer,
    tools,
    wallet::{self, Backend},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use super::{PATH, PATIENCE};

/// Key files in a folder of their own.
pub struct KeyFiles(TempDir);

impl KeyFiles {
    pub fn new() -> Self {
        Self(TempDir::with_prefix("billfold-keys-").unwrap())
    }

    /// A file of this name, with a fresh key in it if there is none yet.
    pub fn file(&self, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        if !path.exists() {
            self.write(name, &tools::random::<32>());
        }
        path
    }

    pub fn write(&self, name: &str, key: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .unwrap();
        file.write_all(key).unwrap();
        path
    }
}

/// The same node, with this key file next.
pub fn next_file(builder: Builder, file: &Path) -> Builder {
    builder
        .env("BILLFOLD_NEXT_KEY_MANAGER", "key-file")
        .env("BILLFOLD_NEXT_KEY_FILE", file.to_str().unwrap())
}

/// The same node, with no key manager next.
pub fn none_next(builder: Builder) -> Builder {
    builder.env_remove("BILLFOLD_NEXT_KEY_MANAGER")
}

/// A wallet on either backend, as its root token sees it.
pub struct Open {
    pub node: Billfold,
    pub nats: Option<NatsServer>,
    pub token: String,
}

impl Open {
    /// A new wallet, initialised over HTTP.
    pub async fn begin(
        backend: Backend,
        wanted: Value,
        change: impl FnOnce(Builder) -> Builder,
    ) -> (Self, Value) {
        let (builder, nats) = wallet::on(Billfold::serve(), backend);
        let node = change(builder).spawn_closed().await.unwrap();
        let begun = node
            .client()
            .call("PUT", "/v1/sys/init", None, wanted)
            .await;
        let begun = begun.unwrap();
        assert_eq!(begun.status, 200, "{}", begun.text());
        let begun = begun.json();
        let token = begun["root_token"].as_str().unwrap().to_owned();
        (Self { node, nats, token }, begun)
    }

    pub async fn call(&self, method: &str, path: &str, body: Value) -> Reply {
        self.call_at(&self.node, method, path, body).await
    }

    pub async fn call_at(&self, node: &Billfold, method: &str, path: &str, body: Value) -> Reply {
        let client = node.client();
        let reply = client.call(method, path, Some(&self.token), body).await;
        reply.unwrap_or_else(|error| panic!("{method} {path}: {error:#}\n{}", node.log()))
    }

    pub async fn good(&self, method: &str, path: &str, body: Value) -> Value {
        let reply = self.call(method, path, body).await;
        assert!(
            matches!(reply.status, 200 | 204),
            "{path}: {} {}\n{}",
            reply.status,
            reply.text(),
            self.node.log()
        );
        match reply.status {
            200 => reply.json(),
            _ => Value::Null,
        }
    }

    /// Begins a change, or hands in a share for it.
    pub async fn change(&self, body: Value) -> Value {
        self.good("POST", PATH, body).await
    }

    /// Hands in shares for a change; what the last answer was.
    pub async fn change_with(&self, nonce: &Value, shares: &[String]) -> Value {
        let mut last = Value::Null;
        for share in shares {
            last = self.change(json!({ "nonce": nonce, "key": share })).await;
        }
        last
    }

    pub async fn put(&self, path: &str) {
        let body = json!({ "data": { "value": format!("{path}-value") } });
        let path = format!("/v1/secret/data/{path}");
        self.good("POST", &path, body).await;
    }

    /// What a secret says; none when it is not there.
    pub async fn read(&self, path: &str) -> Option<String> {
        let path = format!("/v1/secret/data/{path}");
        let reply = self.call("GET", &path, Value::Null).await;
        match reply.status {
            200 => Some(
                reply.json()["data"]["data"]["value"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
            ),
            404 => None,
            other => panic!("{other} {}", reply.text()),
        }
    }

    pub async fn status(&self) -> Value {
        self.good("GET", "/api/internal/wallet/key-status", Value::Null)
            .await
    }

    /// Waits until the key status is as it should be.
    async fn until(&self, why: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status().await;
            if is_so(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{why}: {status}");
            sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// Removes a secret, brings all keys under a new KEK version and destroys those before.
    pub async fn remove_and_retire(&self, path: &str) {
        let path = format!("/v1/secret/metadata/{path}");
        self.good("DELETE", &path, json!({})).await;
        self.until("not destroyed", |status| {
            status["erasures"]["destroying"] == 0
        })
        .await;
        let rotated = self
            .good("POST", "/api/internal/wallet/rotate-kek", json!({}))
            .await;
        let before = rotated["version"].as_u64().unwrap() - 1;
        self.until("not rewrapped", |status| status["rewrap"]["keys"] == 0)
            .await;
        let retired = json!({ "version": before });
        self.good("POST", "/api/internal/wallet/retire-kek", retired)
            .await;
        self.until("not destroyed", |status| {
            let versions = status["versions"].as_array().unwrap();
            let found = versions.iter().find(|kek| kek["version"] == before);
            found.unwrap()["state"] == "destroyed"
        })
        .await;
    }

    /// Whether all that was ever erased is gone from every copy.
    pub async fn is_complete(&self) -> bool {
        let erasures = &self.status().await["erasures"];
        assert_eq!(erasures["destroying"], 0, "{erasures}");
        let [pending, complete] = ["pending", "complete"].map(|name| erasures[name].as_u64());
        assert!(pending > Some(0) || complete > Some(0), "{erasures}");
        pending == Some(0)
    }

    /// The key managers of its generations, oldest first.
    pub async fn generations(&self) -> Vec<String> {
        let status = self.status().await;
        let generations = status["generations"].as_array().unwrap().iter();
        generations
            .map(|generation| generation["provider"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Waits until a node knows of so many generations.
    pub async fn until_generations(&self, node: &Billfold, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let path = "/api/internal/wallet/key-status";
            let status = self.call_at(node, "GET", path, Value::Null).await.json();
            if status["generations"].as_array().unwrap().len() >= count {
                return;
            }
            assert!(Instant::now() < deadline, "{status}");
            sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Stops the node and starts one with these settings in its place, which answers then, perhaps
    /// sealed.
    pub async fn again(&mut self, change: impl FnOnce(Builder) -> Builder) {
        self.node.stop().await.unwrap();
        self.node = change(self.node.builder().clone())
            .spawn_closed()
            .await
            .unwrap();
    }

    /// The node stops, and one with these settings ends by itself; what it said.
    pub async fn ends(&mut self, change: impl FnOnce(Builder) -> Builder) -> String {
        self.node.stop().await.unwrap();
        let ended = change(self.node.builder().clone()).spawn_refused().await;
        let ended = ended.unwrap();
        assert_ne!(ended.code, 0);
        ended.stdout + &ended.stderr
    }

    /// Waits until the node says that it is sealed, or open.
    pub async fn until_sealed(&self, sealed: bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.seal_status().await;
            if status["initialized"] == true && status["sealed"] == sealed {
                return;
            }
            assert!(Instant::now() < deadline, "{status}\n{}", self.node.log());
            sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    pub async fn seal_status(&self) -> Value {
        let path = "/v1/sys/seal-status";
        self.call("GET", path, Value::Null).await.json()
    }

    /// Hands in shares to open the wallet; what the last answer was.
    pub async fn unseal(&self, shares: &[String]) -> Reply {
        self.until_sealed(true).await;
        let mut last = None;
        for share in shares {
            let body = json!({ "key": share });
            last = Some(self.call("PUT", "/v1/sys/unseal", body).await);
        }
        last.unwrap()
    }

    /// How often the log says this.
    pub async fn says(&self, event: &str) -> usize {
        let path = "/api/internal/secret-audit?limit=1000";
        let reply = self.call("GET", path, Value::Null).await;
        reply.text().matches(event).count()
    }
}

pub fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().unwrap().iter();
    list.map(|text| text.as_str().unwrap().to_owned()).collect()
}

pub fn copy_of(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_of(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}
