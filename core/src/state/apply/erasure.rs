//! What events of erasures and legal holds do to the state.

use std::sync::Arc;

use super::{Applied, At, Broken, Error, keys_of};
use crate::{
    event::{
        Actor,
        v1::{ErasedRecord, ErasureOrdered, HoldLifted, HoldPlaced},
    },
    id::MountId,
    keys::page::KeyRef,
    state::{Erasure, Hold, Key, Source, State, Value, by_page},
};

impl<S: Source> State<S> {
    /// Notes what goes. The events that take it away follow.
    pub(super) fn erasure_ordered(
        &mut self,
        at: At,
        actor: Actor,
        event: &ErasureOrdered,
    ) -> Applied<S::Error> {
        if self
            .erasure(&event.erasure)
            .map_err(Error::Source)?
            .is_some()
        {
            return Err(Broken("an erasure was ordered twice").into());
        }
        let mut keys = Vec::new();
        for erased in &event.records {
            keys.extend(self.keys_erased(event.mount, erased)?);
        }
        self.use_key(event.names.key)?;
        let erasure = Erasure {
            ordered: at.time,
            actor,
            mount: event.mount,
            records: event.records.clone(),
            keys: by_page(keys),
            names: event.names,
        };
        self.put(
            Key::Erasure(event.erasure),
            Value::Erasure(Box::new(erasure)),
        );
        Ok(())
    }

    /// The keys that go with what an erasure takes of a record.
    fn keys_erased(
        &self,
        mount: MountId,
        erased: &ErasedRecord,
    ) -> Result<Vec<KeyRef>, Error<S::Error>> {
        let record = self.record(&erased.record).map_err(Error::Source)?;
        let record = record
            .filter(|record| record.mount == mount)
            .ok_or(Broken("there is no such record"))?;
        let left = record.versions.iter().filter(|version| !version.destroyed);
        if erased.whole {
            if !left
                .map(|version| version.number)
                .eq(erased.versions.iter().copied())
            {
                return Err(Broken("an erasure takes other versions than there are").into());
            }
            return Ok(keys_of(&record));
        }
        let taken: Vec<KeyRef> = left
            .filter(|version| erased.versions.contains(&version.number))
            .map(|version| version.key)
            .collect();
        match taken.len() == erased.versions.len() {
            true => Ok(taken),
            false => Err(Broken("an erasure takes other versions than there are").into()),
        }
    }

    pub(super) fn hold_placed(
        &mut self,
        at: At,
        actor: Actor,
        event: &HoldPlaced,
    ) -> Applied<S::Error> {
        self.require_mount(event.mount)?;
        let mut holds = self.holds().map_err(Error::Source)?;
        if holds.contains_key(&event.hold) {
            return Err(Broken("a hold was placed twice").into());
        }
        self.use_key(event.names.key)?;
        let hold = Hold {
            mount: event.mount,
            place: event.place,
            is_folder: event.is_folder,
            placed: at.time,
            actor,
            names: event.names,
        };
        Arc::make_mut(&mut holds).insert(event.hold, hold);
        self.put(Key::Holds, Value::Holds(holds));
        Ok(())
    }

    pub(super) fn hold_lifted(&mut self, event: &HoldLifted) -> Applied<S::Error> {
        let mut holds = self.holds().map_err(Error::Source)?;
        let hold = Arc::make_mut(&mut holds).remove(&event.hold);
        let hold = hold.ok_or(Broken("there is no such hold"))?;
        if hold.names.key != event.retired_names {
            return Err(Broken("a hold gives up another key than it has").into());
        }
        self.give_up(event.retired_names)?;
        self.put(Key::Holds, Value::Holds(holds));
        Ok(())
    }
}
