//! An open database that can be opened anew after its storage failed.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use billfold_core::id::Seq;
use redb::{ReadTransaction, ReadableDatabase, WriteTransaction};

use super::{
    fault::Fault,
    medium::{Medium, Opened},
};

const SYNC_FAILED: &str = "the disk failed to sync, so what it holds is not sure: \
     check it, restart the machine, then the wallet";

/// A database and where it is.
pub(super) struct Store {
    medium: Medium,
    state: RwLock<Result<Opened, String>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("owned", &self.medium.owned())
            .finish_non_exhaustive()
    }
}

impl Store {
    pub(super) fn open(medium: Medium) -> Result<Self, Fault> {
        let state = RwLock::new(Ok(medium.open()?));
        Ok(Self { medium, state })
    }

    /// Whether this process may write.
    pub(super) const fn owned(&self) -> bool {
        self.medium.owned()
    }

    /// Reads a snapshot. It blocks.
    pub(super) fn read<T>(
        &self,
        f: impl Fn(&ReadTransaction) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        match self.try_read(&f) {
            // Only an owner that recovers closes a database under its readers, and a reader of
            // another process's file may have met that owner's restart: once more, then.
            Err(Fault::Storage(redb::Error::DatabaseClosed)) => self.try_read(&f),
            Err(Fault::Storage(_) | Fault::Closed(_)) if !self.owned() => {
                self.recover()?;
                self.try_read(&f)
            }
            other => other,
        }
    }

    fn try_read<T>(&self, f: impl Fn(&ReadTransaction) -> Result<T, Fault>) -> Result<T, Fault> {
        let txn = {
            let state = self.state();
            match &*state {
                Ok(Opened::Owned(database)) => database.begin_read()?,
                Ok(Opened::Shared(database)) => database.begin_read()?,
                Err(why) => return Err(Fault::Closed(why.clone())),
            }
        };
        unpanicked(|| f(&txn))
    }

    /// Writes in one durable transaction, if `f` says that there is something to write; it is
    /// synced when this returns. After an error whether it was written is open, and the database
    /// is closed until [`Self::recover`]. It blocks.
    pub(super) fn write<T>(
        &self,
        f: impl FnOnce(&WriteTransaction) -> Result<(T, Change), Fault>,
    ) -> Result<T, Fault> {
        let result = self.try_write(f);
        if let Err(fault) = &result
            && self.owned()
        {
            *self.state.write().unwrap_or_else(PoisonError::into_inner) = Err(fault.to_string());
        }
        result
    }

    fn try_write<T>(
        &self,
        f: impl FnOnce(&WriteTransaction) -> Result<(T, Change), Fault>,
    ) -> Result<T, Fault> {
        let state = self.state();
        let database = match &*state {
            Ok(Opened::Owned(database)) => database,
            Ok(Opened::Shared(_)) => return Err(Fault::Closed("opened to read only".into())),
            Err(why) => return Err(Fault::Closed(why.clone())),
        };
        unpanicked(|| {
            let txn = database.begin_write()?;
            match f(&txn)? {
                (value, Change::Some) => txn.commit().map(|()| value).map_err(Into::into),
                (value, Change::None) => txn.abort().map(|()| value).map_err(Into::into),
            }
        })
    }

    /// Opens the database anew if it is closed, so that what it holds is known again. Refused for
    /// ever once a sync failed.
    pub(super) fn recover(&self) -> Result<(), Fault> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if self.owned() && state.is_ok() {
            return Ok(());
        }
        // The lock on the file goes with the old one.
        *state = Err("it is being opened anew".into());
        if self.medium.sync_failed() {
            *state = Err(SYNC_FAILED.into());
            return Err(Fault::Closed(SYNC_FAILED.into()));
        }
        match self.medium.open() {
            Ok(opened) => {
                *state = Ok(opened);
                Ok(())
            }
            Err(fault) => {
                *state = Err(fault.to_string());
                Err(fault)
            }
        }
    }

    fn state(&self) -> RwLockReadGuard<'_, Result<Opened, String>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a transaction has anything to commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Some,
    None,
}

/// redb asserts, in places, what no file of its own can break; one that is damaged while it is
/// open can.
fn unpanicked<T>(f: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(f))
        .unwrap_or_else(|_| Err(Fault::damaged(Seq::ZERO, "its structure makes no sense")))
}
