//! OpenBao's own command line, pointed at a server under test.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    billfold::{Billfold, Ended, ended},
    tools,
};

/// The `bao` command line with an address, perhaps a token, and a home folder of its own.
#[derive(Debug)]
pub struct Bao {
    address: String,
    token: Option<String>,
    env: Vec<(String, String)>,
    home: TempDir,
}

impl Bao {
    /// With no token: what `bao login` stores in its home folder is used by later commands.
    pub fn new(address: SocketAddr) -> Self {
        let home = TempDir::with_prefix("bao-home-").expect("a temporary folder");
        Self {
            address: format!("http://{address}"),
            token: None,
            env: Vec::new(),
            home,
        }
    }

    /// With the root token of a server under test.
    pub fn root(billfold: &Billfold) -> Self {
        Self::new(billfold.address()).token(billfold.token())
    }

    /// With this token in the environment.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// With one more variable in the environment.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The home folder, in which every command is run.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A command that is not started yet, with nothing on its standard input.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(tools::bao());
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy();
            if name.starts_with("BAO_") || name.starts_with("VAULT_") {
                command.env_remove(variable);
            }
        }
        command
            .args(args)
            .env("HOME", self.home.path())
            .current_dir(self.home.path());
        command.env("NO_PROXY", "127.0.0.1").stdin(Stdio::null());
        for prefix in ["BAO", "VAULT"] {
            command.env(format!("{prefix}_ADDR"), &self.address);
            if let Some(token) = &self.token {
                command.env(format!("{prefix}_TOKEN"), token);
            }
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs `bao <args>`. Panics when it cannot be run at all.
    pub async fn run(&self, args: &[&str]) -> Ended {
        ended(self.command(args)).await.expect("bao can be run")
    }

    /// Runs `bao <args>` and returns standard output. Panics unless it exits with 0.
    pub async fn ok(&self, args: &[&str]) -> String {
        let ended = self.run(args).await;
        ended
            .success()
            .unwrap_or_else(|error| panic!("bao {}: {error}", args.join(" ")))
            .stdout
    }

    /// Runs `bao <args>` and returns all that it said. Panics unless it exits with this code.
    pub async fn fails(&self, code: i32, args: &[&str]) -> String {
        let ended = self.run(args).await;
        assert_eq!(ended.code, code, "bao {args:?}: {ended:?}");
        ended.stdout + &ended.stderr
    }

    /// As [`Bao::fails`], for what the server refuses: it says so, with these words.
    pub async fn refused(&self, args: &[&str], told: &str) {
        let all = self.fails(2, args).await;
        assert!(all.contains(told), "bao {args:?}: {all}");
    }

    /// As [`Bao::ok`], asking for JSON, and the output parsed.
    pub async fn json(&self, args: &[&str]) -> Value {
        let mut command = self.command(args);
        command
            .env("BAO_FORMAT", "json")
            .env("VAULT_FORMAT", "json");
        let text = ended(command)
            .await
            .expect("bao can be run")
            .success()
            .unwrap_or_else(|error| panic!("bao {args:?}: {error}"))
            .stdout;
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("bao {args:?}: {error} in {text}"))
    }
}
