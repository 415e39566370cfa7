//! An OpenBao server, as a peer.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpStream, time::sleep};

use crate::{
    billfold::{Body, Client},
    tools,
};

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
    /// What it was started with.
    args: Vec<String>,
    /// What unseals it, if it was initialised here.
    key: String,
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

    /// A server without a wallet, in memory.
    pub async fn uninitialised() -> Self {
        Self::start("", |address, home| {
            let config = format!(
                "storage \"inmem\" {{}}\nlistener \"tcp\" {{\n  address = \"{address}\"\n  \
                 tls_disable = true\n}}\napi_addr = \"http://{address}\"\n"
            );
            let file = home.join("server.hcl");
            fs::write(&file, config).expect("a file can be written");
            vec![format!("-config={}", file.display())]
        })
        .await
    }

    /// A server as one runs it, apart from TLS: raft on its disk, an audit device that writes a file, unsealed, with
    /// version 2 of KV at `secret/`.
    pub async fn raft() -> Self {
        let mut server = Self::start("", |address, home| {
            let (data, audit) = (home.join("raft"), home.join("audit.log"));
            fs::create_dir(&data).expect("a folder can be made");
            let cluster = SocketAddr::from(([127, 0, 0, 1], tools::free_port()));
            let config = format!(
                "storage \"raft\" {{\n  path = {data:?}\n  node_id = \"one\"\n}}\n\
                 listener \"tcp\" {{\n  address = \"{address}\"\n  tls_disable = true\n}}\n\
                 audit \"file\" \"file\" {{\n  options {{\n    file_path = {audit:?}\n  }}\n}}\n\
                 api_addr = \"http://{address}\"\ncluster_addr = \"https://{cluster}\"\n"
            );
            let file = home.join("server.hcl");
            fs::write(&file, config).expect("a file can be written");
            vec![format!("-config={}", file.display())]
        })
        .await;
        let shares = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let init = server.call("PUT", "/v1/sys/init", shares).await;
        let said = |name: &str| init[name].as_str().expect("init gives it").to_owned();
        let key = init["keys_base64"][0].as_str().expect("init gives a key");
        server.token = said("root_token");
        server.key = key.to_owned();
        server.unseal().await;
        let kv = json!({ "type": "kv", "options": { "version": "2" } });
        server.call("POST", "/v1/sys/mounts/secret", kv).await;
        server.until("/v1/secret/config").await;
        let devices = server.call("GET", "/v1/sys/audit", ()).await;
        assert!(devices["file/"].is_object(), "no audit device: {devices}");
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The root token, of one that has a wallet.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A client of this server, which is cheap to clone.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder of all that it writes.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The file that holds what it printed.
    pub fn log_path(&self) -> PathBuf {
        self.home.path().join("server.log")
    }

    /// Kills the process, with all that it has only in memory.
    pub fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// Starts it again on what is on its disk, and unseals it.
    pub async fn start_again(&mut self) {
        self.kill();
        self.child = spawn(&self.args, self.home.path());
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).await.is_err() {
            assert!(Instant::now() < deadline, "bao is not back: {}", self.log());
            sleep(Duration::from_millis(50)).await;
        }
        self.unseal().await;
    }

    /// Unseals it, and waits until it answers.
    pub async fn unseal(&self) {
        let unseal = json!({ "key": self.key });
        self.call("PUT", "/v1/sys/unseal", unseal).await;
        self.until("/v1/sys/health").await;
    }

    async fn start(token: &str, args: impl FnOnce(SocketAddr, &Path) -> Vec<String>) -> Self {
        let home = TempDir::with_prefix("openbao-").expect("a temporary folder");
        let address: SocketAddr = ([127, 0, 0, 1], tools::free_port()).into();
        let args = args(address, home.path());
        let child = spawn(&args, home.path());
        let mut server = Self {
            address,
            token: token.to_owned(),
            client: Client::new(address),
            child,
            home,
            args,
            key: String::new(),
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
        if !self.token.is_empty() {
            // The engine at `secret/` is set up after that.
            self.until("/v1/secret/config").await;
        }
    }

    /// Waits until it answers this with 200.
    async fn until(&self, path: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let asked = self.client.call("GET", path, Some(&self.token), ()).await;
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

    async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> Value {
        let token = (!self.token.is_empty()).then_some(self.token.as_str());
        let reply = self.client.call(method, path, token, body).await;
        let reply = reply.expect("bao answers");
        assert!(reply.status < 300, "{method} {path}: {}", reply.text());
        reply.json()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }
}

fn spawn(args: &[String], home: &Path) -> Child {
    let mut options = fs::OpenOptions::new();
    let log = options.create(true).append(true);
    let log = log.open(home.join("server.log")).expect("a log file");
    let mut command = Command::new(tools::bao());
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("BAO_") || name.starts_with("VAULT_") {
            command.env_remove(variable);
        }
    }
    command
        .arg("server")
        .args(args)
        .env("HOME", home)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("bao can be started")
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
