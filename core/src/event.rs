//! Events: what happened, in the past tense, numbered for ever.

pub mod v1;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteArray;

use crate::{
    cbor::{self, as_array},
    id::{CommandId, PrincipalId, RecordId, TokenId},
    keys::page::KeyRef,
};

/// Who caused an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Actor {
    /// The wallet itself: the sweeper, the initialisation.
    System,
    /// A principal, by a token.
    Principal(PrincipalId, TokenId),
    /// Someone without a valid token.
    Anonymous,
}

struct WireActor {
    code: u8,
    principal: Option<PrincipalId>,
    token: Option<TokenId>,
}

as_array!(WireActor {
    code,
    principal,
    token
});

impl Serialize for Actor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (code, principal, token) = match self {
            Self::System => (0, None, None),
            Self::Principal(principal, token) => (1, Some(*principal), Some(*token)),
            Self::Anonymous => (2, None, None),
        };
        let wire = WireActor {
            code,
            principal,
            token,
        };
        wire.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = WireActor::deserialize(deserializer)?;
        match (wire.code, wire.principal, wire.token) {
            (0, None, None) => Ok(Self::System),
            (1, Some(principal), Some(token)) => Ok(Self::Principal(principal, token)),
            (2, None, None) => Ok(Self::Anonymous),
            _ => Err(serde::de::Error::custom("not an actor")),
        }
    }
}

/// The command that an event came of, when it had an id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommandRef {
    /// Its id.
    pub id: CommandId,
    /// What tells it apart from another command under the same id; it covers no secret.
    pub fingerprint: ByteArray<16>,
}

as_array!(CommandRef { id, fingerprint });

/// The SHA-256 of a ciphertext, under [`crate::labels::CIPHERTEXT_HASH`].
pub type CiphertextHash = ByteArray<32>;

/// A ciphertext that stands beside a fact: its key and its hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SealedRef {
    /// The DEK that opens it.
    pub key: KeyRef,
    /// What its bytes hash to.
    pub hash: CiphertextHash,
}

as_array!(SealedRef { key, hash });

/// What a commit says of one event, once its fact is open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fact {
    /// Who caused it.
    pub actor: Actor,
    /// The command it came of, if that had an id.
    pub command: Option<CommandRef>,
    /// What happened.
    pub event: Event,
}

struct Head {
    kind: u16,
    actor: Actor,
    command: Option<CommandRef>,
}

as_array!(Head {
    kind,
    actor,
    command
});

macro_rules! events {
    ($($kind:literal => $name:ident($path:path),)*) => {
        /// What happened. Kinds are numbered by hand; a number is never used again.
        #[derive(Clone, PartialEq, Eq, Debug)]
        #[allow(missing_docs, reason = "each variant is documented where its struct is")]
        pub enum Event {
            $($name($path),)*
        }

        impl Event {
            /// Its number on the wire.
            #[must_use]
            pub const fn kind(&self) -> u16 {
                match self { $(Self::$name(_) => $kind,)* }
            }

            /// Its name in listings.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($name),)* }
            }

            fn encode_body(&self) -> Vec<u8> {
                match self { $(Self::$name(body) => cbor::encode(body),)* }
            }

            fn decode_body(kind: u16, bytes: &[u8]) -> Result<Self, Error> {
                match kind {
                    $($kind => cbor::decode(bytes).map(Self::$name).map_err(|_| Error::Malformed(kind)),)*
                    unknown => Err(Error::UnknownKind(unknown)),
                }
            }

            /// Every kind that this release knows, with its name.
            pub const KINDS: &[(u16, &str)] = &[$(($kind, stringify!($name)),)*];
        }
    };
}

events! {
    1 => WalletCreated(v1::WalletCreated),
    2 => KekCreated(v1::KekCreated),
    3 => KeyPageClosed(v1::KeyPageClosed),
    4 => KeysDestroyed(v1::KeysDestroyed),
    5 => KeysRewrapped(v1::KeysRewrapped),
    6 => WalletSealed(v1::WalletSealed),
    7 => GenerationReplaced(v1::GenerationReplaced),
    8 => KeksRetired(v1::KeksRetired),
    9 => KeksDestroyed(v1::KeksDestroyed),
    10 => MountEnabled(v1::MountEnabled),
    11 => MountTuned(v1::MountTuned),
    12 => MountDisabled(v1::MountDisabled),
    13 => MountRenamed(v1::MountRenamed),
    20 => CredentialWritten(v1::CredentialWritten),
    21 => VersionsDeleted(v1::VersionsDeleted),
    22 => VersionsUndeleted(v1::VersionsUndeleted),
    23 => VersionsDestroyed(v1::VersionsDestroyed),
    24 => MetadataChanged(v1::MetadataChanged),
    25 => MetadataDeleted(v1::MetadataDeleted),
    26 => PayloadResealed(v1::PayloadResealed),
    27 => NamesResealed(v1::NamesResealed),
    30 => TokenCreated(v1::TokenCreated),
    31 => TokenRenewed(v1::TokenRenewed),
    32 => TokenUsed(v1::TokenUsed),
    33 => TokensEnded(v1::TokensEnded),
    34 => PolicyWritten(v1::PolicyWritten),
    35 => PolicyDeleted(v1::PolicyDeleted),
    36 => CubbyholeWritten(v1::CubbyholeWritten),
    37 => CubbyholeDeleted(v1::CubbyholeDeleted),
    38 => TokenRoleWritten(v1::TokenRoleWritten),
    39 => TokenRoleDeleted(v1::TokenRoleDeleted),
    40 => ResolutionRequested(v1::ResolutionRequested),
    41 => RequestsRefused(v1::RequestsRefused),
    50 => RotationPolicySet(v1::RotationPolicySet),
    51 => EpochBegan(v1::EpochBegan),
    60 => ErasureOrdered(v1::ErasureOrdered),
    61 => HoldPlaced(v1::HoldPlaced),
    62 => HoldLifted(v1::HoldLifted),
    70 => AuditorGranted(v1::AuditorGranted),
    71 => EpochsGranted(v1::EpochsGranted),
    72 => NamesGranted(v1::NamesGranted),
    73 => GrantEnded(v1::GrantEnded),
}

impl Event {
    /// The kind of an event with keys of epochs, as the parts of grants name it.
    pub const EPOCHS_GRANTED: u16 = 71;
    /// The kind of an event with names, as the parts of grants name it.
    pub const NAMES_GRANTED: u16 = 72;

    /// The ciphertext of names that belongs to it, if any.
    #[must_use]
    pub fn names(&self) -> Option<CiphertextHash> {
        match self {
            Self::MountEnabled(event) => Some(event.names.hash),
            Self::MountRenamed(event) => Some(event.names.hash),
            Self::TokenCreated(event) => Some(event.names.hash),
            Self::CubbyholeWritten(event) => event.names.map(|names| names.hash),
            Self::CredentialWritten(event) => event.names.map(|names| names.hash),
            Self::MetadataChanged(event) => event.names.map(|names| names.hash),
            Self::NamesResealed(event) => Some(event.names.hash),
            Self::ResolutionRequested(event) => Some(event.names),
            Self::ErasureOrdered(event) => Some(event.names.hash),
            Self::HoldPlaced(event) => Some(event.names.hash),
            _ => None,
        }
    }

    /// The record that it is about, if it is about one.
    #[must_use]
    pub const fn record(&self) -> Option<RecordId> {
        match self {
            Self::CredentialWritten(event) => Some(event.record),
            Self::VersionsDeleted(event) => Some(event.record),
            Self::VersionsUndeleted(event) => Some(event.record),
            Self::VersionsDestroyed(event) => Some(event.record),
            Self::MetadataChanged(event) => Some(event.record),
            Self::MetadataDeleted(event) => Some(event.record),
            Self::PayloadResealed(event) => Some(event.record),
            Self::NamesResealed(event) => Some(event.record),
            Self::ResolutionRequested(event) => event.record,
            Self::WalletCreated(_)
            | Self::KekCreated(_)
            | Self::KeyPageClosed(_)
            | Self::KeysDestroyed(_)
            | Self::KeysRewrapped(_)
            | Self::GenerationReplaced(_)
            | Self::KeksRetired(_)
            | Self::KeksDestroyed(_)
            | Self::WalletSealed(_)
            | Self::RotationPolicySet(_)
            | Self::EpochBegan(_)
            | Self::MountEnabled(_)
            | Self::MountTuned(_)
            | Self::MountDisabled(_)
            | Self::MountRenamed(_)
            | Self::TokenCreated(_)
            | Self::TokenRenewed(_)
            | Self::TokenUsed(_)
            | Self::TokensEnded(_)
            | Self::PolicyWritten(_)
            | Self::PolicyDeleted(_)
            | Self::CubbyholeWritten(_)
            | Self::CubbyholeDeleted(_)
            | Self::TokenRoleWritten(_)
            | Self::TokenRoleDeleted(_)
            | Self::ErasureOrdered(_)
            | Self::HoldPlaced(_)
            | Self::HoldLifted(_)
            | Self::AuditorGranted(_)
            | Self::EpochsGranted(_)
            | Self::NamesGranted(_)
            | Self::GrantEnded(_)
            | Self::RequestsRefused(_) => None,
        }
    }

    /// The ciphertext of a payload that belongs to it, if any.
    #[must_use]
    pub fn payload(&self) -> Option<CiphertextHash> {
        match self {
            Self::WalletCreated(event) => Some(event.root_token_mac.hash),
            Self::CredentialWritten(event) => Some(event.payload.hash),
            Self::PayloadResealed(event) => Some(event.payload.hash),
            Self::TokenCreated(event) => Some(event.mac.hash),
            Self::CubbyholeWritten(event) => Some(event.payload.hash),
            Self::EpochsGranted(event) => Some(event.sealed),
            Self::NamesGranted(event) => Some(event.sealed),
            _ => None,
        }
    }
}

impl Fact {
    /// Its plaintext: a CBOR sequence (RFC 8742) of head and body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let head = Head {
            kind: self.event.kind(),
            actor: self.actor,
            command: self.command,
        };
        let mut bytes = cbor::encode(&head);
        bytes.extend_from_slice(&self.event.encode_body());
        bytes
    }

    /// The fact of this plaintext.
    ///
    /// # Errors
    /// When the kind is not known, or the bytes are not exactly one fact of that kind.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let (head, body): (Head, _) = cbor::decode_first(bytes).map_err(|_| Error::Head)?;
        let event = Event::decode_body(head.kind, body)?;
        Ok(Self {
            actor: head.actor,
            command: head.command,
            event,
        })
    }
}

/// An open fact that says nothing this release understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Its head is malformed.
    #[error("a fact's head is malformed")]
    Head,
    /// Its kind comes from a later release.
    #[error("event kind {0} is not known to this release")]
    UnknownKind(u16),
    /// Its body is not what its kind needs.
    #[error("the body of an event of kind {0} is malformed")]
    Malformed(u16),
}
