//! `/api`: the wallet's own door.

mod audit;
mod credentials;
mod keys;
mod transactions;

use axum::http::StatusCode;
use billfold_core::policy::Operation;
use serde::Serialize;

use crate::{
    http::{Call, Door, Failure, Outcome, endpoints::Endpoint, reply::Reply},
    v1,
    wallet::Mount,
};

/// The mount that credentials live in: the same secrets as behind `/v1/secret`.
const MOUNT: &str = "secret/";

/// Answers a caller who showed a valid token.
pub(crate) async fn call(_door: &Door, call: &Call) -> Outcome {
    match call.endpoint {
        Endpoint::CredentialWrite => credentials::write(call).await,
        Endpoint::CredentialList => credentials::list(call).await,
        Endpoint::CredentialRead => credentials::read(call).await,
        Endpoint::CredentialRemove => credentials::remove(call).await,
        Endpoint::Transaction => transactions::transact(call).await,
        Endpoint::State => {
            call.allowed(Operation::Read)?;
            Ok(state(call))
        }
        Endpoint::WalletRotate => keys::rotate(call).await,
        Endpoint::WalletKeyStatus => keys::status(call).await,
        Endpoint::WalletExposed => keys::exposed(call).await,
        Endpoint::WalletRetire => keys::retire(call).await,
        Endpoint::Audit => audit::read(call).await,
        Endpoint::Metrics => {
            call.allowed(Operation::Read)?;
            v1::prometheus(&call.wallet)
        }
        _ => Err(Failure::silent(StatusCode::NOT_FOUND)),
    }
}

#[derive(Serialize)]
struct Error<'a> {
    error: &'a str,
    status: u16,
}

/// A fault in the words of this door.
pub(crate) fn failed(failure: &Failure) -> Reply {
    let told = failure
        .told
        .as_deref()
        .or(failure.status.canonical_reason())
        .unwrap_or_default();
    Reply::json(
        failure.status,
        &Error {
            error: told,
            status: failure.status.as_u16(),
        },
    )
}

#[derive(Serialize)]
struct State {
    sequence: u64,
    digest: String,
}

/// How far this node is, and the digest there: equal on every node of the wallet.
fn state(call: &Call) -> Reply {
    let meta = call.wallet.keychain().view().meta();
    let state = State {
        sequence: meta.head.seq.0,
        digest: meta.digest.to_string(),
    };
    Reply::json(StatusCode::OK, &state).at(meta.head.seq)
}

/// The mount of the credentials.
async fn mount(call: &Call) -> Result<Mount, Failure> {
    let found = call
        .wallet
        .mount_of(MOUNT)
        .await
        .map_err(|error| v1::failure(&error))?;
    let gone = || Failure::new(StatusCode::NOT_FOUND, "the mount of credentials is gone");
    found.map(|(mount, _)| mount).ok_or_else(gone)
}

/// A name of a credential, in the form that paths have.
fn checked_name(name: &str) -> Result<&str, Failure> {
    let clean = !name.is_empty() && !name.ends_with('/') && crate::http::path::is_plain(name);
    clean
        .then_some(name)
        .ok_or_else(|| Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "the name is not valid"))
}
