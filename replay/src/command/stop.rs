//! What ends a command that goes on by itself.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that ask a command to end.
pub(super) struct Stop {
    interrupted: Signal,
    terminated: Signal,
}

impl Stop {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupted: signal(SignalKind::interrupt())?,
            terminated: signal(SignalKind::terminate())?,
        })
    }

    /// Comes when it is asked to end.
    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupted.recv() => {}
            _ = self.terminated.recv() => {}
        }
    }
}
