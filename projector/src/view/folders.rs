//! Folders: a listing is a prefix scan over blinded segments.
//!
//! No name stands here. What a listing shows comes from the names of the records in it, each under
//! its own DEK, so an erased name is gone from every listing without any work.

use billfold_core::id::{MountId, RecordId};
use serde_bytes::ByteArray;

use super::{
    Error, NamedRecord, View, damaged,
    layout::{self, Child},
};

/// One line of a listing, still sealed.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// The record whose names tell it.
    pub record: RecordId,
    /// That record as it was.
    pub stored: NamedRecord,
    /// How many segments of its path lead to the line.
    pub depth: usize,
    /// Whether the line is a folder that the record is in.
    pub is_folder: bool,
}

/// What a folder holds.
pub type Found = Vec<Leaf>;

/// Keys of the tree that are to change, and their values.
pub(crate) type Raw = std::collections::BTreeMap<Vec<u8>, Option<Vec<u8>>>;

impl View {
    /// The blinded id of a folder; `path` is empty for the mount, or ends with a slash.
    #[must_use]
    pub fn folder(&self, mount: MountId, path: &str) -> [u8; 16] {
        let segments = path.split_inclusive('/');
        segments.fold(*mount.as_bytes(), |parent, segment| {
            self.sealing.key().segment(&parent, segment)
        })
    }

    /// What is in a folder, in no order. `depth` counts the folder's own segments.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn list(&self, folder: &[u8; 16], depth: usize) -> Result<Found, Error> {
        let mut found = Vec::new();
        for item in self.tree.scan_prefix(layout::folder(folder)) {
            let (key, value) = item?;
            let (kind, child) = layout::child_of(&key).ok_or_else(|| damaged("a folder"))?;
            let record = match kind {
                Child::Leaf => record_id(&value)?,
                Child::Folder => self.any_record_below(&child)?,
            };
            let stored = self
                .named_record(&record)?
                .ok_or_else(|| damaged("a folder"))?;
            let is_folder = kind == Child::Folder;
            found.push(Leaf {
                record,
                stored,
                depth: depth + 1,
                is_folder,
            });
        }
        Ok(found)
    }

    /// The ids of records below a folder, at most so many, in no order.
    pub(super) fn ids_below(&self, folder: &[u8; 16], most: usize) -> Result<Vec<RecordId>, Error> {
        let mut found = Vec::new();
        let mut folders = vec![*folder];
        while let Some(folder) = folders.pop() {
            for item in self.tree.scan_prefix(layout::folder(&folder)) {
                if found.len() >= most {
                    return Ok(found);
                }
                let (key, value) = item?;
                match layout::child_of(&key).ok_or_else(|| damaged("a folder"))? {
                    (Child::Folder, id) => folders.push(id),
                    (Child::Leaf, _) => found.push(record_id(&value)?),
                }
            }
        }
        Ok(found)
    }

    /// All records below a folder, at any depth, in no order.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn all_below(&self, folder: &[u8; 16]) -> Result<Found, Error> {
        self.some_below(folder, usize::MAX)
    }

    /// The same, or so many of them if there are more.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn some_below(&self, folder: &[u8; 16], most: usize) -> Result<Found, Error> {
        let mut found = Vec::new();
        let mut folders = vec![(*folder, 0)];
        while let Some((folder, depth)) = folders.pop() {
            for item in self.tree.scan_prefix(layout::folder(&folder)) {
                let (key, value) = item?;
                match layout::child_of(&key).ok_or_else(|| damaged("a folder"))? {
                    (Child::Folder, id) => folders.push((id, depth + 1)),
                    (Child::Leaf, _) => {
                        let record = record_id(&value)?;
                        let stored = self
                            .named_record(&record)?
                            .ok_or_else(|| damaged("a folder"))?;
                        found.push(Leaf {
                            record,
                            stored,
                            depth: depth + 1,
                            is_folder: false,
                        });
                        if found.len() >= most {
                            return Ok(found);
                        }
                    }
                }
            }
        }
        Ok(found)
    }

    fn any_record_below(&self, folder: &[u8; 16]) -> Result<RecordId, Error> {
        let mut folder = *folder;
        // Each step goes one folder down, and a path has an end.
        loop {
            let first = self
                .tree
                .scan_prefix(layout::folder(&folder))
                .next()
                .transpose()?;
            let (key, value) = first.ok_or_else(|| damaged("an empty folder"))?;
            match layout::child_of(&key).ok_or_else(|| damaged("a folder"))? {
                (Child::Leaf, _) => return record_id(&value),
                (Child::Folder, id) => folder = id,
            }
        }
    }

    /// The blinded ids of a path below a mount: its folders, the mount first, then its own.
    pub(crate) fn chain(&self, mount: MountId, path: &str) -> Vec<ByteArray<16>> {
        let mut chain = vec![ByteArray::new(*mount.as_bytes())];
        let mut parent = *mount.as_bytes();
        // A folder's segment keeps its slash, so that `a` and `a/` stand side by side.
        for segment in path.split_inclusive('/') {
            parent = self.sealing.key().segment(&parent, segment);
            chain.push(ByteArray::new(parent));
        }
        chain
    }

    /// Adds a record's line, and those of the folders above it that are not there yet.
    pub(crate) fn link(
        &self,
        raw: &mut Raw,
        chain: &[ByteArray<16>],
        record: &RecordId,
    ) -> Result<(), Error> {
        let mut kind = Child::Leaf;
        for (parent, id) in chain.iter().zip(chain.iter().skip(1)).rev() {
            let line = layout::child(parent, kind, id);
            if kind == Child::Folder && self.has_line(raw, &line)? {
                // A folder that has a line has one in each folder above.
                break;
            }
            let value = if kind == Child::Leaf {
                record.as_bytes().to_vec()
            } else {
                Vec::new()
            };
            raw.insert(line, Some(value));
            kind = Child::Folder;
        }
        Ok(())
    }

    /// Takes a record's line away, and those of the folders that it leaves empty.
    pub(crate) fn unlink(&self, raw: &mut Raw, chain: &[ByteArray<16>]) -> Result<(), Error> {
        let mut kind = Child::Leaf;
        for (parent, id) in chain.iter().zip(chain.iter().skip(1)).rev() {
            raw.insert(layout::child(parent, kind, id), None);
            if self.has_lines(raw, &layout::folder(parent))? {
                break;
            }
            kind = Child::Folder;
        }
        Ok(())
    }

    fn has_line(&self, raw: &Raw, line: &[u8]) -> Result<bool, Error> {
        match raw.get(line) {
            Some(changed) => Ok(changed.is_some()),
            None => Ok(self.tree.contains_key(line)?),
        }
    }

    fn has_lines(&self, raw: &Raw, folder: &[u8]) -> Result<bool, Error> {
        let mut changed = raw
            .range(folder.to_vec()..)
            .take_while(|(key, _)| key.starts_with(folder));
        if changed.any(|(_, value)| value.is_some()) {
            return Ok(true);
        }
        for key in self.tree.scan_prefix(folder).keys() {
            if raw.get(key?.as_ref()).is_none_or(Option::is_some) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn record_id(value: &[u8]) -> Result<RecordId, Error> {
    value
        .try_into()
        .map(RecordId::from_bytes)
        .map_err(|_| damaged("a folder"))
}
