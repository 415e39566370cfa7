//! The KEK versions and epochs to come, and the end of those that were.

use billfold_core::{
    command::NewKek,
    id::FactKeyId,
    keys::{keyring::KekVersion, wallet::WalletKeys},
};

use super::{Custody, Error};
use crate::{
    entropy::Os,
    fault_point::fault_point,
    keys::{Revision, Slot},
};

/// How many epochs begin for their own sake at most, by days or by size: 27 years of days.
pub const ROLLED_EPOCHS: usize = 10_000;

/// How many epochs there can be, with those of KEK versions: at 84 bytes each the wallet keys stay
/// below the smallest bound on messages, 1 MiB.
pub const MOST_EPOCHS: usize = 12_000;

impl Custody {
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
}
