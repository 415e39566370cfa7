//! Programs that run to their end, and signals.

use std::{
    os::unix::process::ExitStatusExt,
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};

use super::PATIENCE;

/// What a process that ended left.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; 128 + N when signal N ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ended {
    /// Itself if the code is 0, else an error with all that was printed.
    pub fn success(self) -> Result<Self> {
        ensure!(
            self.code == 0,
            "exit code {}\n{}\n{}",
            self.code,
            self.stdout,
            self.stderr
        );
        Ok(self)
    }
}

/// Runs a program to its end, off the async threads. It is killed when it takes too long.
///
/// # Errors
/// When it cannot be started.
pub async fn ended(command: Command) -> Result<Ended> {
    ended_within(PATIENCE, command).await
}

/// As [`ended`], for what has its time.
///
/// # Errors
/// When it cannot be started.
pub async fn ended_within(limit: Duration, mut command: Command) -> Result<Ended> {
    let running = tokio::task::spawn_blocking(move || -> Result<Ended> {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let id = child.id();
        let (done, wait) = channel::<()>();
        let watchdog = thread::spawn(move || {
            if wait
                .recv_timeout(limit)
                .is_err_and(|error| error == RecvTimeoutError::Timeout)
            {
                signal(id, "KILL");
            }
        });
        let output = child.wait_with_output();
        drop(done);
        watchdog
            .join()
            .map_err(|_| anyhow!("the watchdog panicked"))?;
        let output = output?;
        Ok(Ended {
            code: code(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    });
    running.await?
}

pub(super) fn code(status: ExitStatus) -> i32 {
    status
        .code()
        .or(status.signal().map(|number| 128 + number))
        .unwrap_or(-1)
}

/// Sends a process a signal by its name, without `SIG`. Says whether the process was there to take it.
pub fn signal(process: u32, name: &str) -> bool {
    let script = format!("kill -s {name} {process}");
    let status = Command::new("sh")
        .args(["-c", &script])
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_tells_its_code_and_its_output() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let three = ended(command).await.unwrap();
        assert_eq!(
            (three.code, three.stdout.trim(), three.stderr.trim()),
            (3, "out", "err")
        );
        assert!(three.success().is_err());
        let mut command = Command::new("sh");
        command.args(["-c", "kill -9 $$"]);
        assert_eq!(ended(command).await.unwrap().code, 128 + 9);
    }
}
