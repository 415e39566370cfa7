//! Tokens, as the state has them.

use crate::{
    Millis,
    cbor::as_array,
    event::SealedRef,
    id::{PrincipalId, TokenId},
    policy::WRAPPING,
};

/// A token, without what opens it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// Who acts by it.
    pub principal: PrincipalId,
    /// The token that it was made with; none for an orphan.
    pub parent: Option<TokenId>,
    /// The names of its policies, in order.
    pub policies: Vec<String>,
    /// When it was made.
    pub created: Millis,
    /// When it was last renewed.
    pub renewed: Option<Millis>,
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
    /// How many uses are left; none when they are not counted.
    pub uses: Option<u32>,
    /// The networks that it can be used from, as CIDR; empty is everywhere.
    pub cidrs: Vec<String>,
    /// The role that it was made by.
    pub role: Option<String>,
    /// Its MAC.
    pub mac: SealedRef,
    /// What it is called.
    pub names: SealedRef,
    /// Whether it is gone, and those that were made with it stand by themselves.
    pub leaves_orphans: bool,
}

as_array!(Token {
    principal,
    parent,
    policies,
    created,
    renewed,
    ttl,
    expires,
    explicit_max_ttl,
    period,
    renewable,
    uses,
    cidrs,
    role,
    mac,
    names,
    leaves_orphans
});

impl Token {
    /// Whether it has ended by itself at this time, or is gone. The last of counted uses may still
    /// be at work.
    #[must_use]
    pub fn has_ended(&self, time: Millis) -> bool {
        self.leaves_orphans || self.expires.is_some_and(|expires| expires <= time)
    }

    /// For how long it was made, or renewed the last time, in milliseconds; 0 for one that does not
    /// end by itself.
    #[must_use]
    pub fn lease(&self) -> u64 {
        let since = self.renewed.unwrap_or(self.created);
        self.expires
            .map_or(0, |expires| expires.0.saturating_sub(since.0))
    }

    /// Whether it holds a wrapped answer, and nothing else can be done with it.
    #[must_use]
    pub fn wraps(&self) -> bool {
        self.policies == [WRAPPING]
    }
}
