//! `/api/internal/wallet`: the wallet's own keys.

use axum::http::StatusCode;
use billfold_core::{
    access::Need,
    id::RecordId,
    keys::keyring::KekVersion,
    policy::Operation,
    state::key_status::{
        ErasureStatus, GenerationStatus, KekStatus, KeyStatus, RewrapStatus, RotationStatus,
    },
};
use serde::Serialize;

use crate::{
    http::{Call, Failure, Outcome, json::Object, reply::Reply},
    v1::failure,
    wallet::{self, Exposed, KeyFacts},
};

/// How many secrets a page holds when the client does not say, and at most.
const USUAL: usize = 1_000;
const AT_MOST: usize = 10_000;

#[derive(Serialize)]
struct Status {
    current: KekVersion,
    generations: Vec<GenerationStatus>,
    versions: Vec<Version>,
    rewrap: Rewrap,
    erasures: ErasureStatus,
    rotation: RotationStatus,
    /// The sequence that all of it is true at, but for what is pooled.
    sequence: u64,
}

#[derive(Serialize)]
struct Version {
    #[serde(flatten)]
    status: KekStatus,
    /// How many keys are made ahead under it.
    pooled: u64,
}

#[derive(Serialize)]
struct Rewrap {
    #[serde(flatten)]
    status: RewrapStatus,
    /// How many seconds it takes at least, where this node's pace is bounded.
    estimate_seconds: Option<u64>,
}

pub(super) async fn status(call: &Call) -> Outcome {
    let found = call.wallet.key_status(&call.caller, &call.path).await;
    let found = found.map_err(|error| failure(&error))?;
    let KeyFacts {
        status,
        pooled,
        pace,
    } = found.value;
    let KeyStatus {
        current,
        generations,
        versions,
        rewrap,
        erasures,
        rotation,
    } = status;
    let versions = versions.into_iter().map(|status| Version {
        pooled: pooled.get(&status.version).copied().unwrap_or_default(),
        status,
    });
    let told = Status {
        current,
        generations,
        versions: versions.collect(),
        rewrap: Rewrap {
            estimate_seconds: pace.map(|pace| rewrap.pages.div_ceil(u64::from(pace.get()))),
            status: rewrap,
        },
        erasures,
        rotation,
        sequence: found.seq.0,
    };
    Ok(Reply::json(StatusCode::OK, &told).at(found.seq))
}

#[derive(Serialize)]
struct Rotated {
    version: KekVersion,
    sequence: u64,
}

/// Whoever may not do this is not told what is wrong with the request either.
pub(super) async fn permitted(call: &Call) -> Result<(), Failure> {
    let need = Need {
        sudo: true,
        ..Need::to(Operation::Update, call.path.as_str())
    };
    match call.wallet.may(&call.caller, &need).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(failure(&wallet::Error::Denied)),
        Err(error) => Err(failure(&error)),
    }
}

/// The same for what is on record before it is done: there the edge leaves the record of a refusal to
/// the endpoint.
pub(super) async fn permitted_to_ask(call: &Call) -> Result<(), Failure> {
    let permitted = permitted(call).await;
    if permitted.is_err() {
        let recorded = call.wallet.record_refusal(&call.caller, &call.path).await;
        recorded.map_err(|error| failure(&error))?;
    }
    permitted
}

pub(super) async fn rotate(call: &Call) -> Outcome {
    permitted(call).await?;
    let invalid = |told: &str| Failure::new(StatusCode::UNPROCESSABLE_ENTITY, told);
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    if !body.has_others(&["compromised"]).is_empty() {
        return Err(invalid("a rotation has only compromised"));
    }
    let compromised = body.read::<bool>("compromised");
    let compromised = compromised.map_err(|()| invalid("compromised is true or false"))?;
    let compromised = compromised.unwrap_or(false);
    let rotated = call
        .wallet
        .rotate_kek(&call.caller, &call.path, compromised)
        .await;
    let rotated = rotated.map_err(|error| failure(&error))?;
    let told = Rotated {
        version: rotated.value,
        sequence: rotated.seq.0,
    };
    Ok(Reply::json(StatusCode::OK, &told).at(rotated.seq))
}

#[derive(Serialize)]
struct ExposedPage {
    /// What is to be changed at its source.
    secrets: Vec<Exposed>,
    /// Where the next page begins; none when this was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(super) async fn exposed(call: &Call) -> Outcome {
    let limit = match call.parameter("limit").map(str::parse) {
        None => USUAL,
        Some(Ok(limit @ 1..=AT_MOST)) => limit,
        Some(_) => return Err(Failure::bad("limit is a number from 1 to 10000")),
    };
    let after = call.parameter("after").map(str::parse::<RecordId>);
    let after = after.transpose();
    let after = after.map_err(|_| Failure::bad("after is not what an earlier page named"))?;
    let found = call
        .wallet
        .exposed(&call.caller, &call.path, after, limit)
        .await;
    let found = found.map_err(|error| failure(&error))?;
    let (secrets, next) = found.value;
    let page = ExposedPage {
        secrets,
        next: next.map(|next| next.to_string()),
    };
    Ok(Reply::json(StatusCode::OK, &page).at(found.seq))
}

pub(super) async fn retire(call: &Call) -> Outcome {
    permitted(call).await?;
    let invalid = |told: &str| Failure::new(StatusCode::UNPROCESSABLE_ENTITY, told);
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    if !body.has_others(&["version"]).is_empty() {
        return Err(invalid("a retirement has only a version"));
    }
    let version = body.read::<KekVersion>("version").ok().flatten();
    let version = version.filter(|version| *version > 0);
    let version = version.ok_or_else(|| invalid("version is not the number of a KEK version"))?;
    let retired = call
        .wallet
        .retire_keks(&call.caller, &call.path, version)
        .await;
    let retired = retired.map_err(|error| failure(&error))?;
    let told = Rotated {
        version,
        sequence: retired.seq.0,
    };
    Ok(Reply::json(StatusCode::OK, &told).at(retired.seq))
}
