//! A `billfold` process under test.

mod client;
mod process;

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::time::sleep;

use self::process::code;
pub use self::{
    client::{Body, Client, Reply},
    process::{Ended, ended, ended_within, signal},
};
use crate::tools;

/// How long a process may take to serve, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a process will be started with. A clone starts another one with the same.
#[derive(Debug, Clone)]
pub struct Builder {
    /// Deleted with the last builder or process that knows it.
    home: Arc<TempDir>,
    /// The home of the first node, where the key file of the wallet may be.
    first_home: Option<Arc<TempDir>>,
    dev: bool,
    address: SocketAddr,
    data_dir: PathBuf,
    key_file: PathBuf,
    nats: Option<String>,
    token: String,
    env: Vec<(String, Option<String>)>,
    args: Vec<String>,
}

impl Builder {
    fn new(dev: bool) -> Self {
        let home = TempDir::with_prefix("billfold-test-").expect("a temporary folder");
        Self {
            dev,
            address: ([127, 0, 0, 1], tools::free_port()).into(),
            data_dir: home.path().join("data"),
            key_file: home.path().join("wallet.key"),
            nats: None,
            token: format!("root-{}", hex::encode(tools::random::<12>())),
            env: Vec::new(),
            args: Vec::new(),
            home: Arc::new(home),
            first_home: None,
        }
    }

    /// Another address than a free port on loopback.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Another data folder than a fresh one.
    pub fn data_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data_dir = folder.into();
        self
    }

    /// The log on this NATS in place of the embedded one.
    pub fn nats(mut self, url: impl Into<String>) -> Self {
        self.nats = Some(url.into());
        self
    }

    /// The key file for `serve`: nodes of one wallet share it. By default one is made at the first start.
    pub fn key_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.key_file = file.into();
        self
    }

    /// Another root token than a random one.
    pub fn root_token(mut self, token: impl Into<String>) -> Self {
        self.token = token.into();
        self
    }

    /// A variable of the environment, over those that the builder sets itself.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), Some(value.into())));
        self
    }

    /// Without this variable, which the builder or the environment of the tests would set.
    pub fn env_remove(mut self, name: impl Into<String>) -> Self {
        self.env.push((name.into(), None));
        self
    }

    /// One more argument after the command.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Another node of the same wallet: its own address and data folder; the same log, key file and token.
    pub fn another_node(&self) -> Self {
        let fresh = Self::new(self.dev);
        Self {
            home: fresh.home,
            first_home: self.first_home.clone().or_else(|| Some(self.home.clone())),
            address: fresh.address,
            data_dir: fresh.data_dir,
            key_file: self.key_file_made(),
            ..self.clone()
        }
    }

    /// Runs `billfold init` with these settings, to its end: it makes the wallet that `serve` opens.
    pub async fn init(&self) -> Result<Ended> {
        self.run("init", &["--root-token", &self.token]).await
    }

    /// Runs `billfold <command> <args>` with these settings, to its end.
    pub async fn run(&self, command: &str, args: &[&str]) -> Result<Ended> {
        let mut process = self.command(command);
        process.args(args);
        ended(process).await
    }

    /// Starts the process and waits until it serves.
    pub async fn spawn(self) -> Result<Billfold> {
        let client = Client::new(self.address);
        let mut billfold = Billfold {
            builder: self,
            client,
            child: None,
        };
        billfold.start().await?;
        Ok(billfold)
    }

    /// Starts the process and waits until it answers, though it may have no wallet, or a sealed one.
    pub async fn spawn_closed(self) -> Result<Billfold> {
        let client = Client::new(self.address);
        let mut billfold = Billfold {
            builder: self,
            client,
            child: None,
        };
        billfold.start_until(|status| status > 0).await?;
        Ok(billfold)
    }

    /// Another key manager than a key file: its name, and its settings by the names of their variables.
    pub fn key_manager(mut self, name: &str, settings: &[(&str, &str)]) -> Self {
        self = self
            .env("BILLFOLD_KEY_MANAGER", name)
            .env_remove("BILLFOLD_KEY_FILE");
        for (name, value) in settings {
            self = self.env(*name, *value);
        }
        self
    }

    /// Starts the process and waits until it ends by itself, for what must refuse to start.
    pub async fn spawn_refused(self) -> Result<Ended> {
        ended(self.main()).await
    }

    fn key_file_made(&self) -> PathBuf {
        if !self.key_file.exists() {
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            let mut file = options
                .open(&self.key_file)
                .expect("the key file can be made");
            file.write_all(&tools::random::<32>())
                .expect("the key file can be written");
        }
        self.key_file.clone()
    }

    /// The process itself: `dev` or `serve`.
    fn main(&self) -> Command {
        let mut command = self.command(if self.dev { "dev" } else { "serve" });
        if self.dev {
            command.arg("--listen").arg(self.address.to_string());
            command.arg("--data-dir").arg(&self.data_dir);
            command.args(["--root-token", &self.token]);
            if let Some(nats) = &self.nats {
                command.args(["--nats", nats]);
            }
        }
        command.args(&self.args);
        command
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(tools::billfold_bin());
        // What configures the harness must not configure the program.
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("BILLFOLD_") {
                command.env_remove(variable);
            }
        }
        command
            .arg(name)
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        if !self.dev {
            command.env("BILLFOLD_LISTEN", self.address.to_string());
            command.env("BILLFOLD_DATA_DIR", &self.data_dir);
            command.env("BILLFOLD_KEY_MANAGER", "key-file");
            command.env("BILLFOLD_KEY_FILE", self.key_file_made());
            if let Some(nats) = &self.nats {
                command.env("BILLFOLD_NATS_URL", nats);
            }
        }
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }
}

/// A running `billfold`. Dropping it kills the process; if the test is failing, the end of its log is printed.
#[derive(Debug)]
pub struct Billfold {
    builder: Builder,
    client: Client,
    child: Option<Child>,
}

impl Billfold {
    /// `billfold dev`: its own wallet, a known root token.
    pub fn dev() -> Builder {
        Builder::new(true)
    }

    /// `billfold serve`: the wallet must be there, see [`Builder::init`].
    pub fn serve() -> Builder {
        Builder::new(false)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.builder.address
    }

    /// `http://…`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The root token.
    pub fn token(&self) -> &str {
        &self.builder.token
    }

    /// The data folder.
    pub fn data_dir(&self) -> &Path {
        &self.builder.data_dir
    }

    /// The key file of `serve`.
    pub fn key_file(&self) -> &Path {
        &self.builder.key_file
    }

    /// What it was started with.
    pub fn builder(&self) -> &Builder {
        &self.builder
    }

    /// A client of this process, which can outlive it and is cheap to clone.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// All that it printed, over all its starts.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    /// The file that holds what it printed.
    pub fn log_path(&self) -> PathBuf {
        self.builder.home.path().join("billfold.log")
    }

    /// The process id, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Sends a signal by its name, without `SIG`. Says whether the process was there to take it.
    pub fn signal(&self, name: &str) -> bool {
        self.pid().is_some_and(|id| signal(id, name))
    }

    /// Ends it as a power cut would, as far as a process can tell. Returns when it is gone.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().expect("a killed child can be waited for");
        }
    }

    /// Asks it to end and waits. The exit code, or an error if it had to be killed.
    pub async fn stop(&mut self) -> Result<i32> {
        let Some(child) = &mut self.child else {
            bail!("it does not run")
        };
        signal(child.id(), "TERM");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait()? {
                self.child = None;
                return Ok(code(status));
            }
            if Instant::now() > deadline {
                self.kill9();
                bail!(
                    "it did not end within {PATIENCE:?} of SIGTERM\n{}",
                    self.log_tail()
                );
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Stops it if it runs, starts it again with the same settings, and waits until it serves.
    pub async fn restart(&mut self) -> Result<()> {
        if self.child.is_some() {
            self.stop().await?;
        }
        self.start().await
    }

    /// A request with the root token. Panics when no answer comes.
    pub async fn root(&self, method: &str, path: &str, body: impl Into<Body>) -> Reply {
        let reply = self
            .client
            .call(method, path, Some(self.token()), body)
            .await;
        reply.unwrap_or_else(|error| panic!("{method} {path}: {error:#}\n{}", self.log_tail()))
    }

    /// Starts it again after it was ended, and waits until it answers.
    pub async fn start_closed(&mut self) -> Result<()> {
        self.start_until(|status| status > 0).await
    }

    async fn start(&mut self) -> Result<()> {
        self.start_until(|status| status == 200).await
    }

    async fn start_until(&mut self, is_up: fn(u16) -> bool) -> Result<()> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())?;
        let mut command = self.builder.main();
        command.stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn().context("billfold cannot be started")?);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self
                .child
                .as_mut()
                .map(Child::try_wait)
                .transpose()?
                .flatten();
            if let Some(status) = ended {
                self.child = None;
                bail!(
                    "it ended at once, with code {}\n{}",
                    code(status),
                    self.log_tail()
                );
            }
            let health = self.client.call("GET", "/v1/sys/health", None, ()).await;
            if health.as_ref().is_ok_and(|reply| is_up(reply.status)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                self.kill9();
                bail!(
                    "it does not serve after {PATIENCE:?}: {health:?}\n{}",
                    self.log_tail()
                );
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().rev().take(60).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Billfold {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            eprintln!(
                "--- the end of {}:\n{}",
                self.log_path().display(),
                self.log_tail()
            );
        }
    }
}
