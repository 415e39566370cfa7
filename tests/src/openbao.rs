//! An OpenBao server, as a peer.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::{net::TcpStream, time::sleep};

use crate::{billfold::Client, tools};

/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `bao server`. Dropping it kills the process.
#[derive(Debug)]
pub struct OpenBao {
    address: SocketAddr,
    token: String,
    client: Client,
    child: Child,
    home: TempDir,
}

impl OpenBao {
    /// `bao server -dev`: in memory, unsealed, with version 2 of KV at `secret/`, and this root token.
    pub async fn dev(root_token: &str) -> Self {
        Self::start(root_token, |address, _| {
            let token = format!("-dev-root-token-id={root_token}");
            let listen = format!("-dev-listen-address={address}");
            vec![
                "-dev".to_owned(),
                "-dev-no-store-token".to_owned(),
                token,
                listen,
            ]
        })
        .await
    }

    /// A server without a wallet, sealed, that wants TLS and a certificate of the client's: a
    /// chain, its key, and the certificate that signs clients', all in PEM.
    pub async fn with_client_certificates(chain: &str, key: &str, clients: &str) -> Self {
        Self::start("", |address, home| {
            let file = |name: &str, text: &str| {
                let file = home.join(name);
                fs::write(&file, text).expect("a file can be written");
                file.display().to_string()
            };
            let (chain, key) = (file("cert.pem", chain), file("key.pem", key));
            let clients = file("clients.pem", clients);
            let config = format!(
                "storage \"inmem\" {{}}\nlistener \"tcp\" {{\n  address = \"{address}\"\n  \
                 tls_cert_file = \"{chain}\"\n  tls_key_file = \"{key}\"\n  \
                 tls_client_ca_file = \"{clients}\"\n  \
                 tls_require_and_verify_client_cert = true\n}}\n"
            );
            vec![format!("-config={}", file("server.hcl", &config))]
        })
        .await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The root token of one in its development mode.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A client of this server, which is cheap to clone.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The file that holds what it printed.
    pub fn log_path(&self) -> PathBuf {
        self.home.path().join("server.log")
    }

    async fn start(token: &str, args: impl FnOnce(SocketAddr, &Path) -> Vec<String>) -> Self {
        let home = TempDir::with_prefix("openbao-").expect("a temporary folder");
        let address: SocketAddr = ([127, 0, 0, 1], tools::free_port()).into();
        let log = fs::File::create(home.path().join("server.log")).expect("a log file");
        let mut command = Command::new(tools::bao());
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy();
            if name.starts_with("BAO_") || name.starts_with("VAULT_") {
                command.env_remove(variable);
            }
        }
        let child = command
            .arg("server")
            .args(args(address, home.path()))
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("bao can be started");
        let mut server = Self {
            address,
            token: token.to_owned(),
            client: Client::new(address),
            child,
            home,
        };
        server.wait().await;
        server
    }

    async fn wait(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        // In development it listens before it has its mounts, and tells when it has.
        while TcpStream::connect(self.address).await.is_err() || !self.log().contains("started!") {
            let ended = self.child.try_wait().expect("a child can be asked");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "bao server does not listen: {}",
                self.log()
            );
            sleep(Duration::from_millis(50)).await;
        }
        // The engine at `secret/` is set up after that.
        while !self.token.is_empty() {
            let config = "/v1/secret/config";
            let asked = self.client.call("GET", config, Some(&self.token), ()).await;
            if asked.is_ok_and(|reply| reply.status == 200) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "bao does not serve: {}",
                self.log()
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
