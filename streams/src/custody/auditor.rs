//! What an auditor has open of a wallet's keys: epochs, and nothing of the key store.

use std::sync::{Arc, atomic::AtomicU64};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use billfold_core::{
    id::{PageId, ProcessId, WalletId},
    keys::{
        GenerationKey,
        keyring::{self, Keks},
        wallet::{Epoch, WalletKeys},
    },
};
use bytes::Bytes;
use tokio::sync::{Mutex, Notify};

use super::{Custody, Open, Pages, open::CurrentEpoch};
use crate::{
    KeyStore,
    entropy::Os,
    keys::{Error, Revision, Slot, Stored},
};

impl Custody {
    /// The keys of these epochs, as they were granted; none without an epoch. Every DEK counts as
    /// erased.
    #[must_use]
    pub fn of_auditor(wallet: WalletId, epochs: Vec<Epoch>) -> Option<Self> {
        let mut entropy = Os::new();
        let keys = Arc::new(WalletKeys::of_auditor(epochs, &mut entropy));
        let first = keys.epochs.first()?.id;
        let open = Open {
            generation: 0,
            manager: String::new(),
            generation_key: Arc::new(GenerationKey::generate(&mut entropy)),
            back_to: keyring::FIRST,
            keks: Arc::new(Keks::generate(keyring::FIRST, &mut entropy)),
            epoch: CurrentEpoch::of(&keys, &first)?,
            keys,
            current: keyring::FIRST,
        };
        Some(Self {
            wallet,
            process: ProcessId::default(),
            open: ArcSwap::from_pointee(open),
            store: Arc::new(Nothing),
            pages: Pages::default(),
            forgotten: AtomicU64::new(0),
            loading: Mutex::new(()),
            rotated: Notify::new(),
        })
    }
}

/// A key store that holds nothing and takes nothing.
#[derive(Debug)]
struct Nothing;

fn refused<T>() -> Result<T, Error> {
    Err(Error::Unavailable("an auditor has none".to_owned()))
}

#[async_trait]
impl KeyStore for Nothing {
    async fn read(&self, _: Slot) -> Result<Option<Stored>, Error> {
        Ok(None)
    }

    async fn write(&self, _: Slot, _: Revision, _: Bytes) -> Result<Revision, Error> {
        refused()
    }

    async fn erase_older(&self, _: Slot) -> Result<usize, Error> {
        refused()
    }

    async fn drop_rewrapped(&self, _: Slot, _: Revision) {}

    async fn remove(&self, _: Slot) -> Result<(), Error> {
        refused()
    }

    async fn writings(&self, _: Slot) -> Result<usize, Error> {
        Ok(0)
    }

    async fn pages(&self) -> Result<Vec<PageId>, Error> {
        Ok(Vec::new())
    }
}
