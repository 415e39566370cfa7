//! What the key store says of a wallet to somebody without its keys.

use billfold_core::{
    id::WalletId,
    keys::{
        keyring::{self, Keyring},
        manager::{GenerationId, Shared},
        recovery::Recovery,
        share::{Counts, Purpose, Set},
    },
};
use billfold_streams::{KeyStore, custody, keys::Slot};
use billfold_upstreams::shamir;

/// What the key store says of a wallet to somebody without its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Which generation opens it.
    pub generation: GenerationId,
    /// The name of the key manager that opens the generation.
    pub manager: String,
    /// What that key manager needs to open it.
    pub wrapped: Vec<u8>,
    /// What is kept of its recovery key, if it has one.
    pub recovery: Option<Recovery>,
}

impl Known {
    /// Reads it; none when there are no keys yet.
    ///
    /// # Errors
    /// When the key store cannot be reached, or holds what no wallet wrote.
    pub async fn read(store: &dyn KeyStore) -> Result<Option<Self>, custody::Error> {
        let Some(stored) = store.read(Slot::Keyring).await? else {
            return Ok(None);
        };
        let keyring = Keyring::decode(&stored.bytes)?;
        let generation = keyring.generation_id();
        let recovery = match store.read(Slot::Recovery).await? {
            Some(stored) => Some(Recovery::decode(generation.wallet, &stored.bytes)?),
            None => None,
        };
        if keyring.manager == shamir::NAME {
            let sound = Shared::decode(&keyring.wrapped_generation);
            sound.map_err(|_| keyring::Error::Malformed)?;
        }
        Ok(Some(Self {
            generation,
            manager: keyring.manager,
            wrapped: keyring.wrapped_generation.into_vec(),
            recovery,
        }))
    }

    /// Whether people open the wallet, and no key manager does.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.manager == shamir::NAME
    }

    /// The wallet.
    #[must_use]
    pub const fn wallet(&self) -> WalletId {
        self.generation.wallet
    }

    /// How many shares there are, and how many it takes; none when there are none.
    #[must_use]
    pub fn counts(&self) -> Option<Counts> {
        match self.is_shared() {
            true => Shared::decode(&self.wrapped)
                .ok()
                .map(|shared| shared.counts()),
            false => self.recovery.as_ref().map(Recovery::counts),
        }
    }

    /// The shares that open the wallet, or prove who may have it opened; none when there are none.
    #[must_use]
    pub fn set(&self) -> Option<Set> {
        let wallet = self.generation.wallet;
        if self.is_shared() {
            return Some(Set::of(Purpose::Unseal, wallet, self.generation.number));
        }
        let recovery = self.recovery.as_ref()?;
        Some(Set::of(Purpose::Recovery, wallet, recovery.number))
    }
}
