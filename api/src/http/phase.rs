//! What a server can answer at the moment: nothing yet, everything, or no more.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::http::StatusCode;
use tokio::sync::watch;

use super::{Failure, limit::Limits};
use crate::{config::Rates, seal::Lock, wallet::Wallet};

/// What is told while the wallet is closed, in the words that clients look for.
pub(crate) const SEALED: &str = "Vault is sealed";
/// How long the request that closes the wallet may go on once it is closed: it has an answer to give.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// What a server can answer at the moment.
#[derive(Debug, Clone)]
pub enum Phase {
    /// It has not looked yet whether there is a wallet.
    Starting,
    /// There is no wallet on the log yet.
    Uninitialised,
    /// There is one, and nobody has opened it on this node.
    Sealed,
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
    /// Told of each change of the phase.
    changed: watch::Sender<()>,
    /// How often the wallet was closed.
    seals: watch::Sender<u64>,
    lock: Lock,
    limits: Limits,
    /// What the log is kept in, for clients that ask.
    storage: &'static str,
}

impl Door {
    /// A door behind which nothing is open yet.
    #[must_use]
    pub fn new(rates: &Rates, storage: &'static str, lock: Lock) -> Self {
        Self {
            phase: ArcSwap::from_pointee(Phase::Starting),
            changed: watch::Sender::new(()),
            seals: watch::Sender::new(0),
            lock,
            limits: Limits::new(rates),
            storage,
        }
    }

    /// Changes what can be answered.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(Arc::new(phase));
        self.changed.send_replace(());
    }

    /// Closes the wallet that was open: whoever is at work with it is cut off.
    pub fn shut(&self) {
        self.enter(Phase::Sealed);
        self.seals.send_modify(|seals| *seals += 1);
    }

    /// How often the wallet was closed.
    pub(crate) fn seals(&self) -> u64 {
        *self.seals.borrow()
    }

    /// What can be answered.
    #[must_use]
    pub fn phase(&self) -> Arc<Phase> {
        self.phase.load_full()
    }

    /// Whether the wallet is closed on this node, or not there.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(
            **self.phase.load(),
            Phase::Starting | Phase::Uninitialised | Phase::Sealed
        )
    }

    /// Waits for a phase; not longer than so long.
    pub(crate) async fn until(&self, is: impl Fn(&Phase) -> bool, longest: Duration) {
        let mut changed = self.changed.subscribe();
        let reached = async { while !is(&self.phase()) && changed.changed().await.is_ok() {} };
        let _ = tokio::time::timeout(longest, reached).await;
    }

    /// Waits until the wallet is closed more often than it was: whoever is at work then lets go of it,
    /// and of its keys, after so long.
    pub(crate) async fn cut_off(&self, seals: u64, grace: Duration) {
        let mut closed = self.seals.subscribe();
        if closed.wait_for(|now| *now != seals).await.is_err() {
            return std::future::pending().await;
        }
        if !grace.is_zero() {
            tokio::time::sleep(grace).await;
        }
    }

    /// What is known of the wallet while it is closed.
    #[must_use]
    pub const fn lock(&self) -> &Lock {
        &self.lock
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
            Phase::Starting | Phase::Uninitialised | Phase::Sealed => SEALED,
            Phase::CatchingUp => "this node is catching up with the log",
            Phase::Draining => "this node is shutting down",
        };
        Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, told))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;
    use crate::config::Settings;

    #[test]
    fn whoever_began_while_it_was_open_is_cut_off_at_once() {
        let (lock, _orders) = Lock::new(Vec::new());
        let door = Door::new(&Settings::default().rates(), "", lock);
        let cut_off = |seals| {
            let cut_off = pin!(door.cut_off(seals, Duration::ZERO));
            cut_off
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_ready()
        };
        let begun = door.seals();
        for phase in [Phase::CatchingUp, Phase::Sealed, Phase::Draining] {
            door.enter(phase);
            assert!(!cut_off(begun), "it was not closed by anybody");
        }
        door.shut();
        assert!(matches!(*door.phase(), Phase::Sealed));
        assert!(cut_off(begun));
        // It was opened again meanwhile, and that helps nobody who was at work before.
        door.enter(Phase::Draining);
        assert!(cut_off(begun));
        assert!(!cut_off(door.seals()));
    }
}
