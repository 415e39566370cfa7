//! Clocks, and the guard that keeps a node with a wrong one from committing.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use billfold_core::Millis;

use crate::EventLog;

/// How far a node's clock may be off the log's, in milliseconds.
pub const TOLERANCE: u64 = 2_000;

/// How long a comparison with the log's clock counts.
const FRESH: Duration = Duration::from_secs(30);

/// Tells the time. A trait, so that tests can set it wrong.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Millis;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Clock for System {
    fn now(&self) -> Millis {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A node's clock is too far off to commit with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this node's clock is {off} ms off the log's: it stops committing until that is mended")]
pub struct Off {
    /// By how much, in milliseconds.
    pub off: u64,
}

/// Compares a node's clock with the log's, often enough.
#[derive(Debug)]
pub struct Guard {
    clock: Arc<dyn Clock>,
    compared: Mutex<Option<Compared>>,
}

#[derive(Debug, Clone, Copy)]
struct Compared {
    at: Instant,
    local: Millis,
    off: u64,
}

impl Guard {
    /// A guard over this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            compared: Mutex::new(None),
        }
    }

    /// The time for a commit after one of `previous`, if the clock is good enough.
    ///
    /// # Errors
    /// When the clock is off by more than [`TOLERANCE`].
    pub async fn time(&self, log: &dyn EventLog, previous: Millis) -> Result<Millis, Off> {
        if !self.is_fresh() {
            let before = self.clock.now();
            // A log that cannot be asked cannot take the commit either: its append will say so.
            if let Ok(theirs) = log.now().await {
                let local = self.clock.now();
                // The answer is from some moment in between: only what is outside counts.
                let off = before
                    .0
                    .saturating_sub(theirs.0)
                    .max(theirs.0.saturating_sub(local.0));
                self.remember(Compared {
                    at: Instant::now(),
                    local,
                    off,
                });
            }
        }
        let now = self.clock.now();
        let compared = self.compared().map_or(0, |compared| compared.off);
        // Its writer's clock may be ahead of the log's by as much as this one is behind.
        let behind = previous.0.saturating_sub(now.0);
        if compared > TOLERANCE || behind > 2 * TOLERANCE {
            let off = compared.max(behind);
            tracing::warn!(off, "this node's clock is wrong: it does not commit");
            return Err(Off { off });
        }
        Ok(now.max(previous))
    }

    /// Whether the last comparison still counts: not long ago, good, and the clock was not set.
    fn is_fresh(&self) -> bool {
        self.compared().is_some_and(|compared| {
            let passed = compared.at.elapsed();
            let passed_millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
            let expected = compared.local.plus(passed_millis);
            passed < FRESH
                && compared.off <= TOLERANCE
                && self.clock.now().distance(expected) <= TOLERANCE / 4
        })
    }

    fn compared(&self) -> Option<Compared> {
        *self.compared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, compared: Compared) {
        *self.compared.lock().unwrap_or_else(PoisonError::into_inner) = Some(compared);
    }
}
