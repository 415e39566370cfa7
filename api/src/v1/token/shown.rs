//! What is told about tokens.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{v1::shape::Time, wallet::TokenFacts};

/// The lease that is told for what does not end.
const NEVER: u64 = 0;

/// What a client is told of a token that it may use from now on.
#[derive(Serialize)]
pub(super) struct Auth<'a> {
    client_token: &'a str,
    accessor: String,
    policies: &'a [String],
    token_policies: &'a [String],
    metadata: Option<&'a BTreeMap<String, String>>,
    lease_duration: u64,
    renewable: bool,
    entity_id: &'static str,
    token_type: &'static str,
    orphan: bool,
    mfa_requirement: Option<()>,
    num_uses: i64,
}

impl<'a> Auth<'a> {
    pub(super) fn of(facts: &'a TokenFacts, client_token: &'a str) -> Self {
        let token = facts.token.as_ref();
        let meta = &facts.names.meta;
        Self {
            client_token,
            accessor: facts.accessor.to_string(),
            policies: &facts.policies,
            token_policies: &facts.policies,
            metadata: (!meta.is_empty()).then_some(meta),
            lease_duration: facts.left().map_or(NEVER, seconds),
            renewable: token.is_some_and(|token| token.renewable),
            entity_id: "",
            token_type: "service",
            orphan: facts.is_orphan,
            mfa_requirement: None,
            num_uses: uses(facts),
        }
    }
}

/// How many uses a token has left: 0 is no bound, and -1 is told to who spent the last one.
fn uses(facts: &TokenFacts) -> i64 {
    match facts.token.as_ref().and_then(|token| token.uses) {
        None => 0,
        Some(0) => -1,
        Some(left) => i64::from(left),
    }
}

/// Milliseconds as whole seconds, as they are told: what is left of one counts.
const fn seconds(millis: u64) -> u64 {
    millis.div_ceil(1000)
}

#[derive(Serialize)]
pub(super) struct Facts<'a> {
    accessor: String,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    bound_cidrs: &'a [String],
    creation_time: u64,
    creation_ttl: u64,
    display_name: &'a str,
    entity_id: &'static str,
    expire_time: Option<Time>,
    explicit_max_ttl: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issue_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_renewal: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_renewal_time: Option<u64>,
    meta: Option<&'a BTreeMap<String, String>>,
    num_uses: i64,
    orphan: bool,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<u64>,
    policies: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    renewable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    ttl: u64,
    r#type: &'static str,
}

impl<'a> Facts<'a> {
    pub(super) fn of(facts: &'a TokenFacts, id: Option<&'a str>) -> Self {
        let token = facts.token.as_ref();
        let meta = &facts.names.meta;
        let expires = token.and_then(|token| token.expires);
        let renewed = token.and_then(|token| token.renewed);
        Self {
            accessor: facts.accessor.to_string(),
            bound_cidrs: token.map_or(&[], |token| &token.cidrs),
            creation_time: facts.created.0 / 1000,
            creation_ttl: token.map_or(0, |token| seconds(token.ttl)),
            display_name: &facts.names.display,
            entity_id: "",
            expire_time: expires.map(|expires| Time(Some(expires))),
            explicit_max_ttl: token.map_or(0, |token| seconds(token.explicit_max_ttl)),
            id,
            issue_time: token.map(|_| Time(Some(facts.created))),
            last_renewal: renewed.map(|renewed| Time(Some(renewed))),
            last_renewal_time: renewed.map(|renewed| renewed.0 / 1000),
            meta: (!meta.is_empty()).then_some(meta),
            num_uses: uses(facts),
            orphan: facts.is_orphan,
            path: &facts.names.path,
            period: token
                .map(|token| token.period)
                .filter(|period| *period > 0)
                .map(seconds),
            policies: &facts.policies,
            renewable: token.map(|token| token.renewable),
            role: token.and_then(|token| token.role.as_deref()),
            ttl: facts.left().map_or(0, seconds),
            r#type: "service",
        }
    }
}
