//! Where a database's bytes are, and whether they were synced.

use std::{
    fs::OpenOptions,
    io,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use billfold_core::id::Seq;
use redb::{
    BackendError, Builder, ConcurrencyMode, Database, ReadOnlyDatabase, StorageBackend,
    backends::FileBackend,
};

use super::fault::Fault;

/// Opens the storage, at first and again after it failed.
pub type Opener = Box<dyn Fn() -> io::Result<Box<dyn StorageBackend>> + Send + Sync>;

/// A place for one database, and how to open it.
pub(super) struct Medium {
    open: Opener,
    mode: ConcurrencyMode,
    owned: bool,
    cache: usize,
    sync_failed: Arc<AtomicBool>,
}

/// An opened database.
pub(super) enum Opened {
    Owned(Database),
    Shared(ReadOnlyDatabase),
}

impl Medium {
    /// A file that this process alone writes, and others may read meanwhile.
    pub(super) fn owned_file(path: PathBuf, cache: usize) -> Self {
        Self::new(
            file_opener(path, true),
            ConcurrencyMode::SingleWriter,
            true,
            cache,
        )
    }

    /// A file that another process may be writing.
    pub(super) fn shared_file(path: PathBuf, cache: usize) -> Self {
        Self::new(
            file_opener(path, false),
            ConcurrencyMode::SingleWriter,
            false,
            cache,
        )
    }

    /// Other storage, which need not know how to lock.
    pub(super) fn other(open: Opener, cache: usize) -> Self {
        Self::new(open, ConcurrencyMode::ExclusiveWriter, true, cache)
    }

    fn new(open: Opener, mode: ConcurrencyMode, owned: bool, cache: usize) -> Self {
        Self {
            open,
            mode,
            owned,
            cache,
            sync_failed: Arc::default(),
        }
    }

    /// Whether this process may write.
    pub(super) const fn owned(&self) -> bool {
        self.owned
    }

    /// Whether the operating system ever failed to bring bytes to the disk. Reading them back
    /// proves nothing then: they may come from memory, and a later sync may not try them again.
    pub(super) fn sync_failed(&self) -> bool {
        self.sync_failed.load(Ordering::Acquire)
    }

    /// Opens the database. An owner checks its integrity, and repairs what a crash left.
    pub(super) fn open(&self) -> Result<Opened, Fault> {
        let storage = (self.open)().map_err(redb::Error::Io)?;
        if self.owned {
            clear_unfinished(&*storage).map_err(redb::Error::Io)?;
        }
        let backend = Watched {
            storage,
            sync_failed: self.sync_failed.clone(),
        };
        let mut builder = Builder::new();
        builder
            .set_cache_size(self.cache)
            .set_concurrency_mode(self.mode)
            .set_check_integrity_on_open(self.owned);
        // redb asserts, in places, what no file of its own can break; a damaged one can.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            if self.owned {
                builder.create_with_backend(backend).map(Opened::Owned)
            } else {
                builder
                    .open_read_only_with_backend(backend)
                    .map(Opened::Shared)
            }
        }));
        let damaged = |_| Fault::damaged(Seq::ZERO, "its structure makes no sense");
        Ok(opened.map_err(damaged)??)
    }
}

/// The first bytes of every redb file. They are written last, when a new file is complete.
const MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";
/// Where a file's pages begin, behind its header.
const PAGES: u64 = 4096;

/// Empties a file whose making was cut off: one without its magic number and without a page. redb
/// takes such a file for another's.
fn clear_unfinished(storage: &dyn StorageBackend) -> io::Result<()> {
    if storage.len()? == 0 || has_magic(storage)? {
        return Ok(());
    }
    let whole = (Bound::Unbounded, Bound::Unbounded);
    let locked = match storage.try_lock_range(whole.0, whole.1) {
        Ok(true) => true,
        // Another is making it right now; opening it will say so.
        Ok(false) => return Ok(()),
        Err(BackendError::Io(error)) => return Err(error),
        Err(_) => false,
    };
    if !has_magic(storage)? && is_blank(storage)? {
        storage.set_len(0)?;
    }
    if locked {
        storage
            .unlock_range(whole.0, whole.1)
            .map_err(io::Error::from)?;
    }
    Ok(())
}

fn has_magic(storage: &dyn StorageBackend) -> io::Result<bool> {
    let mut start = MAGIC.map(|_| 0);
    if storage.len()? < start.len() as u64 {
        return Ok(false);
    }
    storage.read(0, &mut start)?;
    Ok(start == MAGIC)
}

fn is_blank(storage: &dyn StorageBackend) -> io::Result<bool> {
    let (mut at, len) = (PAGES, storage.len()?);
    let mut chunk = vec![0; 64 << 10];
    while at < len {
        let size = usize::try_from(len - at)
            .unwrap_or(usize::MAX)
            .min(chunk.len());
        let (part, _) = chunk.split_at_mut(size);
        storage.read(at, part)?;
        if part.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += size as u64;
    }
    Ok(true)
}

fn file_opener(path: PathBuf, owned: bool) -> Opener {
    Box::new(move || {
        let file = if owned {
            create(&path)?
        } else {
            OpenOptions::new().read(true).open(&path)?
        };
        let backend =
            FileBackend::new(file).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Box::new(backend))
    })
}

fn create(path: &Path) -> io::Result<std::fs::File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Storage that remembers a failed sync.
#[derive(Debug)]
struct Watched {
    storage: Box<dyn StorageBackend>,
    sync_failed: Arc<AtomicBool>,
}

impl StorageBackend for Watched {
    fn sync_data(&self) -> io::Result<()> {
        self.storage
            .sync_data()
            .inspect_err(|_| self.sync_failed.store(true, Ordering::Release))
    }

    fn len(&self) -> io::Result<u64> {
        self.storage.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.storage.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.storage.set_len(len)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.storage.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.storage.close()
    }

    fn try_lock_range(&self, from: Bound<u64>, to: Bound<u64>) -> Result<bool, BackendError> {
        self.storage.try_lock_range(from, to)
    }

    fn try_lock_shared_range(
        &self,
        from: Bound<u64>,
        to: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.storage.try_lock_shared_range(from, to)
    }

    fn lock_range(&self, from: Bound<u64>, to: Bound<u64>) -> Result<(), BackendError> {
        self.storage.lock_range(from, to)
    }

    fn lock_shared_range(&self, from: Bound<u64>, to: Bound<u64>) -> Result<(), BackendError> {
        self.storage.lock_shared_range(from, to)
    }

    fn unlock_range(&self, from: Bound<u64>, to: Bound<u64>) -> Result<(), BackendError> {
        self.storage.unlock_range(from, to)
    }

    fn query_lock_range(&self, from: Bound<u64>, to: Bound<u64>) -> Result<bool, BackendError> {
        self.storage.query_lock_range(from, to)
    }
}
