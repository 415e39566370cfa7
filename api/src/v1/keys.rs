//! `sys/rotate` and `sys/key-status`: the wallet's own keys, as OpenBao tells of its keyring.

use axum::http::StatusCode;
use billfold_core::{
    event::v1::{MOST_WRAPS, RotationPolicy},
    keys::keyring::KekVersion,
};
use serde::Serialize;

use super::{
    duration, failure,
    kv::input,
    shape::{Envelope, Time},
};
use crate::http::{Call, Failure, Outcome, json::Object, reply::Reply};

/// The shortest age at which the wallet may rotate by itself, in milliseconds.
const SHORTEST: u64 = 24 * 3_600_000;
/// The fewest keys after which it may.
const FEWEST: u64 = 1_000_000;

#[derive(Serialize, Clone)]
struct Term {
    term: KekVersion,
    install_time: Time,
    encryptions: u64,
}

/// It tells everything twice: above, and as its data.
#[derive(Serialize)]
struct Twice {
    #[serde(flatten)]
    above: Term,
    #[serde(flatten)]
    envelope: Envelope<Term>,
}

pub(super) async fn status(call: &Call) -> Outcome {
    let found = call.wallet.keys_in_log(&call.caller, &call.path).await;
    let found = found.map_err(|error| failure(&error))?;
    let current = found.value.current_kek();
    let term = Term {
        term: current.map_or(0, |kek| kek.version),
        install_time: Time(current.map(|kek| kek.created)),
        encryptions: current.map_or(0, |kek| kek.used),
    };
    let told = Twice {
        above: term.clone(),
        envelope: Envelope::of(call.caller.request, term),
    };
    Ok(Reply::json(StatusCode::OK, &told).at(found.seq))
}

pub(super) async fn rotate(call: &Call) -> Outcome {
    // It takes no parameters, but a body that is sent must be one.
    Object::parse(&call.body).map_err(Failure::bad)?;
    let rotated = call
        .wallet
        .rotate_kek(&call.caller, &call.path, false)
        .await;
    let rotated = rotated.map_err(|error| failure(&error))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT).at(rotated.seq))
}

#[derive(Serialize)]
struct Policy {
    enabled: bool,
    interval: Interval,
    max_operations: u64,
}

/// A duration that is the number 0 when there is none.
#[derive(Serialize)]
#[serde(untagged)]
enum Interval {
    None(u64),
    Some(String),
}

pub(super) async fn read_policy(call: &Call) -> Outcome {
    let found = call.wallet.keys_in_log(&call.caller, &call.path).await;
    let found = found.map_err(|error| failure(&error))?;
    let RotationPolicy {
        enabled,
        max_age,
        max_wraps,
    } = found.value.rotation;
    let policy = Policy {
        enabled,
        interval: match max_age {
            0 => Interval::None(0),
            millis => Interval::Some(duration::told(millis)),
        },
        max_operations: max_wraps,
    };
    let envelope = Envelope::of(call.caller.request, policy);
    Ok(Reply::json(StatusCode::OK, &envelope).at(found.seq))
}

/// What a body does not name stays as it is.
pub(super) async fn write_policy(call: &Call) -> Outcome {
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    let enabled = match body.get("enabled") {
        None => None,
        Some(text) => Some(input::truth(text).ok_or_else(|| input::invalid("enabled"))?),
    };
    let interval = match body.get("interval") {
        None => None,
        Some(text) => Some(input::span(text).ok_or_else(|| input::invalid("interval"))?),
    };
    if interval.is_some_and(|millis| (1..SHORTEST).contains(&millis)) {
        return Err(Failure::bad("interval must be greater or equal to 24h0m0s"));
    }
    let operations =
        match input::count(&body, "max_operations")? {
            None => None,
            Some(count) => {
                let count = u64::try_from(count).ok();
                let fits = count.filter(|count| (FEWEST..=MOST_WRAPS).contains(count));
                Some(fits.ok_or_else(|| {
                    Failure::bad("max_operations must be from 1000000 to 3865470566")
                })?)
            }
        };
    let written = call
        .wallet
        .set_rotation_policy(&call.caller, &call.path, |before| RotationPolicy {
            enabled: enabled.unwrap_or(before.enabled),
            max_age: interval.unwrap_or(before.max_age),
            max_wraps: operations.unwrap_or(before.max_wraps),
        })
        .await;
    let written = written.map_err(|error| failure(&error))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT).at(written.seq))
}
