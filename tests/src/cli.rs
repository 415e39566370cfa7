//! The client commands of `billfold`, pointed at a server under test.

use std::{
    fs::File,
    io::{Seek as _, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    billfold::{Billfold, Ended, ended},
    tools,
};

/// `billfold` as a client: an address, perhaps a token, and a home folder of its own.
#[derive(Debug)]
pub struct Cli {
    env: Vec<(String, String)>,
    home: TempDir,
}

impl Cli {
    /// With no token: what `billfold login` stores in its home folder is used by later commands.
    pub fn new(url: impl Into<String>) -> Self {
        let home = TempDir::with_prefix("cli-home-").expect("a temporary folder");
        Self {
            env: vec![("BILLFOLD_ADDR".to_owned(), url.into())],
            home,
        }
    }

    /// With the root token of a server under test.
    pub fn root(billfold: &Billfold) -> Self {
        Self::new(billfold.url()).env("BILLFOLD_TOKEN", billfold.token())
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
        let mut command = Command::new(tools::billfold_bin());
        self.prepare(&mut command);
        command.args(args);
        command
    }

    /// Runs `billfold <args>`. Panics when it cannot be run at all.
    pub async fn run(&self, args: &[&str]) -> Ended {
        ended(self.command(args))
            .await
            .expect("billfold can be run")
    }

    /// As [`Cli::run`], with this on its standard input.
    pub async fn run_with(&self, args: &[&str], input: &str) -> Ended {
        let mut file: File = tempfile::tempfile().expect("a temporary file");
        file.write_all(input.as_bytes()).expect("it can be written");
        file.rewind().expect("it can be read from its start");
        let mut command = self.command(args);
        command.stdin(file);
        ended(command).await.expect("billfold can be run")
    }

    /// Runs `billfold <args>` on a terminal, and types a line at the first prompt. What the
    /// terminal showed is in the standard output.
    pub async fn on_terminal(&self, args: &[&str], typed: &str) -> Ended {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/terminal.py");
        let mut command = Command::new(tools::python());
        self.prepare(&mut command);
        command.args([script, typed]).arg(tools::billfold_bin());
        command.args(args);
        ended(command).await.expect("the script runs")
    }

    /// Runs `billfold <args>` and returns standard output. Panics unless it exits with 0.
    pub async fn ok(&self, args: &[&str]) -> String {
        let ended = self.run(args).await;
        ended
            .success()
            .unwrap_or_else(|error| panic!("billfold {args:?}: {error}"))
            .stdout
    }

    /// As [`Cli::ok`], asking for JSON, and the output parsed.
    pub async fn json(&self, args: &[&str]) -> Value {
        let text = self.ok(&[args, &["-o", "json"]].concat()).await;
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("billfold {args:?}: {error} in {text}"))
    }

    /// Nothing that configures the harness, or whoever runs it, reaches the command.
    fn prepare(&self, command: &mut Command) {
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy();
            let prefixes = ["BILLFOLD_", "BAO_", "VAULT_"];
            if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(variable);
            }
        }
        command
            .env("HOME", self.home.path())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.home.path())
            .stdin(Stdio::null());
    }
}
