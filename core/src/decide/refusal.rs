//! Why a command is not decided.

use super::{CUBBYHOLE_ENTRIES, GRANTS, HOLDS};
use crate::{
    Millis,
    id::{HoldId, TokenId},
    state,
};

/// Why a command was refused. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Refusal {
    /// The actor may not do this.
    #[error("permission denied")]
    Denied,
    /// The wallet was created before.
    #[error("the wallet exists")]
    WalletExists,
    /// There is no wallet yet.
    #[error("the wallet is not initialised")]
    NoWallet,
    /// No mount of this id.
    #[error("no such mount")]
    NoMount,
    /// A mount stands there, above or below.
    #[error("the path is in use by another mount")]
    MountTaken,
    /// A secret was written to the mount while it was emptied.
    #[error("the mount holds secrets")]
    NotEmpty,
    /// The version that the write should follow is not the current one.
    #[error("check-and-set parameter did not match the current version")]
    CasMismatch,
    /// No token of this accessor stands.
    #[error("bad token")]
    NoToken,
    /// A token whose uses are counted makes no others.
    #[error("restricted use token cannot generate child tokens")]
    LimitedMaker,
    /// Only root makes root.
    #[error("root tokens may not be created without parent token being root")]
    RootToken,
    /// A root token that ends makes none that does not.
    #[error("expiring root tokens cannot create non-expiring root tokens")]
    ExpiringRoot,
    /// Nobody gives what they do not have.
    #[error("child policies must be subset of parent")]
    NotSubset,
    /// A token that is bound to networks makes none for others.
    #[error("child networks must be among those of the parent")]
    OtherNetworks,
    /// There are too many tokens above it.
    #[error("the tokens stand too deep")]
    TooDeep,
    /// The token does not last longer than it does.
    #[error("lease is not renewable")]
    NotRenewable,
    /// The wallet began with it.
    #[error("the wallet's own token cannot be revoked")]
    OwnToken,
    /// There is no role of this name to make a token by.
    #[error("unknown role")]
    NoRole,
    /// The role that made the token is gone.
    #[error("the role of the token could not be found, not renewing")]
    RoleGone,
    /// The role does not give what was asked for.
    #[error("token policies must be subset of the role's allowed policies")]
    NotOfRole,
    /// The role keeps back what was asked for.
    #[error("token policy is disallowed by this role")]
    BarredByRole,
    /// Only the wallet gives it.
    #[error("cannot assign policy \"response-wrapping\"")]
    WrappingGiven,
    /// Wrapping tokens may do always the same.
    #[error("cannot update \"response-wrapping\" policy")]
    WrappingPolicy,
    /// The same.
    #[error("cannot delete \"response-wrapping\" policy")]
    WrappingPolicyStays,
    /// A cubbyhole holds [`CUBBYHOLE_ENTRIES`] things.
    #[error("the cubbyhole of a token holds {CUBBYHOLE_ENTRIES} entries at most")]
    CubbyholeFull,
    /// It permits everything, and nothing else.
    #[error("cannot update \"root\" policy")]
    RootPolicy,
    /// It is not written anywhere.
    #[error("cannot delete \"root\" policy")]
    RootPolicyStays,
    /// Tokens have it by themselves.
    #[error("cannot delete default policy")]
    DefaultPolicy,
    /// The mount was moved after the path was looked up.
    #[error("the mount was moved meanwhile: repeat the request")]
    Moved,
    /// A policy was changed after the request was looked at, and wants to know what it says.
    #[error("a policy was changed meanwhile: repeat the request")]
    PolicyChanged,
    /// The record is not as it was when the change was worked out.
    #[error("the secret was changed meanwhile")]
    Changed,
    /// The record or policy only takes writes that say which version they follow.
    #[error("check-and-set parameter required for this call")]
    CasRequired,
    /// The metadata was not changed as often as the change says.
    #[error("metadata check-and-set parameter does not match the current version")]
    MetadataCasMismatch,
    /// There is no record: nothing of its metadata was ever changed.
    #[error("metadata_cas must be 0 when creating new metadata")]
    MetadataCasNew,
    /// The metadata only takes changes that say which one they follow.
    #[error("metadata check-and-set parameter required for this call")]
    MetadataCasRequired,
    /// The policy would have ended when it is written.
    #[error("refusing to update policy as expiration time has already elapsed")]
    PolicyOver,
    /// The command's id is no UUID of version 7, or too old or too new for the log.
    #[error("the command id is too old, too far ahead, or not a UUID of version 7")]
    CommandTime,
    /// Another command has this id.
    #[error("the command id was used for another command")]
    CommandReused,
    /// The command does not fit into one commit.
    #[error("the command needs a commit of {size} bytes; the limit is {limit} bytes")]
    TooLarge {
        /// How large the commit would be, in bytes.
        size: u64,
        /// How large it may be, in bytes.
        limit: u64,
    },
    /// Nobody erases more secrets at once.
    #[error("more than {limit} secrets are not erased at once")]
    TooMany {
        /// How many it may be.
        limit: u64,
    },
    /// What was to be erased is not there, or not any more.
    #[error("there is nothing to erase")]
    NothingThere,
    /// It would lose something that must be kept.
    #[error("a legal hold forbids it: hold {hold}, since {since}, placed by {}", by_whom(.by.as_ref()))]
    Held {
        /// The hold.
        hold: HoldId,
        /// When it was placed.
        since: Millis,
        /// The accessor of the token that it was placed with.
        by: Option<TokenId>,
    },
    /// No hold of this id, or not any more.
    #[error("no such hold")]
    NoHold,
    /// The wallet keeps [`HOLDS`] of them.
    #[error("there are {HOLDS} legal holds, and there can be no more")]
    TooManyHolds,
    /// No grant of this id, or not any more.
    #[error("no such grant")]
    NoGrant,
    /// The wallet keeps [`GRANTS`] of them.
    #[error("there are {GRANTS} auditor grants, and there can be no more")]
    TooManyGrants,
    /// An erasure or a hold has this id.
    #[error("the id is taken")]
    Taken,
    /// Nothing was asked for.
    #[error("a transaction needs at least one change")]
    Empty,
    /// New keys are wrapped under it.
    #[error("the current KEK version cannot be retired: rotate first")]
    KekCurrent,
    /// Keys are under it.
    #[error("KEK version {version} cannot be retired: {keys} keys are still under it")]
    KekInUse {
        /// The version.
        version: u32,
        /// How many keys.
        keys: u64,
    },
    /// Another node began the epoch that was to begin with it.
    #[error("another epoch began meanwhile: repeat the request")]
    EpochBegan,
    /// The record has had as many versions as can be counted.
    #[error("the secret has reached the last version number")]
    LastVersion,
}

fn by_whom(token: Option<&TokenId>) -> String {
    token.map_or_else(
        || "the wallet".to_owned(),
        |token| format!("the token of accessor {token}"),
    )
}

/// Why there is no decision.
#[derive(Debug, thiserror::Error)]
pub enum Error<E> {
    /// The command's fault.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No key is left to seal with: decide again when there are more.
    #[error("the key supply is empty")]
    OutOfKeys,
    /// Nobody's fault but ours: what was decided does not follow from the state.
    #[error("the decision contradicts the fold")]
    Broken(state::Broken),
    /// The source's fault.
    #[error("the state cannot be read")]
    Source(E),
}

impl<E> From<state::Error<E>> for Error<E> {
    fn from(error: state::Error<E>) -> Self {
        match error {
            state::Error::Broken(broken) => Self::Broken(broken),
            state::Error::Source(error) => Self::Source(error),
        }
    }
}
