//! `cubbyhole/*`: what each token keeps for itself.

use axum::http::StatusCode;
use serde::Serialize;

use super::{failure, kv, shape::Envelope};
use crate::http::{
    Call, Failure, Outcome,
    json::{self, Object},
    reply::Reply,
};

/// Told to who reads a wrapped answer where it is kept.
const DEPRECATED: &str = "Reading a wrapped answer from 'cubbyhole/response' is deprecated: use \
                          sys/wrapping/unwrap";

/// A wrapped answer, as text.
#[derive(Serialize)]
struct Response<'a> {
    response: &'a str,
}

pub(super) async fn read(call: &Call) -> Outcome {
    let read = call
        .wallet
        .read_cubbyhole(&call.caller, &call.path, &call.rest)
        .await;
    let read = read.map_err(|error| failure(&error))?;
    let (request, data) = (call.caller.request, read.value.data.expose());
    let reply = if read.value.is_wrapped {
        let damaged = |_| Failure::silent(StatusCode::INTERNAL_SERVER_ERROR);
        let response = std::str::from_utf8(data).map_err(damaged)?.trim_end();
        let envelope =
            Envelope::of(request, Response { response }).warning(Some(vec![DEPRECATED.to_owned()]));
        Reply::json(StatusCode::OK, &envelope)
    } else {
        Reply::json(StatusCode::OK, &Envelope::of(request, kv::raw(data)?))
    };
    Ok(reply.at(read.seq))
}

pub(super) async fn write(call: &Call) -> Outcome {
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    if body.is_empty() {
        return Err(Failure::bad("missing data fields"));
    }
    let text = std::str::from_utf8(&call.body).map_err(|_| Failure::bad(json::MALFORMED))?;
    let data = json::canonical(text).map_err(Failure::bad)?;
    let written = call
        .wallet
        .write_cubbyhole(&call.caller, &call.path, &call.rest, data)
        .await;
    let written = written.map_err(|error| failure(&error))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT).at(written.seq))
}

pub(super) async fn delete(call: &Call) -> Outcome {
    let deleted = call
        .wallet
        .delete_cubbyhole(&call.caller, &call.path, &call.rest)
        .await;
    let deleted = deleted.map_err(|error| failure(&error))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT).at(deleted.seq))
}

pub(super) async fn list(call: &Call) -> Outcome {
    let folder = match call.rest.trim_end_matches('/') {
        "" => String::new(),
        path => format!("{path}/"),
    };
    let listed = call
        .wallet
        .list_cubbyhole(&call.caller, &call.path, &folder)
        .await;
    let listed = listed.map_err(|error| failure(&error))?;
    kv::told_page(call, &listed)
}
