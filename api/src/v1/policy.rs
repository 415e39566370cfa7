//! `sys/policies/acl`, `sys/policy` and `sys/capabilities`.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use billfold_core::{Millis, event::v1::Operation as Asked, policy::Operation};
use serde::{Deserialize, Serialize};

use super::{
    failure,
    kv::input,
    shape::{Envelope, Time},
    token::listed,
};
use crate::{
    http::{
        Call, Failure, Outcome,
        endpoints::{Endpoint, Verb},
        json::Object,
        reply::Reply,
    },
    wallet::{End, Error, PolicyTerms, Which},
};

#[derive(Serialize)]
struct Names<'a> {
    keys: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    policies: Option<&'a [String]>,
}

/// The last moment that RFC 3339 can tell: the end of the year 9999.
const LATEST: Millis = Millis(253_402_300_799_999);
/// The longest span that Go can hold, in milliseconds: 292 years.
const LONGEST_TTL: u64 = 9_223_372_036_854;
/// How many paths can be asked for at once.
const MOST_PATHS: usize = 256;

/// The older endpoint tells everything twice: above, and as its data.
#[derive(Serialize)]
struct Twice<'a, T> {
    #[serde(flatten)]
    above: &'a T,
    #[serde(flatten)]
    envelope: Envelope<&'a T>,
}

pub(super) async fn names(call: &Call) -> Outcome {
    let operation = match call.verb {
        Verb::Get => Asked::ReadSystem,
        _ => Asked::ListSystem,
    };
    let found = call
        .wallet
        .policies(&call.caller, &call.path, operation)
        .await;
    let found = found.map_err(|error| failure(&error))?;
    let is_older = call.endpoint == Endpoint::OldPolicies;
    let names = Names {
        keys: &found.value,
        policies: is_older.then_some(&found.value),
    };
    let envelope = Envelope::of(call.caller.request, &names);
    let reply = match is_older {
        true => Reply::json(
            StatusCode::OK,
            &Twice {
                above: &names,
                envelope,
            },
        ),
        false => Reply::json(StatusCode::OK, &envelope),
    };
    Ok(reply.at(found.seq))
}

#[derive(Serialize)]
struct Text<'a> {
    // What texts may say of identities: there are none.
    allow_slashes_in_identity_templates: bool,
    allow_wildcards_in_identity_templates: bool,
    cas_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified: Option<Time>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<&'a str>,
    version: u32,
}

pub(super) async fn read(call: &Call) -> Outcome {
    let (name, path) = name(call)?;
    let found = call.wallet.policy(&call.caller, &path, &name).await;
    let found = found.map_err(|error| failure(&error))?;
    let is_older = call.endpoint == Endpoint::OldReadPolicy;
    let text = Text {
        allow_slashes_in_identity_templates: false,
        allow_wildcards_in_identity_templates: false,
        cas_required: found.value.cas_required,
        expiration: found.value.expires.map(|time| Time(Some(time))),
        modified: found.value.modified.map(|time| Time(Some(time))),
        name: &name,
        policy: (!is_older).then_some(&found.value.text),
        rules: is_older.then_some(&found.value.text),
        version: found.value.version,
    };
    let envelope = Envelope::of(call.caller.request, &text);
    let reply = match is_older {
        true => Reply::json(
            StatusCode::OK,
            &Twice {
                above: &text,
                envelope,
            },
        ),
        false => Reply::json(StatusCode::OK, &envelope),
    };
    Ok(reply.at(found.seq))
}

/// Writes a policy, or changes one that is there.
pub(super) async fn write(call: &Call) -> Outcome {
    let is_patch = call.verb == Verb::Patch;
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    let text = |name: &str| body.read::<String>(name).map_err(|()| input::invalid(name));
    let empty = || Failure::bad("'policy' parameter not supplied or empty");
    let rules = text("rules")?.filter(|text| !text.is_empty());
    let (sent, is_older) = match text("policy")?.filter(|text| !text.is_empty()) {
        Some(text) => (Some(text), false),
        None => (rules, true),
    };
    let is_older = is_older && sent.is_some();
    // Some clients send it encoded.
    let decode = |sent: String| {
        let decoded = STANDARD.decode(&sent).ok();
        decoded
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .unwrap_or(sent)
    };
    let sent = sent.map(decode);
    let (name, path) = name(call)?;
    let (caller, wallet) = (&call.caller, &call.wallet);
    let written = if is_patch {
        call.allowed(Operation::Patch).await?;
        if body.get("policy").is_some() && sent.is_none() {
            return Err(empty());
        }
        let terms = terms(&body)?;
        wallet.patch_policy(caller, &path, name, sent, terms).await
    } else {
        let text = sent.ok_or_else(empty)?;
        let terms = terms(&body)?;
        wallet.write_policy(caller, &path, name, text, terms).await
    };
    let written = written.map_err(|error| failure(&error))?;
    let reply = match is_patch || is_older {
        true => {
            let warning = "'rules' is deprecated, please use 'policy' instead";
            let envelope = Envelope::of(caller.request, None::<()>)
                .warning(is_older.then(|| vec![warning.to_owned()]));
            Reply::json(StatusCode::OK, &envelope)
        }
        false => Reply::empty(StatusCode::NO_CONTENT),
    };
    Ok(reply.at(written.seq))
}

/// What a body says of a policy beside its text. What is null is not said, but for a truth value.
fn terms(body: &Object<'_>) -> Result<PolicyTerms, Failure> {
    let at = said(body, "expiration", moment)?.map(End::At);
    let after = said(body, "ttl", |text| {
        input::span(text).filter(|millis| *millis <= LONGEST_TTL)
    })?;
    if at.is_some() && after.is_some() {
        return Err(Failure::bad(
            "cannot supply both 'expiration' and 'ttl' for policies",
        ));
    }
    Ok(PolicyTerms {
        cas: input::count(body, "cas")?,
        cas_required: input::switch(body, "cas_required")?,
        end: at.or(after.map(End::After)),
    })
}

fn said<T>(
    body: &Object<'_>,
    name: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Failure> {
    let text = body.get(name).filter(|text| *text != "null");
    text.map(|text| read(text).ok_or_else(|| input::invalid(name)))
        .transpose()
}

/// A time: RFC 3339, or seconds since 1970. One before that has long passed.
fn moment(text: &str) -> Option<Millis> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Moment {
        Seconds(i64),
        Text(String),
    }
    let seconds = match serde_json::from_str(text).ok()? {
        Moment::Seconds(seconds) => seconds,
        Moment::Text(text) => match text.parse() {
            Ok(seconds) => seconds,
            Err(_) => return Millis::parse(&text),
        },
    };
    let millis = u64::try_from(seconds.max(0)).ok()?.checked_mul(1000)?;
    (millis <= LATEST.0).then_some(Millis(millis))
}

pub(super) async fn delete(call: &Call) -> Outcome {
    let (name, path) = name(call)?;
    let deleted = call.wallet.delete_policy(&call.caller, &path, name).await;
    let deleted = deleted.map_err(|error| failure(&error))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT).at(deleted.seq))
}

/// The name of a policy and the path that policies speak of. Names have no capital letters, and
/// bounds.
fn name(call: &Call) -> Result<(String, String), Failure> {
    const LONGEST: usize = 512;
    let name = call.rest.to_lowercase();
    if name.is_empty() || name.len() > LONGEST || name.ends_with('/') {
        return Err(Failure::bad("a policy needs a name of 1 to 512 bytes"));
    }
    let above = call.path.strip_suffix(call.rest.as_str());
    let path = format!("{}{name}", above.unwrap_or_default());
    Ok((name, path))
}

#[derive(Serialize)]
struct Granted<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    capabilities: Option<&'a [&'static str]>,
    #[serde(flatten)]
    by_path: BTreeMap<&'a str, &'a [&'static str]>,
}

pub(super) async fn capabilities(call: &Call) -> Outcome {
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    let text = |name: &str| body.read::<String>(name).map_err(|()| input::invalid(name));
    let paths = match listed(&body, "paths")? {
        Some(paths) => paths,
        None => listed(&body, "path")?.unwrap_or_default(),
    };
    if paths.len() > MOST_PATHS {
        return Err(Failure::bad("at most 256 paths can be asked for"));
    }
    if paths.is_empty() {
        let names_nothing = |name: &&str| {
            let list = body.read::<Vec<String>>(name);
            list.is_ok_and(|list| list.is_some_and(|list| !list.is_empty()))
        };
        return Err(match ["paths", "path"].iter().any(names_nothing) {
            true => one_error("missing path"),
            false => Failure::bad("paths must be supplied"),
        });
    }
    let token = text("token")?.map(zeroize::Zeroizing::new);
    let accessor = text("accessor")?;
    let meant = match call.endpoint {
        Endpoint::CapabilitiesSelf => Which::Own,
        Endpoint::CapabilitiesAccessor => {
            let accessor = accessor.as_deref().filter(|text| !text.is_empty());
            let id = accessor.ok_or_else(|| Failure::bad("missing accessor"))?;
            Which::Accessor(id.parse().map_err(|_| one_error("invalid accessor"))?)
        }
        _ => {
            let token = token.as_deref().filter(|token| !token.is_empty());
            Which::Secret(
                token
                    .ok_or_else(|| Failure::bad("missing token"))?
                    .as_bytes(),
            )
        }
    };
    let granted = call
        .wallet
        .capabilities(&call.caller, &call.path, meant, &paths)
        .await;
    let granted = granted.map_err(|error| match error {
        // The caller's own token is good: what is wrong is the one that they ask about.
        Error::NoToken if call.endpoint == Endpoint::Capabilities => one_error("invalid token"),
        Error::NoToken if call.endpoint == Endpoint::CapabilitiesAccessor => {
            one_error("invalid accessor")
        }
        error => failure(&error),
    })?;
    let by_path: BTreeMap<&str, &[&'static str]> = paths
        .iter()
        .map(String::as_str)
        .zip(granted.value.iter().map(Vec::as_slice))
        .collect();
    let told = Granted {
        capabilities: match granted.value.as_slice() {
            [only] => Some(only),
            _ => None,
        },
        by_path,
    };
    let twice = Twice {
        above: &told,
        envelope: Envelope::of(call.caller.request, &told),
    };
    Ok(Reply::json(StatusCode::OK, &twice).at(granted.seq))
}

/// A mistake in OpenBao's words for one of several.
fn one_error(told: &str) -> Failure {
    Failure::bad(format!("1 error occurred:\n\t* {told}\n\n"))
}
