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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use billfold_core::id::Seq;

    use super::*;

    fn at(number: u64) -> Place {
        Place {
            seq: Seq(1 + number / 5),
            number: u16::try_from(number % 5).unwrap(),
        }
    }

    /// Numbers that look random, the same in each run.
    fn numbers(seed: u64, share: u64, end: u64) -> BTreeSet<u64> {
        let mixed = |n: u64| (n ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
        (0..end).filter(|n| mixed(*n) % share == 0).collect()
    }

    /// A list whose keys are for so many places each, beside others whose keys begin alike.
    fn tree(places: &BTreeSet<u64>, together: usize) -> sled::Db {
        let tree = sled::Config::new().temporary(true).open().unwrap();
        let places: Vec<_> = places.iter().map(|number| at(*number)).collect();
        for list in [b"pa", b"pb", b"pc"] {
            for some in places.chunks(together) {
                let bytes: Vec<u8> = some.iter().flat_map(|place| place.bytes()).collect();
                let key = [&list[..], &some[0].bytes()].concat();
                tree.insert(key, bytes).unwrap();
            }
        }
        tree
    }

    #[test]
    fn a_list_leaps_to_every_place_in_both_orders() {
        const END: u64 = 2_000;
        for (share, together) in [(1, 7), (3, 1), (17, 4), (300, 2), (5, 1024)] {
            let known = numbers(share, share, END);
            assert!(!known.is_empty());
            let tree = tree(&known, together);
            for order in [Order::Oldest, Order::Newest] {
                let list = || Postings::new(&tree, b"pb".to_vec(), Kind::Listed, order);
                let wanted = |from: u64| match order {
                    Order::Oldest => known.range(from..).next(),
                    Order::Newest => known.range(..=from).next_back(),
                };
                // Leaps from wherever the last one ended, forth and back.
                let mut leaping = list();
                for from in numbers(99, 3, END).into_iter().chain(numbers(7, 2, END)) {
                    let found = leaping.seek(at(from)).unwrap();
                    assert_eq!(
                        found,
                        wanted(from).map(|n| at(*n)),
                        "{share} {order:?} {from}"
                    );
                }
                // Step by step from one end to the other: everything, once.
                let (mut walking, mut seen) = (list(), Vec::new());
                let mut from = match order {
                    Order::Oldest => Some(Place::default()),
                    Order::Newest => Some(Place::LAST),
                };
                while let Some(place) = from
                    && let Some(found) = walking.seek(place).unwrap()
                {
                    seen.push(found);
                    from = match order {
                        Order::Oldest => Some(found.next()),
                        Order::Newest => found.before(),
                    };
                }
                if order == Order::Newest {
                    seen.reverse();
                }
                let all: Vec<_> = known.iter().map(|number| at(*number)).collect();
                assert_eq!(seen, all, "{share} {order:?}");
            }
        }
    }

    #[test]
    fn a_damaged_list_is_told() {
        let tree = sled::Config::new().temporary(true).open().unwrap();
        let key = [b"pb", at(3).bytes().as_slice()].concat();
        for value in [b"".to_vec(), at(4).bytes(), vec![0; 9]] {
            tree.insert(&key, value).unwrap();
            let mut list = Postings::new(&tree, b"pb".to_vec(), Kind::Listed, Order::Oldest);
            assert!(list.seek(at(3)).is_err());
        }
    }
}
