//! Cubbyholes: what each token keeps for itself.

use crate::{cbor::as_array, event::SealedRef, id::RecordId, keys::page::KeyRef};

/// What a token keeps for itself, by blinded path.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cubbyhole {
    /// What is in it, in the order of blinded paths.
    pub entries: Vec<CubbyholeEntry>,
}

as_array!(Cubbyhole { entries });

impl Cubbyhole {
    /// What is at this blinded path.
    #[must_use]
    pub fn entry(&self, id: &RecordId) -> Option<&CubbyholeEntry> {
        let at = self.position(id).ok()?;
        self.entries.get(at)
    }

    /// The keys of all that is in it, and of their paths.
    pub fn keys(&self) -> impl Iterator<Item = KeyRef> {
        self.entries.iter().flat_map(CubbyholeEntry::keys)
    }

    pub(super) fn put(&mut self, entry: CubbyholeEntry) {
        match self.position(&entry.id) {
            Ok(at) => {
                if let Some(before) = self.entries.get_mut(at) {
                    *before = entry;
                }
            }
            Err(at) => self.entries.insert(at, entry),
        }
    }

    pub(super) fn remove(&mut self, id: &RecordId) -> Option<CubbyholeEntry> {
        let at = self.position(id).ok()?;
        Some(self.entries.remove(at))
    }

    fn position(&self, id: &RecordId) -> Result<usize, usize> {
        self.entries.binary_search_by_key(id, |entry| entry.id)
    }
}

/// Something in a cubbyhole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CubbyholeEntry {
    /// Its blinded path.
    pub id: RecordId,
    /// What it says.
    pub payload: SealedRef,
    /// Its path.
    pub names: SealedRef,
}

as_array!(CubbyholeEntry { id, payload, names });

impl CubbyholeEntry {
    /// Its keys: that of what it says, and that of its path.
    #[must_use]
    pub const fn keys(&self) -> [KeyRef; 2] {
        [self.payload.key, self.names.key]
    }
}
