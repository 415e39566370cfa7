//! How a wallet is closed and opened: what is known of it meanwhile, and the shares that people hand in.
//!
//! No HTTP here, and no keys but those shares. What there are enough shares for is done by whoever
//! runs the node, who takes the orders.

mod change;
mod collected;
mod known;
mod managers;
mod root;
mod rotation;

use std::sync::{Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use billfold_core::keys::{
    RecoveryKey,
    share::{self, BadCounts, Counts, Share},
};
use billfold_upstreams::{Shamir, shamir};
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use self::{change::Change, root::Root, rotation::Rotation};
pub use self::{
    change::{Awaited, ChangeProgress, Step},
    collected::Collected,
    known::Known,
    managers::{Managers, Opener},
    root::{Pad, RootProgress},
    rotation::{NewKey, RotationProgress, Target},
};

/// How a wallet is to begin.
#[derive(Debug, Clone, Copy)]
pub enum NewShares {
    /// Shares that open it.
    Unseal(Counts),
    /// A key manager opens it; these prove who may act for its operators, if there are to be any.
    Recovery(Option<Counts>),
}

/// What a wallet begins with, to be told once.
pub struct Begun {
    /// The shares, as they are handed out.
    pub shares: Vec<Zeroizing<Vec<u8>>>,
    /// The root token.
    pub token: Zeroizing<String>,
}

impl std::fmt::Debug for Begun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Begun({} shares)", self.shares.len())
    }
}

/// What enough shares prove.
#[derive(Debug)]
pub enum Proof {
    /// The key that opens the wallet.
    Unseal(Shamir),
    /// That the operators want it opened by the key manager.
    Recovery(RecoveryKey),
}

/// What whoever runs the node is asked to do.
#[derive(Debug)]
pub enum Order {
    /// Begin a wallet.
    Begin(NewShares, oneshot::Sender<Result<Begun, Error>>),
    /// Open the wallet.
    Open(Proof, oneshot::Sender<Result<(), Error>>),
}

/// Why something about a closed wallet was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller's fault: not a share of this wallet.
    #[error("invalid key: {0}")]
    Share(#[from] share::Error),
    /// The caller's fault: a share at this point is there already, and it is another one.
    #[error("invalid key: there are two shares of one number, and they are not the same")]
    TwoAtOne,
    /// The caller's fault: the shares do not make the key.
    #[error("invalid key: the shares do not open this wallet: at least one of them is wrong")]
    WrongShares,
    /// The caller's fault.
    #[error(transparent)]
    Counts(#[from] BadCounts),
    /// There is a wallet.
    #[error("Vault is already initialized")]
    Exists,
    /// There is none.
    #[error("Vault is not initialized")]
    NoWallet,
    /// It is open.
    #[error("vault is unsealed")]
    Open,
    /// There are no recovery shares.
    #[error(
        "this wallet has no recovery shares: its key manager opens it when the node is started"
    )]
    NoRecovery,
    /// The caller's fault: a one-time pad has another length.
    #[error("OTP string has incorrect length")]
    PadLength,
    /// A root token is being made.
    #[error("root generation already in progress for this namespace")]
    RootUnderWay,
    /// No root token is being made.
    #[error("no root generation in progress")]
    NoRoot,
    /// New shares are being made.
    #[error("rotation already in progress")]
    RotationUnderWay,
    /// No new shares are being made.
    #[error("no rotation in progress")]
    NoRotation,
    /// The key manager is being changed.
    #[error("a change of the key manager is under way on this node: give it up first")]
    ChangeUnderWay,
    /// The key manager is not being changed.
    #[error("no change of the key manager is under way on this node")]
    NoChange,
    /// The new shares are made, and enough of them have to be shown.
    #[error(
        "rotation already finished; verification must be performed; nonce for the verification operation is \"{0}\""
    )]
    ConfirmFirst(uuid::Uuid),
    /// The caller's fault: it is for another undertaking.
    #[error("incorrect nonce supplied; nonce for {0} is \"{1}\"")]
    OtherNonce(&'static str, uuid::Uuid),
    /// The caller's fault: it is there.
    #[error("given key has already been provided during this {0}")]
    HeldAlready(&'static str),
    /// A dependency's fault, or this node's: it can be tried again.
    #[error("{0}")]
    Unavailable(String),
}

/// What a node knows of its wallet while that is closed, and what it is waiting for.
#[derive(Debug)]
pub struct Lock {
    /// The names of the key managers that the settings name, the wallet's own first.
    managers: Vec<&'static str>,
    known: ArcSwapOption<Known>,
    collected: Mutex<Option<Collected>>,
    root: Mutex<Option<Root>>,
    rotation: Mutex<Option<Rotation>>,
    change: Mutex<Option<Change>>,
    orders: mpsc::Sender<Order>,
}

/// How far the shares for opening are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many there are.
    pub shares: u8,
    /// What tells this undertaking from others.
    pub nonce: Option<uuid::Uuid>,
}

impl Lock {
    /// A lock of a wallet under one of these key managers, the first one when there is none yet. The
    /// orders come out at the other end.
    #[must_use]
    pub fn new(managers: Vec<&'static str>) -> (Self, mpsc::Receiver<Order>) {
        let (orders, taken) = mpsc::channel(1);
        let lock = Self {
            managers,
            known: ArcSwapOption::empty(),
            collected: Mutex::default(),
            root: Mutex::default(),
            rotation: Mutex::default(),
            change: Mutex::default(),
            orders,
        };
        (lock, taken)
    }

    /// The name of the key manager that the wallet is under, or will be.
    #[must_use]
    pub fn manager(&self) -> &'static str {
        let known = self.known();
        let found = known.and_then(|known| {
            let mut named = self.managers.iter();
            named.find(|name| **name == known.manager).copied()
        });
        found
            .or_else(|| self.managers.first().copied())
            .unwrap_or_default()
    }

    /// Whether people open the wallet, and no key manager does.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.manager() == shamir::NAME
    }

    /// What the key store says of the wallet.
    #[must_use]
    pub fn known(&self) -> Option<std::sync::Arc<Known>> {
        self.known.load_full()
    }

    /// Takes note of what the key store says. Shares of another key are forgotten.
    pub fn learn(&self, known: Option<Known>) {
        let known = known.map(std::sync::Arc::new);
        let mut collected = self.collected();
        let set = known.as_ref().and_then(|known| known.set());
        if collected.as_ref().map(Collected::set) != set {
            *collected = None;
        }
        let mut root = self.root();
        if root.as_ref().map(Root::set) != set {
            *root = None;
        }
        let mut rotation = self.rotations();
        if rotation.as_ref().map(Rotation::set) != set {
            *rotation = None;
        }
        let mut change = self.changes();
        change.take_if(|change| change.is_stale(known.as_deref()));
        self.known.store(known);
    }

    /// How far the shares are.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.collected()
            .as_ref()
            .map_or_else(Progress::default, |collected| Progress {
                shares: collected.count(),
                nonce: Some(collected.nonce()),
            })
    }

    /// Forgets the shares that were handed in.
    pub fn reset(&self) {
        *self.collected() = None;
    }

    /// Takes a share. With enough of them the wallet is opened, or they are all forgotten.
    ///
    /// # Errors
    /// When it is no share of this wallet, or they do not open it.
    pub async fn hand_in(&self, share: Share) -> Result<(), Error> {
        let Some((counts, shares)) = self.add(share)? else {
            return Ok(());
        };
        let proof = match self.is_shared() {
            true => Shamir::of(counts, &shares).map(Proof::Unseal),
            false => shamir::recovery_key(counts, &shares).map(Proof::Recovery),
        };
        drop(shares);
        let proof = proof.map_err(|_| Error::WrongShares)?;
        self.order(|answer| Order::Open(proof, answer)).await
    }

    fn add(&self, share: Share) -> Result<Option<(Counts, Vec<Share>)>, Error> {
        let starting = || Error::Unavailable("this node has only just started".to_owned());
        let known = self.known().ok_or_else(starting)?;
        let set = known.set().ok_or(Error::NoRecovery)?;
        let counts = known.counts().ok_or(Error::NoRecovery)?;
        let mut collected = self.collected();
        let begun = collected.get_or_insert_with(|| Collected::new(set, counts));
        let added = begun.add(share);
        if begun.count() == 0 || matches!(added, Err(Error::TwoAtOne)) {
            *collected = None;
            return added.map(|_| None);
        }
        match added? {
            false => Ok(None),
            true => Ok(collected
                .take()
                .map(|mut collected| (counts, collected.take_shares()))),
        }
    }

    /// Begins a wallet.
    ///
    /// # Errors
    /// When there is one, or it cannot be written.
    pub async fn begin(&self, shares: NewShares) -> Result<Begun, Error> {
        self.order(|answer| Order::Begin(shares, answer)).await
    }

    async fn order<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Order,
    ) -> Result<T, Error> {
        let unavailable = || Error::Unavailable("this node is busy or shutting down".to_owned());
        let (answer, answered) = oneshot::channel();
        let order = order(answer);
        self.orders.send(order).await.map_err(|_| unavailable())?;
        answered.await.map_err(|_| unavailable())?
    }

    /// Gives up all that was begun while the wallet was open.
    pub fn abandon(&self) {
        self.cancel_root();
        *self.rotations() = None;
        self.cancel_change();
    }

    fn changes(&self) -> MutexGuard<'_, Option<Change>> {
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rotations(&self) -> MutexGuard<'_, Option<Rotation>> {
        self.rotation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn root(&self) -> MutexGuard<'_, Option<Root>> {
        self.root.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn collected(&self) -> MutexGuard<'_, Option<Collected>> {
        self.collected
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
