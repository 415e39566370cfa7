//! What a server can answer at the moment: nothing yet, everything, or no more.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::http::StatusCode;

use super::{Failure, limit::Limits};
use crate::{config::Rates, wallet::Wallet};

/// What a server can answer at the moment.
#[derive(Debug, Clone)]
pub enum Phase {
    /// There is no wallet on the log yet.
    Uninitialised,
    /// The view is catching up with the log.
    CatchingUp,
    /// It answers.
    Ready(Arc<Wallet>),
    /// It is shutting down.
    Draining,
}

/// The shared state of all requests.
#[derive(Debug)]
pub struct Door {
    phase: ArcSwap<Phase>,
    limits: Limits,
    /// What the log is kept in, for clients that ask.
    storage: &'static str,
}

impl Door {
    /// A door behind which nothing is open yet.
    #[must_use]
    pub fn new(rates: &Rates, storage: &'static str) -> Self {
        let phase = ArcSwap::from_pointee(Phase::CatchingUp);
        Self {
            phase,
            limits: Limits::new(rates),
            storage,
        }
    }

    /// Changes what can be answered.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(Arc::new(phase));
    }

    /// What can be answered.
    #[must_use]
    pub fn phase(&self) -> Arc<Phase> {
        self.phase.load_full()
    }

    /// What the log is kept in.
    #[must_use]
    pub const fn storage(&self) -> &'static str {
        self.storage
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The open wallet.
    pub(crate) fn wallet(&self) -> Result<Arc<Wallet>, Failure> {
        let told = match &**self.phase.load() {
            Phase::Ready(wallet) => match wallet.keychain().stopped() {
                None => return Ok(Arc::clone(wallet)),
                Some(_) => "this node has stopped: see its log",
            },
            Phase::Uninitialised => "the wallet is not initialised",
            Phase::CatchingUp => "this node is catching up with the log",
            Phase::Draining => "this node is shutting down",
        };
        Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, told))
    }
}
