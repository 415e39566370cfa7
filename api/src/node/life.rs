//! How a node's wallet comes to be open: there is none, it is sealed, it is opened, it is sealed again.

use std::{sync::Arc, time::Duration};

use billfold_core::keys::{
    RecoveryKey,
    manager::{self, KeyManager},
};
use billfold_streams::custody::{self, Custody};
use tokio::{sync::mpsc, time::timeout};

use super::{
    Backend, Born, Error, Node,
    birth::{self, new_token},
    for_terminal, managers, new_process,
};
use crate::{
    config::Settings,
    http::{Door, Phase},
    seal::{self, Begun, Known, Lock, Managers, NewShares, Order, Proof},
};

/// How often a node looks for what other nodes did: whether there is a wallet now, and new shares.
const LOOK: Duration = Duration::from_millis(500);
/// How long a node waits at most before it asks its key manager again.
const LONGEST: Duration = Duration::from_secs(15);

/// A node's wallet, from one opening to the next.
#[derive(Debug)]
pub struct Life<'a> {
    settings: &'a Settings,
    backend: &'a Backend,
    door: &'a Door,
    managers: Managers,
    orders: mpsc::Receiver<Order>,
    /// Whether people sealed it: then no key manager opens it without them.
    is_shut: bool,
    /// What was said last, so that it is said once.
    said: Option<String>,
}

impl<'a> Life<'a> {
    /// The life of a wallet behind a door, whose lock gives these orders.
    ///
    /// # Errors
    /// When the key manager that the settings name cannot be used.
    pub fn new(
        settings: &'a Settings,
        backend: &'a Backend,
        door: &'a Door,
        orders: mpsc::Receiver<Order>,
    ) -> Result<Self, Error> {
        let managers = managers(settings)?;
        managers.check()?;
        Ok(Self {
            settings,
            backend,
            door,
            managers,
            orders,
            is_shut: false,
            said: None,
        })
    }

    /// People sealed the wallet: they have to open it.
    pub fn shut(&mut self) {
        self.is_shut = true;
    }

    /// Waits until there is a wallet and it is open, and the view has caught up.
    ///
    /// # Errors
    /// When something is wrong that does not pass.
    pub async fn until_open(&mut self) -> Result<Node, Error> {
        let mut pause = LOOK;
        loop {
            let opened = match self.look().await {
                Ok(None) => self.uninitialised().await,
                Ok(Some(known)) => self.sealed(&known, &mut pause).await,
                Err(error) => Err(error),
            };
            match opened {
                Ok(Some(node)) => {
                    self.is_shut = false;
                    self.said = None;
                    self.door.enter(Phase::Ready(Arc::clone(node.wallet())));
                    return Ok(node);
                }
                Ok(None) => {}
                Err(error) if error.may_pass() => {
                    self.say(format!("the wallet is not opened yet: {error}"));
                    tokio::time::sleep(LOOK).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// What the key store says, if there is a wallet.
    async fn look(&self) -> Result<Option<Known>, Error> {
        let known = match Known::read(&*self.backend.keys()).await? {
            Some(known) if birth::exists(self.backend).await? => Some(known),
            _ => None,
        };
        self.door.lock().learn(known.clone());
        Ok(known)
    }

    async fn uninitialised(&mut self) -> Result<Option<Node>, Error> {
        self.door.enter(Phase::Uninitialised);
        self.say(
            match birth::refuse_half(self.settings, self.backend).await {
                Err(half @ (Error::LostKeys | Error::LostLog)) => half.to_string(),
                Err(error) => return Err(error),
                Ok(()) => "there is no wallet on this log yet: run `billfold init`".to_owned(),
            },
        );
        match self.order(LOOK).await? {
            Some(Order::Begin(shares, answer)) => {
                let begun = self.begin(shares).await;
                // The wallet is shown as it is before the answer says that it is there.
                if let Ok(Some(_)) = self.look().await {
                    self.door.enter(Phase::Sealed);
                }
                // Whoever asked may be gone.
                let _ = answer.send(begun);
            }
            Some(Order::Open(_, answer)) => {
                let _ = answer.send(Err(seal::Error::NoWallet));
            }
            None => {}
        }
        Ok(None)
    }

    async fn begin(&self, shares: NewShares) -> Result<Begun, seal::Error> {
        let token = new_token();
        let (settings, backend) = (self.settings, self.backend);
        let born = birth::create(settings, backend, &token, shares, for_terminal()).await;
        match born {
            Ok(Born::Now { shares, .. }) => Ok(Begun { shares, token }),
            Ok(Born::Before) => Err(seal::Error::Exists),
            Err(
                error
                @ (Error::OtherShares | Error::Interrupted | Error::LostKeys | Error::LostLog),
            ) => Err(seal::Error::Unavailable(error.to_string())),
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn sealed(&mut self, known: &Known, pause: &mut Duration) -> Result<Option<Node>, Error> {
        self.door.enter(Phase::Sealed);
        let mut wait = LOOK;
        if known.is_shared() {
            // A node whose settings name no shares says so rather than wait for some.
            self.managers.of_wallet(known).await?;
        } else if !self.is_shut {
            match self.open_by_manager(known).await {
                Ok(custody) => return self.start(custody, |_| {}).await.map(Some),
                Err(custody::Error::Manager(error)) if error.may_pass() => {
                    self.say(format!("the wallet stays sealed: {error}"));
                    wait = *pause;
                    *pause = (*pause * 2).min(LONGEST);
                }
                // The wallet may have been moved since it was looked at.
                Err(custody::Error::OtherManager { .. } | custody::Error::OtherKey { .. })
                    if self.look().await?.as_ref() != Some(known) =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
        match self.order(wait).await? {
            Some(Order::Begin(_, answer)) => {
                let _ = answer.send(Err(seal::Error::Exists));
                Ok(None)
            }
            Some(Order::Open(proof, answer)) => match self.prove(known, proof).await {
                Ok(custody) => {
                    let node = self.start(custody, |()| {
                        let _ = answer.send(Ok(()));
                    });
                    node.await.map(Some)
                }
                Err(error) => {
                    let _ = answer.send(Err(error));
                    Ok(None)
                }
            },
            None => Ok(None),
        }
    }

    /// Opens the keys with what enough shares prove.
    async fn prove(&self, known: &Known, proof: Proof) -> Result<Custody, seal::Error> {
        match proof {
            Proof::Unseal(shamir) => self.open(&shamir).await.map_err(|error| match error {
                custody::Error::Manager(manager::Error::WrongKey(_))
                | custody::Error::OtherKey { .. } => seal::Error::WrongShares,
                other => unavailable(&other),
            }),
            Proof::Recovery(key) => {
                let opened = self.open_by_manager(known).await;
                let custody = opened.map_err(|error| unavailable(&error))?;
                match is_recovery(known, &custody, &key) {
                    true => Ok(custody),
                    false => Err(seal::Error::WrongShares),
                }
            }
        }
    }

    async fn open_by_manager(&self, known: &Known) -> Result<Custody, custody::Error> {
        let manager = self.managers.of_wallet(known).await?;
        // The keyring names people since it was looked at: the next look finds that.
        let manager = manager.ok_or(custody::Error::Replaced)?;
        self.open(&*manager).await
    }

    async fn open(&self, manager: &dyn KeyManager) -> Result<Custody, custody::Error> {
        Custody::open(self.backend.keys(), manager, new_process()).await
    }

    /// Starts the node; `opened` is told once its keys are open.
    async fn start(&self, custody: Custody, opened: impl FnOnce(())) -> Result<Node, Error> {
        self.door.enter(Phase::CatchingUp);
        opened(());
        Node::start(
            self.settings,
            self.backend,
            Arc::new(custody),
            for_terminal(),
        )
        .await
    }

    /// The next order, if one comes in time.
    async fn order(&mut self, wait: Duration) -> Result<Option<Order>, Error> {
        match timeout(wait, self.orders.recv()).await {
            Ok(Some(order)) => Ok(Some(order)),
            Err(_) => Ok(None),
            // The door holds the other end, and outlives this.
            Ok(None) => std::future::pending().await,
        }
    }

    fn say(&mut self, what: String) {
        if self.said.as_ref() != Some(&what) {
            tracing::warn!("{what}");
            self.said = Some(what);
        }
    }
}

/// What whoever asks is told: they need not be known, and the cause may name files and addresses.
fn unavailable(error: &dyn std::fmt::Display) -> seal::Error {
    tracing::warn!(%error, "the wallet could not be opened or begun");
    let told = "the wallet cannot be opened or begun at the moment: the log of this node says why";
    seal::Error::Unavailable(told.to_owned())
}

fn is_recovery(known: &Known, custody: &Custody, key: &RecoveryKey) -> bool {
    let kept = known.recovery.as_ref();
    kept.is_some_and(|kept| kept.is(key, &custody.keys().token_mac))
}

/// A lock for what the settings say, with the orders that it gives.
#[must_use]
pub fn lock(settings: &Settings) -> (Lock, mpsc::Receiver<Order>) {
    let managers = Managers::of(settings).map(|managers| managers.names());
    Lock::new(managers.unwrap_or_default())
}
