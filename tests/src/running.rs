//! A `billfold-replay` that goes on by itself.

use std::{
    fs::{self, File},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::time::sleep;

use crate::billfold::signal;

/// Longer than anything takes on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(90);

/// A process, and what it printed. It is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    dir: TempDir,
}

impl Running {
    /// Starts it.
    pub fn start(mut command: Command) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| File::create(dir.path().join(name)).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(file("errors"));
        Self {
            child: command.spawn().unwrap(),
            dir,
        }
    }

    /// What it printed.
    pub fn out(&self) -> String {
        fs::read_to_string(self.dir.path().join("out")).unwrap()
    }

    /// What it said on standard error.
    pub fn errors(&self) -> String {
        fs::read_to_string(self.dir.path().join("errors")).unwrap()
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits for that.
    pub async fn end(&mut self, name: &str) -> i32 {
        assert!(signal(self.child.id(), name));
        self.ended().await
    }

    /// Its exit code, once it ended by itself.
    pub async fn ended(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(
                Instant::now() < deadline,
                "it does not end: {}",
                self.errors()
            );
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until something is so.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "there is no sign of {what}");
        sleep(Duration::from_millis(2)).await;
    }
}
