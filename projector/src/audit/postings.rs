//! Lists of places in the index, walked in either direction and by leaps.

use std::ops::Bound;

use super::place::{LENGTH, Place};
use crate::view::{self, damaged};

/// In which order places are walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// That of the log.
    Oldest,
    /// The other way round.
    Newest,
}

/// How the places under a key are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The value lists them.
    Listed,
    /// They follow the one in the key, and the value's first byte counts them.
    Counted,
}

/// One list: all places under keys of one beginning, behind which the first place stands that each
/// key is for.
pub(super) struct Postings<'a> {
    tree: &'a sled::Db,
    prefix: Vec<u8>,
    kind: Kind,
    order: Order,
    /// The places under the key that was looked at last.
    open: Vec<Place>,
}

impl<'a> Postings<'a> {
    pub(super) const fn new(tree: &'a sled::Db, prefix: Vec<u8>, kind: Kind, order: Order) -> Self {
        Self {
            tree,
            prefix,
            kind,
            order,
            open: Vec::new(),
        }
    }

    /// The place itself if it is in the list, or else the next one in the list's order.
    pub(super) fn seek(&mut self, place: Place) -> Result<Option<Place>, view::Error> {
        if let Some(found) = self.among_open(place, false) {
            return Ok(Some(found));
        }
        let at = [self.prefix.as_slice(), &place.bytes()].concat();
        // What stands under the key before the place may reach beyond it.
        let mut up_to = self.tree.range(self.prefix.as_slice()..=at.as_slice());
        if self.look(up_to.next_back().transpose()?)?
            && let Some(found) = self.among_open(place, true)
        {
            return Ok(Some(found));
        }
        if self.order == Order::Newest {
            return Ok(None);
        }
        let end = [self.prefix.as_slice(), &Place::LAST.bytes()].concat();
        let behind = (Bound::Excluded(at), Bound::Included(end));
        let next = self.tree.range::<Vec<u8>, _>(behind).next().transpose()?;
        Ok(match self.look(next)? {
            true => self.open.first().copied(),
            false => None,
        })
    }

    /// The answer, if the open places have it for certain. `nearest` says that no key stands between
    /// theirs and the place.
    fn among_open(&self, place: Place, nearest: bool) -> Option<Place> {
        let (first, last) = (*self.open.first()?, *self.open.last()?);
        if place < first {
            return None;
        }
        match self.order {
            Order::Oldest => {
                let at = self.open.partition_point(|known| *known < place);
                self.open.get(at).copied()
            }
            Order::Newest if nearest || place <= last => {
                let at = self.open.partition_point(|known| *known <= place);
                self.open.get(at.checked_sub(1)?).copied()
            }
            Order::Newest => None,
        }
    }

    /// Takes the places under a key; says whether there is one.
    fn look(&mut self, item: Option<(sled::IVec, sled::IVec)>) -> Result<bool, view::Error> {
        self.open.clear();
        let Some((key, value)) = item else {
            return Ok(false);
        };
        let wrong = || damaged("a list of places");
        let first = key.strip_prefix(self.prefix.as_slice()).ok_or_else(wrong)?;
        let first = Place::from_bytes(first).ok_or_else(wrong)?;
        match self.kind {
            Kind::Listed => {
                for place in value.chunks(LENGTH) {
                    self.open.push(Place::from_bytes(place).ok_or_else(wrong)?);
                }
            }
            Kind::Counted => {
                let count = *value.first().ok_or_else(wrong)?;
                let places = std::iter::successors(Some(first), |place| Some(place.next()));
                self.open.extend(places.take(usize::from(count)));
            }
        }
        if self.open.first() != Some(&first) {
            return Err(wrong());
        }
        Ok(true)
    }
}
