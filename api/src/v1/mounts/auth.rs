//! `sys/auth`: the ways to log in. Tokens are the only one.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use billfold_core::policy::Operation;

use super::{
    Tuning, allowed, in_use,
    line::{Line, token_method, twice},
    target, text,
};
use crate::{
    http::{Call, Failure, Outcome, endpoints::Verb, json::Object, reply::Reply},
    v1::failure,
};

const TOKEN: &str = "token/";

pub(in crate::v1) async fn all(call: &Call) -> Outcome {
    let looked = call.wallet.look_up(&call.caller, &call.path).await;
    let seq = looked.map_err(|error| failure(&error))?;
    Ok(twice(call, methods(call)).at(seq))
}

pub(super) fn methods(call: &Call) -> BTreeMap<String, Line> {
    BTreeMap::from([(TOKEN.to_owned(), token_method(call))])
}

/// One method or its tuning: read, enabled, tuned or disabled.
pub(in crate::v1) async fn method(call: &Call) -> Outcome {
    let (path, is_tuning) = target(call);
    match (call.verb, is_tuning) {
        (Verb::Get, _) => {
            let looked = call.wallet.look_up(&call.caller, &call.path).await;
            let seq = looked.map_err(|error| failure(&error))?;
            let line = token_method(call);
            let reply = match (path == TOKEN, is_tuning) {
                (false, _) => return Err(unknown()),
                (true, true) => twice(call, Tuning::from(line)),
                (true, false) => twice(call, line),
            };
            Ok(reply.at(seq))
        }
        (Verb::Delete, false) => {
            allowed(call, Operation::Delete, false).await?;
            match path == TOKEN {
                true => Err(Failure::bad("token credential backend cannot be disabled")),
                // What is not there needs no removing.
                false => Ok(Reply::empty(StatusCode::NO_CONTENT)),
            }
        }
        (Verb::Delete, true) => Err(Failure::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "1 error occurred:\n\t* unsupported operation\n\n",
        )),
        (_, true) => {
            allowed(call, Operation::Update, false).await?;
            Err(match path == TOKEN {
                true => Failure::bad("the token method has no settings here"),
                false => unknown(),
            })
        }
        (_, false) => {
            allowed(call, Operation::Update, false).await?;
            let body = Object::parse(&call.body).map_err(Failure::bad)?;
            Err(match text(&body, "type")?.unwrap_or_default().as_str() {
                "" => Failure::bad("backend type must be specified as a string"),
                "token" => Failure::bad("token credential backend cannot be instantiated"),
                _ if path == TOKEN => in_use(),
                _ => Failure::bad("plugin not found in the catalog"),
            })
        }
    }
}

fn unknown() -> Failure {
    Failure::bad("No auth engine at this path")
}
