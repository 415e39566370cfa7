//! What the use cases answer.

use std::collections::BTreeMap;

use billfold_core::{Millis, SecretBytes, id::RecordId, names::CredentialNames, state};

/// What is known about one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionFacts {
    /// Its number.
    pub number: u32,
    /// When it was written.
    pub created: Millis,
    /// From when on it counts as deleted.
    pub deletion: Option<Millis>,
    /// Whether it was destroyed.
    pub destroyed: bool,
}

impl From<&state::Version> for VersionFacts {
    fn from(version: &state::Version) -> Self {
        Self {
            number: version.number,
            created: version.created,
            deletion: version.deletion,
            destroyed: version.destroyed,
        }
    }
}

/// A version of a secret.
#[derive(Debug)]
pub struct Secret {
    /// Which version.
    pub version: VersionFacts,
    /// The secret itself, a JSON value; none when it is deleted or destroyed.
    pub data: Option<SecretBytes>,
    /// The custom metadata of its record.
    pub custom: BTreeMap<String, String>,
}

/// What is known about a secret.
#[derive(Debug)]
pub struct SecretMetadata {
    /// The record's own entry.
    pub record: state::Record,
    /// Its custom metadata.
    pub custom: BTreeMap<String, String>,
    /// The oldest version that is kept, by what the mount went by when it was read; 0 while none
    /// had to go.
    pub oldest: u32,
}

/// A secret as the credentials door shows it.
#[derive(Debug)]
pub struct Credential {
    /// Its record.
    pub id: RecordId,
    /// Its path.
    pub name: String,
    /// What kind of credential it is and what else it is called.
    pub names: CredentialNames,
    /// When it came to be.
    pub created: Millis,
    /// When it was last changed.
    pub updated: Millis,
    /// The secret itself, if it was asked for.
    pub data: Option<SecretBytes>,
}
