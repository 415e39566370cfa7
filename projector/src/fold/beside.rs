//! What the view keeps beside the fold's entries: ciphertexts by record, and folders.

use billfold_core::{
    cbor,
    commit::Entry,
    event::{
        Event,
        v1::{CredentialWritten, MetadataChanged, NamesResealed, PayloadResealed, Retired},
    },
    id::{MountId, RecordId, Seq, TokenId},
    keys::page::KeyRef,
    state::by_page,
};
use bytes::Bytes;

use crate::{
    fold::{Error, Fold, history::Here},
    view::{Extras, Gone, layout},
};

impl Fold {
    /// Takes in what stands beside an event.
    pub(super) fn beside(
        &mut self,
        entry: &Entry,
        path: Option<String>,
        here: Here,
    ) -> Result<(), Error> {
        let names = entry.names.clone().unwrap_or_default();
        let payload = entry.payload.clone().unwrap_or_default();
        match &entry.fact.event {
            Event::WalletCreated(_) => {
                self.keep(layout::payload(&RecordId::default(), 0), &payload);
            }
            Event::MountEnabled(event) => self.keep(layout::mount_names(&event.mount), &names),
            Event::MountRenamed(event) => self.keep(layout::mount_names(&event.mount), &names),
            Event::MountDisabled(event) => self.clear(layout::mount_names(&event.mount)),
            Event::CredentialWritten(event) => self.written(event, names, payload, path, here)?,
            Event::VersionsDeleted(event) => {
                let deletion = Some(here.time);
                self.deletion_changed(&event.record, &event.versions, here, deletion)?;
            }
            Event::VersionsUndeleted(event) => {
                self.deletion_changed(&event.record, &event.versions, here, None)?;
            }
            Event::MetadataChanged(event) => self.metadata_changed(event, names, path)?,
            Event::VersionsDestroyed(event) => {
                let mut extras = self.extras(&event.record)?;
                self.drop_payloads(&event.record, &mut extras, &event.versions);
                self.extras.insert(event.record, extras);
            }
            Event::MetadataDeleted(event) => self.deleted(&event.record)?,
            Event::TokenCreated(event) => {
                self.keep(layout::token_names(&event.token), &names);
                self.keep(layout::token_mac(&event.token), &payload);
            }
            Event::TokensEnded(event) => {
                for ended in &event.tokens {
                    self.clear(layout::token_names(&ended.token));
                    self.clear(layout::token_mac(&ended.token));
                    self.clear_cubbyhole(&ended.token)?;
                }
            }
            Event::CubbyholeWritten(event) => {
                let (token, entry) = (&event.token, &event.entry);
                if event.names.is_some() {
                    self.keep(layout::cubbyhole_names(token, entry), &names);
                }
                self.keep(layout::cubbyhole_payload(token, entry), &payload);
            }
            Event::CubbyholeDeleted(event) => {
                let (token, entry) = (&event.token, &event.entry);
                self.clear(layout::cubbyhole_names(token, entry));
                self.clear(layout::cubbyhole_payload(token, entry));
            }
            Event::PayloadResealed(event) => self.payload_resealed(event, payload)?,
            Event::NamesResealed(event) => self.names_resealed(event, names, path)?,
            Event::ErasureOrdered(event) => {
                let order = [&here.seq.0.to_be_bytes()[..], &names].concat();
                self.keep(layout::erasure_names(&event.erasure), &order);
            }
            Event::HoldPlaced(event) => self.keep(layout::hold_names(&event.hold), &names),
            Event::HoldLifted(event) => self.clear(layout::hold_names(&event.hold)),
            Event::KeysDestroyed(event) => self.destroyed(here.seq, &event.keys)?,
            Event::TokenRoleWritten(_)
            | Event::TokenRoleDeleted(_)
            | Event::TokenRenewed(_)
            | Event::TokenUsed(_)
            | Event::PolicyWritten(_)
            | Event::PolicyDeleted(_)
            | Event::KekCreated(_)
            | Event::KeyPageClosed(_)
            | Event::KeysRewrapped(_)
            | Event::GenerationReplaced(_)
            | Event::KeksRetired(_)
            | Event::KeksDestroyed(_)
            | Event::WalletSealed(_)
            | Event::RotationPolicySet(_)
            | Event::EpochBegan(_)
            | Event::AuditorGranted(_)
            | Event::EpochsGranted(_)
            | Event::NamesGranted(_)
            | Event::GrantEnded(_)
            | Event::MountTuned(_)
            | Event::ResolutionRequested(_)
            | Event::RequestsRefused(_) => {}
        }
        Ok(())
    }

    fn written(
        &mut self,
        event: &CredentialWritten,
        names: Bytes,
        payload: Bytes,
        path: Option<String>,
        here: Here,
    ) -> Result<(), Error> {
        let mut extras = self.extras(&event.record)?;
        if extras.payload_version != 0 {
            let before = std::mem::take(&mut extras.payload);
            let at = layout::payload(&event.record, extras.payload_version);
            self.keep(at, &before);
            extras.payload_version = 0;
        }
        self.drop_payloads(&event.record, &mut extras, &event.trimmed);
        extras.payload_version = event.version;
        extras.payload = payload;
        self.remember(&mut extras, event, here)?;
        if event.names.is_some() {
            self.name(event.record, event.mount, names, path, &mut extras)?;
        }
        self.extras.insert(event.record, extras);
        Ok(())
    }

    fn metadata_changed(
        &mut self,
        event: &MetadataChanged,
        names: Bytes,
        path: Option<String>,
    ) -> Result<(), Error> {
        let mut extras = self.extras(&event.record)?;
        self.drop_payloads(&event.record, &mut extras, &event.trimmed);
        for retired in &event.trimmed {
            self.forget(&event.record, &mut extras, retired.version)?;
        }
        if event.names.is_some() {
            self.name(event.record, event.mount, names, path, &mut extras)?;
        }
        self.extras.insert(event.record, extras);
        Ok(())
    }

    fn payload_resealed(&mut self, event: &PayloadResealed, payload: Bytes) -> Result<(), Error> {
        let mut extras = self.extras(&event.record)?;
        if extras.payload_version == event.version {
            extras.payload = payload;
            self.extras.insert(event.record, extras);
        } else {
            self.keep(layout::payload(&event.record, event.version), &payload);
        }
        Ok(())
    }

    fn names_resealed(
        &mut self,
        event: &NamesResealed,
        names: Bytes,
        path: Option<String>,
    ) -> Result<(), Error> {
        let mut extras = self.extras(&event.record)?;
        let record = self.state.record(&event.record)?;
        let mount = record.map(|record| record.mount).unwrap_or_default();
        self.name(event.record, mount, names, path, &mut extras)?;
        self.extras.insert(event.record, extras);
        Ok(())
    }

    /// Keeps a record's names, and gives a new record its line in the folders. Names that are
    /// erased are shown nowhere, so there is no line to make.
    fn name(
        &mut self,
        record: RecordId,
        mount: MountId,
        sealed: Bytes,
        path: Option<String>,
        extras: &mut Extras,
    ) -> Result<(), Error> {
        if let Some(path) = path.filter(|_| extras.chain.is_empty()) {
            extras.chain = self.view.chain(mount, &path);
            self.view.link(&mut self.raw, &extras.chain, &record)?;
        }
        extras.names = sealed;
        Ok(())
    }

    fn deleted(&mut self, id: &RecordId) -> Result<(), Error> {
        let extras = self.extras(id)?;
        self.view.unlink(&mut self.raw, &extras.chain)?;
        self.forget_all(id, &extras)?;
        for key in self.view.payload_keys(id) {
            self.raw.insert(key?, None);
        }
        let pending: Vec<_> = self
            .raw
            .range(layout::payload(id, 0)..=layout::payload(id, u32::MAX))
            .map(|(key, _)| key.clone())
            .collect();
        for key in pending {
            self.raw.insert(key, None);
        }
        // A record of this id that is made after this begins from nothing.
        self.extras.insert(*id, Extras::default());
        Ok(())
    }

    fn clear_cubbyhole(&mut self, token: &TokenId) -> Result<(), Error> {
        for key in self.view.cubbyhole_keys(token) {
            self.raw.insert(key?, None);
        }
        let (first, last) = (RecordId::default(), RecordId::from_bytes([0xff; 16]));
        // Of the two keys of an entry, that of its names comes first.
        let pending =
            layout::cubbyhole_names(token, &first)..=layout::cubbyhole_payload(token, &last);
        for (_, value) in self.raw.range_mut(pending) {
            *value = None;
        }
        Ok(())
    }

    /// Notes where in the log these keys were destroyed.
    fn destroyed(&mut self, seq: Seq, keys: &[KeyRef]) -> Result<(), Error> {
        let wallet = self.state.wallet()?;
        let kek = wallet.and_then(|wallet| wallet.current_kek().map(|kek| kek.version));
        let kek = kek.unwrap_or(0);
        for (page, mut slots) in by_page(keys.iter().copied()) {
            let at = layout::gone(&page, seq);
            // Another event of the same commit may have named others of the page.
            if let Some(Some(before)) = self.raw.get(&at)
                && let Ok((_, before)) = cbor::decode::<Gone>(before)
            {
                before.iter().for_each(|slot| slots.insert(slot));
            }
            self.raw.insert(at, Some(cbor::encode(&(kek, slots))));
        }
        Ok(())
    }

    fn drop_payloads(&mut self, id: &RecordId, extras: &mut Extras, versions: &[Retired]) {
        for retired in versions {
            if extras.payload_version == retired.version {
                extras.payload_version = 0;
                extras.payload = Bytes::new();
            } else {
                self.clear(layout::payload(id, retired.version));
            }
        }
    }

    fn keep(&mut self, key: Vec<u8>, bytes: &[u8]) {
        self.raw.insert(key, Some(bytes.to_vec()));
    }

    fn clear(&mut self, key: Vec<u8>) {
        self.raw.insert(key, None);
    }

    pub(super) fn extras(&self, id: &RecordId) -> Result<Extras, Error> {
        if let Some(extras) = self.extras.get(id) {
            return Ok(extras.clone());
        }
        Ok(self.view.extras(id)?.unwrap_or_default())
    }
}
