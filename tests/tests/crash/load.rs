//! Clients that write and read, and know what they were told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use billfold_tests::{
    billfold::{Client, Reply},
    history::Recorder,
    tools::{self, Rng},
    wallet::{Wallet, command_id},
};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

const PATHS: u64 = 20;
const WRITERS: u64 = 6;
const READERS: u64 = 2;
/// How many writes of one path are sent: fewer than the versions that a record keeps.
const WRITES_OF_A_PATH: usize = 8;

/// A write that was sent.
#[derive(Debug, Clone)]
struct Sent {
    value: String,
    filler: usize,
    command: Option<String>,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It was acknowledged as this version.
    Version(u64),
    /// It was answered that it was not done.
    Refused,
    /// Nobody knows.
    Unknown,
}

impl Sent {
    /// The secret. Parts of it alone, or of two, are not the same.
    fn data(&self) -> Value {
        let filler = self.value.repeat(1 + self.filler / self.value.len());
        json!({ "value": self.value, "filler": filler, "end": self.value })
    }
}

/// The clients of one round, and what they were told.
pub struct Load {
    shared: Arc<Shared>,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
}

struct Shared {
    client: Client,
    token: String,
    paths: Vec<String>,
    sent: Mutex<BTreeMap<String, Vec<Sent>>>,
    history: Recorder,
    acknowledged: AtomicU64,
    stopped: AtomicBool,
}

impl Load {
    /// Clients that write and read until they are stopped, or have written all there is to write.
    pub fn start(wallet: &Wallet, name: &str) -> Self {
        let folder = name.replace(' ', "/");
        let shared = Arc::new(Shared {
            client: wallet.node.client(),
            token: wallet.node.token().to_owned(),
            paths: (0..PATHS).map(|path| format!("{folder}/{path}")).collect(),
            sent: Mutex::default(),
            history: Recorder::new(),
            acknowledged: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        let mut tasks = JoinSet::new();
        for task in 0..WRITERS + READERS {
            let rng = Rng::new(tools::seed(), &format!("{name} {task}"));
            let shared = Arc::clone(&shared);
            tasks.spawn(async move {
                if task < WRITERS {
                    shared.write_all(rng).await;
                } else {
                    shared.read_all(rng).await;
                }
            });
        }
        let tasks = tokio::sync::Mutex::new(tasks);
        Self { shared, tasks }
    }

    /// Waits until so many writes were acknowledged.
    pub async fn acknowledged(&self, count: u64) {
        let reached = async {
            while self.shared.acknowledged.load(Ordering::Relaxed) < count {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(60), reached)
            .await
            .expect("writes are acknowledged");
    }

    /// Ends the clients, once each has its answer.
    pub async fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        let mut tasks = self.tasks.lock().await;
        while let Some(ended) = tasks.join_next().await {
            ended.expect("a client ends");
        }
    }

    /// Waits until the node serves again.
    pub async fn is_served(&self, wallet: &Wallet) {
        let path = format!("/v1/secret/metadata/{}", self.shared.paths[0]);
        let served = async {
            while wallet.node.root("GET", &path, ()).await.status >= 500 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(60), served)
            .await
            .expect("the node serves again");
    }

    /// How many writes were sent, and how many have an unknown outcome.
    pub fn counts(&self) -> (usize, usize) {
        let sent = self.shared.sent.lock().unwrap();
        let all = || sent.values().flatten();
        let unknown = all().filter(|sent| sent.outcome == Outcome::Unknown);
        (all().count(), unknown.count())
    }

    /// Whether what is there is what was acknowledged, and beyond it nothing that was not sent.
    pub async fn check(&self, wallet: &Wallet, when: &str) {
        let sent = self.shared.sent.lock().unwrap().clone();
        let checks = sent.into_iter().map(|(path, sent)| async move {
            let there = versions(wallet, &path).await;
            if let Err(what) = matches(&sent, &there) {
                panic!("{when}, {path}: {what}\nsent: {sent:#?}\nthere: {there:#?}");
            }
        });
        stream::iter(checks)
            .buffer_unordered(8)
            .collect::<Vec<_>>()
            .await;
        self.shared.history.assert_linearizable();
    }

    /// Sends what has an unknown outcome and a command id once more: now it is there, once.
    pub async fn repeat(&self, wallet: &Wallet) {
        let sent = self.shared.sent.lock().unwrap().clone();
        for (path, writes) in sent {
            for (at, write) in writes.iter().enumerate() {
                let (Outcome::Unknown, Some(command)) = (write.outcome, &write.command) else {
                    continue;
                };
                let client = wallet
                    .node
                    .client()
                    .header("X-Billfold-Command-Id", command);
                let reply = put(&client, wallet.node.token(), &path, write)
                    .await
                    .expect("an answer");
                assert_eq!(reply.status, 200, "{path} {write:?}: {}", reply.text());
                let version = reply.json()["data"]["version"].as_u64().expect("a version");
                self.shared.settle(&path, at, Outcome::Version(version));
            }
        }
    }
}

impl Shared {
    async fn write_all(&self, mut rng: Rng) {
        while !self.stopped.load(Ordering::Relaxed) {
            let Some((path, at, write)) = self.next_write(&mut rng) else {
                return;
            };
            let begun = self.history.begin_write(&path, &write.value);
            let client = match &write.command {
                Some(command) => self.client.header("X-Billfold-Command-Id", command),
                None => self.client.clone(),
            };
            // Some clients do not wait for the answer: what they sent may be done all the same.
            let patience = match rng.below(4) {
                0 => Duration::from_millis(rng.below(40)),
                _ => Duration::from_secs(120),
            };
            let sending = put(&client, &self.token, &path, &write);
            let answer = timeout(patience, sending)
                .await
                .map_err(anyhow::Error::from)
                .flatten();
            match answer {
                Ok(reply) if reply.status == 200 => {
                    let version = reply.json()["data"]["version"].as_u64().expect("a version");
                    self.history.wrote(begun, version);
                    self.settle(&path, at, Outcome::Version(version));
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                Ok(reply) if reply.status == 503 => {
                    self.history.refused(begun);
                    self.settle(&path, at, Outcome::Refused);
                    sleep(Duration::from_millis(50)).await;
                }
                // Cut off, or told that the outcome is not known.
                other => {
                    let status = other.map_or(504, |reply| reply.status);
                    assert_eq!(status, 504, "a write of {path}");
                    self.history.unknown(begun);
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// What to write next; none when every path has enough.
    fn next_write(&self, rng: &mut Rng) -> Option<(String, usize, Sent)> {
        let mut sent = self.sent.lock().unwrap();
        let open: Vec<&String> = self
            .paths
            .iter()
            .filter(|path| sent.get(*path).map_or(0, Vec::len) < WRITES_OF_A_PATH)
            .collect();
        let path = (*open.get(rng.below(open.len().max(1) as u64) as usize)?).clone();
        let write = Sent {
            value: format!("value-{:016x}", rng.draw()),
            // Now and then one that is larger than what is written at once.
            filler: [10, 200, 3_000, 100_000][rng.below(4) as usize],
            command: (rng.below(2) == 0).then(command_id),
            outcome: Outcome::Unknown,
        };
        let writes = sent.entry(path.clone()).or_default();
        writes.push(write.clone());
        Some((path, writes.len() - 1, write))
    }

    fn settle(&self, path: &str, at: usize, outcome: Outcome) {
        let mut sent = self.sent.lock().unwrap();
        sent.get_mut(path).expect("it was sent")[at].outcome = outcome;
    }

    async fn read_all(&self, mut rng: Rng) {
        while !self.stopped.load(Ordering::Relaxed) {
            let path = &self.paths[rng.below(PATHS) as usize];
            let begun = self.history.begin_read(path);
            let target = format!("/v1/secret/data/{path}");
            let reply = self
                .client
                .call("GET", &target, Some(&self.token), ())
                .await;
            match reply {
                Ok(reply) if reply.status == 200 => {
                    let data = &reply.json()["data"];
                    let version = data["metadata"]["version"].as_u64().expect("a version");
                    let value = data["data"]["value"].as_str().expect("a value");
                    self.history.saw(begun, version, value);
                }
                Ok(reply) if reply.status == 404 => self.history.saw_nothing(begun),
                other => {
                    let status = other.map_or(503, |reply| reply.status);
                    assert_eq!(status, 503, "a read of {path}");
                    self.history.unknown(begun);
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

async fn put(client: &Client, token: &str, path: &str, write: &Sent) -> anyhow::Result<Reply> {
    let target = format!("/v1/secret/data/{path}");
    let body = json!({ "data": write.data() });
    client.call("POST", &target, Some(token), body).await
}

/// All versions of a path, by their numbers.
async fn versions(wallet: &Wallet, path: &str) -> BTreeMap<u64, Value> {
    let metadata = wallet
        .node
        .root("GET", &format!("/v1/secret/metadata/{path}"), ())
        .await;
    if metadata.status == 404 {
        return BTreeMap::new();
    }
    let current = metadata.json()["data"]["current_version"].as_u64();
    let mut there = BTreeMap::new();
    for version in 1..=current.unwrap_or_else(|| panic!("{path}: {}", metadata.text())) {
        let target = format!("/v1/secret/data/{path}?version={version}");
        let read = wallet.node.root("GET", &target, ()).await;
        assert_eq!(read.status, 200, "{target}: {}", read.text());
        there.insert(version, read.json()["data"]["data"].clone());
    }
    there
}

fn matches(sent: &[Sent], there: &BTreeMap<u64, Value>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for (version, data) in there {
        let write = sent.iter().find(|sent| sent.data() == *data);
        let write = write.ok_or(format!(
            "version {version} was never sent, or not like this"
        ))?;
        if !seen.insert(&write.value) {
            return Err(format!("version {version} is there twice"));
        }
        match write.outcome {
            Outcome::Version(told) if told == *version => {}
            Outcome::Unknown => {}
            other => return Err(format!("version {version} was answered {other:?}")),
        }
    }
    let lost = sent
        .iter()
        .find(|sent| matches!(sent.outcome, Outcome::Version(_)) && !seen.contains(&sent.value));
    lost.map_or(Ok(()), |lost| Err(format!("{:?} is lost", lost.outcome)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(value: &str, outcome: Outcome) -> Sent {
        Sent {
            value: value.to_owned(),
            filler: 20,
            command: None,
            outcome,
        }
    }

    fn there(versions: &[&Sent]) -> BTreeMap<u64, Value> {
        (1..).zip(versions.iter().map(|sent| sent.data())).collect()
    }

    #[test]
    fn what_is_lost_or_half_or_doubled_is_seen() {
        let a = sent("a", Outcome::Version(1));
        let (b, c) = (sent("b", Outcome::Unknown), sent("c", Outcome::Refused));
        let all = [a.clone(), b.clone(), c.clone()];
        assert_eq!(matches(&all, &there(&[&a])), Ok(()));
        assert_eq!(matches(&all, &there(&[&a, &b])), Ok(()));
        let told = |there: BTreeMap<u64, Value>| matches(&all, &there).unwrap_err();
        assert!(told(there(&[])).contains("lost"));
        assert!(told(there(&[&b])).contains("lost"));
        assert!(told(there(&[&b, &a])).contains("answered Version(1)"));
        assert!(told(there(&[&a, &b, &b])).contains("twice"));
        assert!(told(there(&[&a, &c])).contains("answered Refused"));
        let mut half = there(&[&a]);
        half.get_mut(&1).unwrap()["end"] = Value::Null;
        assert!(told(half).contains("not like this"));
    }
}
