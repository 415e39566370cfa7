//! The tree on disk: tiles of up to 256 hashes, each level of tiles eight levels of the tree above
//! the one before. What stands between is worked out when it is asked for.

use std::{cell::RefCell, collections::HashMap};

use billfold_core::proof::{Hash, path::Hashes};

use crate::{
    store::Sealing,
    view::{self, damaged},
};

/// How many levels of the tree a tile spans.
const HEIGHT: u32 = 8;
/// How many hashes a tile holds.
const WIDTH: u64 = 1 << HEIGHT;
const HASH: usize = 32;
const TILE: u8 = b't';

fn key_of(level: u32, index: u64) -> Vec<u8> {
    let level = u8::try_from(level).unwrap_or(u8::MAX);
    [&[TILE, level][..], &index.to_be_bytes()].concat()
}

/// The tiles that are not full yet, by their level, and those that became full since they were last
/// written.
#[derive(Default)]
pub(super) struct Edge {
    open: Vec<Vec<Hash>>,
    full: Vec<(u32, u64, Vec<Hash>)>,
    /// How many tiles of each level are full.
    counts: Vec<u64>,
}

impl Edge {
    pub(super) fn load(reader: &Reader<'_>, size: u64) -> Result<Self, view::Error> {
        let mut edge = Self::default();
        for level in 0.. {
            let count = size.checked_shr(level * HEIGHT).unwrap_or(0);
            if count == 0 {
                break;
            }
            let (full, rest) = (count / WIDTH, count % WIDTH);
            let mut open = Vec::new();
            if rest > 0 {
                open = reader.tile(level, full)?;
                let rest = usize::try_from(rest).unwrap_or(usize::MAX);
                if open.len() != rest {
                    return Err(damaged("the edge of the tree"));
                }
            }
            edge.open.push(open);
            edge.counts.push(full);
        }
        Ok(edge)
    }

    /// Takes the root of a perfect subtree that was completed.
    pub(super) fn add(&mut self, level: u32, hash: Hash) {
        if !level.is_multiple_of(HEIGHT) {
            return;
        }
        let level = (level / HEIGHT) as usize;
        if self.open.len() <= level {
            self.open.resize_with(level + 1, Vec::new);
            self.counts.resize(level + 1, 0);
        }
        let (Some(open), Some(count)) = (self.open.get_mut(level), self.counts.get_mut(level))
        else {
            return;
        };
        open.push(hash);
        if open.len() as u64 == WIDTH {
            let level = u32::try_from(level).unwrap_or(u32::MAX);
            self.full.push((level, *count, std::mem::take(open)));
            *count += 1;
        }
    }

    /// A leaf, if it is among what is not written or not full.
    pub(super) fn leaf(&self, size: u64, index: u64) -> Option<Hash> {
        let tile = index / WIDTH;
        let at = usize::try_from(index % WIDTH).ok()?;
        if index >= size {
            return None;
        }
        let full = self
            .full
            .iter()
            .find(|(level, n, _)| *level == 0 && *n == tile);
        let hashes = match full {
            Some((_, _, hashes)) => hashes,
            None if self.counts.first() == Some(&tile) => self.open.first()?,
            None => return None,
        };
        hashes.get(at).copied()
    }

    /// Gives out what has to be written. Tiles at the edge are written whole each time.
    pub(super) fn each_unwritten(&self, size: u64, mut put: impl FnMut(Vec<u8>, &[u8])) {
        debug_assert_eq!(
            self.counts.first().copied().unwrap_or(0) * WIDTH
                + self.open.first().map_or(0, |open| open.len() as u64),
            size
        );
        for (level, index, hashes) in &self.full {
            put(key_of(*level, *index), &bytes_of(hashes));
        }
        for (level, (open, count)) in (0..).zip(self.open.iter().zip(&self.counts)) {
            if !open.is_empty() {
                put(key_of(level, *count), &bytes_of(open));
            }
        }
    }

    /// What was given out is on disk: a tile that is full is not held in memory any more.
    pub(super) fn written(&mut self) {
        self.full.clear();
    }
}

fn bytes_of(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// Reads hashes from tiles. It remembers the tiles that it opened, so it is for one question.
pub(super) struct Reader<'a> {
    db: &'a sled::Db,
    sealing: &'a Sealing,
    opened: RefCell<HashMap<(u32, u64), Vec<Hash>>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(db: &'a sled::Db, sealing: &'a Sealing) -> Self {
        Self {
            db,
            sealing,
            opened: RefCell::default(),
        }
    }

    fn tile(&self, level: u32, index: u64) -> Result<Vec<Hash>, view::Error> {
        let key = key_of(level, index);
        let sealed = self.db.get(&key)?;
        let sealed = sealed.ok_or_else(|| damaged("a tile of the tree"))?;
        let plain = self.sealing.unseal(&key, &sealed)?;
        let (hashes, rest) = plain.as_chunks::<HASH>();
        if !rest.is_empty() {
            return Err(damaged("a tile of the tree"));
        }
        Ok(hashes.iter().copied().map(Hash::from_bytes).collect())
    }
}

impl Hashes for Reader<'_> {
    type Error = view::Error;

    fn subtree(&self, level: u32, index: u64) -> Result<Hash, view::Error> {
        let wrong = || damaged("a tile of the tree");
        let (tile_level, above) = (level / HEIGHT, level % HEIGHT);
        let first = index << above;
        let (tile, at) = (first / WIDTH, first % WIDTH);
        let mut opened = self.opened.borrow_mut();
        let hashes = match opened.entry((tile_level, tile)) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(self.tile(tile_level, tile)?)
            }
        };
        let from = usize::try_from(at).map_err(|_| wrong())?;
        let below = hashes.get(from..from + (1 << above)).ok_or_else(wrong)?;
        let mut row = below.to_vec();
        while row.len() > 1 {
            let (pairs, _) = row.as_chunks::<2>();
            row = pairs
                .iter()
                .map(|[left, right]| Hash::node(left, right))
                .collect();
        }
        row.first().copied().ok_or_else(wrong)
    }
}
