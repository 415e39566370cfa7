//! The key store: wrapped keys in slots that can be erased, apart from the log that is for ever.

use std::fmt;

use async_trait::async_trait;
use billfold_core::id::PageId;
use bytes::Bytes;

/// Where something stands in the key store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Slot {
    /// The wallet's id and its KEK versions, under the unseal generation.
    Keyring,
    /// The wallet keys and the fact keys, under the KEK.
    Wallet,
    /// What is kept of the recovery key, when a key manager opens the wallet.
    Recovery,
    /// A page of DEKs, under the KEK.
    Page(PageId),
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keyring => f.write_str("keyring"),
            Self::Wallet => f.write_str("wallet"),
            Self::Recovery => f.write_str("recovery"),
            Self::Page(page) => write!(f, "page.{page}"),
        }
    }
}

impl std::str::FromStr for Slot {
    type Err = billfold_core::id::Malformed;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('.') {
            None if text == "keyring" => Ok(Self::Keyring),
            None if text == "wallet" => Ok(Self::Wallet),
            None if text == "recovery" => Ok(Self::Recovery),
            Some(("page", id)) => Ok(Self::Page(id.parse()?)),
            _ => Err(billfold_core::id::Malformed),
        }
    }
}

/// Which writing of a slot. Each writing has a higher one than those before; 0 is "never written".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Revision(pub u64);

impl Revision {
    /// Before the first writing.
    pub const NONE: Self = Self(0);
}

/// A slot's current content.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// Which writing this is.
    pub revision: Revision,
    /// The bytes as they were written.
    pub bytes: Bytes,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Stored(revision {}, {} bytes)",
            self.revision.0,
            self.bytes.len()
        )
    }
}

/// Slots of wrapped keys, each written only by who saw its last writing.
#[async_trait]
pub trait KeyStore: fmt::Debug + Send + Sync + 'static {
    /// The slot's current content, from where it is surely current.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn read(&self, slot: Slot) -> Result<Option<Stored>, Error>;

    /// Writes the slot after its writing `expected`, and returns once that is durable. A lost
    /// answer is settled inside by reading back, so the bytes must differ from all that were
    /// written there before (a fresh salt does that).
    ///
    /// # Errors
    /// [`Error::Conflict`] when another wrote first; then nothing was written.
    async fn write(&self, slot: Slot, expected: Revision, bytes: Bytes) -> Result<Revision, Error>;

    /// Removes every writing of the slot before its current one, with an overwrite where the
    /// medium allows it, and reads back that they are gone. Returns how many were removed.
    ///
    /// # Errors
    /// When the store cannot be reached, or one is still there.
    async fn erase_older(&self, slot: Slot) -> Result<usize, Error>;

    /// Deletes the writing that a rewrap has replaced, which holds no key that was destroyed. It need
    /// not be overwritten, nor be gone: [`KeyStore::erase_older`] sees to what is left (ADR 0012).
    async fn drop_rewrapped(&self, slot: Slot, replaced: Revision);

    /// Removes every writing of the slot, as [`KeyStore::erase_older`] does.
    ///
    /// # Errors
    /// When the store cannot be reached, or one is still there.
    async fn remove(&self, slot: Slot) -> Result<(), Error>;

    /// How many writings of the slot can still be read.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn writings(&self, slot: Slot) -> Result<usize, Error>;

    /// All pages that have a writing, in no order.
    ///
    /// # Errors
    /// When the store cannot be reached.
    async fn pages(&self) -> Result<Vec<PageId>, Error>;
}

/// Why the key store did not do as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another writing came first.
    #[error("the slot was written by another")]
    Conflict,
    /// The dependency's fault.
    #[error("the key store cannot be reached: {0}")]
    Unavailable(String),
    /// What should be gone is still there.
    #[error("{0} writings that were to be erased are still there")]
    NotErased(usize),
    /// It holds what no wallet wrote.
    #[error("the key store is damaged: {0}")]
    Damaged(String),
}
