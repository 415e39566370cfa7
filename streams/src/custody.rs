//! The wallet's open keys on a node, over the key store.

mod auditor;
mod checkpoint;
mod generations;
mod open;
mod pages;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use billfold_core::{
    Millis,
    command::NewKek,
    entropy::Entropy as _,
    id::{FactKeyId, PageId, ProcessId, WalletId},
    keys::{
        Dek,
        keyring::{self, Generation, KekVersion, Keks, Keyring, Reach},
        manager::{self, GenerationId, KeyManager},
        page::{KeyRef, Page},
        wallet::WalletKeys,
    },
};
use bytes::Bytes;
use tokio::sync::{Mutex, Notify};

pub use self::{generations::Wanted, open::CurrentEpoch};
use self::{generations::open_generation, open::Open, pages::Pages};
use crate::{
    KeyStore,
    entropy::Os,
    fault_point::fault_point,
    keys::{self, Revision, Slot, Stored},
};

/// How many epochs begin for their own sake at most, by days or by size: 27 years of days.
pub const ROLLED_EPOCHS: usize = 10_000;

/// How many epochs there can be, with those of KEK versions: at 84 bytes each the wallet keys stay
/// below the smallest bound on messages, 1 MiB.
pub const MOST_EPOCHS: usize = 12_000;

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

/// Why the wallet's keys did not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key store is empty: no wallet was ever created here.
    #[error("there is no wallet here yet")]
    NoWallet,
    /// The keyring names another key manager than the one configured.
    #[error(
        "the wallet's key manager is {found} since unseal generation {generation}, not {configured}"
    )]
    OtherManager {
        /// As the keyring says.
        found: String,
        /// The generation that it opens.
        generation: u32,
        /// As the configuration says.
        configured: String,
    },
    /// The generation was replaced at some time, and what is configured does not open the one there is.
    #[error(
        "the key manager {manager} does not open this wallet's unseal generation {generation}. It has \
         been replaced since generation 1: if the wallet's key was changed, the settings name one of \
         before"
    )]
    OtherKey {
        /// The key manager.
        manager: &'static str,
        /// The generation that there is.
        generation: u32,
    },
    /// The caller's fault: another key was wanted.
    #[error(
        "the key of the key manager {0} opens today's unseal generation as well, so nothing would be \
         severed: name another key, or make a new version of it, or disable the versions before"
    )]
    SameKey(&'static str),
    /// The caller's fault: the key is one that the wallet was moved away from.
    #[error(
        "the key of the key manager {0} opens an unseal generation of the past: what is gone from every \
         copy by now could be had with it again. Name another key"
    )]
    FormerKey(&'static str),
    /// The unseal generation was replaced, and this node cannot follow: it has to be unsealed anew.
    #[error("the unseal generation was replaced: this node has to be unsealed anew")]
    Replaced,
    /// The unseal generation was replaced, and the log does not say so yet.
    #[error("the log does not know of the unseal generation {0} yet")]
    Unconfirmed(u32),
    /// The log says that an epoch is current which is not among the wallet keys.
    #[error("the epoch {0} is not among the wallet keys")]
    NoEpoch(FactKeyId),
    /// The log says that a key signs checkpoints which is not among the wallet keys.
    #[error(
        "the log names a checkpoint key that is not this wallet's: somebody else wrote it there"
    )]
    OtherCheckpointKey,
    /// The wallet keys are to be small enough for one message.
    #[error("the wallet has {0} epochs, and there can be no more: the current one goes on")]
    TooManyEpochs(usize),
    /// The key manager's word.
    #[error(transparent)]
    Manager(#[from] manager::Error),
    /// A stored key is damaged, or under another key.
    #[error(transparent)]
    Keys(#[from] keyring::Error),
    /// The key store's word.
    #[error(transparent)]
    Store(#[from] keys::Error),
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

    /// Waits until another KEK version is current than this one.
    pub async fn rotated(&self, from: KekVersion) {
        loop {
            let rotated = self.rotated.notified();
            if self.current_kek() != from {
                return;
            }
            rotated.await;
        }
    }

    /// Waits until another epoch is current than this one.
    pub async fn epoch_began(&self, from: FactKeyId) {
        loop {
            let began = self.rotated.notified();
            if self.epoch().id != from {
                return;
            }
            began.await;
        }
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

    /// Reads keyring and wallet keys again: another node may have added to them.
    ///
    /// # Errors
    /// When the key store cannot be reached, or the keys cannot be opened with those at hand.
    pub async fn reload(&self) -> Result<(), Error> {
        self.load().await.map(drop)
    }

    async fn load(&self) -> Result<(Keyring, Revision), Error> {
        let _loading = self.loading.lock().await;
        let mut before = Revision::NONE;
        let (keyring, stored, read) = loop {
            let stored = self.read_slot(Slot::Keyring).await?;
            let keyring = Keyring::decode(&stored.bytes)?;
            if keyring.wallet != self.wallet {
                return Err(keyring::Error::Misplaced.into());
            }
            let key = self.open.load().generation_key(&keyring)?;
            match Open::read(&*self.store, &keyring, key).await {
                // Another node added a version after the keyring was read: it is in the next one.
                Err(Error::Keys(keyring::Error::NoKek(_))) if stored.revision != before => {
                    before = stored.revision;
                }
                read => break (keyring, stored, read?),
            }
        };
        // What is current stays so until the log says otherwise.
        let epoch = self.epoch().id;
        read.keys.epoch(&epoch).ok_or(Error::NoEpoch(epoch))?;
        self.open.rcu(|now| {
            let next = read.with_current(now.current, &now.epoch.id);
            next.map_or_else(|| Arc::clone(now), Arc::new)
        });
        Ok((keyring, stored.revision))
    }

    /// Does as the log says: this KEK version is current, this epoch, and this unseal generation is
    /// above them, or a later one.
    ///
    /// # Errors
    /// When they cannot be found, not even in the key store.
    pub async fn adopt(
        &self,
        version: KekVersion,
        epoch: FactKeyId,
        generation: u32,
    ) -> Result<(), Error> {
        let mut open = self.open.load_full();
        if open.generation < generation {
            // Its key is handed on to whoever has the version that was current then.
            self.reload().await?;
            open = self.open.load_full();
        }
        if (open.current, open.epoch.id) == (version, epoch) {
            return Ok(());
        }
        if open.keks.get(version).is_none() || open.keys.epoch(&epoch).is_none() {
            self.reload().await?;
            let open = self.open.load();
            open.kek(version)?;
            open.keys.epoch(&epoch).ok_or(Error::NoEpoch(epoch))?;
        }
        self.open.rcu(|now| {
            let next = now.with_current(version, &epoch);
            next.map_or_else(|| Arc::clone(now), Arc::new)
        });
        self.rotated.notify_waiters();
        Ok(())
    }

    /// Stores a KEK version after the current one, and its epoch, unless that was done before; says
    /// whether it is new. They are used once the log says that they are current.
    ///
    /// # Errors
    /// When the key store cannot be written.
    pub async fn make_next_kek(&self) -> Result<(NewKek, bool), Error> {
        let version = self.current_kek() + 1;
        let mut is_new = false;
        loop {
            let (keyring, revision) = self.load().await?;
            if keyring.newest() >= Some(version) {
                break;
            }
            let open = self.open.load_full();
            let next = keyring.with_next(version, &open.generation_key, &mut Os::new());
            if self.replace(Slot::Keyring, revision, next.encode()).await? {
                is_new = true;
                fault_point("KEK stored");
            }
        }
        // An epoch that was stored under an older version is not for this one: whoever knows that
        // version may know the epoch.
        let fresh = loop {
            let (keys, under, revision) = self.stored_keys().await?;
            let waiting = self.after_current(&keys);
            if let Some(epoch) = waiting.filter(|_| under >= version) {
                break epoch;
            }
            self.store_next_epoch(&keys, under.max(version), revision, MOST_EPOCHS)
                .await?;
        };
        self.reload().await?;
        Ok((self.open.load().new_kek(version, fresh), is_new))
    }

    /// Stores an epoch after the current one, unless that was done before. It is used once the log
    /// says that it is current. Returns the current one and that.
    ///
    /// # Errors
    /// When the key store cannot be written, or holds as many epochs as begin for their own sake.
    pub async fn make_next_epoch(&self) -> Result<(FactKeyId, FactKeyId), Error> {
        let current = self.epoch().id;
        loop {
            let (keys, under, revision) = self.stored_keys().await?;
            if let Some(epoch) = self.after_current(&keys) {
                self.reload().await?;
                // Older writings say nothing that this one does not.
                self.store.erase_older(Slot::Wallet).await?;
                return Ok((current, epoch));
            }
            self.store_next_epoch(&keys, under, revision, ROLLED_EPOCHS)
                .await?;
        }
    }

    /// The newest stored epoch, if it is behind the current one.
    fn after_current(&self, keys: &WalletKeys) -> Option<FactKeyId> {
        let (current, newest) = (self.epoch(), keys.epochs.last()?);
        (newest.number > current.number).then_some(newest.id)
    }

    /// The wallet keys as they are stored, the KEK version above them, and their revision.
    async fn stored_keys(&self) -> Result<(WalletKeys, KekVersion, Revision), Error> {
        let stored = self.read_slot(Slot::Wallet).await?;
        let under = WalletKeys::wrapped_under(&stored.bytes)?;
        if self.open.load().keks.get(under).is_none() {
            self.reload().await?;
        }
        let open = self.open.load();
        let keys =
            WalletKeys::unwrap(self.wallet, &stored.bytes, |version| open.keks.get(version))?;
        Ok((keys, under, stored.revision))
    }

    async fn store_next_epoch(
        &self,
        keys: &WalletKeys,
        version: KekVersion,
        revision: Revision,
        most: usize,
    ) -> Result<(), Error> {
        if keys.epochs.len() >= most {
            return Err(Error::TooManyEpochs(most));
        }
        let bytes = {
            let mut entropy = Os::new();
            let open = self.open.load();
            let next = keys.with_next_epoch(&mut entropy);
            next.wrap(self.wallet, version, open.kek(version)?, &mut entropy)
        };
        if self.replace(Slot::Wallet, revision, bytes).await? {
            fault_point("epoch stored");
        }
        Ok(())
    }

    /// Takes this KEK version and all before it out of the keyring, and sees that no writing is left
    /// that has them. The log says that they are destroyed, and which generation is the last one: a
    /// generation that it does not know yet would count as one that never wrapped them.
    ///
    /// # Errors
    /// When the key store cannot be written, the keyring is under a later generation, or an older
    /// writing is still there.
    pub async fn destroy_keks(&self, version: KekVersion, generation: u32) -> Result<(), Error> {
        loop {
            let (keyring, revision) = self.load().await?;
            if keyring.generation > generation {
                return Err(Error::Unconfirmed(keyring.generation));
            }
            let next = keyring.without(version);
            if next == keyring {
                break;
            }
            if self.replace(Slot::Keyring, revision, next.encode()).await? {
                fault_point("KEK taken out");
            }
        }
        self.store.erase_older(Slot::Keyring).await?;
        fault_point("older keyrings erased");
        Ok(())
    }

    /// A DEK; none when it was destroyed.
    ///
    /// # Errors
    /// When the key store cannot be reached, or the page does not open.
    pub async fn dek(&self, key: KeyRef) -> Result<Option<Dek>, Error> {
        if let Some(dek) = self.dek_at_hand(key) {
            return Ok(Some(dek));
        }
        let forgotten = self.forgotten.load(Ordering::SeqCst);
        let Some((page, _)) = self.fetch(key.page).await? else {
            return Ok(None);
        };
        let dek = page.key(key.slot);
        if dek.is_some() {
            self.pages.insert(key.page, page);
            // What was read may be from before a key in it was destroyed.
            if self.forgotten.load(Ordering::SeqCst) != forgotten {
                self.pages.forget(&key.page);
            }
        }
        Ok(dek)
    }

    /// A DEK of a page that is open already.
    #[must_use]
    pub fn dek_at_hand(&self, key: KeyRef) -> Option<Dek> {
        self.pages
            .get(&key.page)
            .and_then(|page| page.key(key.slot))
    }

    /// Forgets an open page: something in it is no longer to be opened.
    pub fn forget(&self, page: &PageId) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.pages.forget(page);
    }

    /// Reads a page from the key store, with the revision that it has there.
    ///
    /// # Errors
    /// When the key store cannot be reached, or the page does not open.
    pub async fn fetch(&self, id: PageId) -> Result<Option<(Arc<Page>, Revision)>, Error> {
        let Some(stored) = self.store.read(Slot::Page(id)).await? else {
            return Ok(None);
        };
        let page = match self.unwrap(id, &stored) {
            // Another node may have wrapped it under a version that this one did not meet yet.
            Err(keyring::Error::NoKek(_)) => {
                self.reload().await?;
                self.unwrap(id, &stored)?
            }
            other => other?,
        };
        Ok(Some((Arc::new(page), stored.revision)))
    }

    fn unwrap(&self, id: PageId, stored: &Stored) -> Result<Page, keyring::Error> {
        let open = self.open.load();
        Page::unwrap(self.wallet, id, &stored.bytes, |version| {
            open.keks.get(version)
        })
    }

    /// Makes and stores a page of fresh keys under the current KEK version.
    ///
    /// # Errors
    /// When the key store cannot be written.
    pub async fn make_page(&self, made: Millis) -> Result<Arc<Page>, Error> {
        loop {
            let (page, bytes) = {
                let mut entropy = Os::new();
                let open = self.open.load();
                let id = PageId::from_bytes(entropy.bytes());
                let page = Page::generate(id, self.process, made, open.current, &mut entropy);
                let bytes = page.wrap(self.wallet, open.kek(page.kek)?, &mut entropy);
                (Arc::new(page), bytes)
            };
            let slot = Slot::Page(page.id);
            self.store
                .write(slot, Revision::NONE, Bytes::from(bytes))
                .await?;
            if page.kek == self.current_kek() {
                self.pages.insert(page.id, Arc::clone(&page));
                return Ok(page);
            }
            // Whoever looks for pages under the version before may have passed by already.
            self.store.remove(slot).await?;
        }
    }

    /// Stores a page in place of its revision `expected`, under the KEK version that it names.
    ///
    /// # Errors
    /// When another node wrote it first, or the key store cannot be written.
    pub async fn replace_page(&self, page: &Page, expected: Revision) -> Result<Revision, Error> {
        let bytes = {
            let open = self.open.load();
            page.wrap(self.wallet, open.kek(page.kek)?, &mut Os::new())
        };
        Ok(self
            .store
            .write(Slot::Page(page.id), expected, Bytes::from(bytes))
            .await?)
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
