//! Deciding about erasures, and about the legal holds that forbid them.

use std::collections::BTreeSet;

use crate::{
    cbor,
    command::{NewErasure, NewHold},
    decide::{Decided, Deciding, Error, Refusal, Sealer, change::retired},
    event::{
        Actor, Event,
        v1::{self, ErasedRecord},
    },
    id::{HoldId, MountId, RecordId},
    names::{erasure_names_place, hold_names_place},
    state::{Hold, Source, keys_of},
};

/// How many secrets one erasure takes at most: what is more would not fit into a commit anyway.
pub const ERASED_AT_ONCE: usize = 10_000;

/// How many legal holds there are at most: every loss is held against all of them.
pub const HOLDS: usize = 1024;

impl<S: Source> Deciding<'_, S> {
    /// Orders an erasure and carries it out: all of it, or nothing.
    pub(super) fn erase(&mut self, new: &NewErasure, sealer: &mut Sealer<'_>) -> Decided<S::Error> {
        if new.records.len() > ERASED_AT_ONCE {
            return Err(Refusal::TooMany {
                limit: ERASED_AT_ONCE as u64,
            }
            .into());
        }
        self.require_mount(&new.mount)?;
        let (mut records, mut events) = (Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        for target in &new.records {
            // Another node may have erased it first.
            let record = self.state.record(&target.record).map_err(Error::Source)?;
            let Some(record) = record.filter(|_| seen.insert(target.record)) else {
                continue;
            };
            if record.mount != new.mount {
                return Err(Refusal::NoMount.into());
            }
            let wanted = |number| new.versions.as_ref().is_none_or(|v| v.contains(&number));
            let left = record.versions.iter().filter(|version| !version.destroyed);
            let going: Vec<_> = left.filter(|version| wanted(version.number)).collect();
            let whole = new.versions.is_none();
            if going.is_empty() && !whole {
                continue;
            }
            self.refuse_if_held(new.mount, target.record, &target.folders)?;
            records.push(ErasedRecord {
                record: target.record,
                whole,
                versions: going.iter().map(|version| version.number).collect(),
            });
            events.push(match whole {
                true => Event::MetadataDeleted(v1::MetadataDeleted {
                    record: target.record,
                    keys: keys_of(&record),
                }),
                false => Event::VersionsDestroyed(v1::VersionsDestroyed {
                    record: target.record,
                    versions: going.into_iter().map(retired).collect(),
                }),
            });
        }
        if records.is_empty() {
            return Err(Refusal::NothingThere.into());
        }
        if self
            .state
            .erasure(&new.erasure)
            .map_err(Error::Source)?
            .is_some()
        {
            return Err(Refusal::Taken.into());
        }
        let place = erasure_names_place(sealer.wallet(), new.erasure);
        let (names, bytes) = sealer.names(self.state, &place, &cbor::encode(&new.names))?;
        let ordered = v1::ErasureOrdered {
            erasure: new.erasure,
            mount: new.mount,
            records,
            names,
        };
        self.happen(Event::ErasureOrdered(ordered), Some(bytes), None)?;
        events
            .into_iter()
            .try_for_each(|event| self.happen(event, None, None))
    }

    pub(super) fn place_hold(
        &mut self,
        new: &NewHold,
        sealer: &mut Sealer<'_>,
    ) -> Decided<S::Error> {
        self.require_mount(&new.mount)?;
        let holds = self.state.holds().map_err(Error::Source)?;
        if holds.contains_key(&new.hold) {
            return Err(Refusal::Taken.into());
        }
        if holds.len() >= HOLDS {
            return Err(Refusal::TooManyHolds.into());
        }
        let place = hold_names_place(sealer.wallet(), new.hold);
        let (names, bytes) = sealer.names(self.state, &place, &cbor::encode(&new.names))?;
        let event = v1::HoldPlaced {
            hold: new.hold,
            mount: new.mount,
            place: new.place,
            is_folder: new.is_folder,
            names,
        };
        self.happen(Event::HoldPlaced(event), Some(bytes), None)
    }

    pub(super) fn lift_hold(&mut self, id: HoldId) -> Decided<S::Error> {
        let holds = self.state.holds().map_err(Error::Source)?;
        let hold = holds.get(&id).ok_or(Refusal::NoHold)?;
        let event = v1::HoldLifted {
            hold: id,
            retired_names: hold.names.key,
        };
        self.happen(Event::HoldLifted(event), None, None)
    }

    /// Refuses what would lose something of a record that is held.
    pub(super) fn refuse_if_held(
        &self,
        mount: MountId,
        record: RecordId,
        folders: &[RecordId],
    ) -> Decided<S::Error> {
        match self.hold_with(|hold| hold.is_on(mount, record, folders))? {
            Some(held) => Err(held.into()),
            None => Ok(()),
        }
    }

    /// Refuses what would lose the mount, if anything in it is held.
    pub(super) fn refuse_if_any_held(&self, mount: MountId) -> Decided<S::Error> {
        match self.hold_with(|hold| hold.mount == mount)? {
            Some(held) => Err(held.into()),
            None => Ok(()),
        }
    }

    pub(super) fn is_held(
        &self,
        mount: MountId,
        record: RecordId,
        folders: &[RecordId],
    ) -> Result<bool, Error<S::Error>> {
        let held = self.hold_with(|hold| hold.is_on(mount, record, folders))?;
        Ok(held.is_some())
    }

    /// The refusal that tells of the oldest of these holds.
    fn hold_with(&self, fits: impl Fn(&Hold) -> bool) -> Result<Option<Refusal>, Error<S::Error>> {
        let holds = self.state.holds().map_err(Error::Source)?;
        let fitting = holds.iter().filter(|(_, hold)| fits(hold));
        let oldest = fitting.min_by_key(|(id, hold)| (hold.placed, **id));
        Ok(oldest.map(|(id, hold)| Refusal::Held {
            hold: *id,
            since: hold.placed,
            by: match hold.actor {
                Actor::Principal(_, token) => Some(token),
                Actor::System | Actor::Anonymous => None,
            },
        }))
    }
}
