//! `auth/token/*`: the token store.

mod make;
mod shown;

use axum::http::StatusCode;
use billfold_core::{access::Need, event::v1::Operation as Asked, policy::Operation};
use serde::Serialize;

pub(super) use make::{cidrs, create, list, listed};

use self::{
    make::{capped, text},
    shown::{Auth, Facts},
};
use super::{failure, kv::input, shape::Envelope};
use crate::{
    http::{
        Call, Failure, Outcome,
        endpoints::{Endpoint, Verb},
        json::Object,
        reply::Reply,
    },
    wallet::{Error, Which},
};

fn granted(call: &Call, auth: Auth<'_>, warnings: Vec<String>) -> Reply {
    let warnings = (!warnings.is_empty()).then_some(warnings);
    let envelope = Envelope::of(call.caller.request, None::<()>)
        .warning(warnings)
        .auth(auth);
    Reply::json(StatusCode::OK, &envelope)
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
                return Err(Failure::bad("1 error occurred:\n\t* missing accessor\n\n"));
            }
            // What is no accessor is that of no token.
            let id = accessor.parse().unwrap_or_default();
            Ok(Which::Accessor(id))
        }
        _ => match body.token.as_deref().filter(|token| !token.is_empty()) {
            Some(token) => Ok(Which::Secret(token.as_bytes())),
            None if call.endpoint == Endpoint::TokenLookup => Ok(Which::Own),
            None => Err(Failure::bad("missing token ID")),
        },
    }
}

/// What a client is told who means a token that is not there.
fn meant_none(call: &Call, error: &Error) -> Failure {
    match (error, call.endpoint) {
        (Error::NoToken, Endpoint::TokenLookupAccessor | Endpoint::TokenRenewAccessor) => {
            Failure::bad("1 error occurred:\n\t* invalid accessor\n\n")
        }
        (Error::NoToken, Endpoint::TokenRenew) => Failure::bad("token not found"),
        (Error::NoToken, Endpoint::TokenRevokeOrphan) => Failure::bad("token to revoke not found"),
        (error, _) => failure(error),
    }
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
    let found = found.map_err(|error| meant_none(call, &error))?;
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
    let renewed = renewed.map_err(|error| meant_none(call, &error))?;
    let shown = match meant {
        Which::Accessor(_) => "",
        Which::Secret(_) => body.token.as_deref().map_or("", String::as_str),
        Which::Own => call.token.as_deref().map_or("", String::as_str),
    };
    let auth = Auth::of(&renewed.value, shown);
    let token = renewed.value.token.as_ref();
    let bounded = token.filter(|token| token.period == 0 && token.role.is_none());
    // What is left counts from the answer on.
    let left = bounded.and_then(|_| renewed.value.left());
    let warnings = left.and_then(|left| match body.increment > token?.lease() {
        true => capped(body.increment, left / 1000 * 1000),
        false => None,
    });
    Ok(granted(call, auth, warnings.into_iter().collect()).at(renewed.seq))
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
        Err(Error::NoToken) if call.endpoint == Endpoint::TokenRevoke => {
            Ok(Reply::empty(StatusCode::NO_CONTENT))
        }
        Err(Error::NoToken) if call.endpoint == Endpoint::TokenRevokeAccessor => {
            let envelope = Envelope::of(call.caller.request, None::<()>)
                .warning(Some(vec!["No token found with this accessor".to_owned()]));
            Ok(Reply::json(StatusCode::OK, &envelope))
        }
        Err(error) => Err(meant_none(call, &error)),
    }
}

#[derive(Serialize)]
struct Keys<'a> {
    keys: &'a [String],
}

pub(super) async fn accessors(call: &Call) -> Outcome {
    let found = call.wallet.accessors(&call.caller, &call.path).await;
    let found = found.map_err(|error| failure(&error))?;
    let keys = Keys { keys: &found.value };
    Ok(Reply::json(StatusCode::OK, &Envelope::of(call.caller.request, keys)).at(found.seq))
}

/// Told to who asks for ended tokens to be cleared away.
const TIDIED: &str = "Tokens that have ended were cleared away.";

pub(super) async fn tidy(call: &Call) -> Outcome {
    let tidied = call.wallet.tidy_tokens(&call.caller, &call.path).await;
    let tidied = tidied.map_err(|error| failure(&error))?;
    let envelope =
        Envelope::of(call.caller.request, None::<()>).warning(Some(vec![TIDIED.to_owned()]));
    Ok(Reply::json(StatusCode::ACCEPTED, &envelope).at(tidied.seq))
}
