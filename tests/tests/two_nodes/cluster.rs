//! Several `serve` nodes of one wallet on one NATS server, and what is done through them.

use std::{
    collections::BTreeMap,
    process::Command,
    time::{Duration, Instant},
};

use billfold_tests::{
    billfold::{Billfold, Builder, Client, Reply, ended},
    nats::NatsServer,
    tools,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::delay::SlowLink;

/// How long a node waits for the log. Longer than anything takes on a machine that is busy with
/// other tests, so that an error means one.
const PATIENCE_MS: &str = "50000";
/// How long nodes may take to come to the same place.
const AGREE_WITHIN: Duration = Duration::from_secs(60);

/// Nodes of one wallet.
#[derive(Debug)]
pub struct Cluster {
    pub nodes: Vec<Billfold>,
    pub nats: NatsServer,
    first: Builder,
    links: Vec<SlowLink>,
}

impl Cluster {
    /// A new wallet, and one node for each delay of its link to NATS.
    pub async fn start(delays: &[Duration]) -> Self {
        let nats = NatsServer::start();
        let first = Billfold::serve()
            .nats(nats.url())
            .env("BILLFOLD_PATIENCE_MS", PATIENCE_MS);
        first.init().await.unwrap().success().unwrap();
        let mut cluster = Self {
            nodes: Vec::new(),
            nats,
            first,
            links: Vec::new(),
        };
        for delay in delays {
            cluster.join(*delay).await;
        }
        cluster
    }

    /// Adds a node.
    pub async fn join(&mut self, delay: Duration) {
        let builder = match self.nodes.is_empty() {
            true => self.first.clone(),
            false => self.first.another_node(),
        };
        let builder = match delay.is_zero() {
            true => builder,
            false => {
                let link = SlowLink::to(self.nats.port(), delay).await;
                let builder = builder.nats(link.url());
                self.links.push(link);
                builder
            }
        };
        self.nodes.push(builder.spawn().await.unwrap());
    }

    /// What `billfold-replay` says of the wallet, with its own key.
    pub async fn replay(&self, args: &[&str]) -> String {
        let mut command = Command::new(tools::replay_bin());
        command
            .args(args)
            .args(["--nats", &self.nats.url()])
            .arg("--key-file")
            .arg(self.nodes[0].key_file());
        let ended = ended(command).await.unwrap();
        ended.success().unwrap().stdout
    }

    /// A way to each node.
    pub fn doors(&self) -> Vec<Door> {
        self.nodes.iter().map(Door::of).collect()
    }

    /// Waits until all nodes are at the same sequence, and holds their digests against each other.
    pub async fn assert_agreement(&self) -> (u64, String) {
        let doors = self.doors();
        let deadline = Instant::now() + AGREE_WITHIN;
        loop {
            let mut states = Vec::new();
            for door in &doors {
                states.push(door.state().await);
            }
            if states.iter().all(|(sequence, _)| *sequence == states[0].0) {
                assert!(states.iter().all(|state| *state == states[0]), "{states:?}");
                return states.swap_remove(0);
            }
            assert!(Instant::now() < deadline, "they never meet: {states:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Digests by sequence, as nodes told them.
#[derive(Debug, Default)]
pub struct Digests(BTreeMap<u64, (String, usize)>);

impl Digests {
    /// Takes in what a node told; another one that told of this sequence must have said the same.
    pub fn add(&mut self, node: usize, (sequence, digest): (u64, String)) -> bool {
        let (known, teller) = self.0.entry(sequence).or_insert((digest.clone(), node));
        assert_eq!(*known, digest, "at {sequence}, nodes {teller} and {node}");
        *teller != node
    }
}

/// A node as a client sees it. It outlives the node.
#[derive(Debug, Clone)]
pub struct Door {
    client: Client,
    token: String,
}

/// What came of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// It is this version.
    Version(u64),
    /// It is refused: nothing has changed.
    Refused(u16),
    /// It cannot be done now: nothing has changed.
    Unavailable,
    /// Nobody knows.
    Unknown,
}

impl Door {
    pub fn of(node: &Billfold) -> Self {
        Self {
            client: node.client(),
            token: node.token().to_owned(),
        }
    }

    /// The same door with this command id on each request.
    pub fn as_command(&self, id: &str) -> Self {
        self.with("X-Billfold-Command-Id", id)
    }

    /// The same door for whoever has this token.
    pub fn as_token(&self, token: &str) -> Self {
        Self {
            client: self.client.clone(),
            token: token.to_owned(),
        }
    }

    /// The same door with this header on each request.
    pub fn with(&self, name: &str, value: &str) -> Self {
        Self {
            client: self.client.header(name, value),
            token: self.token.clone(),
        }
    }

    pub async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Reply> {
        self.send(method, &format!("/v1/secret/{path}"), body).await
    }

    /// Sends a request to a path of the whole API.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Reply> {
        let token = Some(self.token.as_str());
        match body {
            Some(body) => self.client.call(method, path, token, body).await,
            None => self.client.call(method, path, token, ()).await,
        }
    }

    /// Writes a secret.
    pub async fn put(&self, path: &str, cas: Option<u64>, value: &str) -> Put {
        let body = match cas {
            Some(cas) => json!({ "data": { "value": value }, "options": { "cas": cas } }),
            None => json!({ "data": { "value": value } }),
        };
        match self.call("POST", &format!("data/{path}"), Some(body)).await {
            Err(_) => Put::Unknown,
            Ok(reply) => match reply.status {
                200 => Put::Version(reply.json()["data"]["version"].as_u64().unwrap()),
                503 => Put::Unavailable,
                504 => Put::Unknown,
                status @ 400..500 => Put::Refused(status),
                status => panic!("a write is answered {status}: {}", reply.text()),
            },
        }
    }

    /// Reads a secret's current version. `Err` when there is no answer.
    pub async fn read(&self, path: &str) -> Result<Option<(u64, String)>, ()> {
        let read = self.call("GET", &format!("data/{path}"), None).await;
        let reply = read.map_err(drop)?;
        match reply.status {
            200 => {
                let data = &reply.json()["data"];
                let version = data["metadata"]["version"].as_u64().unwrap();
                let value = data["data"]["value"].as_str().unwrap().to_owned();
                Ok(Some((version, value)))
            }
            404 => Ok(None),
            503 | 504 => Err(()),
            status => panic!("a read is answered {status}: {}", reply.text()),
        }
    }

    /// A secret's newest version number.
    pub async fn versions(&self, path: &str) -> u64 {
        let reply = self.call("GET", &format!("metadata/{path}"), None).await;
        reply.unwrap().json()["data"]["current_version"]
            .as_u64()
            .unwrap()
    }

    /// The names in a folder.
    pub async fn list(&self, path: &str) -> Vec<String> {
        let reply = self.call("LIST", &format!("metadata/{path}"), None).await;
        let reply = reply.unwrap();
        match reply.status {
            404 => Vec::new(),
            200 => serde_json::from_value(reply.json()["data"]["keys"].clone()).unwrap(),
            status => panic!("a listing is answered {status}: {}", reply.text()),
        }
    }

    /// How far the node is, and its digest there.
    pub async fn state(&self) -> (u64, String) {
        let token = Some(self.token.as_str());
        let reply = self.client.call("GET", "/api/internal/state", token, ());
        let state = reply.await.unwrap().json();
        let digest = state["digest"].as_str().unwrap().to_owned();
        (state["sequence"].as_u64().unwrap(), digest)
    }
}
