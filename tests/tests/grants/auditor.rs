//! An auditor with a key of their own, and what `billfold-replay` tells them.

use std::{fs, process::Command};

use billfold_core::grant::AuditorSecret;
use billfold_tests::{
    billfold::{Ended, ended},
    tools,
    wallet::Wallet,
};
use serde_json::Value;
use tempfile::TempDir;

/// An auditor, with the file of their key.
pub struct Auditor {
    pub public: String,
    dir: TempDir,
}

impl Auditor {
    /// One whose key `billfold-replay` made.
    pub fn new() -> Self {
        let dir = TempDir::with_prefix("billfold-auditor-").unwrap();
        let file = dir.path().join("key");
        let mut command = Command::new(tools::replay_bin());
        let made = command.arg("auditor-key").arg("--out").arg(&file);
        let made = made.output().unwrap();
        assert!(made.status.success());
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = command.output().unwrap();
        assert!(!again.status.success(), "a key is never overwritten");
        let public = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        Self { public, dir }
    }

    pub fn secret(&self) -> AuditorSecret {
        let text = fs::read_to_string(self.dir.path().join("key")).unwrap();
        AuditorSecret::parse(&text).unwrap()
    }

    /// Runs `billfold-replay` with nothing but the log and the auditor's key.
    pub async fn replay(&self, wallet: &Wallet, args: &[&str]) -> Ended {
        if wallet.node.pid().is_some() {
            attested(wallet).await;
        }
        let mut command = Command::new(tools::replay_bin());
        command.args(args);
        command
            .arg("--auditor-key")
            .arg(self.dir.path().join("key"));
        match &wallet.nats {
            Some(nats) => {
                command.args(["--nats", &nats.url()]);
            }
            None => {
                let alone = self.dir.path().join("log");
                fs::create_dir_all(&alone).unwrap();
                let log = wallet.node.data_dir().join("log.redb");
                fs::copy(log, alone.join("log.redb")).unwrap();
                command.arg("--data-dir").arg(alone);
            }
        }
        ended(command).await.unwrap()
    }
}

/// Waits until a checkpoint attests all that was decided up to now.
pub async fn attested(wallet: &Wallet) {
    let decided = wallet.state().await.sequence;
    let deadline = std::time::Instant::now() + crate::WITHIN;
    loop {
        let told = crate::ok(wallet, "GET", "/api/audit/checkpoint", Value::Null).await;
        if told["size"].as_u64() >= Some(decided) {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "it is never attested");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// The lines of a listing.
pub fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The first sequence that is closed, as it is told.
pub fn first_closed(told: &str) -> Option<u64> {
    let (_, rest) = told.split_once("from sequence ")?;
    rest.split_once(' ')?.0.parse().ok()
}
