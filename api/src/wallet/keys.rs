//! The wallet's own keys: their status, rotation and retirement.

use std::{collections::BTreeMap, num::NonZeroU32};

use billfold_core::{
    access::Need,
    command::{Action, NewKek},
    decide::Refusal,
    event::v1::{Operation as Asked, RotationPolicy},
    keys::keyring::KekVersion,
    policy::Operation,
    state::{Wallet as State, key_status::KeyStatus},
};
use billfold_projector::keychain::{Ask, Material};
use billfold_streams::{custody, sweeper::Ledger as _};
use tokio::time::timeout;

use super::{
    At, Caller, Error, Wallet, Written,
    read::{Question, about_system},
};

/// How often a rotation is tried while others rotate.
const ROTATIONS: usize = 8;

/// The wallet's keys, as a node tells them.
#[derive(Debug, Clone)]
pub struct KeyFacts {
    /// What the log says.
    pub status: KeyStatus,
    /// How many keys are made ahead, by KEK version: what the key store says.
    pub pooled: BTreeMap<KekVersion, u64>,
    /// How many pages this node rewraps in a second at most.
    pub pace: Option<NonZeroU32>,
}

impl Wallet {
    /// What the log says of the wallet's keys, after the request for it is recorded.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded.
    pub async fn keys_in_log(&self, caller: &Caller, path: &str) -> Result<At<State>, Error> {
        let question = Question {
            ask: Ask::Wallet,
            ..about_system(Asked::ReadSystem, path)?
        };
        let judged = self.put_on_record(caller, question).await?;
        match judged.material {
            Material::Wallet(wallet) => Ok(At {
                seq: judged.seq,
                value: *wallet,
            }),
            _ => Err(Error::Denied),
        }
    }

    /// The status of the wallet's keys, after the request for it is recorded.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded, or the key store cannot be reached.
    pub async fn key_status(&self, caller: &Caller, path: &str) -> Result<At<KeyFacts>, Error> {
        let found = self.keys_in_log(caller, path).await?;
        Ok(At {
            seq: found.seq,
            value: KeyFacts {
                status: KeyStatus::of(&found.value),
                pooled: self.pooled_keys().await?,
                pace: self.rewrap_pace,
            },
        })
    }

    /// The keys in the key store that are neither used nor given up, by KEK version.
    async fn pooled_keys(&self) -> Result<BTreeMap<KekVersion, u64>, Error> {
        let (keys, mut pooled) = (self.keychain.custody(), BTreeMap::new());
        let unavailable = |error: &dyn std::fmt::Display| Error::Unavailable(error.to_string());
        let pages = keys.store().pages().await;
        for id in pages.map_err(|error| unavailable(&error))? {
            let using = self.keychain.page(&id).map_err(Error::Unavailable)?;
            if using.closed {
                continue;
            }
            let page = match keys.fetch(id).await {
                Ok(Some((page, _))) => page,
                // Nothing can be drawn from one that does not open.
                Ok(None) | Err(custody::Error::Keys(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            let is_taken =
                |slot| using.live.has(slot) || using.dying.has(slot) || using.gone.has(slot);
            let slots = page.slots();
            let unused = slots.iter().filter(|slot| !is_taken(*slot)).count();
            *pooled.entry(page.kek).or_default() += unused as u64;
        }
        Ok(pooled)
    }

    /// Makes a new KEK version the current one. Another rotation at the same time may have made it.
    /// With `compromised`, the versions before may be known to others: what is under them is sealed
    /// anew as well.
    ///
    /// # Errors
    /// When it is denied, the keys cannot be stored, or the outcome is not known.
    pub async fn rotate_kek(
        &self,
        caller: &Caller,
        path: &str,
        compromised: bool,
    ) -> Result<At<KekVersion>, Error> {
        let need = Need {
            sudo: true,
            ..Need::to(Operation::Update, path)
        };
        // Whoever may not rotate must not make keys either.
        if !self.may(caller, &need).await? {
            return Err(Error::Denied);
        }
        let (version, written) = self.rotate_to_next(caller, &need, compromised).await?;
        tracing::info!(
            version,
            "rotated: new keys are wrapped under this KEK version"
        );
        Ok(At {
            seq: written.seq,
            value: version,
        })
    }

    async fn rotate_to_next(
        &self,
        caller: &Caller,
        need: &Need,
        compromised: bool,
    ) -> Result<(KekVersion, Written), Error> {
        let custody = self.keychain.custody();
        let mut made = None;
        for _ in 0..ROTATIONS {
            let before = custody.current_kek();
            let (new, is_new) = custody.make_next_kek().await?;
            self.confirm_generation().await?;
            let version = new.version;
            made = made.max(is_new.then_some(version));
            let is_new = made == Some(version);
            // What was made before may be known as well: it comes first, and another one after it.
            let new = NewKek {
                compromised: compromised && is_new,
                ..new
            };
            let ordered = self.order(caller, need.clone(), Action::RotateKek(new));
            match ordered.await {
                Ok(written) if is_new || !compromised => return Ok((version, written)),
                // Its epoch began for its own sake meanwhile: it takes another.
                Err(Error::Refused(Refusal::EpochBegan)) => continue,
                Ok(_) | Err(Error::Refused(Refusal::Changed)) => {}
                Err(error) => return Err(error),
            }
            // Another rotation was faster; the next one is from where that came to.
            let _ = timeout(self.patience, custody.rotated(before)).await;
        }
        Err(Error::Refused(Refusal::Changed))
    }

    /// Rotates if the wallet's policy wants it now. Every node looks; whoever is first does it.
    ///
    /// # Errors
    /// When the keys cannot be stored, or the outcome is not known.
    pub async fn rotate_if_due(&self) -> Result<Option<KekVersion>, Error> {
        let Some(wallet) = self.keychain.view().wallet()? else {
            return Ok(None);
        };
        if !wallet.rotation.is_due(&wallet, self.now()) {
            return Ok(None);
        }
        let (new, _) = self.keychain.custody().make_next_kek().await?;
        self.confirm_generation().await?;
        let version = new.version;
        self.order_itself(Action::RotateKek(new)).await?;
        tracing::info!(version, "rotated, as the rotation policy wants");
        Ok(Some(version))
    }

    /// Says when the wallet makes a new KEK version by itself, given when it did so far.
    ///
    /// # Errors
    /// When it is denied or its outcome is not known.
    pub async fn set_rotation_policy(
        &self,
        caller: &Caller,
        path: &str,
        policy: impl FnOnce(RotationPolicy) -> RotationPolicy,
    ) -> Result<Written, Error> {
        let need = Need::to(Operation::Update, path);
        // What another node was told stays, as far as this does not change it.
        self.come_to_the_end().await?;
        let known = self.keychain.view().wallet()?;
        let policy = policy(known.map(|wallet| wallet.rotation).unwrap_or_default());
        self.order(caller, need, Action::SetRotationPolicy(policy))
            .await
    }

    /// Destroys a KEK version and all before it. Nothing may be under them.
    ///
    /// # Errors
    /// When it is denied or refused, or its outcome is not known.
    pub async fn retire_keks(
        &self,
        caller: &Caller,
        path: &str,
        version: KekVersion,
    ) -> Result<Written, Error> {
        let need = Need {
            sudo: true,
            ..Need::to(Operation::Update, path)
        };
        self.order(caller, need, Action::RetireKeks(version)).await
    }
}
