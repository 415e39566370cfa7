//! `/api/internal/wallet`: the wallet's own keys.

use axum::http::StatusCode;
use billfold_core::{
    keys::keyring::KekVersion,
    state::key_status::{
        ErasureStatus, GenerationStatus, KekStatus, KeyStatus, RewrapStatus, RotationStatus,
    },
};
use serde::Serialize;

use crate::{
    http::{Call, Failure, Outcome, json::Object, reply::Reply},
    v1::failure,
    wallet::KeyFacts,
};

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

pub(super) async fn rotate(call: &Call) -> Outcome {
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    if !body.is_empty() {
        let told = "a rotation takes no parameters";
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, told));
    }
    let rotated = call.wallet.rotate_kek(&call.caller, &call.path).await;
    let rotated = rotated.map_err(|error| failure(&error))?;
    let told = Rotated {
        version: rotated.value,
        sequence: rotated.seq.0,
    };
    Ok(Reply::json(StatusCode::OK, &told).at(rotated.seq))
}

pub(super) async fn retire(call: &Call) -> Outcome {
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
