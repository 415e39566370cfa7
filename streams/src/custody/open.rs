//! What is open of a wallet's keys at one moment.

use std::{ops::Deref, sync::Arc};

use billfold_core::{
    command::NewKek,
    id::FactKeyId,
    keys::{
        GenerationKey, Kek,
        keyring::{self, KekVersion, Keks, Keyring},
        wallet::{Epoch, WalletKeys},
    },
};

use super::Error;
use crate::{KeyStore, keys::Slot};

/// The open keys. The parts that are large or must not be copied are shared by those that follow.
pub(super) struct Open {
    pub(super) generation: u32,
    pub(super) manager: String,
    pub(super) generation_key: Arc<GenerationKey>,
    /// The oldest KEK version that can be had of old copies with what opens the generation.
    pub(super) back_to: KekVersion,
    pub(super) keks: Arc<Keks>,
    pub(super) keys: Arc<WalletKeys>,
    pub(super) current: KekVersion,
    pub(super) epoch: CurrentEpoch,
}

/// The epoch for new commits. It stays what it is when another begins.
#[derive(Debug, Clone)]
pub struct CurrentEpoch {
    keys: Arc<WalletKeys>,
    at: usize,
}

impl Deref for CurrentEpoch {
    type Target = Epoch;

    #[allow(
        clippy::indexing_slicing,
        reason = "the position was found in these keys, which never change"
    )]
    fn deref(&self) -> &Epoch {
        &self.keys.epochs[self.at]
    }
}

impl CurrentEpoch {
    pub(super) fn of(keys: &Arc<WalletKeys>, id: &FactKeyId) -> Option<Self> {
        let at = keys.epochs.iter().position(|epoch| epoch.id == *id)?;
        Some(Self {
            keys: Arc::clone(keys),
            at,
        })
    }
}

impl Open {
    /// Opens what the key store has. Its oldest version and epoch count as current until the log
    /// says what is.
    pub(super) async fn read(
        store: &dyn KeyStore,
        keyring: &Keyring,
        generation_key: Arc<GenerationKey>,
    ) -> Result<Self, Error> {
        let keks = keyring.open(&generation_key)?;
        let stored = store.read(Slot::Wallet).await?.ok_or(Error::NoWallet)?;
        let keys = WalletKeys::unwrap(keyring.wallet, &stored.bytes, |version| keks.get(version))?;
        let current = keks.oldest().ok_or(keyring::Error::Malformed)?;
        let keys = Arc::new(keys);
        let first = keys.epochs.first().ok_or(keyring::Error::Malformed)?.id;
        let epoch = CurrentEpoch::of(&keys, &first).ok_or(keyring::Error::Malformed)?;
        Ok(Self {
            generation: keyring.generation,
            manager: keyring.manager.clone(),
            generation_key,
            back_to: keyring.reach().back_to,
            keks: Arc::new(keks),
            keys,
            current,
            epoch,
        })
    }

    /// The same keys, with others current; none without that epoch.
    pub(super) fn with_current(&self, current: KekVersion, epoch: &FactKeyId) -> Option<Self> {
        Some(Self {
            generation: self.generation,
            manager: self.manager.clone(),
            generation_key: Arc::clone(&self.generation_key),
            back_to: self.back_to,
            keks: Arc::clone(&self.keks),
            keys: Arc::clone(&self.keys),
            current,
            epoch: CurrentEpoch::of(&self.keys, epoch)?,
        })
    }

    /// The key of the generation that this keyring is under: the one at hand, or one that was
    /// handed on.
    pub(super) fn generation_key(&self, keyring: &Keyring) -> Result<Arc<GenerationKey>, Error> {
        if keyring.generation == self.generation {
            return Ok(Arc::clone(&self.generation_key));
        }
        match keyring.take_over(&self.keks) {
            Ok(key) => Ok(Arc::new(key)),
            Err(keyring::Error::Unopened) => Err(Error::Replaced),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn kek(&self, version: KekVersion) -> Result<&Kek, keyring::Error> {
        self.keks.get(version).ok_or(keyring::Error::NoKek(version))
    }

    pub(super) fn new_kek(&self, version: KekVersion, fact_key: FactKeyId) -> NewKek {
        NewKek {
            version,
            generation: self.generation,
            manager: self.manager.clone(),
            fact_key,
            compromised: false,
        }
    }
}
