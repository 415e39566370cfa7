//! Deciding about the wallet's own keys. What these events say was made so before, in the key
//! store; whoever comes second finds that nothing is left to say.

use std::sync::Arc;

use super::{Decided, Deciding, Error, Refusal, Sealer};
use crate::{
    cbor,
    command::{NewKek, Reseal, ResealContent},
    event::{Event, v1},
    id::{FactKeyId, PageId},
    keys::{keyring::KekVersion, page::KeyRef},
    names::{names_place, payload_place},
    state::{Source, Wallet},
};

impl<S: Source> Deciding<'_, S> {
    pub(super) fn close_pages(&mut self, pages: &[PageId]) -> Decided<S::Error> {
        for page in pages {
            if !self.state.page(page).map_err(Error::Source)?.closed {
                let event = v1::KeyPageClosed { page: *page };
                self.happen(Event::KeyPageClosed(event), None, None)?;
            }
        }
        Ok(())
    }

    pub(super) fn confirm_destroyed(&mut self, keys: &[KeyRef]) -> Decided<S::Error> {
        let mut confirmed = Vec::new();
        for key in keys {
            // Another node may have confirmed it first.
            let page = self.state.page(&key.page).map_err(Error::Source)?;
            if page.dying.has(key.slot) && !confirmed.contains(key) {
                confirmed.push(*key);
            }
        }
        if confirmed.is_empty() {
            return Ok(());
        }
        let event = v1::KeysDestroyed { keys: confirmed };
        self.happen(Event::KeysDestroyed(event), None, None)
    }

    pub(super) fn seal(&mut self) -> Decided<S::Error> {
        let wallet = self.wallet()?;
        let generation = wallet.generations.last().map_or(0, |last| last.number);
        let event = v1::WalletSealed { generation };
        self.happen(Event::WalletSealed(event), None, None)
    }

    /// Another node that rotates at the same time makes the same version: one of them is enough,
    /// unless only this one says that the versions before may be known to others.
    pub(super) fn rotate_kek(&mut self, new: &NewKek) -> Decided<S::Error> {
        let wallet = self.wallet()?;
        let current = wallet.keks.last().map_or(0, |kek| kek.version);
        if new.version <= current {
            let told = wallet.compromised.map_or(0, |known| known.version);
            return match new.compromised && told.saturating_add(1) < new.version {
                true => Err(Refusal::Changed.into()),
                false => Ok(()),
            };
        }
        // The log has to say first that the generation above it was replaced.
        if wallet
            .generations
            .last()
            .is_some_and(|last| last.number < new.generation)
        {
            return Err(Refusal::Changed.into());
        }
        // Another node began this epoch for its own sake: the next version needs one of its own.
        let begun = self.state.epoch(&new.fact_key).map_err(Error::Source)?;
        if begun.is_some() {
            return Err(Refusal::EpochBegan.into());
        }
        let event = v1::KekCreated {
            version: new.version,
            generation: new.generation,
            manager: new.manager.clone(),
            fact_key: new.fact_key,
            compromised: new.compromised,
        };
        self.happen(Event::KekCreated(event), None, None)
    }

    /// Whoever comes second, or was overtaken by a rotation, finds that another epoch is current.
    pub(super) fn begin_epoch(
        &mut self,
        after: FactKeyId,
        fact_key: FactKeyId,
    ) -> Decided<S::Error> {
        let begun = self.state.epoch(&fact_key).map_err(Error::Source)?;
        if self.wallet()?.epoch != Some(after) || begun.is_some() {
            return Ok(());
        }
        let event = v1::EpochBegan { fact_key };
        self.happen(Event::EpochBegan(event), None, None)
    }

    /// What was written, destroyed or sealed anew meanwhile is left alone.
    pub(super) fn reseal(&mut self, reseal: &Reseal, sealer: &mut Sealer<'_>) -> Decided<S::Error> {
        let Reseal {
            record: id,
            key,
            content,
        } = reseal;
        let Some(record) = self.state.record(id).map_err(Error::Source)? else {
            return Ok(());
        };
        match content {
            ResealContent::Payload(number, payload) => {
                let version = record.version(*number).filter(|version| !version.destroyed);
                if *number == 0 || version.is_none_or(|version| version.key != *key) {
                    return Ok(());
                }
                let place = payload_place(sealer.wallet(), *id, *number);
                let (payload, bytes) = sealer.payload(self.state, &place, payload.expose())?;
                let event = v1::PayloadResealed {
                    record: *id,
                    version: *number,
                    payload,
                    retired: *key,
                };
                self.happen(Event::PayloadResealed(event), None, Some(bytes))
            }
            ResealContent::Names(names) => {
                if record.names.key != *key {
                    return Ok(());
                }
                let place = names_place(sealer.wallet(), *id, record.names_version);
                let (names, bytes) = sealer.names(self.state, &place, &cbor::encode(names))?;
                let event = v1::NamesResealed {
                    record: *id,
                    version: record.names_version,
                    names,
                    retired: *key,
                };
                self.happen(Event::NamesResealed(event), Some(bytes), None)
            }
        }
    }

    pub(super) fn set_rotation_policy(&mut self, policy: v1::RotationPolicy) -> Decided<S::Error> {
        if self.wallet()?.rotation == policy {
            return Ok(());
        }
        let event = v1::RotationPolicySet { policy };
        self.happen(Event::RotationPolicySet(event), None, None)
    }

    pub(super) fn confirm_rewrapped(
        &mut self,
        version: KekVersion,
        pages: &[PageId],
    ) -> Decided<S::Error> {
        // They are under a version that is not current any more: they are rewrapped once more.
        if self.wallet()?.keks.last().map(|kek| kek.version) != Some(version) {
            return Ok(());
        }
        let mut confirmed = Vec::new();
        for id in pages {
            let page = self.state.page(id).map_err(Error::Source)?;
            let due = page.closed && page.counts() && page.kek < version;
            if due && !confirmed.contains(id) {
                confirmed.push(*id);
            }
        }
        if confirmed.is_empty() {
            return Ok(());
        }
        let event = v1::KeysRewrapped {
            version,
            pages: confirmed,
        };
        self.happen(Event::KeysRewrapped(event), None, None)
    }

    pub(super) fn retire_keks(&mut self, version: KekVersion) -> Decided<S::Error> {
        let wallet = self.wallet()?;
        let current = wallet.keks.last().map_or(0, |kek| kek.version);
        if version >= current {
            return Err(Refusal::KekCurrent.into());
        }
        let mut older = wallet.keks.iter().filter(|kek| kek.version <= version);
        if older.clone().all(|kek| kek.retired.is_some()) {
            return Ok(());
        }
        if let Some(kek) = older.find(|kek| kek.live + kek.dying > 0) {
            return Err(Refusal::KekInUse {
                version: kek.version,
                keys: kek.live + kek.dying,
            }
            .into());
        }
        let event = v1::KeksRetired { version };
        self.happen(Event::KeksRetired(event), None, None)
    }

    pub(super) fn confirm_keks_destroyed(&mut self, version: KekVersion) -> Decided<S::Error> {
        let wallet = self.wallet()?;
        let retired = |kek: &&crate::state::WalletKek| {
            kek.version <= version && kek.retired.is_some() && kek.destroyed.is_none()
        };
        let Some(newest) = wallet.keks.iter().rev().find(retired) else {
            return Ok(());
        };
        let event = v1::KeksDestroyed {
            version: newest.version,
        };
        self.happen(Event::KeksDestroyed(event), None, None)
    }

    pub(super) fn replace_generation(
        &mut self,
        generation: u32,
        manager: &str,
        back_to: KekVersion,
    ) -> Decided<S::Error> {
        let wallet = self.wallet()?;
        let last = wallet.generations.last().map_or(0, |last| last.number);
        if last >= generation {
            return Ok(());
        }
        // One before it was stored, and nobody said so yet.
        if last.checked_add(1) != Some(generation) {
            return Err(Refusal::Changed.into());
        }
        // Decided here and not by who replaced it: a version may have been destroyed meanwhile.
        let mut destroyed = wallet.keks.iter().filter(|kek| kek.destroyed.is_some());
        let event = v1::GenerationReplaced {
            generation,
            manager: manager.to_owned(),
            severs: destroyed.all(|kek| kek.version < back_to),
        };
        self.happen(Event::GenerationReplaced(event), None, None)
    }

    fn wallet(&self) -> Result<Arc<Wallet>, Error<S::Error>> {
        let wallet = self.state.wallet().map_err(Error::Source)?;
        wallet.ok_or_else(|| Refusal::NoWallet.into())
    }
}
