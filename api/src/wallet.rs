//! The use cases: what a caller can do, whatever door they came through. No HTTP here.

mod access;
mod answer;
mod audit;
mod cubbyhole;
mod details;
mod epochs;
mod erasure;
mod grants;
mod holds;
mod key_manager;
mod keys;
mod metadata;
mod mounts;
mod permission;
mod policies;
mod proof;
mod read;
mod receipts;
mod reseal;
mod restore;
mod roles;
mod seal;
mod tokens;
mod wrapping;
mod write;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use billfold_core::{
    Millis,
    command::Done,
    decide::Refusal,
    id::{MountId, RecordId, RequestId, Seq},
    keys::TokenMac,
};
use billfold_projector::{Keychain, view};
use billfold_streams::{committer, custody, recorder};

use crate::{node::checkpointer::Notary, seal::Managers};

pub(crate) use access::wallet_uuid;
pub use access::{Caller, Token};
pub use answer::{Credential, Secret, SecretMetadata, VersionFacts};
pub use audit::{AuditFilter, AuditOf, AuditPage, AuditRow};
pub use billfold_core::command::NewSettings;
pub use cubbyhole::Kept;
pub use details::Detail;
pub use erasure::Erased;
pub use grants::{GrantFacts, GrantWish};
pub use holds::HoldFacts;
pub use keys::KeyFacts;
pub use metadata::{NewCustom, NewMetadata};
pub use mounts::{Mount, Mounts, NewMount};
pub use policies::{End, PolicyFacts, PolicyTerms};
pub use proof::{Consistency, Inclusion, NewestCheckpoint};
pub use receipts::{Receipt, Receipts};
pub use reseal::Exposed;
pub use restore::{Outcome, Restoration, Restored, Restoring, SECRETS, Why};
pub use seal::token_length;
pub use tokens::{MadeToken, TokenFacts, Which};
pub use wrapping::{MadeWrapping, WrappingFacts};
pub use write::{Patch, Patched, Put, Step};

/// A wallet that is open for business on this node.
pub struct Wallet {
    keychain: Arc<Keychain>,
    committer: committer::Handle,
    recorder: recorder::Handle,
    audit: Arc<billfold_projector::audit::Index>,
    notary: Arc<Notary>,
    mounts: Mounts,
    root: Root,
    /// Who may open it.
    managers: Managers,
    /// How long a caller waits for its place in the log.
    patience: Duration,
    /// How many pages this node rewraps in a second at most.
    rewrap_pace: Option<NonZeroU32>,
}

impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wallet({})", self.keychain.custody().wallet())
    }
}

#[derive(Debug)]
struct Root {
    mac: TokenMac,
    token: billfold_core::id::TokenId,
    principal: billfold_core::id::PrincipalId,
    created: Millis,
}

/// What something was answered with, and where in the log that is true.
#[derive(Debug)]
pub struct At<T> {
    /// The last `decided` sequence that it comes of.
    pub seq: Seq,
    /// The answer.
    pub value: T,
}

/// Why a caller got no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller's fault: nothing permits it.
    #[error("permission denied")]
    Denied,
    /// There is no such token, or it has ended.
    #[error("bad token")]
    NoToken,
    /// There is no such thing.
    #[error("there is nothing there")]
    Absent,
    /// The caller's fault: what was sent is not what belongs there.
    #[error("{0}")]
    Invalid(String),
    /// The caller's fault: the command cannot be done.
    #[error(transparent)]
    Refused(Refusal),
    /// The version that was asked for was destroyed, or its key erased.
    #[error("the secret was erased")]
    Erased,
    /// The key store's fault: a key that is needed does not open.
    #[error("a key is damaged: {0}")]
    Damaged(String),
    /// A dependency's fault, or this node's: nothing was told or changed.
    #[error("{0}")]
    Unavailable(String),
    /// The key manager's fault, or the settings': whoever may change it is told why.
    #[error("{0}")]
    KeyManager(String),
    /// It is not known whether the command was done.
    #[error("the outcome is not known yet; repeat the command with the same id")]
    Unknown,
}

impl From<committer::Error> for Error {
    fn from(error: committer::Error) -> Self {
        match error {
            committer::Error::Refused(Refusal::Denied) => Self::Denied,
            committer::Error::Refused(Refusal::NoToken) => Self::NoToken,
            committer::Error::Refused(refusal) => Self::Refused(refusal),
            committer::Error::Unknown => Self::Unknown,
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<recorder::Unrecorded> for Error {
    fn from(error: recorder::Unrecorded) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<billfold_streams::keys::Error> for Error {
    fn from(error: billfold_streams::keys::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<custody::Error> for Error {
    fn from(error: custody::Error) -> Self {
        match error {
            custody::Error::Keys(error) => Self::Damaged(error.to_string()),
            custody::Error::Manager(error) => Self::KeyManager(error.to_string()),
            error @ (custody::Error::SameKey(_)
            | custody::Error::FormerKey(_)
            | custody::Error::OtherManager { .. }) => Self::Invalid(error.to_string()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<billfold_projector::fold::NamesError> for Error {
    fn from(error: billfold_projector::fold::NamesError) -> Self {
        use billfold_projector::fold::NamesError;
        match error {
            NamesError::Custody(error) => error.into(),
            NamesError::Damaged => Self::Damaged(error.to_string()),
        }
    }
}

impl From<view::Error> for Error {
    fn from(error: view::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The parts of a node that the use cases work with.
pub(crate) struct Parts {
    /// The view.
    pub(crate) keychain: Arc<Keychain>,
    /// What decides commands.
    pub(crate) committer: committer::Handle,
    /// What puts requests on record.
    pub(crate) recorder: recorder::Handle,
    /// The audit index.
    pub(crate) audit: Arc<billfold_projector::audit::Index>,
    /// What knows the tree and its checkpoints.
    pub(crate) notary: Arc<Notary>,
    /// The key managers that the settings name.
    pub(crate) managers: Managers,
    /// How long a request may wait for the log.
    pub(crate) patience: Duration,
    /// How many keys may be wrapped anew in a second.
    pub(crate) rewrap_pace: Option<NonZeroU32>,
}

impl Wallet {
    /// Opens the use cases over a node's parts.
    ///
    /// # Errors
    /// When the wallet's root or mounts cannot be read.
    pub(crate) async fn open(parts: Parts) -> Result<Self, Error> {
        let root = access::open_root(&parts.keychain).await?;
        let mounts = Mounts::default();
        mounts.now(&parts.keychain).await?;
        Ok(Self {
            keychain: parts.keychain,
            committer: parts.committer,
            recorder: parts.recorder,
            audit: parts.audit,
            notary: parts.notary,
            mounts,
            root,
            managers: parts.managers,
            patience: parts.patience,
            rewrap_pace: parts.rewrap_pace,
        })
    }

    /// The view behind it.
    #[must_use]
    pub const fn keychain(&self) -> &Arc<Keychain> {
        &self.keychain
    }

    /// The record of a path in a mount.
    #[must_use]
    pub fn record(&self, mount: MountId, path: &str) -> RecordId {
        self.keychain.custody().keys().id.record(mount, path)
    }

    /// The folders that a path in a mount is in.
    pub(crate) fn folders(&self, mount: MountId, path: &str) -> Vec<RecordId> {
        self.keychain.custody().keys().id.folders(mount, path)
    }

    /// A fresh id for a request.
    #[must_use]
    pub fn new_request() -> RequestId {
        RequestId::from_bytes(uuid::Uuid::new_v4().into_bytes())
    }
}

impl<T> At<T> {
    /// The same place, another answer.
    pub fn map<U>(self, map: impl FnOnce(T) -> U) -> At<U> {
        At {
            seq: self.seq,
            value: map(self.value),
        }
    }
}

/// What a command did, as the doors need it.
#[derive(Debug, Clone)]
pub struct Written {
    /// What came of it.
    pub done: Done,
    /// The sequence that it is part of.
    pub seq: Seq,
}
