//! Tokens and policies: who may do what.

use crate::{
    Millis,
    cbor::as_array,
    event::SealedRef,
    id::{PrincipalId, RecordId, RequestId, TokenId},
    keys::page::KeyRef,
    policy::Policy,
};

/// A token was made. Its MAC is the event's payload, sealed for [`crate::names::token_mac_place`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenCreated {
    /// Its accessor.
    pub token: TokenId,
    /// Who acts by it.
    pub principal: PrincipalId,
    /// The token that it was made with, and ends with; none for an orphan.
    pub parent: Option<TokenId>,
    /// The names of its policies, in order.
    pub policies: Vec<String>,
    /// For how long it was made, in milliseconds; 0 for one that does not end by itself.
    pub ttl: u64,
    /// When it ends by itself.
    pub expires: Option<Millis>,
    /// How long it can be renewed at most, in milliseconds from its creation; 0 is the wallet's own
    /// bound.
    pub explicit_max_ttl: u64,
    /// How long each renewal makes it last, in milliseconds; 0 when it is not periodic.
    pub period: u64,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// How often it can be used; 0 is no bound.
    pub uses: u32,
    /// The networks that it can be used from, as CIDR; empty is everywhere.
    pub cidrs: Vec<String>,
    /// The role that it was made by.
    pub role: Option<String>,
    /// The request whose answer it wraps.
    pub wraps: Option<RequestId>,
    /// Its MAC.
    pub mac: SealedRef,
    /// What it is called ([`crate::names::TokenNames`]).
    pub names: SealedRef,
}

as_array!(TokenCreated {
    token,
    principal,
    parent,
    policies,
    ttl,
    expires,
    explicit_max_ttl,
    period,
    renewable,
    uses,
    cidrs,
    role,
    wraps,
    mac,
    names
});

/// A token lasts longer, or shorter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenRenewed {
    /// The token.
    pub token: TokenId,
    /// When it ends by itself from now on.
    pub expires: Millis,
}

as_array!(TokenRenewed { token, expires });

/// One of a token's counted uses was spent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenUsed {
    /// The token.
    pub token: TokenId,
}

as_array!(TokenUsed { token });

/// A token that has come to its end, and its keys, which are to be destroyed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndedToken {
    /// The token.
    pub token: TokenId,
    /// The keys of its MAC, of its names, and of all in its cubbyhole.
    pub keys: Vec<KeyRef>,
}

as_array!(EndedToken { token, keys });

/// Tokens were revoked, or cleared away after they had ended by themselves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokensEnded {
    /// The tokens.
    pub tokens: Vec<EndedToken>,
    /// Whether the tokens that were made with them stand by themselves from now on. Otherwise they
    /// have ended, too.
    pub leaves_orphans: bool,
    /// The request that was told what was wrapped in it.
    pub unwrapped: Option<RequestId>,
}

as_array!(TokensEnded {
    tokens,
    leaves_orphans,
    unwrapped
});

/// A policy was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyWritten {
    /// Its name.
    pub name: String,
    /// Its text, as it was sent.
    pub text: String,
    /// What the text says.
    pub policy: Policy,
    /// When it ends by itself.
    pub expires: Option<Millis>,
    /// Whether the next write must say which version it follows.
    pub cas_required: bool,
}

as_array!(PolicyWritten {
    name,
    text,
    policy,
    expires,
    cas_required
});

/// A policy is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyDeleted {
    /// Its name.
    pub name: String,
}

as_array!(PolicyDeleted { name });

/// A token put something into its own cubbyhole: the event's payload, sealed for
/// [`crate::names::cubbyhole_place`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CubbyholeWritten {
    /// The token.
    pub token: TokenId,
    /// The blinded path.
    pub entry: RecordId,
    /// What was put there.
    pub payload: SealedRef,
    /// The path ([`crate::names::CubbyholeNames`]); only where nothing was before.
    pub names: Option<SealedRef>,
    /// The key of what was there before.
    pub retired: Option<KeyRef>,
}

as_array!(CubbyholeWritten {
    token,
    entry,
    payload,
    names,
    retired
});

/// A token removed something from its own cubbyhole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CubbyholeDeleted {
    /// The token.
    pub token: TokenId,
    /// The blinded path.
    pub entry: RecordId,
    /// The keys of what was there, and of its path.
    pub keys: Vec<KeyRef>,
}

as_array!(CubbyholeDeleted { token, entry, keys });

/// What tokens made by a role are like, and which policies they may have.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TokenRole {
    /// Policies that may be asked for, and are given when none are.
    pub allowed: Vec<String>,
    /// The same, with stars that stand for any text; they are never given unasked.
    pub allowed_globs: Vec<String>,
    /// Policies that are never given.
    pub disallowed: Vec<String>,
    /// The same, with stars.
    pub disallowed_globs: Vec<String>,
    /// Whether its tokens do not end with the token that they are made with.
    pub orphan: bool,
    /// Whether its tokens can be renewed.
    pub renewable: bool,
    /// What the path that made a token ends in, to tell tokens of one role apart; may be empty.
    pub path_suffix: String,
    /// How long its tokens can be renewed at most, in milliseconds from their creation; 0 is the
    /// wallet's own bound.
    pub explicit_max_ttl: u64,
    /// How long each renewal makes its tokens last, in milliseconds; 0 when they are not periodic.
    pub period: u64,
    /// How often its tokens can be used; 0 is no bound.
    pub uses: u32,
    /// The networks that its tokens can be used from, as CIDR; empty is everywhere.
    pub cidrs: Vec<String>,
    /// Whether its tokens go without the default policy.
    pub no_default: bool,
    /// Whether its tokens are service tokens whatever is asked for; otherwise they are when nothing
    /// else is.
    pub always_service: bool,
}

as_array!(TokenRole {
    allowed,
    allowed_globs,
    disallowed,
    disallowed_globs,
    orphan,
    renewable,
    path_suffix,
    explicit_max_ttl,
    period,
    uses,
    cidrs,
    no_default,
    always_service
});

/// A role of the token store was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenRoleWritten {
    /// Its name.
    pub name: String,
    /// What it says from now on.
    pub role: TokenRole,
}

as_array!(TokenRoleWritten { name, role });

/// A role of the token store is gone. Tokens that it made are not renewed any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenRoleDeleted {
    /// Its name.
    pub name: String,
}

as_array!(TokenRoleDeleted { name });
