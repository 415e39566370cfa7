//! What a tree proves: roots, inclusion, consistency, and the changes of the key that signs checkpoints.

use billfold_core::{
    id::Seq,
    proof::{Hash, path},
};

use super::{CHANGES, Tree};
use crate::view::{self, damaged};

impl Tree {
    /// The root of the first `size` messages.
    ///
    /// # Errors
    /// When there are not as many, or the tree is damaged.
    pub fn root<E: From<view::Error>>(&self, size: u64) -> Result<Hash, E> {
        Ok(path::root(&self.reader(), size)?)
    }

    /// The notes that change the key which signs checkpoints, in their order; the first names the
    /// first key.
    ///
    /// # Errors
    /// When the tree is damaged.
    pub fn key_changes(&self) -> Result<Vec<String>, view::Error> {
        let stored = self.db.scan_prefix(CHANGES).map(|entry| {
            let (key, sealed) = entry?;
            let note = self.sealing.unseal(&key, &sealed)?;
            String::from_utf8(note).map_err(|_| damaged("a change of the checkpoint key"))
        });
        stored.collect()
    }

    /// What proves that the message at `seq` is among the first `size`, with its leaf.
    ///
    /// # Errors
    /// When there are not as many, or the tree is damaged.
    pub fn inclusion(&self, seq: Seq, size: u64) -> Result<(Hash, Vec<Hash>), view::Error> {
        let (reader, index) = (self.reader(), seq.0.saturating_sub(1));
        let leaf = path::Hashes::subtree(&reader, 0, index)?;
        Ok((leaf, path::inclusion(&reader, index, size)?))
    }

    /// What proves that the first `to` messages begin with the first `from`.
    ///
    /// # Errors
    /// When there are not as many, or the tree is damaged.
    pub fn consistency(&self, from: u64, to: u64) -> Result<Vec<Hash>, view::Error> {
        path::consistency(&self.reader(), from, to)
    }
}
