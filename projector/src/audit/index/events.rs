//! Events as the index keeps them: a few of a commit are sealed together.

use billfold_core::{Millis, cbor, event::Fact, id::FactKeyId};
use billfold_streams::entropy::Os;
use serde_bytes::ByteBuf;

use super::{
    Index,
    add::{Commit, Told},
};
use crate::{
    audit::{place::Place, terms::Outcome},
    view::{self, damaged},
};

/// Events, by the place of the first of a few.
pub(crate) const EVENTS: &[u8] = b"e";

/// How many events of a commit are sealed together: whoever wants one opens all of them.
const TOGETHER: u16 = 16;

/// Events of a commit that are sealed together.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) time: Millis,
    pub(crate) epochs: Vec<FactKeyId>,
    first: u16,
    events: Vec<WireEvent>,
}

/// An event as it is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) fact: Fact,
    pub(crate) names: Option<Vec<u8>>,
    pub(crate) told: Option<Told>,
}

type WireTold = (u8, Option<u32>, Vec<String>);
type WireEvent = (ByteBuf, Option<ByteBuf>, Option<WireTold>);
type WireEvents = (Millis, Vec<FactKeyId>, Vec<WireEvent>);

impl Index {
    pub(super) fn add_events(&self, commit: &Commit, batch: &mut sled::Batch, entropy: &mut Os) {
        let mut place = Place::first_of(commit.seq);
        for together in commit.events.chunks(usize::from(TOGETHER)) {
            let events = together.iter().map(|event| {
                let told = event.told.as_ref();
                (
                    ByteBuf::from(event.fact.encode()),
                    event
                        .names
                        .as_ref()
                        .map(|names| ByteBuf::from(names.to_vec())),
                    told.map(|told| (told.outcome.code(), told.version, told.policies.clone())),
                )
            });
            let wire: WireEvents = (commit.time, commit.epochs.clone(), events.collect());
            let key = [EVENTS, &place.bytes()].concat();
            let sealed = self.sealing.seal(&key, &cbor::encode(&wire), entropy);
            // A few at most: they can be counted without opening them.
            let count = u8::try_from(together.len()).unwrap_or(u8::MAX);
            batch.insert(key, [&[count], sealed.as_slice()].concat());
            place.number = place.number.saturating_add(TOGETHER);
        }
    }

    /// The events that are sealed together with that of a place.
    pub(crate) fn events(&self, place: Place) -> Result<Events, view::Error> {
        let wrong = || damaged("the events of a commit");
        let first = place.number - place.number % TOGETHER;
        let at = Place {
            seq: place.seq,
            number: first,
        };
        let key = [EVENTS, &at.bytes()].concat();
        let value = self.tree.get(&key)?.ok_or_else(wrong)?;
        let (count, sealed) = value.split_first().ok_or_else(wrong)?;
        let plain = self.sealing.unseal(&key, sealed)?;
        let (time, epochs, events): WireEvents = cbor::decode(&plain).map_err(|_| wrong())?;
        if events.len() != usize::from(*count) {
            return Err(wrong());
        }
        Ok(Events {
            time,
            epochs,
            first,
            events,
        })
    }
}

impl Events {
    /// Whether they are those that are sealed together with that of a place; `open` is one of theirs.
    pub(crate) fn are_of(&self, open: Place, place: Place) -> bool {
        open.seq == place.seq && place.number - place.number % TOGETHER == self.first
    }

    /// The event of this number in its commit.
    pub(crate) fn get(&self, number: u16) -> Result<Kept, view::Error> {
        let wrong = || damaged("an event");
        let at = number.checked_sub(self.first).ok_or_else(wrong)?;
        let (fact, names, told) = self.events.get(usize::from(at)).ok_or_else(wrong)?;
        let told = match told {
            None => None,
            Some((code, version, policies)) => Some(Told {
                outcome: Outcome::from_code(*code).ok_or_else(wrong)?,
                version: *version,
                policies: policies.clone(),
            }),
        };
        Ok(Kept {
            fact: Fact::decode(fact).map_err(|_| wrong())?,
            names: names.as_ref().map(|names| names.to_vec()),
            told,
        })
    }
}
