//! When the versions of records came to be and were deleted: what was the current one at a moment.
//!
//! The state does not have it, for nothing is decided on it. A record's versions are few, so they
//! stand with it; deletions can change as often as one likes, so each change stands by itself.

use billfold_core::{
    Millis, cbor,
    id::{RecordId, Seq},
    moment::Moment,
    state::Version,
};

use super::{Error, StoredRecord, View, damaged, layout};

/// When the versions of a record came to be.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// The sequence and time of its first version; zero while there is none.
    pub(crate) began: (Seq, Millis),
    /// Its versions that are kept, oldest first.
    pub(crate) written: Vec<Written>,
}

/// When a version came to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    /// Its number.
    pub(crate) version: u32,
    /// The sequence of its commit.
    pub(crate) seq: Seq,
    /// From when on it was to count as deleted.
    pub(crate) deletes_at: Option<Millis>,
    /// Whether that changed since.
    pub(crate) changed: bool,
}

/// As it stands with its record.
pub(super) type Wire = ((Seq, Millis), Vec<(u32, Seq, Option<Millis>, bool)>);

/// Time of a commit that changed the deletion of a version, and from when on it counts as deleted
/// since.
type Change = (Millis, Option<Millis>);

impl History {
    pub(super) fn wire(&self) -> Wire {
        let written = self.written.iter();
        let written = written.map(|w| (w.version, w.seq, w.deletes_at, w.changed));
        (self.began, written.collect())
    }

    /// The version of this number.
    pub(crate) fn version(&mut self, number: u32) -> Option<&mut Written> {
        let mut written = self.written.iter_mut();
        written.find(|written| written.version == number)
    }
}

impl From<Wire> for History {
    fn from((began, written): Wire) -> Self {
        let written = written.into_iter();
        let written = written.map(|(version, seq, deletes_at, changed)| Written {
            version,
            seq,
            deletes_at,
            changed,
        });
        Self {
            began,
            written: written.collect(),
        }
    }
}

/// What a record said at a moment of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// It had no version, or what it had went with the whole record.
    Nothing,
    /// The current version was deleted.
    Deleted,
    /// The current version is erased since, or was erased already.
    Erased,
    /// This was the current version, and it is still readable.
    Version(Version),
}

impl View {
    /// What a record said at a moment, which this view has come to. `time` is that of the moment.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn at(
        &self,
        id: &RecordId,
        stored: &StoredRecord,
        moment: Moment,
        time: Millis,
    ) -> Result<Then, Error> {
        let history = &stored.extras.history;
        let kept = history.written.iter().rev();
        let mut known = kept.map(|written| (written, stored.record.version(written.version)));
        let current = known.find(|(written, version)| {
            version.is_some_and(|version| moment.has(written.seq, version.created))
        });
        let (written, version) = match current {
            Some((written, Some(version))) => (written, version),
            _ => {
                let (seq, began) = history.began;
                let had_one = seq > Seq::ZERO && moment.has(seq, began);
                return Ok(if had_one { Then::Erased } else { Then::Nothing });
            }
        };
        if version.destroyed {
            return Ok(Then::Erased);
        }
        let changed = match written.changed {
            true => self.last_deletion(id, version.number, moment)?,
            false => None,
        };
        let (since, deletion) = changed.unwrap_or((version.created, written.deletes_at));
        Ok(match deletion {
            Some(deletion) if deletion <= time.max(since) => Then::Deleted,
            _ => Then::Version(version.clone()),
        })
    }

    /// The last change of the deletion of a version up to a moment.
    fn last_deletion(
        &self,
        id: &RecordId,
        version: u32,
        moment: Moment,
    ) -> Result<Option<Change>, Error> {
        let changes = self.tree.scan_prefix(layout::deletions(id, version));
        for change in changes.rev() {
            let (key, sealed) = change?;
            let plain = self.sealing.unseal(&key, &sealed)?;
            let seq = layout::deletion_of(&key).ok_or_else(|| damaged("a deletion"))?;
            let change: Change = cbor::decode(&plain).map_err(|_| damaged("a deletion"))?;
            if moment.has(seq, change.0) {
                return Ok(Some(change));
            }
        }
        Ok(None)
    }

    /// The keys of all changes of the deletion of a version.
    pub(crate) fn deletion_keys(
        &self,
        id: &RecordId,
        version: u32,
    ) -> impl Iterator<Item = Result<Vec<u8>, Error>> + use<> {
        let keys = self.tree.scan_prefix(layout::deletions(id, version)).keys();
        keys.map(|key| Ok(key?.to_vec()))
    }
}
