//! A wallet that makes checkpoints often, and what is asked of it.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use billfold_tests::{
    billfold::{Billfold, Builder, Ended, ended},
    tools,
    wallet::{Backend, Wallet},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const PATIENCE: Duration = Duration::from_secs(60);

/// A wallet that makes a checkpoint every five commits, or every second.
pub(crate) async fn start(backend: Backend, change: impl FnOnce(Builder) -> Builder) -> Wallet {
    Wallet::serve_with(backend, |builder| {
        change(
            builder
                .env("BILLFOLD_CHECKPOINT_COMMITS", "5")
                .env("BILLFOLD_CHECKPOINT_SECONDS", "1"),
        )
    })
    .await
}

pub(crate) async fn write(wallet: &Wallet, count: usize) {
    for number in 0..count {
        let body = json!({ "data": { "n": number } });
        let path = format!("/v1/secret/data/app/{}", number % 7);
        assert_eq!(wallet.node.root("POST", &path, body).await.status, 200);
    }
}

/// A checkpoint as the server tells it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) root: String,
    pub(crate) note: String,
}

pub(crate) async fn checkpoint(node: &Billfold) -> Value {
    let reply = node.root("GET", "/api/audit/checkpoint", ()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

pub(crate) async fn newest(node: &Billfold) -> Option<Told> {
    let told = checkpoint(node).await;
    let text = |name: &str| told[name].as_str().map(str::to_owned);
    Some(Told {
        origin: text("origin")?,
        size: told["size"].as_u64()?,
        root: text("root")?,
        note: text("note")?,
    })
}

pub(crate) async fn key_of(wallet: &Wallet) -> String {
    let told = checkpoint(&wallet.node).await;
    told["key"].as_str().unwrap().to_owned()
}

/// The first checkpoint that attests all that the log has now.
pub(crate) async fn attested(wallet: &Wallet) -> Told {
    let now = wallet.state().await.sequence;
    let mut found = None;
    until("a checkpoint attests it", async || {
        found = newest(&wallet.node).await.filter(|told| told.size >= now);
        found.is_some()
    })
    .await;
    found.unwrap()
}

pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "in vain: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Where a node keeps its newest checkpoint, beside its views.
pub(crate) fn checkpoint_file(node: &Billfold) -> PathBuf {
    node.data_dir().join("checkpoint")
}

/// Removes all that a node could have remembered of the log but the checkpoint that is kept.
pub(crate) fn forget_views(wallet: &Wallet) {
    for view in ["view", "tree", "audit"] {
        fs::remove_dir_all(wallet.node.data_dir().join(view)).ok();
    }
}

/// The size that a note says.
pub(crate) fn size_in(note: &str) -> Option<u64> {
    note.lines().nth(1)?.parse().ok()
}

/// Runs `billfold-replay` on the log, with no key of the wallet.
pub(crate) async fn public_keys_alone(wallet: &Wallet, args: &[&str]) -> Ended {
    let mut command = Command::new(tools::replay_bin());
    command.args(args);
    match &wallet.nats {
        Some(nats) => command.args(["--nats", &nats.url()]),
        None => command.arg("--data-dir").arg(wallet.node.data_dir()),
    };
    for name in [
        "BILLFOLD_KEY_FILE",
        "BILLFOLD_DATA_DIR",
        "BILLFOLD_NATS_URL",
    ] {
        command.env_remove(name);
    }
    ended(command).await.unwrap()
}

/// The report of `verify`, which must end with this code.
pub(crate) async fn verified(wallet: &Wallet, args: &[&str], code: i32) -> Value {
    let args = [&["verify", "--json"], args].concat();
    let ended = public_keys_alone(wallet, &args).await;
    assert_eq!(ended.code, code, "{}{}", ended.stdout, ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}
