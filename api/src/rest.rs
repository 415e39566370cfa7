//! `/api`: the wallet's own door.

mod audit;
mod credentials;
mod erasure;
mod grants;
mod holds;
mod key_manager;
mod keys;
mod proof;
mod restore;
mod transactions;

use axum::http::StatusCode;
use billfold_core::{access::Need, policy::Operation};
use serde::Serialize;

use crate::{
    http::{Call, Door, Failure, Outcome, endpoints::Endpoint, reply::Reply},
    v1,
    wallet::{self, Mount},
};

/// The mount that credentials live in: the same secrets as behind `/v1/secret`.
const MOUNT: &str = "secret/";

/// Answers a caller who showed a valid token.
pub(crate) async fn call(door: &Door, call: &Call) -> Outcome {
    match call.endpoint {
        Endpoint::CredentialWrite => credentials::write(call).await,
        Endpoint::CredentialList => credentials::list(call).await,
        Endpoint::CredentialRead => credentials::read(call).await,
        Endpoint::CredentialRemove => credentials::remove(call).await,
        Endpoint::Transaction => transactions::transact(call).await,
        Endpoint::State => {
            call.allowed(Operation::Read).await?;
            Ok(state(call))
        }
        Endpoint::WalletRotate => keys::rotate(call).await,
        Endpoint::WalletKeyStatus => keys::status(call).await,
        Endpoint::WalletExposed => keys::exposed(call).await,
        Endpoint::WalletRetire => keys::retire(call).await,
        Endpoint::WalletKeyManager => key_manager::change(door, call).await,
        Endpoint::WalletRestore => restore::restore(call).await,
        Endpoint::Audit => audit::read(call).await,
        Endpoint::AuditCheckpoint => proof::checkpoint(call).await,
        Endpoint::AuditInclusion => proof::inclusion(call).await,
        Endpoint::AuditConsistency => proof::consistency(call).await,
        Endpoint::WalletRotateCheckpointKey => proof::rotate_key(call).await,
        Endpoint::Erase => erasure::erase(call).await,
        Endpoint::Erasures => erasure::all(call).await,
        Endpoint::ReadErasure => erasure::one(call).await,
        Endpoint::Holds => holds::all(call).await,
        Endpoint::ReadHold => holds::one(call).await,
        Endpoint::PlaceHold => holds::place(call).await,
        Endpoint::LiftHold => holds::lift(call).await,
        Endpoint::GrantAuditor => grants::grant(call).await,
        Endpoint::AuditorGrants => grants::all(call).await,
        Endpoint::RevokeAuditor => grants::revoke(call).await,
        Endpoint::Metrics => {
            call.allowed(Operation::Read).await?;
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

/// The mount that a path of a secret or folder leads into, and the rest of it: that of a folder is
/// empty, or ends with a slash. Whether there is such a mount is told to who may do something here.
async fn placed(call: &Call, path: &str, operation: Operation) -> Result<(Mount, String), Failure> {
    checked_name(path.strip_suffix('/').unwrap_or(path))?;
    let found = call.wallet.mount_of(path).await;
    if let Some(found) = found.map_err(|error| v1::failure(&error))? {
        return Ok(found);
    }
    let need = Need {
        sudo: call.verb.changes(),
        ..Need::to(operation, call.path.as_str())
    };
    let may = call.wallet.may(&call.caller, &need).await;
    Err(match may.map_err(|error| v1::failure(&error))? {
        true => Failure::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "the path leads into no mount",
        ),
        false => v1::failure(&wallet::Error::Denied),
    })
}

/// A name of a credential, in the form that paths have.
fn checked_name(name: &str) -> Result<&str, Failure> {
    let clean = !name.is_empty() && !name.ends_with('/') && crate::http::path::is_plain(name);
    clean
        .then_some(name)
        .ok_or_else(|| Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "the name is not valid"))
}
