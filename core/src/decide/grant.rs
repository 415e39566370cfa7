//! Deciding about auditor grants. What is granted was sealed before; whoever comes second finds that
//! their part is not the next one, and nothing happens.

use bytes::Bytes;
use serde_bytes::ByteArray;

use super::{Decided, Deciding, Error, Refusal};
use crate::{
    Millis,
    command::NewGrant,
    commit::ciphertext_hash,
    event::{Event, v1},
    id::{FactKeyId, GrantId},
    state::{Grant, Source},
};

/// How many grants stand at most: each of them is looked at whenever an epoch ends.
pub const GRANTS: usize = 256;

impl<S: Source> Deciding<'_, S> {
    pub(super) fn grant_auditor(&mut self, new: &NewGrant) -> Decided<S::Error> {
        let grants = self.state.grants().map_err(Error::Source)?;
        if grants.contains_key(&new.grant) {
            return Err(Refusal::Taken.into());
        }
        if grants.len() >= GRANTS {
            return Err(Refusal::TooManyGrants.into());
        }
        let event = v1::AuditorGranted {
            grant: new.grant,
            recipient: ByteArray::new(*new.recipient.as_bytes()),
            from: new.from,
            to: new.to,
            live: new.live,
            names: new.names,
        };
        self.happen(Event::AuditorGranted(event), None, None)
    }

    pub(super) fn grant_epochs(
        &mut self,
        (id, part): (GrantId, u32),
        epochs: &[FactKeyId],
        sealed: &Bytes,
    ) -> Decided<S::Error> {
        let Some(mut grant) = self.with_next_part(id, part)? else {
            return Ok(());
        };
        for epoch in epochs {
            let epoch = self.state.epoch(epoch).map_err(Error::Source)?;
            match epoch.filter(|epoch| grant.is_due(epoch)) {
                Some(epoch) => grant.last_epoch = epoch.number,
                None => return Ok(()),
            }
        }
        if epochs.is_empty() {
            return Ok(());
        }
        let event = v1::EpochsGranted {
            grant: id,
            part,
            epochs: epochs.to_vec(),
            sealed: ciphertext_hash(sealed),
        };
        self.happen(Event::EpochsGranted(event), None, Some(sealed.clone()))
    }

    pub(super) fn grant_names(
        &mut self,
        (id, part): (GrantId, u32),
        up_to: Option<Millis>,
        sealed: &Bytes,
    ) -> Decided<S::Error> {
        let grant = self.with_next_part(id, part)?;
        if grant.is_none_or(|grant| !grant.wants_names()) {
            return Ok(());
        }
        let event = v1::NamesGranted {
            grant: id,
            part,
            up_to,
            sealed: ciphertext_hash(sealed),
        };
        self.happen(Event::NamesGranted(event), None, Some(sealed.clone()))
    }

    pub(super) fn end_grant(&mut self, id: GrantId) -> Decided<S::Error> {
        let grants = self.state.grants().map_err(Error::Source)?;
        if !grants.contains_key(&id) {
            return Err(Refusal::NoGrant.into());
        }
        self.happen(Event::GrantEnded(v1::GrantEnded { grant: id }), None, None)
    }

    /// The grant, if this is its next part.
    fn with_next_part(&self, id: GrantId, part: u32) -> Result<Option<Grant>, Error<S::Error>> {
        let grants = self.state.grants().map_err(Error::Source)?;
        let grant = grants.get(&id).cloned();
        Ok(grant.filter(|grant| grant.parts.checked_add(1) == Some(part)))
    }
}
