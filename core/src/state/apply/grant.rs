//! What events of auditor grants do to the state.

use std::sync::Arc;

use super::{Applied, At, Broken, Error};
use crate::{
    Millis,
    event::{
        Actor,
        v1::{AuditorGranted, EpochsGranted, GrantEnded, NamesGranted},
    },
    id::GrantId,
    state::{Grant, Key, Source, State, Value},
};

impl<S: Source> State<S> {
    pub(super) fn auditor_granted(
        &mut self,
        at: At,
        actor: Actor,
        event: &AuditorGranted,
    ) -> Applied<S::Error> {
        self.require_wallet()?;
        let mut grants = self.grants().map_err(Error::Source)?;
        let grant = Grant {
            recipient: event.recipient,
            from: event.from,
            to: event.to,
            live: event.live,
            names: event.names,
            granted: at.time,
            actor,
            parts: 0,
            last_epoch: 0,
            named: None,
            covers: Millis(0),
        };
        let before = Arc::make_mut(&mut grants).insert(event.grant, grant);
        if before.is_some() {
            return Err(Broken("a grant was made twice").into());
        }
        self.put(Key::Grants, Value::Grants(grants));
        Ok(())
    }

    pub(super) fn epochs_granted(&mut self, at: At, event: &EpochsGranted) -> Applied<S::Error> {
        let mut grant = self.next_part(event.grant, event.part)?;
        if event.epochs.is_empty() {
            return Err(Broken("no epochs are granted").into());
        }
        for id in &event.epochs {
            let epoch = self.epoch(id).map_err(Error::Source)?;
            let epoch = epoch.filter(|epoch| grant.is_due(epoch));
            let epoch = epoch.ok_or(Broken("an epoch is granted that is not due"))?;
            grant.last_epoch = epoch.number;
            grant.covers = epoch.ended.unwrap_or(at.time);
        }
        self.put_grant(event.grant, grant)
    }

    pub(super) fn names_granted(&mut self, event: &NamesGranted) -> Applied<S::Error> {
        let mut grant = self.next_part(event.grant, event.part)?;
        if !grant.wants_names() {
            return Err(Broken("names are granted that are not due").into());
        }
        grant.named = event.up_to.or(grant.named);
        self.put_grant(event.grant, grant)
    }

    pub(super) fn grant_ended(&mut self, event: &GrantEnded) -> Applied<S::Error> {
        let mut grants = self.grants().map_err(Error::Source)?;
        let ended = Arc::make_mut(&mut grants).remove(&event.grant);
        ended.ok_or(Broken("there is no such grant"))?;
        self.put(Key::Grants, Value::Grants(grants));
        Ok(())
    }

    /// The grant, with one more part.
    fn next_part(&self, id: GrantId, part: u32) -> Result<Grant, Error<S::Error>> {
        let grants = self.grants().map_err(Error::Source)?;
        let grant = grants.get(&id).ok_or(Broken("there is no such grant"))?;
        if grant.parts.checked_add(1) != Some(part) {
            return Err(Broken("a part of a grant is not the next one").into());
        }
        Ok(Grant {
            parts: part,
            ..grant.clone()
        })
    }

    fn put_grant(&mut self, id: GrantId, grant: Grant) -> Applied<S::Error> {
        let mut grants = self.grants().map_err(Error::Source)?;
        Arc::make_mut(&mut grants).insert(id, grant);
        self.put(Key::Grants, Value::Grants(grants));
        Ok(())
    }
}
