//! `/v1`: the Vault HTTP API, as OpenBao speaks it.

mod cubbyhole;
pub(crate) mod duration;
mod generate_root;
mod keys;
mod kv;
mod kv1;
mod metadata;
mod mounts;
mod openapi;
mod policy;
mod roles;
mod rotate_keys;
mod seal;
mod shape;
mod sys;
mod token;
mod tools;
pub(crate) mod wrapping;

pub(crate) use generate_root::learn;
pub(crate) use openapi::help;
pub(crate) use seal::{Texts, failure as closed_failure, key_bytes};
pub(crate) use sys::prometheus;

use axum::http::StatusCode;
use billfold_core::{decide::Refusal, policy::Operation};

use crate::{
    http::{
        Call, Door, Failure, Outcome,
        endpoints::{Endpoint, Verb},
        reply::Reply,
    },
    wallet,
};

/// Answers an endpoint that is open to anybody.
pub(crate) async fn open(
    door: &Door,
    endpoint: Endpoint,
    verb: Verb,
    query: &[(String, String)],
    body: &[u8],
) -> Outcome {
    match endpoint {
        Endpoint::Health => sys::health(door, verb, query),
        Endpoint::SealStatus => Ok(seal::seal_status(door).await),
        Endpoint::Leader => sys::leader(door),
        Endpoint::InitStatus => Ok(seal::init_status(door).await),
        Endpoint::Init => seal::init(door, body).await,
        Endpoint::DecodeToken => {
            door.wallet()?;
            generate_root::decode(body)
        }
        Endpoint::Unseal => seal::unseal(door, body).await,
        // It is sealed already: see who asks.
        Endpoint::Seal => Ok(Reply::empty(StatusCode::NO_CONTENT)),
        _ => Err(Failure::silent(StatusCode::NOT_FOUND)),
    }
}

/// Answers a caller who showed a valid token.
pub(crate) async fn call(door: &Door, call: &Call) -> Outcome {
    match call.endpoint {
        Endpoint::SysMetrics => {
            call.allowed(Operation::Read).await?;
            sys::metrics(call)
        }
        Endpoint::Seal => seal::seal(call).await,
        Endpoint::RootAttempt => generate_root::attempts(door, call).await,
        Endpoint::RootUpdate => generate_root::update(door, call).await,
        Endpoint::RootRotation | Endpoint::RecoveryRotation => rotate_keys::init(door, call).await,
        Endpoint::RootRotationUpdate | Endpoint::RecoveryRotationUpdate => {
            rotate_keys::update(door, call).await
        }
        Endpoint::RootRotationVerify | Endpoint::RecoveryRotationVerify => {
            rotate_keys::verify(door, call).await
        }
        Endpoint::RotationBackup => rotate_keys::backup(call).await,
        Endpoint::Mounts => mounts::all(call).await,
        Endpoint::ReadMount => mounts::one(call).await,
        Endpoint::EnableMount => mounts::write(call).await,
        Endpoint::DisableMount => mounts::disable(call).await,
        Endpoint::Remount => mounts::remount(call).await,
        Endpoint::RemountStatus => mounts::remount_status(call).await,
        Endpoint::UiMounts => mounts::ui_all(call).await,
        Endpoint::UiMount => mounts::ui_one(call).await,
        Endpoint::OpenApi => openapi::document(call).await,
        Endpoint::TokenCreate | Endpoint::TokenCreateOrphan | Endpoint::TokenCreateByRole => {
            token::create(call).await
        }
        Endpoint::TokenLookup | Endpoint::LookupSelf | Endpoint::TokenLookupAccessor => {
            token::look_up(call).await
        }
        Endpoint::TokenRenew | Endpoint::TokenRenewSelf | Endpoint::TokenRenewAccessor => {
            token::renew(call).await
        }
        Endpoint::TokenRevoke
        | Endpoint::TokenRevokeSelf
        | Endpoint::TokenRevokeAccessor
        | Endpoint::TokenRevokeOrphan => token::revoke(call).await,
        Endpoint::TokenAccessors => token::accessors(call).await,
        Endpoint::TokenTidy => token::tidy(call).await,
        Endpoint::TokenRoles => roles::names(call).await,
        Endpoint::ReadTokenRole => roles::read(call).await,
        Endpoint::WriteTokenRole => roles::write(call).await,
        Endpoint::DeleteTokenRole => roles::delete(call).await,
        Endpoint::WrappingWrap => wrapping::echo(call).await,
        Endpoint::WrappingUnwrap => wrapping::unwrap(call).await,
        Endpoint::WrappingRewrap => wrapping::rewrap(call).await,
        Endpoint::WrappingLookup => wrapping::look_up(call).await,
        Endpoint::CubbyholeRead => cubbyhole::read(call).await,
        Endpoint::CubbyholeWrite => cubbyhole::write(call).await,
        Endpoint::CubbyholeDelete => cubbyhole::delete(call).await,
        Endpoint::CubbyholeList => cubbyhole::list(call).await,
        Endpoint::KeyTerm => keys::status(call).await,
        Endpoint::Rotate => keys::rotate(call).await,
        Endpoint::ReadRotation => keys::read_policy(call).await,
        Endpoint::WriteRotation => keys::write_policy(call).await,
        Endpoint::ToolsHash => tools::hash(call).await,
        Endpoint::ToolsRandom => tools::random(call).await,
        Endpoint::AuthMethods => mounts::auth::all(call).await,
        Endpoint::AuditDevices => sys::audit(call).await,
        Endpoint::AuditDevice | Endpoint::AuditHash => sys::audit_device(call).await,
        Endpoint::AuthMethod => mounts::auth::method(call).await,
        Endpoint::Policies | Endpoint::OldPolicies => policy::names(call).await,
        Endpoint::ReadPolicy | Endpoint::OldReadPolicy => policy::read(call).await,
        Endpoint::WritePolicy | Endpoint::PatchPolicy => policy::write(call).await,
        Endpoint::DeletePolicy => policy::delete(call).await,
        Endpoint::Capabilities | Endpoint::CapabilitiesSelf | Endpoint::CapabilitiesAccessor => {
            policy::capabilities(call).await
        }
        Endpoint::KvRead => kv::read(call).await,
        Endpoint::KvSubkeys => kv::subkeys(call).await,
        Endpoint::KvPatch => kv::patch(call).await,
        Endpoint::KvReadConfig => metadata::read_config(call).await,
        Endpoint::KvWriteConfig => metadata::write_config(call).await,
        Endpoint::KvWriteMetadata => metadata::write(call).await,
        Endpoint::KvPatchMetadata => metadata::patch(call).await,
        Endpoint::KvScan => kv::scan(call).await,
        Endpoint::Kv1Read => kv1::read(call).await,
        Endpoint::Kv1Write => kv1::write(call).await,
        Endpoint::Kv1Delete => kv1::delete(call).await,
        Endpoint::Kv1List => kv::list(call).await,
        Endpoint::Kv1Scan => kv::scan(call).await,
        Endpoint::KvWrite => kv::write(call).await,
        Endpoint::KvDelete => kv::delete(call).await,
        Endpoint::KvDeleteVersions | Endpoint::KvUndelete | Endpoint::KvDestroy => {
            kv::change_versions(call).await
        }
        Endpoint::KvReadMetadata => metadata::read(call).await,
        Endpoint::KvDetails => metadata::details(call).await,
        Endpoint::KvList => kv::list(call).await,
        Endpoint::KvRemove => kv::remove(call).await,
        _ => Err(Failure::silent(StatusCode::NOT_FOUND)),
    }
}

/// A fault in the words of this door.
pub(crate) fn failed(failure: &Failure) -> Reply {
    let errors: Vec<&str> = failure.told.as_deref().into_iter().collect();
    Reply::json(failure.status, &shape::Errors { errors })
}

/// What a use case's error is to a client.
pub(crate) fn failure(error: &wallet::Error) -> Failure {
    use wallet::Error;
    match error {
        // Whose token is good is told in other words than whose is not.
        Error::Denied => Failure::new(
            StatusCode::FORBIDDEN,
            "1 error occurred:\n\t* permission denied\n\n",
        ),
        Error::NoToken => Failure::new(StatusCode::FORBIDDEN, error.to_string()),
        Error::Absent => Failure::silent(StatusCode::NOT_FOUND),
        Error::Invalid(told) => Failure::bad(told.clone()),
        Error::Refused(refusal) => Failure {
            is_stale: matches!(refusal, Refusal::Moved | Refusal::PolicyChanged),
            ..Failure::new(refused(refusal), refusal.to_string())
        },
        Error::Erased => Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the key of this secret is not in the key store",
        ),
        Error::Damaged(why) => {
            tracing::error!(
                why,
                "a secret cannot be opened: run `billfold-replay verify`"
            );
            Failure::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the key of this secret does not open",
            )
        }
        Error::Unavailable(why) => {
            tracing::warn!(why, "a request could not be answered");
            Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the log or key store is not available",
            )
        }
        Error::KeyManager(why) => {
            tracing::warn!(why, "a key manager cannot be used");
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, why.clone())
        }
        Error::Unknown => Failure::new(StatusCode::GATEWAY_TIMEOUT, error.to_string()),
    }
}

const fn refused(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::TooLarge { .. } | Refusal::TooMany { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::NoMount | Refusal::NothingThere | Refusal::NoHold | Refusal::NoGrant => {
            StatusCode::NOT_FOUND
        }
        Refusal::Moved | Refusal::PolicyChanged | Refusal::NotEmpty => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        // Being forbidden by a hold is put on record like being forbidden by a policy.
        Refusal::Denied | Refusal::Held { .. } => StatusCode::FORBIDDEN,
        Refusal::NoWallet => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}
