//! A wallet on either backend: what it takes to start it, to ask it how it is, and to replay it.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::Result;
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    billfold::{Billfold, Builder, Ended, ended},
    nats::NatsServer,
    tools,
};

/// The same tests on the embedded log and on JetStream: each is an `async fn(Backend)` of the test's root.
#[macro_export]
#[allow(
    clippy::crate_in_macro_def,
    reason = "the tests stand in the root of the crate that calls it"
)]
macro_rules! on_both_backends {
    ($($test:ident),+ $(,)?) => {
        mod embedded { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                $crate::wallet::within_reason(
                    crate::$test($crate::wallet::Backend::Embedded)
                ).await;
            }
        )+ }
        mod jetstream { $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                $crate::wallet::within_reason(
                    crate::$test($crate::wallet::Backend::JetStream)
                ).await;
            }
        )+ }
    };
}

/// Ends a test that hangs, in the long forms too, so that the others get their turn.
pub async fn within_reason(test: impl Future<Output = ()>) {
    let limit = Duration::from_secs(if tools::full() { 3600 } else { 600 });
    let ended = tokio::time::timeout(limit, test).await;
    ended.unwrap_or_else(|_| panic!("the test did not end within {limit:?}"));
}

/// A fresh command id, as clients make them: a UUID of version 7, which begins with the time.
pub fn command_id() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = now.expect("a clock past 1970").as_millis() as u64;
    let mut bytes = tools::random::<16>();
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    bytes[6] = 0x70 | bytes[6] & 0x0f;
    bytes[8] = 0x80 | bytes[8] & 0x3f;
    let hex = hex::encode(bytes);
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

/// Where the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// In the data folder.
    Embedded,
    /// On a `nats-server` that syncs before it acknowledges.
    JetStream,
}

/// Where a node is, and what its state comes to there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The last decided sequence.
    pub sequence: u64,
    /// The digest there.
    pub digest: String,
}

/// A node, and the NATS server behind it if there is one.
#[derive(Debug)]
pub struct Wallet {
    /// The node. Declared first: it goes before its log does.
    pub node: Billfold,
    /// The server that holds the log.
    pub nats: Option<NatsServer>,
    keyed: bool,
}

impl Wallet {
    /// `billfold dev`, with its log on this backend.
    pub async fn dev(backend: Backend) -> Self {
        Self::dev_with(backend, |builder| builder).await
    }

    /// `billfold dev`, with further settings.
    pub async fn dev_with(backend: Backend, change: impl FnOnce(Builder) -> Builder) -> Self {
        let (builder, nats) = on(Billfold::dev(), backend);
        let node = change(builder).spawn().await.expect("it serves");
        Self {
            node,
            nats,
            keyed: false,
        }
    }

    /// `billfold init` and `billfold serve`, with a key file.
    pub async fn serve(backend: Backend) -> Self {
        Self::serve_with(backend, |builder| builder).await
    }

    /// `billfold init` and `billfold serve`, with further settings.
    pub async fn serve_with(backend: Backend, change: impl FnOnce(Builder) -> Builder) -> Self {
        let (builder, nats) = on(Billfold::serve(), backend);
        let builder = change(builder);
        let made = builder.init().await.expect("init runs");
        made.success().expect("the wallet is made");
        let node = builder.spawn().await.expect("it serves");
        Self {
            node,
            nats,
            keyed: true,
        }
    }

    /// What the node says that it is at.
    pub async fn state(&self) -> State {
        let reply = self.node.root("GET", "/api/internal/state", ()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let state = reply.json();
        State {
            sequence: state["sequence"].as_u64().expect("a sequence"),
            digest: state["digest"].as_str().expect("a digest").to_owned(),
        }
    }

    /// Waits until the node's view has come to where the log ends: a question that is put on record is
    /// answered there. A view that is still at work on a large commit would look as if nothing came.
    async fn caught_up(&self) {
        let asked = self.node.root("GET", "/v1/sys/rotate/config", ()).await;
        assert_eq!(asked.status, 200, "{}", asked.text());
    }

    /// As [`Wallet::state`], once the node has done what it does by itself after a start.
    pub async fn settled(&self) -> State {
        self.caught_up().await;
        let mut before = self.state().await;
        // To wait longer would only make it likelier; what counts is asked for in `assert_unchanged`.
        for _ in 0..10 {
            sleep(Duration::from_millis(300)).await;
            self.caught_up().await;
            let after = self.state().await;
            if after == before {
                break;
            }
            before = after;
        }
        before
    }

    /// Panics when anything was decided since, apart from what a node does to its own keys.
    pub async fn assert_unchanged(&self, since: &State) {
        let now = self.state().await;
        if now == *since {
            return;
        }
        let from = (since.sequence + 1).to_string();
        let listed = self
            .replay(&["log", "--json", "--from", &from])
            .await
            .expect("replay runs");
        let lines = listed.success().expect("the log can be listed").stdout;
        for line in lines
            .lines()
            .filter(|line| line.contains("\"subject\":\"decided\""))
        {
            let event: Value = serde_json::from_str(line).expect("a line is JSON");
            let own = ["KeyPageClosed", "KeysDestroyed", "KeysRewrapped"];
            let housekeeping =
                event["actor"] == "system" && own.iter().any(|own| event["event"] == *own);
            assert!(housekeeping, "{since:?} became {now:?} by {line}");
        }
    }

    /// The folder of the node's view.
    pub fn view(&self) -> PathBuf {
        self.node.data_dir().join("view")
    }

    /// Deletes the view of a node that does not run.
    pub fn delete_view(&self) {
        assert!(self.node.pid().is_none(), "the node runs");
        fs::remove_dir_all(self.view()).expect("there is a view");
    }

    /// Runs `billfold-replay <args>` on this wallet.
    pub async fn replay(&self, args: &[&str]) -> Result<Ended> {
        ended(self.replay_command(args)).await
    }

    /// The command `billfold-replay <args>` on this wallet.
    pub fn replay_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(tools::replay_bin());
        command
            .args(args)
            .arg("--data-dir")
            .arg(self.node.data_dir());
        if self.keyed {
            command.arg("--key-file").arg(self.node.key_file());
        }
        if let Some(nats) = &self.nats {
            command.args(["--nats", &nats.url()]);
        }
        command
    }

    /// Panics unless `billfold-replay verify` finds everything sound.
    pub async fn assert_sound(&self) {
        let verified = self.replay(&["verify"]).await.expect("replay runs");
        if let Err(told) = verified.success() {
            panic!("{told}");
        }
    }
}

/// A node's settings with the log on this backend.
pub fn on(builder: Builder, backend: Backend) -> (Builder, Option<NatsServer>) {
    match backend {
        Backend::Embedded => (builder, None),
        Backend::JetStream => {
            let nats = NatsServer::start();
            let builder = builder
                .nats(nats.url())
                .env("BILLFOLD_NATS_MONITORING_URLS", nats.monitoring_url());
            (builder, Some(nats))
        }
    }
}
