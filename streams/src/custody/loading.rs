//! Keys that other nodes added to the key store, and those that the log says are current.

use std::sync::Arc;

use billfold_core::{
    id::FactKeyId,
    keys::keyring::{self, KekVersion, Keyring},
};

use super::{Custody, Error, open::Open};
use crate::keys::{Revision, Slot};

impl Custody {
    /// Reads keyring and wallet keys again: another node may have added to them.
    ///
    /// # Errors
    /// When the key store cannot be reached, or the keys cannot be opened with those at hand.
    pub async fn reload(&self) -> Result<(), Error> {
        self.load().await.map(drop)
    }

    pub(super) async fn load(&self) -> Result<(Keyring, Revision), Error> {
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
}
