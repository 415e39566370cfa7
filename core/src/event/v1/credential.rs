//! Credentials: the one aggregate behind KV secrets and `/api/credentials`.

use crate::{
    Millis,
    cbor::as_array,
    event::SealedRef,
    id::{MountId, RecordId},
    keys::page::KeyRef,
};

/// How versions are kept. A mount and a record each have settings: the larger number of versions
/// counts, and the shorter time; zero leaves it to the other, and in both to the engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    /// How many versions are kept.
    pub max_versions: u32,
    /// Whether a write must say which version it follows.
    pub cas_required: bool,
    /// After how many milliseconds a new version deletes itself; zero is never.
    pub delete_version_after: u64,
    /// Whether a change of metadata must say which of its changes it follows.
    pub metadata_cas_required: bool,
}

as_array!(Settings {
    max_versions,
    cas_required,
    delete_version_after,
    metadata_cas_required
});

/// A key that is to be destroyed with an event, and the version it belonged to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retired {
    /// The version.
    pub version: u32,
    /// Its payload's key.
    pub key: KeyRef,
}

as_array!(Retired { version, key });

/// A version was written. Its payload is sealed for [`crate::names::payload_place`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CredentialWritten {
    /// The record.
    pub record: RecordId,
    /// The mount that it is in.
    pub mount: MountId,
    /// The version, counted from 1.
    pub version: u32,
    /// The secret itself.
    pub payload: SealedRef,
    /// Path and metadata, with the first version and whenever they change.
    pub names: Option<SealedRef>,
    /// The key of the names before, if they changed.
    pub retired_names: Option<KeyRef>,
    /// When this version deletes itself.
    pub deletes_at: Option<Millis>,
    /// The versions that fell off the end: their keys are to be destroyed.
    pub trimmed: Vec<Retired>,
}

as_array!(CredentialWritten {
    record,
    mount,
    version,
    payload,
    names,
    retired_names,
    deletes_at,
    trimmed,
});

/// Versions were deleted in a way that can be undone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VersionsDeleted {
    /// The record.
    pub record: RecordId,
    /// The versions.
    pub versions: Vec<u32>,
}

as_array!(VersionsDeleted { record, versions });

/// Deleted versions are back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VersionsUndeleted {
    /// The record.
    pub record: RecordId,
    /// The versions.
    pub versions: Vec<u32>,
}

as_array!(VersionsUndeleted { record, versions });

/// Versions are to be unreadable for ever: their keys are to be destroyed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VersionsDestroyed {
    /// The record.
    pub record: RecordId,
    /// The versions and their keys.
    pub versions: Vec<Retired>,
}

as_array!(VersionsDestroyed { record, versions });

/// A record's settings or names changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetadataChanged {
    /// The record.
    pub record: RecordId,
    /// The mount that it is in.
    pub mount: MountId,
    /// All its settings from now on.
    pub settings: Settings,
    /// Path and metadata, if they changed or the record is new.
    pub names: Option<SealedRef>,
    /// The key of the names before, if they changed.
    pub retired_names: Option<KeyRef>,
    /// The versions that fell off the end of a smaller `max_versions`.
    pub trimmed: Vec<Retired>,
}

as_array!(MetadataChanged {
    record,
    mount,
    settings,
    names,
    retired_names,
    trimmed
});

/// A version says the same under a fresh key: the one before may be known to others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PayloadResealed {
    /// The record.
    pub record: RecordId,
    /// The version.
    pub version: u32,
    /// The secret itself, as it was.
    pub payload: SealedRef,
    /// The key before.
    pub retired: KeyRef,
}

as_array!(PayloadResealed {
    record,
    version,
    payload,
    retired
});

/// A record's names say the same under a fresh key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamesResealed {
    /// The record.
    pub record: RecordId,
    /// The version that they are sealed for, as before.
    pub version: u32,
    /// Path and metadata, as they were.
    pub names: SealedRef,
    /// The key before.
    pub retired: KeyRef,
}

as_array!(NamesResealed {
    record,
    version,
    names,
    retired
});

/// A record is gone with all its versions and names: these keys are to be destroyed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetadataDeleted {
    /// The record.
    pub record: RecordId,
    /// The payload keys that were left, then the key of its names.
    pub keys: Vec<KeyRef>,
}

as_array!(MetadataDeleted { record, keys });
