//! What was asked: the request only, never its outcome (invariant 3).

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    Millis,
    cbor::as_array,
    event::CiphertextHash,
    id::{MountId, RecordId, RequestId},
};

/// What a request wanted to see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// A version's secret.
    ReadData,
    /// A record's versions and metadata.
    ReadMetadata,
    /// The names in a folder.
    List,
    /// The paths of all that is below a folder.
    Scan,
    /// The names in a version's secret, without its values.
    ReadSubkeys,
    /// What a mount's secrets go by.
    ReadSettings,
    /// Something else about the wallet, read: the path of the API says what.
    ReadSystem,
    /// The same, listed.
    ListSystem,
    /// The same, asked for with a body.
    AskSystem,
    /// A version's secret, to be patched: it is not told.
    PatchData,
    /// A record's metadata, to be patched: it is not told.
    PatchMetadata,
    /// Something that the policies did not permit, where no other operation tells it.
    Refused,
    /// The credentials that match a filter, without their secrets.
    ListCredentials,
    /// The names in a folder, with what is known about each secret.
    ListDetails,
    /// The paths of all that is below a folder, with what is known about each secret.
    ScanDetails,
    /// What the wallet has mounted.
    ReadMounts,
    /// The audit trail.
    ReadAudit,
    /// Something in the caller's own cubbyhole.
    ReadCubbyhole,
    /// What the caller's own cubbyhole holds.
    ListCubbyhole,
    /// A version's secret, deleted or not, to be written anew: it is not told.
    RestoreData,
}

impl Operation {
    const ALL: [(u8, Self); 20] = [
        (1, Self::ReadData),
        (2, Self::ReadMetadata),
        (3, Self::List),
        (4, Self::ListCredentials),
        (5, Self::ReadMounts),
        (6, Self::ReadAudit),
        (7, Self::Scan),
        (8, Self::ReadSubkeys),
        (9, Self::ReadSettings),
        (10, Self::ReadSystem),
        (11, Self::ListSystem),
        (12, Self::AskSystem),
        (13, Self::PatchData),
        (14, Self::PatchMetadata),
        (15, Self::Refused),
        (16, Self::ReadCubbyhole),
        (17, Self::ListCubbyhole),
        (20, Self::ListDetails),
        (21, Self::ScanDetails),
        (24, Self::RestoreData),
    ];

    /// Every operation that this release knows.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.iter().map(|(_, operation)| *operation)
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().map(|(_, operation)| *operation);
        all.find(|operation| operation.name() == name)
    }

    /// Its name in listings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadData => "read-data",
            Self::ReadMetadata => "read-metadata",
            Self::List => "list",
            Self::Scan => "scan",
            Self::ReadSubkeys => "read-subkeys",
            Self::ReadSettings => "read-settings",
            Self::ReadSystem => "read-system",
            Self::ListSystem => "list-system",
            Self::AskSystem => "ask-system",
            Self::PatchData => "patch-data",
            Self::PatchMetadata => "patch-metadata",
            Self::Refused => "refused",
            Self::ListDetails => "list-details",
            Self::ScanDetails => "scan-details",
            Self::ListCredentials => "list-credentials",
            Self::ReadMounts => "read-mounts",
            Self::ReadAudit => "read-audit",
            Self::ReadCubbyhole => "read-cubbyhole",
            Self::ListCubbyhole => "list-cubbyhole",
            Self::RestoreData => "restore-data",
        }
    }
}

impl Serialize for Operation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let code = Self::ALL
            .iter()
            .find(|(_, operation)| operation == self)
            .map(|(code, _)| code);
        code.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Operation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = u8::deserialize(deserializer)?;
        let operation = Self::ALL.iter().find(|(known, _)| *known == code);
        operation
            .map(|(_, operation)| *operation)
            .ok_or_else(|| serde::de::Error::custom("not an operation"))
    }
}

/// A principal asked to see something. What it was answered follows from the state at this place
/// in the log, by [`crate::judge::judge`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResolutionRequested {
    /// The request's id, which its answer carries.
    pub request: RequestId,
    /// What it wanted.
    pub operation: Operation,
    /// The mount, where the path led into one.
    pub mount: Option<MountId>,
    /// The record of the path, where the operation is about one.
    pub record: Option<RecordId>,
    /// Which version; none is the current one.
    pub version: Option<u32>,
    /// For how long its answer was to be wrapped, in milliseconds, if it was to be.
    pub wrap_ttl: Option<u64>,
    /// The hash of [`crate::names::RequestNames`], sealed under the epoch's request-name key.
    pub names: CiphertextHash,
}

as_array!(ResolutionRequested {
    request,
    operation,
    mount,
    record,
    version,
    wrap_ttl,
    names
});

/// Requests without a valid token were refused, gathered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestsRefused {
    /// How many.
    pub count: u32,
    /// How many of them were over the bound of their source, and so not even looked at.
    pub over_bound: u32,
    /// When the first of them came.
    pub since: Millis,
}

as_array!(RequestsRefused {
    count,
    over_bound,
    since
});
