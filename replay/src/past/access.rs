//! Who could do what, as it was: policies, tokens and roles.

use std::collections::BTreeMap;

use billfold_core::{
    Millis, access, cbor,
    id::TokenId,
    keys::Content,
    names::{TokenNames, token_names_place},
    policy::{ROOT, WRAPPING},
    state::{Key, Token, Value, Wallet},
    told,
};
use serde::Serialize;

use super::Row;
use crate::{Error, Walk};

/// A policy, with the fields of `sys/policies/acl/NAME`.
#[derive(Serialize)]
struct Policy<'a> {
    name: &'a str,
    policy: &'a str,
    version: u32,
    modified: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<String>,
    cas_required: bool,
}

/// The policies that had not ended. That of root is written nowhere; nobody has to do with that of
/// wrapping tokens.
pub(super) fn policies(walk: &Walk, time: Millis) -> Result<Vec<Row>, Error> {
    let policies = walk.state().policies()?;
    let standing = policies
        .iter()
        .filter(|(name, policy)| *name != WRAPPING && !policy.has_ended(time));
    let rows = standing.map(|(name, policy)| {
        let told = Policy {
            name,
            policy: &policy.text,
            version: policy.version,
            modified: told::time(policy.modified),
            expiration: policy.expires.map(told::time),
            cas_required: policy.cas_required,
        };
        Row::new(name, name, &told)
    });
    rows.collect()
}

/// A token, with the fields that looking it up has, but for what is left of its life.
#[derive(Serialize)]
struct TokenThen<'a> {
    accessor: String,
    principal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    /// What it was called is erased.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    names_erased: bool,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    bound_cidrs: &'a [String],
    creation_time: u64,
    creation_ttl: u64,
    display_name: Option<String>,
    expire_time: Option<String>,
    explicit_max_ttl: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_renewal: Option<String>,
    meta: Option<BTreeMap<String, String>>,
    num_uses: u32,
    orphan: bool,
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<u64>,
    policies: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    renewable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// The tokens that stood, that of root among them.
pub(super) async fn tokens(walk: &Walk, wallet: &Wallet, time: Millis) -> Result<Vec<Row>, Error> {
    let mut rows = vec![root(wallet)?];
    let mut all: Vec<TokenId> = Vec::new();
    for token in walk.view().tokens() {
        all.push(token?.0);
    }
    for id in all {
        let standing = access::standing(walk.state(), &id, time)?;
        // One whose last use was spent is nobody's any more.
        if let Some(token) = standing.filter(|token| token.uses != Some(0)) {
            let names = names(walk, id, &token).await?;
            rows.push(row(walk, id, &token, names)?);
        }
    }
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(rows)
}

async fn names(walk: &Walk, id: TokenId, token: &Token) -> Result<Option<TokenNames>, Error> {
    let custody = walk.custody();
    let Some(dek) = custody.dek(token.names.key).await? else {
        return Ok(None);
    };
    let place = token_names_place(custody.wallet(), id);
    let sealed = walk.view().token_names(&id)?;
    let plain = sealed.and_then(|sealed| dek.open(Content::Names, &place, &sealed).ok());
    Ok(plain.and_then(|plain| cbor::decode(plain.expose()).ok()))
}

fn row(walk: &Walk, id: TokenId, token: &Token, names: Option<TokenNames>) -> Result<Row, Error> {
    let orphan = match &token.parent {
        None => true,
        Some(parent) => {
            let parent = walk.state().token(parent)?;
            parent.is_some_and(|parent| parent.leaves_orphans)
        }
    };
    let granted = walk.granted();
    let names_erased = names.is_none() && granted.is_none();
    let (display_name, path, meta) = names
        .map(|names| (names.display, names.path, names.meta))
        .map_or((None, None, None), |(display, path, meta)| {
            (Some(display), Some(path), Some(meta))
        });
    let granted = granted.and_then(|granted| granted.token(id).cloned());
    let display_name = display_name.or(granted);
    let told = TokenThen {
        accessor: id.to_string(),
        principal: token.principal.to_string(),
        parent: token.parent.map(|parent| parent.to_string()),
        names_erased,
        bound_cidrs: &token.cidrs,
        creation_time: token.created.0 / 1000,
        creation_ttl: seconds(token.ttl),
        display_name,
        expire_time: token.expires.map(told::time),
        explicit_max_ttl: seconds(token.explicit_max_ttl),
        last_renewal: token.renewed.map(told::time),
        meta: meta.filter(|meta| !meta.is_empty()),
        num_uses: token.uses.unwrap_or(0),
        orphan,
        path,
        period: (token.period > 0).then(|| seconds(token.period)),
        policies: &token.policies,
        renewable: Some(token.renewable),
        role: token.role.as_deref(),
        kind: "service",
    };
    Row::new(id.to_string(), id.to_string(), &told)
}

fn root(wallet: &Wallet) -> Result<Row, Error> {
    let id = wallet.root_token.to_string();
    let told = TokenThen {
        accessor: id.clone(),
        principal: wallet.root.to_string(),
        parent: None,
        names_erased: false,
        bound_cidrs: &[],
        creation_time: wallet.created.0 / 1000,
        creation_ttl: 0,
        display_name: Some(ROOT.to_owned()),
        expire_time: None,
        explicit_max_ttl: 0,
        last_renewal: None,
        meta: None,
        num_uses: 0,
        orphan: true,
        path: Some("auth/token/root".to_owned()),
        period: None,
        policies: &[ROOT.to_owned()],
        renewable: None,
        role: None,
        kind: "service",
    };
    Row::new(&id, &id, &told)
}

const fn seconds(millis: u64) -> u64 {
    millis.div_ceil(1000)
}

/// A role, with the fields of `auth/token/roles/NAME`, but for those that say the same once more.
#[derive(Serialize)]
struct Role<'a> {
    name: &'a str,
    allowed_policies: &'a [String],
    allowed_policies_glob: &'a [String],
    disallowed_policies: &'a [String],
    disallowed_policies_glob: &'a [String],
    explicit_max_ttl: u64,
    orphan: bool,
    path_suffix: &'a str,
    period: u64,
    renewable: bool,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    token_bound_cidrs: &'a [String],
    token_no_default_policy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_num_uses: Option<u32>,
    token_type: &'static str,
}

/// The roles of the token store.
pub(super) fn roles(walk: &Walk) -> Result<Vec<Row>, Error> {
    let Some(Value::TokenRoles(roles)) = walk.state().get(&Key::TokenRoles)? else {
        return Ok(Vec::new());
    };
    let rows = roles.iter().map(|(name, role)| {
        let told = Role {
            name,
            allowed_policies: &role.allowed,
            allowed_policies_glob: &role.allowed_globs,
            disallowed_policies: &role.disallowed,
            disallowed_policies_glob: &role.disallowed_globs,
            explicit_max_ttl: role.explicit_max_ttl / 1000,
            orphan: role.orphan,
            path_suffix: &role.path_suffix,
            period: role.period / 1000,
            renewable: role.renewable,
            token_bound_cidrs: &role.cidrs,
            token_no_default_policy: role.no_default,
            token_num_uses: (role.uses > 0).then_some(role.uses),
            token_type: match role.always_service {
                true => "service",
                false => "default-service",
            },
        };
        Row::new(name, name, &told)
    });
    rows.collect()
}
