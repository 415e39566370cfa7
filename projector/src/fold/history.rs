//! What the view keeps of the past of records: when versions came to be, and were deleted.

use billfold_core::{
    Millis, cbor,
    event::v1::CredentialWritten,
    id::{RecordId, Seq},
};

use crate::{
    chain::Opened,
    fold::{Error, Fold},
    view::{Extras, Written, layout},
};

/// Where in the log a commit stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Here {
    pub(super) seq: Seq,
    pub(super) time: Millis,
}

impl From<&Opened> for Here {
    fn from(opened: &Opened) -> Self {
        Self {
            seq: opened.seq,
            time: opened.header.time,
        }
    }
}

impl Fold {
    /// Remembers when a version came to be, and forgets those that fell off the end with it.
    pub(super) fn remember(
        &mut self,
        extras: &mut Extras,
        event: &CredentialWritten,
        here: Here,
    ) -> Result<(), Error> {
        if extras.history.began.0 == Seq::ZERO {
            extras.history.began = (here.seq, here.time);
        }
        extras.history.written.push(Written {
            version: event.version,
            seq: here.seq,
            deletes_at: event.deletes_at,
            changed: false,
        });
        for retired in &event.trimmed {
            self.forget(&event.record, extras, retired.version)?;
        }
        Ok(())
    }

    /// Forgets when a version came to be.
    pub(super) fn forget(
        &mut self,
        id: &RecordId,
        extras: &mut Extras,
        version: u32,
    ) -> Result<(), Error> {
        let written = &mut extras.history.written;
        let at = written.iter().position(|known| known.version == version);
        if at.is_some_and(|at| written.remove(at).changed) {
            self.forget_deletions(id, version)?;
        }
        Ok(())
    }

    /// Forgets when all versions of a record came to be.
    pub(super) fn forget_all(&mut self, id: &RecordId, extras: &Extras) -> Result<(), Error> {
        let changed = extras.history.written.iter().filter(|known| known.changed);
        for known in changed {
            self.forget_deletions(id, known.version)?;
        }
        Ok(())
    }

    /// Remembers that versions were deleted or brought back.
    pub(super) fn deletion_changed(
        &mut self,
        id: &RecordId,
        versions: &[u32],
        here: Here,
        deletion: Option<Millis>,
    ) -> Result<(), Error> {
        let mut extras = self.extras(id)?;
        for version in versions {
            if let Some(known) = extras.history.version(*version) {
                known.changed = true;
                let key = layout::deletion(id, *version, here.seq);
                let plain = cbor::encode(&(here.time, deletion));
                let sealed = self.view.sealing().seal(&key, &plain, &mut self.entropy);
                self.raw.insert(key, Some(sealed));
            }
        }
        self.extras.insert(*id, extras);
        Ok(())
    }

    fn forget_deletions(&mut self, id: &RecordId, version: u32) -> Result<(), Error> {
        for key in self.view.deletion_keys(id, version) {
            self.raw.insert(key?, None);
        }
        let pending =
            layout::deletion(id, version, Seq::ZERO)..=layout::deletion(id, version, Seq(u64::MAX));
        for (_, value) in self.raw.range_mut(pending) {
            *value = None;
        }
        Ok(())
    }
}
