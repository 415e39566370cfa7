//! Which keys an event begins to use, and which it gives up.

use billfold_core::{
    commit::Entry,
    event::{Event, v1::Retired},
    id::{ErasureId, HoldId, MountId, RecordId, TokenId, WalletId},
    keys::{Content, page::KeyRef},
    names::{
        cubbyhole_place, erasure_names_place, hold_names_place, mount_names_place, names_place,
        payload_place, token_mac_place, token_names_place,
    },
    seal::Place,
    state::{Source, State},
};
use bytes::Bytes;

/// A key that an event begins to use, and what it sealed with it.
pub(crate) struct Use {
    pub(crate) key: KeyRef,
    pub(crate) owner: Owner,
    pub(crate) sealed: Bytes,
}

/// What a key seals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    RootToken,
    TokenMac(TokenId),
    TokenNames(TokenId),
    Mount(MountId),
    Cubbyhole(TokenId, RecordId, Content),
    Payload(RecordId, u32),
    /// The names of a record, sealed for a version. Without one, they are sealed for the version
    /// that is the current one at their place.
    Names(RecordId, Option<u32>),
    Erasure(ErasureId),
    Hold(HoldId),
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::RootToken => f.write_str("the MAC of the root token"),
            Self::TokenMac(token) => write!(f, "the MAC of token {token}"),
            Self::TokenNames(token) => write!(f, "the names of token {token}"),
            Self::Mount(mount) => write!(f, "the names of mount {mount}"),
            Self::Cubbyhole(token, entry, Content::Payload) => {
                write!(f, "entry {entry} in the cubbyhole of token {token}")
            }
            Self::Cubbyhole(token, entry, Content::Names) => {
                write!(
                    f,
                    "the path of entry {entry} in the cubbyhole of token {token}"
                )
            }
            Self::Payload(record, version) => {
                write!(f, "the payload of record {record} version {version}")
            }
            Self::Names(record, Some(version)) if *version > 0 => {
                write!(f, "the names of record {record} (as of version {version})")
            }
            Self::Names(record, _) => write!(f, "the names of record {record}"),
            Self::Erasure(erasure) => write!(f, "the reason of erasure {erasure}"),
            Self::Hold(hold) => write!(f, "the names of hold {hold}"),
        }
    }
}

impl Owner {
    /// Where the ciphertext was sealed, given the state after its commit. None for names that the
    /// same commit replaced: their key is given up already.
    pub(crate) fn place<S: Source>(
        &self,
        key: KeyRef,
        wallet: WalletId,
        state: &State<S>,
    ) -> Result<Option<(Content, Place)>, S::Error> {
        Ok(match *self {
            Self::RootToken => Some((
                Content::Payload,
                payload_place(wallet, RecordId::default(), 0),
            )),
            Self::TokenMac(token) => Some((Content::Payload, token_mac_place(wallet, token))),
            Self::TokenNames(token) => Some((Content::Names, token_names_place(wallet, token))),
            Self::Mount(mount) => Some((Content::Names, mount_names_place(wallet, mount))),
            Self::Cubbyhole(token, entry, content) => {
                Some((content, cubbyhole_place(wallet, token, entry, content)))
            }
            Self::Payload(record, version) => {
                Some((Content::Payload, payload_place(wallet, record, version)))
            }
            Self::Erasure(erasure) => Some((Content::Names, erasure_names_place(wallet, erasure))),
            Self::Hold(hold) => Some((Content::Names, hold_names_place(wallet, hold))),
            Self::Names(record, Some(version)) => {
                Some((Content::Names, names_place(wallet, record, version)))
            }
            Self::Names(record, None) => state
                .record(&record)?
                .filter(|found| found.names.key == key)
                .map(|found| {
                    (
                        Content::Names,
                        names_place(wallet, record, found.names_version),
                    )
                }),
        })
    }
}

/// The keys that an event begins to use.
pub(crate) fn used(entry: &Entry) -> Vec<Use> {
    let payload = || entry.payload.clone().unwrap_or_default();
    let names = || entry.names.clone().unwrap_or_default();
    let mut uses = Vec::new();
    let mut add = |key, owner, sealed| {
        uses.push(Use { key, owner, sealed });
    };
    match &entry.fact.event {
        Event::WalletCreated(event) => {
            add(event.root_token_mac.key, Owner::RootToken, payload());
        }
        Event::MountEnabled(event) => {
            add(event.names.key, Owner::Mount(event.mount), names());
        }
        Event::TokenCreated(event) => {
            add(event.mac.key, Owner::TokenMac(event.token), payload());
            add(event.names.key, Owner::TokenNames(event.token), names());
        }
        Event::CubbyholeWritten(event) => {
            let owner = |content| Owner::Cubbyhole(event.token, event.entry, content);
            add(event.payload.key, owner(Content::Payload), payload());
            if let Some(sealed) = event.names {
                add(sealed.key, owner(Content::Names), names());
            }
        }
        Event::MountRenamed(event) => {
            add(event.names.key, Owner::Mount(event.mount), names());
        }
        Event::CredentialWritten(event) => {
            let owner = Owner::Payload(event.record, event.version);
            add(event.payload.key, owner, payload());
            if let Some(sealed) = event.names {
                let owner = Owner::Names(event.record, Some(event.version));
                add(sealed.key, owner, names());
            }
        }
        Event::MetadataChanged(event) => {
            if let Some(sealed) = event.names {
                add(sealed.key, Owner::Names(event.record, None), names());
            }
        }
        Event::PayloadResealed(event) => {
            let owner = Owner::Payload(event.record, event.version);
            add(event.payload.key, owner, payload());
        }
        Event::NamesResealed(event) => {
            let owner = Owner::Names(event.record, Some(event.version));
            add(event.names.key, owner, names());
        }
        Event::ErasureOrdered(event) => {
            add(event.names.key, Owner::Erasure(event.erasure), names());
        }
        Event::HoldPlaced(event) => {
            add(event.names.key, Owner::Hold(event.hold), names());
        }
        Event::HoldLifted(_)
        | Event::TokenRenewed(_)
        | Event::TokenUsed(_)
        | Event::TokensEnded(_)
        | Event::CubbyholeDeleted(_)
        | Event::TokenRoleWritten(_)
        | Event::TokenRoleDeleted(_)
        | Event::PolicyWritten(_)
        | Event::PolicyDeleted(_)
        | Event::KekCreated(_)
        | Event::EpochBegan(_)
        | Event::AuditorGranted(_)
        | Event::EpochsGranted(_)
        | Event::NamesGranted(_)
        | Event::GrantEnded(_)
        | Event::KeyPageClosed(_)
        | Event::KeysDestroyed(_)
        | Event::KeysRewrapped(_)
        | Event::GenerationReplaced(_)
        | Event::KeksRetired(_)
        | Event::KeksDestroyed(_)
        | Event::WalletSealed(_)
        | Event::RotationPolicySet(_)
        | Event::MountTuned(_)
        | Event::MountDisabled(_)
        | Event::VersionsDeleted(_)
        | Event::VersionsUndeleted(_)
        | Event::VersionsDestroyed(_)
        | Event::MetadataDeleted(_)
        | Event::ResolutionRequested(_)
        | Event::RequestsRefused(_) => {}
    }
    uses
}

/// The keys that an event gives up; those of a mount's names are in the state before it.
pub(crate) fn given_up<S: Source>(
    event: &Event,
    state: &State<S>,
) -> Result<Vec<KeyRef>, S::Error> {
    let keys = |retired: &[Retired]| retired.iter().map(|r| r.key).collect::<Vec<_>>();
    Ok(match event {
        Event::CredentialWritten(event) => [
            keys(&event.trimmed),
            event.retired_names.into_iter().collect(),
        ]
        .concat(),
        Event::MetadataChanged(event) => [
            keys(&event.trimmed),
            event.retired_names.into_iter().collect(),
        ]
        .concat(),
        Event::VersionsDestroyed(event) => keys(&event.versions),
        Event::MetadataDeleted(event) => event.keys.clone(),
        Event::MountRenamed(event) => vec![event.retired_names],
        Event::PayloadResealed(event) => vec![event.retired],
        Event::NamesResealed(event) => vec![event.retired],
        Event::HoldLifted(event) => vec![event.retired_names],
        Event::CubbyholeWritten(event) => event.retired.into_iter().collect(),
        Event::CubbyholeDeleted(event) => event.keys.clone(),
        Event::TokensEnded(event) => event
            .tokens
            .iter()
            .flat_map(|ended| ended.keys.clone())
            .collect(),
        Event::MountDisabled(event) => state
            .mount(&event.mount)?
            .map(|mount| mount.names.key)
            .into_iter()
            .collect(),
        Event::TokenCreated(_)
        // What it names is given up by the events behind it.
        | Event::ErasureOrdered(_)
        | Event::HoldPlaced(_)
        | Event::TokenRoleWritten(_)
        | Event::TokenRoleDeleted(_)
        | Event::TokenRenewed(_)
        | Event::TokenUsed(_)
        | Event::PolicyWritten(_)
        | Event::PolicyDeleted(_)
        | Event::WalletCreated(_)
        | Event::KekCreated(_)
        | Event::EpochBegan(_)
        | Event::AuditorGranted(_)
        | Event::EpochsGranted(_)
        | Event::NamesGranted(_)
        | Event::GrantEnded(_)
        | Event::KeyPageClosed(_)
        | Event::KeysDestroyed(_)
        | Event::KeysRewrapped(_)
        | Event::GenerationReplaced(_)
        | Event::KeksRetired(_)
        | Event::KeksDestroyed(_)
        | Event::WalletSealed(_)
        | Event::RotationPolicySet(_)
        | Event::MountEnabled(_)
        | Event::MountTuned(_)
        | Event::VersionsDeleted(_)
        | Event::VersionsUndeleted(_)
        | Event::ResolutionRequested(_)
        | Event::RequestsRefused(_) => Vec::new(),
    })
}
