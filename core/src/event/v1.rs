//! The events of format 1. Their fields and order are frozen.

mod access;
mod credential;
mod erasure;
mod grant;
mod mount;
mod request;
mod wallet;

pub use access::{
    CubbyholeDeleted, CubbyholeWritten, EndedToken, PolicyDeleted, PolicyWritten, TokenCreated,
    TokenRenewed, TokenRole, TokenRoleDeleted, TokenRoleWritten, TokenUsed, TokensEnded,
};
pub use credential::{
    CredentialWritten, MetadataChanged, MetadataDeleted, NamesResealed, PayloadResealed, Retired,
    Settings, VersionsDeleted, VersionsDestroyed, VersionsUndeleted,
};
pub use erasure::{ErasedRecord, ErasureOrdered, HoldLifted, HoldPlaced};
pub use grant::{AuditorGranted, EpochsGranted, GrantEnded, NamesGranted};
pub use mount::{MountDisabled, MountEnabled, MountKind, MountRenamed, MountTuned};
pub use request::{Operation, RequestsRefused, ResolutionRequested};
pub use wallet::{
    EpochBegan, GenerationReplaced, KekCreated, KeksDestroyed, KeksRetired, KeyPageClosed,
    KeysDestroyed, KeysRewrapped, MOST_WRAPS, RotationPolicy, RotationPolicySet, WalletCreated,
    WalletSealed,
};
