//! Mounts, and which of them could not stand side by side.

use crate::{
    Millis,
    cbor::as_array,
    event::{
        SealedRef,
        v1::{MountKind, Settings},
    },
    id::RecordId,
};

/// A mount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    /// What it speaks.
    pub kind: MountKind,
    /// Its blinded path, the folders above first.
    pub path: Vec<RecordId>,
    /// What its records go by.
    pub settings: Settings,
    /// Path and description.
    pub names: SealedRef,
    /// When it was enabled.
    pub created: Millis,
}

as_array!(Mount {
    kind,
    path,
    settings,
    names,
    created
});

impl Mount {
    /// Whether a mount at `other` and this one could not stand side by side.
    #[must_use]
    pub fn overlaps(&self, other: &[RecordId]) -> bool {
        let inside = |path: &[RecordId], folder: Option<&RecordId>| {
            folder.is_some_and(|folder| path.contains(folder))
        };
        inside(&self.path, other.last()) || inside(other, self.path.last())
    }
}
