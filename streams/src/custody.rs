//! The wallet's open keys on a node, over the key store.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use billfold_core::{
    Millis,
    entropy::Entropy as _,
    id::{PageId, ProcessId, WalletId},
    keys::{
        Dek, Kek,
        keyring::{self, KekVersion, Keyring},
        manager::{self, GenerationId, KeyManager},
        page::{KeyRef, Page},
        wallet::{Epoch, WalletKeys},
    },
};
use bytes::Bytes;
use moka::sync::Cache;

use crate::{
    KeyStore,
    entropy::Os,
    keys::{self, Revision, Slot},
};

/// How many open pages are kept: 8 KiB each.
const OPEN_PAGES: u64 = 4096;

/// The open keys of a wallet.
pub struct Custody {
    wallet: WalletId,
    process: ProcessId,
    generation: u32,
    keks: Vec<(KekVersion, Kek)>,
    current: KekVersion,
    keys: WalletKeys,
    store: Arc<dyn KeyStore>,
    pages: Cache<PageId, Arc<Page>>,
    /// How often pages were forgotten.
    forgotten: AtomicU64,
}

impl std::fmt::Debug for Custody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Custody({}, {} open pages)",
            self.wallet,
            self.pages.entry_count()
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
    #[error("the wallet's keys are under the key manager {found}, not {configured}")]
    OtherManager {
        /// As the keyring says.
        found: String,
        /// As the configuration says.
        configured: &'static str,
    },
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
        let stored = store.read(Slot::Keyring).await?.ok_or(Error::NoWallet)?;
        let keyring = Keyring::decode(&stored.bytes)?;
        let keks = open_keyring(&keyring, manager).await?;
        let stored = store.read(Slot::Wallet).await?.ok_or(Error::NoWallet)?;
        let keys = WalletKeys::unwrap(keyring.wallet, &stored.bytes, |version| {
            find(&keks, version)
        })?;
        Ok(Self::with(&keyring, keks, keys, store, process))
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
            let wallet = WalletId::from_bytes(entropy.bytes());
            let generation = GenerationId { wallet, number: 1 };
            let (key, wrapped) = manager.create(generation, &mut entropy).await?;
            let (keyring, _) =
                Keyring::create(generation, manager.name(), wrapped, &key, &mut entropy);
            write_first(&*store, Slot::Keyring, keyring.encode()).await?;
        }
        let stored = store.read(Slot::Keyring).await?.ok_or(Error::NoWallet)?;
        let keyring = Keyring::decode(&stored.bytes)?;
        let keks = open_keyring(&keyring, manager).await?;
        if store.read(Slot::Wallet).await?.is_none() {
            let kek = find(&keks, keyring.current).ok_or(keyring::Error::NoKek(keyring.current))?;
            let keys = WalletKeys::generate(&mut entropy);
            let bytes = keys.wrap(keyring.wallet, keyring.current, kek, &mut entropy);
            write_first(&*store, Slot::Wallet, bytes).await?;
        }
        Self::open(store, manager, process).await
    }

    fn with(
        keyring: &Keyring,
        keks: Vec<(KekVersion, Kek)>,
        keys: WalletKeys,
        store: Arc<dyn KeyStore>,
        process: ProcessId,
    ) -> Self {
        Self {
            wallet: keyring.wallet,
            process,
            generation: keyring.generation,
            keks,
            current: keyring.current,
            keys,
            store,
            pages: Cache::new(OPEN_PAGES),
            forgotten: AtomicU64::new(0),
        }
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

    /// The unseal generation.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }

    /// The KEK version under which new pages are wrapped.
    #[must_use]
    pub const fn current_kek(&self) -> KekVersion {
        self.current
    }

    /// The wallet keys.
    #[must_use]
    pub const fn keys(&self) -> &WalletKeys {
        &self.keys
    }

    /// The epoch for new commits.
    ///
    /// # Errors
    /// Never with keys that were opened: they have at least one epoch.
    pub fn epoch(&self) -> Result<&Epoch, Error> {
        Ok(self.keys.current().ok_or(keyring::Error::Malformed)?)
    }

    /// The key store below.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn KeyStore> {
        &self.store
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
                self.pages.invalidate(&key.page);
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
        self.pages.invalidate(page);
    }

    /// Reads a page from the key store, with the revision that it has there.
    ///
    /// # Errors
    /// When the key store cannot be reached, or the page does not open.
    pub async fn fetch(&self, id: PageId) -> Result<Option<(Arc<Page>, Revision)>, Error> {
        let Some(stored) = self.store.read(Slot::Page(id)).await? else {
            return Ok(None);
        };
        let page = Page::unwrap(self.wallet, id, &stored.bytes, |v| find(&self.keks, v))?;
        Ok(Some((Arc::new(page), stored.revision)))
    }

    /// Makes and stores a page of fresh keys.
    ///
    /// # Errors
    /// When the key store cannot be written.
    pub async fn make_page(&self, made: Millis) -> Result<Arc<Page>, Error> {
        let (page, bytes) = {
            let mut entropy = Os::new();
            let id = PageId::from_bytes(entropy.bytes());
            let page = Arc::new(Page::generate(id, self.process, made, &mut entropy));
            let bytes = page.wrap(self.wallet, self.current, self.kek()?, &mut entropy);
            (page, bytes)
        };
        self.store
            .write(Slot::Page(page.id), Revision::NONE, Bytes::from(bytes))
            .await?;
        self.pages.insert(page.id, Arc::clone(&page));
        Ok(page)
    }

    /// Stores a page in place of its revision `expected`.
    ///
    /// # Errors
    /// When another node wrote it first, or the key store cannot be written.
    pub async fn replace_page(&self, page: &Page, expected: Revision) -> Result<Revision, Error> {
        let bytes = page.wrap(self.wallet, self.current, self.kek()?, &mut Os::new());
        Ok(self
            .store
            .write(Slot::Page(page.id), expected, Bytes::from(bytes))
            .await?)
    }

    fn kek(&self) -> Result<&Kek, Error> {
        Ok(find(&self.keks, self.current).ok_or(keyring::Error::NoKek(self.current))?)
    }
}

fn find(keks: &[(KekVersion, Kek)], version: KekVersion) -> Option<&Kek> {
    keks.iter()
        .find(|(known, _)| *known == version)
        .map(|(_, kek)| kek)
}

async fn open_keyring(
    keyring: &Keyring,
    manager: &dyn KeyManager,
) -> Result<Vec<(KekVersion, Kek)>, Error> {
    if keyring.manager != manager.name() {
        let found = keyring.manager.clone();
        return Err(Error::OtherManager {
            found,
            configured: manager.name(),
        });
    }
    let key = manager
        .open(keyring.generation_id(), &keyring.wrapped_generation)
        .await?;
    Ok(keyring.open(&key)?)
}

/// Writes a slot unless another creation came first: then that one stands.
async fn write_first(store: &dyn KeyStore, slot: Slot, bytes: Vec<u8>) -> Result<(), keys::Error> {
    match store.write(slot, Revision::NONE, Bytes::from(bytes)).await {
        Ok(_) | Err(keys::Error::Conflict) => Ok(()),
        Err(error) => Err(error),
    }
}
