//! [`KeyStore`] on redb.
//!
//! Erased bytes stay in the file's free pages until redb uses them again: it never overwrites in
//! place. An erasure is complete only when the key above the erased one is destroyed.

use std::{str::FromStr, sync::Arc};

use async_trait::async_trait;
use billfold_core::id::{PageId, Seq};
use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};

use super::{
    MAX_MESSAGE, OpenError,
    fault::Fault,
    store::{Change, Store},
};
use crate::keys::{Error, KeyStore, Revision, Slot, Stored};

/// Slot and revision → the bytes as written.
const WRITINGS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("writings");

#[derive(Debug)]
pub(super) struct Keys {
    store: Arc<Store>,
}

impl Keys {
    pub(super) fn new(store: Store) -> Result<Self, OpenError> {
        if store.owned() {
            store.write(|txn| {
                txn.open_table(WRITINGS)?;
                Ok(((), Change::Some))
            })?;
        }
        Ok(Self {
            store: Arc::new(store),
        })
    }

    async fn ask<T: Send + 'static>(
        &self,
        f: impl Fn(&ReadTransaction) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Error> {
        let store = self.store.clone();
        Ok(blocking(move || store.read(f)).await??)
    }

    async fn change<T: Send + 'static>(
        &self,
        f: impl FnOnce(&WriteTransaction) -> Result<(T, Change), Fault> + Send + 'static,
    ) -> Result<T, Error> {
        let store = self.store.clone();
        Ok(blocking(move || {
            store.recover()?;
            store.write(f)
        })
        .await??)
    }
}

impl Keys {
    /// Removes the writings of a slot whose revision is to go, given the current one.
    async fn remove_while(
        &self,
        slot: Slot,
        goes: impl Fn(Revision, Revision) -> bool + Send + 'static,
    ) -> Result<usize, Error> {
        self.change(move |txn| {
            let mut table = txn.open_table(WRITINGS)?;
            let Some(current) = current(&table, slot)? else {
                return Ok((0, Change::None));
            };
            let text = slot.to_string();
            let all = (text.as_str(), 0)..=(text.as_str(), u64::MAX);
            let chosen =
                |(_, revision): (&str, u64), _: &[u8]| goes(Revision(revision), current.revision);
            let mut removed = 0;
            for entry in table.extract_from_if(all, chosen)? {
                entry?;
                removed += 1;
            }
            let change = if removed == 0 {
                Change::None
            } else {
                Change::Some
            };
            Ok((removed, change))
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let joined = tokio::task::spawn_blocking(f).await;
    joined.map_err(|error| Error::Unavailable(error.to_string()))
}

#[async_trait]
impl KeyStore for Keys {
    async fn read(&self, slot: Slot) -> Result<Option<Stored>, Error> {
        self.ask(move |txn| current(&txn.open_table(WRITINGS)?, slot))
            .await
    }

    async fn write(&self, slot: Slot, expected: Revision, bytes: Bytes) -> Result<Revision, Error> {
        if bytes.len() > MAX_MESSAGE {
            return Err(Error::Unavailable(format!(
                "a page of {} bytes is over the limit of {MAX_MESSAGE} bytes",
                bytes.len()
            )));
        }
        let revision = Revision(expected.0.saturating_add(1));
        let ours = bytes.clone();
        let written = self
            .change(move |txn| {
                let mut table = txn.open_table(WRITINGS)?;
                let last = current(&table, slot)?.map_or(Revision::NONE, |stored| stored.revision);
                if last != expected {
                    return Ok((false, Change::None));
                }
                table.insert((slot.to_string().as_str(), revision.0), &*bytes)?;
                Ok((true, Change::Some))
            })
            .await;
        match written {
            Ok(true) => Ok(revision),
            Ok(false) => Err(Error::Conflict),
            Err(error) => {
                // A failed commit may still have come whole to the disk: look.
                let store = self.store.clone();
                blocking(move || store.recover()).await??;
                let there = self.read(slot).await?;
                let landed = there.is_some_and(|s| s.revision == revision && s.bytes == ours);
                if landed { Ok(revision) } else { Err(error) }
            }
        }
    }

    async fn erase_older(&self, slot: Slot) -> Result<usize, Error> {
        let removed = self
            .remove_while(slot, |revision, current| revision < current)
            .await?;
        match self.writings(slot).await? {
            0 | 1 => Ok(removed),
            left => Err(Error::NotErased(left - 1)),
        }
    }

    /// Nothing is overwritten here, so this would be what [`KeyStore::erase_older`] does.
    async fn drop_rewrapped(&self, _slot: Slot, _replaced: Revision) {}

    async fn remove(&self, slot: Slot) -> Result<(), Error> {
        self.remove_while(slot, |_, _| true).await?;
        match self.writings(slot).await? {
            0 => Ok(()),
            left => Err(Error::NotErased(left)),
        }
    }

    async fn writings(&self, slot: Slot) -> Result<usize, Error> {
        self.ask(move |txn| {
            let text = slot.to_string();
            let table = txn.open_table(WRITINGS)?;
            let all = table.range((text.as_str(), 0)..=(text.as_str(), u64::MAX))?;
            all.map(|entry| Ok(entry.map(|_| 1)?)).sum()
        })
        .await
    }

    async fn pages(&self) -> Result<Vec<PageId>, Error> {
        self.ask(|txn| {
            let mut pages = Vec::new();
            for entry in txn.open_table(WRITINGS)?.iter()? {
                let (key, _) = entry?;
                let slot = Slot::from_str(key.value().0)
                    .map_err(|_| Fault::damaged(Seq::ZERO, "a slot that no wallet writes"))?;
                if let Slot::Page(page) = slot
                    && pages.last() != Some(&page)
                {
                    pages.push(page);
                }
            }
            Ok(pages)
        })
        .await
    }
}

fn current(
    table: &impl ReadableTable<(&'static str, u64), &'static [u8]>,
    slot: Slot,
) -> Result<Option<Stored>, Fault> {
    let text = slot.to_string();
    let mut writings = table.range((text.as_str(), 0)..=(text.as_str(), u64::MAX))?;
    writings
        .next_back()
        .transpose()?
        .map(|(key, bytes)| {
            let revision = Revision(key.value().1);
            Ok(Stored {
                revision,
                bytes: Bytes::copy_from_slice(bytes.value()),
            })
        })
        .transpose()
}
