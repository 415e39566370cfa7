//! The log and the key store in two redb files of one box: `log.redb` and `keys.redb`.
//!
//! One process owns them and writes; others may read the log beside it. What the owner
//! acknowledges was synced to the disk first. A sync that fails stops both for good, because an
//! operating system may forget what it could not write and still show it to readers.

mod fault;
mod keys;
mod log;
mod medium;
mod store;
mod tables;
mod tail;
mod writer;

use std::{fs, io, path::Path, sync::Arc};

pub use medium::Opener;
pub use redb::StorageBackend;

use self::{medium::Medium, store::Store};
use crate::{EventLog, KeyStore};

/// The largest message that the embedded log takes, in bytes: what a commit may have on a NATS
/// server by default (1 MiB with its headers), so that a wallet can move to one.
pub const MAX_MESSAGE: usize = 1_048_576 - crate::HEADROOM;

const LOG_FILE: &str = "log.redb";
const KEYS_FILE: &str = "keys.redb";
/// What redb may keep of the log's pages in memory. Its default is 1 GiB.
const LOG_CACHE: usize = 64 << 20;
const KEYS_CACHE: usize = 16 << 20;

/// An open embedded log and key store.
#[derive(Debug, Clone)]
pub struct Embedded {
    log: Arc<log::Log>,
    keys: Arc<keys::Keys>,
}

impl Embedded {
    /// Opens both files in `dir` as their owner, and makes what is missing: the folder with mode
    /// 0700, the files with 0600. The files' integrity is checked, which reads them whole.
    ///
    /// It blocks, for as long as that takes.
    ///
    /// # Errors
    /// [`OpenError::InUse`] when another process owns them, [`OpenError::Damaged`] when a file
    /// does not check.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        make_dir(dir)?;
        let (log, keys) = (dir.join(LOG_FILE), dir.join(KEYS_FILE));
        let embedded = Self::build(
            Medium::owned_file(log, LOG_CACHE),
            Medium::owned_file(keys, KEYS_CACHE),
        )?;
        // A synced file whose entry in the folder is not synced can still vanish.
        fs::File::open(dir)?.sync_all()?;
        Ok(embedded)
    }

    /// Opens both files to read them, beside their owner or without one. New commits appear
    /// within some 100 ms of their own.
    ///
    /// # Errors
    /// [`OpenError::Missing`] when there are no such files, [`OpenError::Unclean`] when the last
    /// owner did not close them and none runs now.
    pub fn open_reader(dir: &Path) -> Result<Self, OpenError> {
        let (log, keys) = (dir.join(LOG_FILE), dir.join(KEYS_FILE));
        for file in [&log, &keys] {
            if !file.try_exists()? {
                return Err(OpenError::Missing(file.display().to_string()));
            }
        }
        Self::build(
            Medium::shared_file(log, LOG_CACHE),
            Medium::shared_file(keys, KEYS_CACHE),
        )
    }

    /// Opens the log alone to read it, as [`Self::open_reader`] does: whoever has no keys needs no
    /// key store.
    ///
    /// # Errors
    /// As [`Self::open_reader`].
    pub fn open_log_reader(dir: &Path) -> Result<Arc<dyn EventLog>, OpenError> {
        let log = dir.join(LOG_FILE);
        if !log.try_exists()? {
            return Err(OpenError::Missing(log.display().to_string()));
        }
        let log = Store::open(Medium::shared_file(log, LOG_CACHE))?;
        Ok(Arc::new(log::Log::new(log)?))
    }

    /// Opens them on other storage than files. An opener is called again when the storage failed
    /// and is to be opened anew; it must then give what was written before.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn with_backends(log: Opener, keys: Opener) -> Result<Self, OpenError> {
        Self::build(
            Medium::other(log, LOG_CACHE),
            Medium::other(keys, KEYS_CACHE),
        )
    }

    fn build(log: Medium, keys: Medium) -> Result<Self, OpenError> {
        // The keys first: they tell a second owner off before it looks at the larger file.
        let keys = Store::open(keys)?;
        let log = Store::open(log)?;
        Ok(Self {
            keys: Arc::new(keys::Keys::new(keys)?),
            log: Arc::new(log::Log::new(log)?),
        })
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> Arc<dyn EventLog> {
        self.log.clone()
    }

    /// The key store.
    #[must_use]
    pub fn keys(&self) -> Arc<dyn KeyStore> {
        self.keys.clone()
    }
}

fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)?;
    match dir.parent() {
        Some(parent) if parent.is_dir() => fs::File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// Why the files could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The caller's mistake: two owners.
    #[error("another process owns this wallet's files")]
    InUse,
    /// The caller's mistake: nothing there to read.
    #[error("there is no file {0}")]
    Missing(String),
    /// The last owner was killed, and only an owner may repair that.
    #[error("the files were not closed cleanly: start the wallet on them once to repair them")]
    Unclean,
    /// The file is not what an owner wrote.
    #[error("a wallet file is damaged: {0}")]
    Damaged(String),
    /// The machine's fault.
    #[error("a wallet file cannot be opened: {0}")]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests;
