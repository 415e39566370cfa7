//! `auth/token/*`: the token store.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use billfold_core::{
    access::Need, command::TokenWish, event::v1::Operation as Asked, names::TokenNames,
    policy::Operation,
};
use serde::Serialize;

use super::{
    failure,
    kv::input,
    shape::{Envelope, Time},
};
use crate::{
    http::{
        Call, Failure, Outcome,
        endpoints::{Endpoint, Verb},
        json::Object,
        reply::Reply,
    },
    wallet::{TokenFacts, Which},
};

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
    num_uses: u32,
}

impl<'a> Auth<'a> {
    fn of(facts: &'a TokenFacts, client_token: &'a str) -> Self {
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
            orphan: token.is_none_or(|token| token.parent.is_none()),
            mfa_requirement: None,
            num_uses: token.and_then(|token| token.uses).unwrap_or(0),
        }
    }
}

/// Milliseconds as whole seconds, as they are told: what is left of one counts.
const fn seconds(millis: u64) -> u64 {
    millis.div_ceil(1000)
}

#[derive(Serialize)]
struct Facts<'a> {
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
    num_uses: u32,
    orphan: bool,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<u64>,
    policies: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    renewable: Option<bool>,
    ttl: u64,
    r#type: &'static str,
}

impl<'a> Facts<'a> {
    fn of(facts: &'a TokenFacts, id: Option<&'a str>) -> Self {
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
            num_uses: token.and_then(|token| token.uses).unwrap_or(0),
            orphan: token.is_none_or(|token| token.parent.is_none()),
            path: &facts.names.path,
            period: token
                .map(|token| token.period)
                .filter(|period| *period > 0)
                .map(seconds),
            policies: &facts.policies,
            renewable: token.map(|token| token.renewable),
            ttl: facts.left().map_or(0, seconds),
            r#type: "service",
        }
    }
}

pub(super) async fn create(call: &Call) -> Outcome {
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    let is_orphan = call.endpoint == Endpoint::TokenCreateOrphan;
    let (names, wish) = wished(&body, is_orphan)?;
    let names = TokenNames {
        path: call.path.clone(),
        ..names
    };
    let made = call
        .wallet
        .create_token(&call.caller, &call.path, names, wish)
        .await;
    let made = made.map_err(|error| failure(&error))?;
    let auth = Auth::of(&made.value.facts, &made.value.secret);
    Ok(granted(call, auth).at(made.seq))
}

fn granted(call: &Call, auth: Auth<'_>) -> Reply {
    let envelope = Envelope::of(call.caller.request, None::<()>).auth(auth);
    Reply::json(StatusCode::OK, &envelope)
}

/// What a body wishes for.
fn wished(body: &Object<'_>, is_orphan: bool) -> Result<(TokenNames, TokenWish), Failure> {
    for name in ["id", "entity_alias"] {
        if !matches!(body.get(name), None | Some("null" | "\"\"")) {
            return Err(Failure::bad(format!("{name} is not supported")));
        }
    }
    match text(body, "type")?.as_deref() {
        None | Some("" | "service" | "default-service" | "default") => {}
        Some("batch") => return Err(Failure::bad("batch tokens are not supported")),
        Some(_) => return Err(Failure::bad("invalid 'type' value")),
    }
    let display = match text(body, "display_name")? {
        Some(name) if !name.is_empty() => format!("token-{}", plain(&name)),
        _ => "token".to_owned(),
    };
    let millis = |name: &str| match body.get(name) {
        None => Ok(0),
        Some(text) => input::span(text).ok_or_else(|| input::invalid(name)),
    };
    let lease = millis("lease")?;
    let ttl = match millis("ttl")? {
        0 => lease,
        ttl => ttl,
    };
    let truth = |name: &str, usual: bool| match body.get(name) {
        None => Ok(usual),
        Some(text) => input::truth(text).ok_or_else(|| input::invalid(name)),
    };
    let uses = body
        .read::<i64>("num_uses")
        .map_err(|()| input::invalid("num_uses"))?
        .unwrap_or(0);
    let meta = body.read::<BTreeMap<String, String>>("meta");
    let names = TokenNames {
        display,
        meta: meta
            .map_err(|()| input::invalid("meta"))?
            .unwrap_or_default(),
        ..TokenNames::default()
    };
    let wish = TokenWish {
        policies: list(body, "policies")?.filter(|policies| !policies.is_empty()),
        no_default: truth("no_default_policy", false)?,
        orphan: is_orphan || truth("no_parent", false)?,
        may_orphan: is_orphan,
        ttl,
        explicit_max_ttl: millis("explicit_max_ttl")?,
        period: millis("period")?,
        renewable: truth("renewable", true)?,
        uses: u32::try_from(uses).map_err(|_| Failure::bad("'num_uses' cannot be negative"))?,
        cidrs: cidrs(body)?,
    };
    Ok((names, wish))
}

/// A display name as Vault writes it: other characters than these are hyphens.
fn plain(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let text: String = name.chars().map(plain).collect();
    text.trim_end_matches('-').to_owned()
}

fn cidrs(body: &Object<'_>) -> Result<Vec<String>, Failure> {
    let asked = list(body, "bound_cidrs")?.unwrap_or_default();
    let network = |text: String| {
        let network = text.parse::<ipnet::IpNet>();
        let one = || text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from);
        network
            .or_else(|_| one())
            .map(|network| network.to_string())
    };
    let read: Result<Vec<_>, _> = asked.into_iter().map(network).collect();
    read.map_err(|_| input::invalid("bound_cidrs"))
}

fn text(body: &Object<'_>, name: &str) -> Result<Option<String>, Failure> {
    body.read::<String>(name).map_err(|()| input::invalid(name))
}

/// A list of names, which have no capital letters.
fn list(body: &Object<'_>, name: &str) -> Result<Option<Vec<String>>, Failure> {
    let names = listed(body, name)?;
    Ok(names.map(|names| names.iter().map(|name| name.to_lowercase()).collect()))
}

/// A list of texts, or one text with commas.
pub(super) fn listed(body: &Object<'_>, name: &str) -> Result<Option<Vec<String>>, Failure> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Listed {
        List(Vec<String>),
        Text(String),
    }
    let listed = body
        .read::<Listed>(name)
        .map_err(|()| input::invalid(name))?;
    let names = match listed {
        None => return Ok(None),
        Some(Listed::List(list)) => list,
        Some(Listed::Text(text)) => text.split(',').map(str::to_owned).collect(),
    };
    let names = names.iter().map(|name| name.trim().to_owned());
    Ok(Some(names.filter(|name| !name.is_empty()).collect()))
}

/// Which token a body or path means.
fn which<'a>(call: &'a Call, body: &'a Named) -> Result<Which<'a>, Failure> {
    match call.endpoint {
        Endpoint::LookupSelf | Endpoint::TokenRenewSelf | Endpoint::TokenRevokeSelf => {
            Ok(Which::Own)
        }
        Endpoint::TokenLookupAccessor
        | Endpoint::TokenRenewAccessor
        | Endpoint::TokenRevokeAccessor => {
            let accessor = body.accessor.as_deref().unwrap_or_default();
            if accessor.is_empty() {
                return Err(Failure::bad("missing accessor"));
            }
            let id = accessor.parse().map_err(|_| bad_accessor())?;
            Ok(Which::Accessor(id))
        }
        _ => match body.token.as_deref().filter(|token| !token.is_empty()) {
            Some(token) => Ok(Which::Secret(token.as_bytes())),
            None => Ok(Which::Own),
        },
    }
}

fn bad_accessor() -> Failure {
    Failure::new(StatusCode::FORBIDDEN, "invalid accessor")
}

/// What a body names.
struct Named {
    token: Option<zeroize::Zeroizing<String>>,
    accessor: Option<String>,
    increment: u64,
}

fn named(call: &Call) -> Result<Named, Failure> {
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    Ok(Named {
        token: text(&body, "token")?.map(zeroize::Zeroizing::new),
        accessor: text(&body, "accessor")?,
        increment: match body.get("increment") {
            None => 0,
            Some(text) => input::span(text).ok_or_else(|| input::invalid("increment"))?,
        },
    })
}

pub(super) async fn look_up(call: &Call) -> Outcome {
    let body = named(call)?;
    let operation = match call.verb {
        Verb::Get => Asked::ReadSystem,
        _ => Asked::AskSystem,
    };
    let meant = which(call, &body)?;
    let found = call
        .wallet
        .look_up_token(&call.caller, &call.path, operation, meant)
        .await;
    let found = found.map_err(|error| failure(&error))?;
    // Who shows a token, or asks about its own, is told it again.
    let shown = match meant {
        Which::Accessor(_) => Some(""),
        Which::Secret(_) => body.token.as_deref().map(String::as_str),
        Which::Own => call.token.as_deref().map(String::as_str),
    };
    let facts = Facts::of(&found.value, shown);
    Ok(Reply::json(StatusCode::OK, &Envelope::of(call.caller.request, facts)).at(found.seq))
}

pub(super) async fn renew(call: &Call) -> Outcome {
    let body = named(call)?;
    let meant = which(call, &body)?;
    let renewed = call
        .wallet
        .renew_token(&call.caller, &call.path, meant, body.increment)
        .await;
    let renewed = renewed.map_err(|error| failure(&error))?;
    let shown = match meant {
        Which::Accessor(_) => "",
        Which::Secret(_) => body.token.as_deref().map_or("", String::as_str),
        Which::Own => call.token.as_deref().map_or("", String::as_str),
    };
    let auth = Auth::of(&renewed.value, shown);
    Ok(granted(call, auth).at(renewed.seq))
}

pub(super) async fn revoke(call: &Call) -> Outcome {
    let body = named(call)?;
    let meant = which(call, &body)?;
    let leaves_orphans = call.endpoint == Endpoint::TokenRevokeOrphan;
    let need = Need {
        sudo: leaves_orphans,
        ..Need::to(Operation::Update, call.path.as_str())
    };
    let revoked = call
        .wallet
        .revoke_token(&call.caller, need, meant, leaves_orphans)
        .await;
    match revoked {
        Ok(revoked) => Ok(Reply::empty(StatusCode::NO_CONTENT).at(revoked.seq)),
        // What is not there any more needs no revoking.
        Err(crate::wallet::Error::NoToken) if matches!(meant, Which::Secret(_)) => {
            Ok(Reply::empty(StatusCode::NO_CONTENT))
        }
        Err(error) => Err(failure(&error)),
    }
}

#[derive(Serialize)]
struct Keys<'a> {
    keys: &'a [String],
}

pub(super) async fn accessors(call: &Call) -> Outcome {
    let path = format!("{}/", call.path.trim_end_matches('/'));
    let found = call.wallet.accessors(&call.caller, &path).await;
    let found = found.map_err(|error| failure(&error))?;
    let keys = Keys { keys: &found.value };
    Ok(Reply::json(StatusCode::OK, &Envelope::of(call.caller.request, keys)).at(found.seq))
}
