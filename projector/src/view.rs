//! The keychain view: the fold's entries, with names and payloads beside them, in sled.
//!
//! One tree, and one batch for all that a commit changes and its sequence, so that the view is
//! always the state at exactly one place in the log. Keys are blinded, values sealed under the
//! view's own key; payloads and names stay sealed under their DEKs (`docs/wire-format.md`, "Views").

mod ciphertexts;
mod erasures;
mod folders;
mod history;
pub(crate) mod layout;
mod meta;
mod record;
mod scan;
mod source;
mod write;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use billfold_core::{
    Millis,
    id::RecordId,
    state::{Digest, Key, Source as _, Value, Wallet},
};
use billfold_streams::{custody::Custody, replica::Head};

use self::source::Globals;
use crate::store::{self, Sealing};

pub use erasures::Destroyed;
pub(crate) use erasures::Gone;
pub(crate) use folders::Raw;
pub use folders::{Found, Leaf};
pub use history::Then;
pub(crate) use history::Written;
pub use meta::Meta;
pub(crate) use record::Extras;
pub use record::{NamedRecord, StoredRecord};
pub use source::Shared;
pub(crate) use write::Changes;

/// A view on disk. Only one process has it open.
pub struct View {
    tree: sled::Db,
    sealing: Sealing,
    dir: PathBuf,
    meta: RwLock<Meta>,
    /// The few entries that every decision reads.
    globals: RwLock<Globals>,
    /// The time of the oldest command that is remembered, or of none.
    oldest_command: Mutex<Option<Millis>>,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "View({}, at {})",
            self.dir.display(),
            self.meta().head.seq
        )
    }
}

/// Why a view cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process has it open.
    #[error("the view in {0} is in use by another process")]
    InUse(PathBuf),
    /// It is damaged, or of another release: it has to be rebuilt from the log.
    #[error("the view is not usable: {0}")]
    Unusable(String),
    /// It belongs to another wallet: a folder was mixed up.
    #[error("the view in {0} belongs to another wallet")]
    OtherWallet(PathBuf),
}

impl From<sled::Error> for Error {
    fn from(error: sled::Error) -> Self {
        Self::Unusable(error.to_string())
    }
}

impl View {
    /// Opens the view in this folder, or makes an empty one.
    ///
    /// # Errors
    /// When it is in use, unusable, or another wallet's.
    pub fn open(dir: &Path, custody: &Custody, cache_bytes: u64) -> Result<Self, Error> {
        let (tree, sealing) = store::open(dir, custody, cache_bytes)?;
        let view = Self {
            tree,
            sealing,
            dir: dir.to_owned(),
            meta: RwLock::new(Meta::default()),
            globals: RwLock::default(),
            oldest_command: Mutex::new(None),
        };
        view.load()?;
        Ok(view)
    }

    pub(crate) const fn sealing(&self) -> &Sealing {
        &self.sealing
    }

    /// Where in the log it is.
    #[must_use]
    pub fn meta(&self) -> Meta {
        *self.meta.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last applied `decided` commit.
    #[must_use]
    pub fn head(&self) -> Head {
        self.meta().head
    }

    /// The wallet and its KEK versions, once it was created.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn wallet(&self) -> Result<Option<Wallet>, Error> {
        match self.get(&Key::Wallet)? {
            Some(Value::Wallet(wallet)) => Ok(Some(Arc::unwrap_or_clone(wallet))),
            _ => Ok(None),
        }
    }

    /// The digest there.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.meta().digest
    }

    /// A record with the ciphertexts beside it.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn stored_record(&self, id: &RecordId) -> Result<Option<StoredRecord>, Error> {
        let key = layout::entry(&Key::Record(*id));
        match self.tree.get(&key)? {
            Some(bytes) => Ok(Some(StoredRecord::decode(&bytes, |sealed| {
                self.sealing.unseal(&key, sealed)
            })?)),
            None => Ok(None),
        }
    }

    /// A record with its names beside it, without any payload.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn named_record(&self, id: &RecordId) -> Result<Option<NamedRecord>, Error> {
        Ok(self.stored_record(id)?.map(NamedRecord::from))
    }

    /// What stands beside a record.
    pub(crate) fn extras(&self, id: &RecordId) -> Result<Option<Extras>, Error> {
        let stored = self.tree.get(layout::entry(&Key::Record(*id)))?;
        stored.map(|bytes| Extras::decode(&bytes)).transpose()
    }

    /// Whether there is such a record.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn has_record(&self, id: &RecordId) -> Result<bool, Error> {
        Ok(self.tree.contains_key(layout::entry(&Key::Record(*id)))?)
    }

    /// How many bytes it takes on disk.
    #[must_use]
    pub fn size_on_disk(&self) -> u64 {
        self.tree.size_on_disk().unwrap_or_default()
    }

    /// Writes what is in memory to disk. A view that missed this is behind, and catches up.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn flush(&self) -> Result<(), Error> {
        self.tree.flush()?;
        Ok(())
    }

    /// Leaves a mark that the view must be rebuilt at the next start.
    pub fn condemn(&self) {
        store::condemn(&self.dir);
    }

    fn load(&self) -> Result<(), Error> {
        if let Some(sealed) = self.tree.get(layout::META)? {
            let meta = Meta::decode(&self.sealing.unseal(layout::META, &sealed)?)?;
            *self.meta.write().unwrap_or_else(PoisonError::into_inner) = meta;
        }
        let globals = Globals {
            wallet: self.read(&Key::Wallet)?,
            mounts: self.read(&Key::Mounts)?,
            policies: self.read(&Key::Policies)?,
            holds: self.read(&Key::Holds)?,
        };
        *self.globals.write().unwrap_or_else(PoisonError::into_inner) = globals;
        self.find_oldest_command()
    }
}

pub(crate) fn damaged(what: &str) -> Error {
    Error::Unusable(format!("{what} is damaged"))
}
