//! A process that is started by hand: one that need not come to serve, or that serves otherwise than over plain HTTP.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use billfold_tests::{
    billfold::{Client, Reply},
    tools,
};
use tempfile::TempDir;
use tokio::time::sleep;

pub const PATIENCE: Duration = Duration::from_secs(60);

/// Settings in the environment, and nothing else of the tests' own.
pub fn command(name: &str, settings: &[(&str, &str)]) -> Command {
    with(Command::new(tools::billfold_bin()), name, settings)
}

/// The same, where it may open no more files than these.
pub fn command_with_files(files: u32, name: &str, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={files}:{files}"));
    command.arg(tools::billfold_bin());
    with(command, name, settings)
}

fn with(mut command: Command, name: &str, settings: &[(&str, &str)]) -> Command {
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("BILLFOLD_") {
            command.env_remove(variable);
        }
    }
    command
        .arg(name)
        .stdin(Stdio::null())
        .envs(settings.iter().copied());
    command
}

/// It is killed when this is dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
    home: TempDir,
}

impl Process {
    pub fn spawn(name: &str, settings: &[(&str, &str)]) -> Self {
        Self::of(command(name, settings))
    }

    pub fn of(mut command: Command) -> Self {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("log");
        let output = fs::File::create(&log).unwrap();
        command
            .current_dir(home.path())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        Self {
            child: command.spawn().unwrap(),
            log,
            home,
        }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits until it has ended by itself, and tells how.
    pub async fn ended(&mut self) -> i32 {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < until, "it does not end\n{}", self.log());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until its log has these words this many times.
    pub async fn told(&self, words: &str, times: usize) {
        let until = Instant::now() + PATIENCE;
        while self.log().matches(words).count() < times {
            assert!(
                Instant::now() < until,
                "it does not say {words:?}\n{}",
                self.log()
            );
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- what it said:\n{}", self.log());
        }
    }
}

/// Waits until a server tells this of its health.
pub async fn health(address: SocketAddr, status: u16) -> Reply {
    let client = Client::new(address);
    let until = Instant::now() + PATIENCE;
    loop {
        let reply = client.call("GET", "/v1/sys/health", None, ()).await;
        match reply {
            Ok(reply) if reply.status == status => return reply,
            other => assert!(Instant::now() < until, "no health of {status}: {other:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}
