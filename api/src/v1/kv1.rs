//! KV version 1: one version of each secret, and the secret is the body itself.

use axum::http::StatusCode;

use super::{failure, kv, shape::Envelope};
use crate::{
    http::{
        Call, Failure, Outcome,
        json::{self, Object},
        reply::Reply,
    },
    wallet::{Put, Step},
};

/// The lease that clients are told for a secret that has none: 32 days, in seconds.
const LEASE: u64 = 2_764_800;

pub(super) async fn read(call: &Call) -> Outcome {
    let read = call
        .wallet
        .read(&call.caller, call.mount()?, &call.rest, None)
        .await;
    let read = read.map_err(|error| failure(&error))?;
    let missing = || Failure::silent(StatusCode::NOT_FOUND);
    let data = read.value.data.as_ref().ok_or_else(missing)?;
    let envelope = Envelope {
        lease_duration: lease(data.expose()).unwrap_or(LEASE),
        ..Envelope::of(call.caller.request, kv::raw(data.expose())?)
    };
    Ok(Reply::json(StatusCode::OK, &envelope).at(read.seq))
}

/// The seconds that a secret says itself that it is good for, as `ttl` or `lease`.
fn lease(data: &[u8]) -> Option<u64> {
    let data = Object::parse(data).ok()?;
    let text = data.get("ttl").or_else(|| data.get("lease"))?;
    kv::input::span(text).map(|millis| millis / 1000)
}

pub(super) async fn write(call: &Call) -> Outcome {
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    if body.is_empty() {
        return Err(Failure::bad("missing data fields"));
    }
    let text = std::str::from_utf8(&call.body).map_err(|_| Failure::bad(json::MALFORMED))?;
    let put = Step::Put(Put {
        cas: None,
        data: json::canonical(text).map_err(Failure::bad)?,
        credential: None,
    });
    kv::change(call, put).await
}

pub(super) async fn delete(call: &Call) -> Outcome {
    kv::change(call, Step::Remove).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_says_how_long_it_is_good_for() {
        for (data, seconds) in [
            (r#"{"ttl":"30m"}"#, Some(1800)),
            (r#"{"lease":"15"}"#, Some(15)),
            (r#"{"lease":"15","ttl":60}"#, Some(60)),
            (r#"{"ttl":"soon"}"#, None),
            (r#"{"other":1}"#, None),
        ] {
            assert_eq!(lease(data.as_bytes()), seconds, "{data}");
        }
    }
}
