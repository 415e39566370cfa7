//! `sys/wrapping/*`, and answers that are wrapped because the client asks for it.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use billfold_core::{SecretBytes, id::RequestId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{
    failure, kv,
    shape::{Envelope, Time, uuid},
};
use crate::{
    http::{
        Call, Failure, Outcome,
        endpoints::Endpoint,
        json::{self, Object},
        reply::{Content, Reply},
    },
    wallet::{At, Error, MadeWrapping, Which, WrappingFacts},
};

/// What a client is told whose wrapping token is none, or was used. It may be the first sign that
/// someone else used it.
pub(crate) const NO_WRAPPING_TOKEN: &str = "wrapping token is not valid or does not exist";
/// The same, of a token that is not there at all.
pub(crate) const EMPTY_WRAPPING_TOKEN: &str = "error validating wrapping token: token is empty";

/// Told instead of an answer.
#[derive(Serialize)]
struct Wrapped<'a> {
    request_id: &'static str,
    lease_id: &'static str,
    renewable: bool,
    lease_duration: u64,
    data: Option<()>,
    wrap_info: WrapInfo<'a>,
    warnings: Option<()>,
    auth: Option<()>,
}

#[derive(Serialize)]
struct WrapInfo<'a> {
    token: &'a str,
    accessor: String,
    ttl: u64,
    creation_time: Time,
    creation_path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    wrapped_accessor: Option<&'a str>,
}

/// An answer as it was kept. Of a name that stands twice the last counts, which is the envelope's.
struct Kept<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Kept<'a> {
    fn read(answer: &'a [u8]) -> Result<Self, Failure> {
        let kept: Option<BTreeMap<String, &RawValue>> = serde_json::from_slice(answer).ok();
        let kept = kept.map(Self).ok_or_else(damaged)?;
        let is_envelope = |name: &&str| kept.0.contains_key(*name);
        match ENVELOPE.iter().all(is_envelope) {
            true => Ok(kept),
            false => Err(damaged()),
        }
    }

    fn get(&self, name: &str) -> Result<&'a RawValue, Failure> {
        self.0.get(name).copied().ok_or_else(damaged)
    }

    /// The accessor of the token in it, if it gives one.
    fn accessor(&self) -> Option<String> {
        let auth: Accessor<'_> = serde_json::from_str(self.0.get("auth")?.get()).ok()?;
        Some(auth.accessor.to_owned())
    }
}

/// What every answer has, besides what it is about.
const ENVELOPE: [&str; 6] = [
    "lease_id",
    "renewable",
    "lease_duration",
    "data",
    "warnings",
    "auth",
];

fn damaged() -> Failure {
    Failure::silent(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The same as it is told.
#[derive(Serialize)]
struct Unwrapped<'a> {
    request_id: String,
    lease_id: &'a RawValue,
    renewable: &'a RawValue,
    lease_duration: &'a RawValue,
    data: &'a RawValue,
    wrap_info: Option<()>,
    warnings: &'a RawValue,
    auth: &'a RawValue,
}

#[derive(Deserialize)]
struct Accessor<'a> {
    accessor: &'a str,
}

/// Wraps the answer to a call, if there is one: an answer without content is told as it is.
pub(crate) async fn wrap(call: &Call, ttl: u64, reply: Reply) -> Outcome {
    let answer = match reply.body {
        Content::Json(answer) => answer.0,
        Content::Text(..) => {
            return Err(Failure::bad("response wrapping is not supported here"));
        }
        _ => return Ok(reply),
    };
    // What could not be told again is not kept.
    let accessor = Kept::read(&answer)?.accessor();
    let made = call
        .wallet
        .wrap(&call.caller, &call.path, ttl, SecretBytes::new(answer))
        .await;
    let made = made.map_err(|error| failure(&error))?;
    Ok(told(&made, accessor.as_deref()))
}

/// Whether what an endpoint answers is wrapped by itself.
pub(crate) const fn is_wrapped(call: &Call) -> bool {
    matches!(
        call.endpoint,
        Endpoint::WrappingUnwrap | Endpoint::WrappingRewrap
    )
}

fn told(made: &At<MadeWrapping>, wrapped_accessor: Option<&str>) -> Reply {
    let facts = &made.value.facts;
    let wrapped = Wrapped {
        request_id: "",
        lease_id: "",
        renewable: false,
        lease_duration: 0,
        data: None,
        wrap_info: WrapInfo {
            token: &made.value.secret,
            accessor: facts.accessor.to_string(),
            ttl: facts.ttl / 1000,
            creation_time: Time(Some(facts.created)),
            creation_path: &facts.path,
            wrapped_accessor,
        },
        warnings: None,
        auth: None,
    };
    Reply::json(StatusCode::OK, &wrapped).at(made.seq)
}

/// Answers with what was sent: to be wrapped on the way out.
pub(super) async fn echo(call: &Call) -> Outcome {
    let asked = call.wallet.ask(&call.caller, &call.path).await;
    let seq = asked.map_err(|error| failure(&error))?;
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    if call.caller.wrap_ttl.is_none() || body.is_empty() {
        let told = "endpoint requires response wrapping to be used";
        return Err(Failure::bad(told));
    }
    let text = std::str::from_utf8(&call.body).map_err(|_| Failure::bad(json::MALFORMED))?;
    let data = json::canonical(text).map_err(Failure::bad)?;
    let envelope = Envelope::of(call.caller.request, kv::raw(data.expose())?);
    Ok(Reply::json(StatusCode::OK, &envelope).at(seq))
}

pub(super) async fn unwrap(call: &Call) -> Outcome {
    // Who wants it wrapped again is given another token.
    if call.caller.wrap_ttl.is_some() {
        return rewrap(call).await;
    }
    let token = meant(call).await?;
    let opened = call
        .wallet
        .unwrap(&call.caller, &call.path, which(token.as_ref()))
        .await;
    let opened = opened.map_err(|error| refused(&error))?;
    let reply = unwrapped(opened.value.expose(), call.caller.request)?;
    Ok(reply.at(opened.seq))
}

fn unwrapped(answer: &[u8], request: RequestId) -> Outcome {
    let kept = Kept::read(answer)?;
    let unwrapped = Unwrapped {
        request_id: uuid(request.as_bytes()),
        lease_id: kept.get("lease_id")?,
        renewable: kept.get("renewable")?,
        lease_duration: kept.get("lease_duration")?,
        data: kept.get("data")?,
        wrap_info: None,
        warnings: kept.get("warnings")?,
        auth: kept.get("auth")?,
    };
    Ok(Reply::json(StatusCode::OK, &unwrapped))
}

pub(super) async fn rewrap(call: &Call) -> Outcome {
    let token = meant(call).await?;
    let made = call
        .wallet
        .rewrap(&call.caller, &call.path, which(token.as_ref()))
        .await;
    let made = made.map_err(|error| refused(&error))?;
    Ok(told(&made, None))
}

/// The wrapping token that a body names; the caller's own is used up by naming another.
async fn meant(call: &Call) -> Result<Option<Zeroizing<String>>, Failure> {
    let token = named(&call.body)?;
    if token.is_some() {
        let spent = call.wallet.spend_wrapping(&call.caller).await;
        spent.map_err(|error| failure(&error))?;
    }
    Ok(token)
}

#[derive(Serialize)]
struct Found<'a> {
    creation_path: &'a str,
    creation_time: Time,
    creation_ttl: u64,
}

pub(super) async fn look_up(call: &Call) -> Outcome {
    if call.caller.wrap_ttl.is_some() {
        return Err(Failure::bad("response wrapping is not supported here"));
    }
    let token = named(&call.body)?;
    let found = call
        .wallet
        .look_up_wrapping(&call.caller, &call.path, which(token.as_ref()))
        .await;
    let found = found.map_err(|error| refused(&error))?;
    let WrappingFacts {
        ttl, created, path, ..
    } = &found.value;
    let told = Found {
        creation_path: path,
        creation_time: Time(Some(*created)),
        creation_ttl: ttl / 1000,
    };
    let envelope = Envelope::of(call.caller.request, told);
    Ok(Reply::json(StatusCode::OK, &envelope).at(found.seq))
}

/// The wrapping token that a body names.
pub(crate) fn named(body: &[u8]) -> Result<Option<Zeroizing<String>>, Failure> {
    let body = Object::parse(body).map_err(Failure::bad)?;
    let token = body.read::<String>("token");
    let token = token.map_err(|()| kv::input::invalid("token"))?;
    let token = token.map(Zeroizing::new);
    let token = token.map(|token| Zeroizing::new(token.trim().to_owned()));
    Ok(token.filter(|token| !token.is_empty()))
}

fn which(token: Option<&Zeroizing<String>>) -> Which<'_> {
    token.map_or(Which::Own, |token| Which::Secret(token.as_bytes()))
}

fn refused(error: &Error) -> Failure {
    match error {
        Error::NoToken => Failure::bad(NO_WRAPPING_TOKEN),
        error => failure(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_again_under_the_new_request() {
        let request = RequestId::from_bytes([7; 16]);
        let envelope = Envelope::of(RequestId::default(), "x")
            .warning(Some(vec!["w".to_owned()]))
            .auth(serde_json::json!({"accessor": "abc", "client_token": "t"}));
        let Content::Json(kept) = Reply::json(StatusCode::OK, &envelope).body else {
            panic!("an answer is JSON");
        };
        let accessor = Kept::read(&kept.0).unwrap().accessor();
        assert_eq!(accessor.as_deref(), Some("abc"));
        let Content::Json(told) = unwrapped(&kept.0, request).unwrap().body else {
            panic!("an answer is JSON");
        };
        let mut told: serde_json::Value = serde_json::from_slice(&told.0).unwrap();
        let mut before: serde_json::Value = serde_json::from_slice(&kept.0).unwrap();
        assert_eq!(told["request_id"], uuid(request.as_bytes()));
        for answer in [&mut told, &mut before] {
            answer["request_id"].take();
        }
        assert_eq!(told, before);
        // An older endpoint may tell something under a name of the envelope's.
        let twice = br#"{"data":1,"lease_id":"","renewable":false,"lease_duration":0,"data":{"data":1},"warnings":null,"auth":null}"#;
        let Content::Json(told) = unwrapped(twice, request).unwrap().body else {
            panic!("an answer is JSON");
        };
        let told: serde_json::Value = serde_json::from_slice(&told.0).unwrap();
        assert_eq!(told["data"]["data"], 1);
        assert!(unwrapped(b"{}", request).is_err());
    }
}
