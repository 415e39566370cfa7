//! A RustyVault server: files without a sync, version 1 of KV, no audit.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use billfold_tests::{
    billfold::{Body, Client},
    tools,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpStream, time::sleep};

/// The release that is installed: the last one of its crate.
const VERSION: &str = "0.2.1";

/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `rvault server`. Dropping it kills the process.
pub(crate) struct RustyVault {
    address: SocketAddr,
    token: String,
    client: Client,
    child: Child,
    home: TempDir,
}

/// Whether it is installed.
pub(crate) fn is_there() -> bool {
    tools::rusty_vault().exists()
}

/// Installs it under the target folder, if it is not there.
pub(crate) fn install() {
    if is_there() {
        return;
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(["install", "rusty_vault", "--version", VERSION, "--locked"]);
    let status = command
        .arg("--root")
        .arg(tools::rusty_vault_root())
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "RustyVault {VERSION} does not build here: leave out --rusty-vault"
    );
}

impl RustyVault {
    pub(crate) async fn start() -> Self {
        let home = TempDir::with_prefix("rusty-vault-").unwrap();
        let address: SocketAddr = ([127, 0, 0, 1], tools::free_port()).into();
        let (data, file) = (home.path().join("data"), home.path().join("server.hcl"));
        let config = format!(
            "storage \"file\" {{\n  path = {data:?}\n}}\n\
             listener \"tcp\" {{\n  address = \"{address}\"\n  tls_disable = \"true\"\n}}\n\
             api_addr = \"http://{address}\"\nwork_dir = {:?}\nlog_level = \"error\"\n",
            home.path()
        );
        fs::write(&file, config).unwrap();
        let log = fs::File::create(home.path().join("server.log")).unwrap();
        let child = Command::new(tools::rusty_vault())
            .arg("server")
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self {
            address,
            token: String::new(),
            client: Client::new(address),
            child,
            home,
        };
        server.begin().await;
        server
    }

    async fn begin(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).await.is_err() {
            assert!(
                Instant::now() < deadline,
                "rvault does not listen: {}",
                fs::read_to_string(self.home.path().join("server.log")).unwrap()
            );
            sleep(Duration::from_millis(50)).await;
        }
        let shares = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let init = self.call("PUT", "/v1/sys/init", shares).await;
        self.token = init["root_token"].as_str().unwrap().to_owned();
        let unseal = json!({ "key": init["keys"][0] });
        self.call("PUT", "/v1/sys/unseal", unseal).await;
    }

    async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> Value {
        let token = (!self.token.is_empty()).then_some(self.token.as_str());
        let reply = self.client.call(method, path, token, body).await.unwrap();
        assert!(reply.status < 300, "{method} {path}: {}", reply.text());
        reply.json()
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }
}

impl Drop for RustyVault {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
