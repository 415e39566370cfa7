//! Tokens and policies: who may do what.

use crate::{
    Millis,
    cbor::as_array,
    event::SealedRef,
    id::{PrincipalId, TokenId},
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
    /// For how long it was made or is renewed when nothing else is asked for, in milliseconds; 0
    /// for one that does not end by itself.
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
    /// The keys of its MAC and of its names.
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
}

as_array!(TokensEnded {
    tokens,
    leaves_orphans
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
}

as_array!(PolicyWritten { name, text, policy });

/// A policy is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyDeleted {
    /// Its name.
    pub name: String,
}

as_array!(PolicyDeleted { name });
