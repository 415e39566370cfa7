//! Secret engine mounts.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    cbor::as_array,
    event::{SealedRef, v1::Settings},
    id::{MountId, RecordId},
    keys::page::KeyRef,
};

/// What a mount speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MountKind {
    /// The versioned key-value engine of the Vault API.
    KvV2,
    /// The key-value engine of the Vault API that keeps one version.
    KvV1,
}

impl Serialize for MountKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::KvV2 => 1_u8,
            Self::KvV1 => 2,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for MountKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            1 => Ok(Self::KvV2),
            2 => Ok(Self::KvV1),
            _ => Err(serde::de::Error::custom("not a kind of mount")),
        }
    }
}

/// A mount exists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MountEnabled {
    /// Its id, which its records are derived from.
    pub mount: MountId,
    /// What it speaks.
    pub kind: MountKind,
    /// Its blinded path, and before it those of the folders above: two mounts must not overlap.
    pub path: Vec<RecordId>,
    /// What its records go by where they say nothing themselves.
    pub settings: Settings,
    /// Path and description ([`crate::names::MountNames`]).
    pub names: SealedRef,
}

as_array!(MountEnabled {
    mount,
    kind,
    path,
    settings,
    names
});

/// A mount's settings changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MountTuned {
    /// The mount.
    pub mount: MountId,
    /// All its settings from now on.
    pub settings: Settings,
}

as_array!(MountTuned { mount, settings });

/// A mount has another path or description. Its records stay as they are: their ids come of the
/// mount's id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MountRenamed {
    /// The mount.
    pub mount: MountId,
    /// Its blinded path, and before it those of the folders above.
    pub path: Vec<RecordId>,
    /// Path and description.
    pub names: SealedRef,
    /// The key of the names before.
    pub retired_names: KeyRef,
}

as_array!(MountRenamed {
    mount,
    path,
    names,
    retired_names
});

/// A mount is gone. Its records were deleted before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MountDisabled {
    /// The mount.
    pub mount: MountId,
}

as_array!(MountDisabled { mount });
