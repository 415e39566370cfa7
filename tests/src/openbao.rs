//! A development server of OpenBao, to hold Billfold against.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::time::sleep;

use crate::{billfold::Client, tools};

const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running `bao server -dev`: in memory, unsealed, with version 2 of KV at `secret/`. It is killed when this is
/// dropped.
#[derive(Debug)]
pub struct OpenBao {
    address: SocketAddr,
    client: Client,
    child: Child,
    home: TempDir,
}

impl OpenBao {
    /// Starts it with this root token, and waits until its secrets can be read.
    pub async fn dev(root_token: &str) -> Self {
        let home = TempDir::with_prefix("openbao-").expect("a temporary folder");
        let address = SocketAddr::from(([127, 0, 0, 1], tools::free_port()));
        let log = fs::File::create(home.path().join("log")).expect("its log can be made");
        let mut command = Command::new(tools::bao());
        // What configures a client of the harness must not configure the server.
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy();
            if name.starts_with("BAO_") || name.starts_with("VAULT_") {
                command.env_remove(variable);
            }
        }
        let child = command
            .args(["server", "-dev", "-dev-no-store-token"])
            .arg(format!("-dev-root-token-id={root_token}"))
            .arg(format!("-dev-listen-address={address}"))
            .env("HOME", home.path())
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("its log can be shared"))
            .stderr(log)
            .spawn()
            .expect("bao starts");
        let mut server = Self {
            address,
            client: Client::new(address),
            child,
            home,
        };
        server.wait(root_token).await;
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client of this server, which is cheap to clone.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The file that holds what it printed.
    pub fn log_path(&self) -> PathBuf {
        self.home.path().join("log")
    }

    /// It serves once the engine at `secret/` does: that one is set up after the server listens.
    async fn wait(&mut self, root_token: &str) {
        let until = Instant::now() + READY_WITHIN;
        loop {
            let config = self
                .client
                .call("GET", "/v1/secret/config", Some(root_token), ())
                .await;
            if config.as_ref().is_ok_and(|reply| reply.status == 200) {
                return;
            }
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_some() || Instant::now() > until {
                let log = fs::read_to_string(self.log_path()).unwrap_or_default();
                panic!("bao does not serve: {config:?}\n{log}");
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
