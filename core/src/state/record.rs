//! Secrets: a record's versions, without what they say.

use crate::{
    Millis,
    cbor::as_array,
    event::{CiphertextHash, SealedRef, v1::Settings},
    id::MountId,
    keys::page::KeyRef,
    state::DEFAULT_MAX_VERSIONS,
};

/// A secret: its versions, without what they say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The mount that it is in.
    pub mount: MountId,
    /// When it came to be.
    pub created: Millis,
    /// When it was last changed.
    pub updated: Millis,
    /// What it says about its versions; zero where it leaves that to the mount.
    pub settings: Settings,
    /// The key and hash of its names.
    pub names: SealedRef,
    /// Its version when the names were written: they are sealed for it.
    pub names_version: u32,
    /// The newest version; 0 when none was written yet.
    pub current: u32,
    /// The versions that are kept, oldest first.
    pub versions: Vec<Version>,
    /// How often its settings or names were changed other than with a version.
    pub metadata_version: u32,
}

as_array!(Record {
    mount,
    created,
    updated,
    settings,
    names,
    names_version,
    current,
    versions,
    metadata_version
});

impl Record {
    /// A version by its number; 0 is the current one.
    #[must_use]
    pub fn version(&self, number: u32) -> Option<&Version> {
        let number = if number == 0 { self.current } else { number };
        self.versions
            .iter()
            .find(|version| version.number == number)
    }

    /// The oldest version that is kept, given how many the mount keeps. As long as there is room for
    /// more than there are, clients are told 0.
    #[must_use]
    pub fn oldest(&self, max_of_mount: u32) -> u32 {
        let room = match self.settings.max_versions.max(max_of_mount) {
            0 => DEFAULT_MAX_VERSIONS,
            max => max,
        };
        match self.versions.first() {
            Some(first) if first.number > 1 || self.current >= room => first.number,
            _ => 0,
        }
    }
}

/// A version of a secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// Its number, counted from 1.
    pub number: u32,
    /// When it was written.
    pub created: Millis,
    /// From when on it counts as deleted.
    pub deletion: Option<Millis>,
    /// Whether its key was given up for ever.
    pub destroyed: bool,
    /// The key of its payload.
    pub key: KeyRef,
    /// What its payload's ciphertext hashes to.
    pub hash: CiphertextHash,
}

as_array!(Version {
    number,
    created,
    deletion,
    destroyed,
    key,
    hash
});

impl Version {
    /// Whether it is deleted at this time.
    #[must_use]
    pub fn is_deleted(&self, now: Millis) -> bool {
        self.deletion.is_some_and(|deletion| deletion <= now)
    }
}
