//! The wallet's open keys on a node, over the key store.

mod auditor;
mod checkpoint;
mod deks;
mod error;
mod generations;
mod loading;
mod open;
mod pages;
mod rotation;

use std::sync::{Arc, atomic::AtomicU64};

use arc_swap::ArcSwap;
use billfold_core::{
    command::NewKek,
    entropy::Entropy as _,
    id::{ProcessId, WalletId},
    keys::{
        keyring::{self, Generation, KekVersion, Keks, Keyring, Reach},
        manager::{GenerationId, KeyManager},
        wallet::WalletKeys,
    },
};
use bytes::Bytes;
use tokio::sync::{Mutex, Notify};

pub use self::{
    error::Error,
    generations::Wanted,
    open::CurrentEpoch,
    rotation::{MOST_EPOCHS, ROLLED_EPOCHS},
};
use self::{generations::open_generation, open::Open, pages::Pages};
use crate::{
    KeyStore,
    entropy::Os,
    keys::{self, Revision, Slot, Stored},
};

/// The open keys of a wallet. They change while it is open: the log says when.
pub struct Custody {
    wallet: WalletId,
    process: ProcessId,
    open: ArcSwap<Open>,
    store: Arc<dyn KeyStore>,
    pages: Pages,
    /// How often pages were forgotten.
    forgotten: AtomicU64,
    /// Whoever reads the stored keys anew: what was read first must not replace what was read last.
    loading: Mutex<()>,
    rotated: Notify,
}

impl std::fmt::Debug for Custody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Custody({}, {} open pages)",
            self.wallet,
            self.pages.count()
        )
    }
}

impl Custody {
    /// Opens the wallet's keys.
    ///
    /// # Errors
    /// When there are none, or the key manager does not open them.
    pub async fn open(
        store: Arc<dyn KeyStore>,
        manager: &dyn KeyManager,
        process: ProcessId,
    ) -> Result<Self, Error> {
        let mut before = Revision::NONE;
        let (keyring, open) = loop {
            let stored = store.read(Slot::Keyring).await?.ok_or(Error::NoWallet)?;
            let keyring = Keyring::decode(&stored.bytes)?;
            let key = open_generation(&keyring, manager).await?;
            match Open::read(&*store, &keyring, Arc::new(key)).await {
                // Another node added a version after the keyring was read: it is in the next one.
                Err(Error::Keys(keyring::Error::NoKek(_))) if stored.revision != before => {
                    before = stored.revision;
                }
                read => break (keyring, read?),
            }
        };
        Ok(Self {
            wallet: keyring.wallet,
            process,
            open: ArcSwap::from_pointee(open),
            store,
            pages: Pages::default(),
            forgotten: AtomicU64::new(0),
            loading: Mutex::new(()),
            rotated: Notify::new(),
        })
    }

    /// Makes the keys of a new wallet, or goes on where an interrupted or concurrent creation left
    /// them: whatever is stored already stays.
    ///
    /// # Errors
    /// When the key store cannot be written, or holds keys that the key manager does not open.
    pub async fn found(
        store: Arc<dyn KeyStore>,
        manager: &dyn KeyManager,
        process: ProcessId,
    ) -> Result<Self, Error> {
        let mut entropy = Os::new();
        if store.read(Slot::Keyring).await?.is_none() {
            let id = GenerationId {
                wallet: WalletId::from_bytes(entropy.bytes()),
                number: keyring::FIRST_GENERATION,
            };
            let (key, wrapped) = manager.create(id, &mut entropy).await?;
            let keks = Keks::generate(keyring::FIRST, &mut entropy);
            let generation = Generation {
                id,
                manager: manager.name(),
                wrapped,
                key: &key,
                reach: Reach::first(),
            };
            let keyring = Keyring::wrap(generation, &keks, keyring::FIRST, &mut entropy)?;
            write_first(&*store, Slot::Keyring, keyring.encode()).await?;
        }
        let stored = store.read(Slot::Keyring).await?.ok_or(Error::NoWallet)?;
        let keyring = Keyring::decode(&stored.bytes)?;
        let key = open_generation(&keyring, manager).await?;
        if store.read(Slot::Wallet).await?.is_none() {
            let keks = keyring.open(&key)?;
            let (version, kek) = keks.newest().ok_or(keyring::Error::Malformed)?;
            let keys = WalletKeys::generate(&mut entropy);
            let bytes = keys.wrap(keyring.wallet, version, kek, &mut entropy);
            write_first(&*store, Slot::Wallet, bytes).await?;
        }
        Self::open(store, manager, process).await
    }

    /// The wallet.
    #[must_use]
    pub const fn wallet(&self) -> WalletId {
        self.wallet
    }

    /// This process.
    #[must_use]
    pub const fn process(&self) -> ProcessId {
        self.process
    }

    /// The KEK version under which new pages are wrapped.
    #[must_use]
    pub fn current_kek(&self) -> KekVersion {
        self.open.load().current
    }

    /// The oldest KEK version that is open.
    #[must_use]
    pub fn oldest_kek(&self) -> KekVersion {
        let open = self.open.load();
        open.keks.oldest().unwrap_or(open.current)
    }

    /// What the log says of the KEK version that is current.
    #[must_use]
    pub fn kek(&self) -> NewKek {
        let open = self.open.load();
        open.new_kek(open.current, open.epoch.id)
    }

    /// The wallet keys.
    #[must_use]
    pub fn keys(&self) -> Arc<WalletKeys> {
        Arc::clone(&self.open.load().keys)
    }

    /// The epoch for new commits.
    #[must_use]
    pub fn epoch(&self) -> CurrentEpoch {
        self.open.load().epoch.clone()
    }

    /// The key store below.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn KeyStore> {
        &self.store
    }

    async fn read_slot(&self, slot: Slot) -> Result<Stored, Error> {
        self.store.read(slot).await?.ok_or(Error::NoWallet)
    }

    /// Writes a slot; false when another came first.
    async fn replace(&self, slot: Slot, expected: Revision, bytes: Vec<u8>) -> Result<bool, Error> {
        match self.store.write(slot, expected, Bytes::from(bytes)).await {
            Ok(_) => Ok(true),
            Err(keys::Error::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Writes a slot unless another creation came first: then that one stands.
async fn write_first(store: &dyn KeyStore, slot: Slot, bytes: Vec<u8>) -> Result<(), keys::Error> {
    match store.write(slot, Revision::NONE, Bytes::from(bytes)).await {
        Ok(_) | Err(keys::Error::Conflict) => Ok(()),
        Err(error) => Err(error),
    }
}
