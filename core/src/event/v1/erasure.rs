//! Erasures that were ordered, and the legal holds that forbid them.

use crate::{
    cbor::as_array,
    event::SealedRef,
    id::{ErasureId, HoldId, MountId, RecordId},
    keys::page::KeyRef,
};

/// What an erasure takes of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErasedRecord {
    /// The record.
    pub record: RecordId,
    /// Whether all of it goes, its names too.
    pub whole: bool,
    /// The versions whose keys are given up with it.
    pub versions: Vec<u32>,
}

as_array!(ErasedRecord {
    record,
    whole,
    versions
});

/// Someone ordered an erasure. The events that carry it out follow in the same commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErasureOrdered {
    /// Its id, by which its receipt is found.
    pub erasure: ErasureId,
    /// The mount that the records are in.
    pub mount: MountId,
    /// What goes.
    pub records: Vec<ErasedRecord>,
    /// Why ([`crate::names::ErasureNames`]).
    pub names: SealedRef,
}

as_array!(ErasureOrdered {
    erasure,
    mount,
    records,
    names
});

/// Nothing under this path may be lost from now on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HoldPlaced {
    /// Its id.
    pub hold: HoldId,
    /// The mount.
    pub mount: MountId,
    /// The blinded path: a record's, or a folder's.
    pub place: RecordId,
    /// Whether it is a folder's.
    pub is_folder: bool,
    /// The path, and why ([`crate::names::HoldNames`]).
    pub names: SealedRef,
}

as_array!(HoldPlaced {
    hold,
    mount,
    place,
    is_folder,
    names
});

/// A legal hold is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HoldLifted {
    /// The hold.
    pub hold: HoldId,
    /// The key of its names, which is to be destroyed.
    pub retired_names: KeyRef,
}

as_array!(HoldLifted {
    hold,
    retired_names
});
