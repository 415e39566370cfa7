//! `sys/*`: the state of this node.

use axum::http::StatusCode;
use billfold_core::policy::Operation;
use serde::Serialize;

use crate::{
    http::{
        Call, Door, Failure, Outcome, Phase,
        endpoints::{Endpoint, Verb},
        reply::Reply,
    },
    metrics as numbers,
    wallet::{Wallet, wallet_uuid},
};

pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a node is, as Vault's clients ask for it.
pub(super) struct Condition {
    pub(super) initialised: bool,
    /// It cannot answer: it has no wallet, is behind, or stopped.
    pub(super) sealed: bool,
    pub(super) wallet: Option<String>,
}

pub(super) fn condition(door: &Door) -> Condition {
    let (initialised, wallet) = match &*door.phase() {
        Phase::Uninitialised => (false, None),
        Phase::Starting | Phase::Sealed | Phase::CatchingUp | Phase::Draining => (true, None),
        Phase::Ready(wallet) => {
            let stopped = wallet.keychain().stopped().is_some();
            (true, (!stopped).then(|| wallet_uuid(wallet)))
        }
    };
    Condition {
        initialised,
        sealed: wallet.is_none(),
        wallet,
    }
}

#[derive(Serialize)]
struct Health {
    initialized: bool,
    sealed: bool,
    standby: bool,
    replication_performance_mode: &'static str,
    replication_dr_mode: &'static str,
    server_time_utc: u64,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_id: Option<String>,
}

pub(super) fn health(door: &Door, verb: Verb, query: &[(String, String)]) -> Outcome {
    let Condition {
        initialised,
        sealed,
        wallet,
    } = condition(door);
    let (parameter, usual) = match (initialised, sealed) {
        (false, _) => ("uninitcode", 501),
        (true, true) => ("sealedcode", 503),
        (true, false) => ("activecode", 200),
    };
    let mut code: u16 = usual;
    for (name, value) in query {
        if name.ends_with("code") {
            let asked: u16 = value
                .parse()
                .map_err(|_| Failure::silent(StatusCode::BAD_REQUEST))?;
            if name == parameter && (200..600).contains(&asked) {
                code = asked;
            }
        }
    }
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::OK);
    if verb == Verb::Head {
        return Ok(Reply::empty(status));
    }
    let mode = if sealed { "unknown" } else { "disabled" };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Ok(Reply::json(
        status,
        &Health {
            initialized: initialised,
            sealed,
            standby: sealed,
            replication_performance_mode: mode,
            replication_dr_mode: mode,
            server_time_utc: now.map(|since| since.as_secs()).unwrap_or_default(),
            version: VERSION,
            cluster_name: wallet.as_ref().map(|_| "billfold"),
            cluster_id: wallet,
        },
    ))
}

/// Every node takes reads and writes, so there is no leader to name.
pub(super) fn leader(door: &Door) -> Outcome {
    if !door.is_closed() {
        door.wallet()?;
    }
    Ok(Reply::json(
        StatusCode::OK,
        &serde_json::json!({ "ha_enabled": false }),
    ))
}

pub(super) fn metrics(call: &Call) -> Outcome {
    match call.parameter("format") {
        Some("prometheus") => prometheus(&call.wallet),
        _ => Err(Failure::bad(
            "only the metric format prometheus is supported",
        )),
    }
}

#[derive(Serialize)]
struct Device {
    description: &'static str,
    local: bool,
    options: std::collections::BTreeMap<&'static str, &'static str>,
    path: &'static str,
    r#type: &'static str,
}

/// The log is the one device there is, and nobody can switch it off.
pub(super) async fn audit(call: &Call) -> Outcome {
    let looked = call.wallet.look_up(&call.caller, &call.path).await;
    let seq = looked.map_err(|error| super::failure(&error))?;
    let device = Device {
        description: "the log itself: every request is in it before its answer",
        local: false,
        options: std::collections::BTreeMap::new(),
        path: "log/",
        r#type: "log",
    };
    let devices = std::collections::BTreeMap::from([("log/", device)]);
    let envelope = super::shape::Envelope::of(call.caller.request, devices);
    Ok(Reply::json(StatusCode::OK, &envelope).at(seq))
}

/// All numbers, in the text format of Prometheus.
pub(crate) fn prometheus(wallet: &Wallet) -> Outcome {
    let unavailable = || Failure::new(StatusCode::SERVICE_UNAVAILABLE, "nothing is counted");
    let text = numbers::render(wallet).ok_or_else(unavailable)?;
    Ok(Reply::text(
        "text/plain; version=0.0.4; charset=utf-8",
        text,
    ))
}

/// What is asked of one audit device. There is no other than the log, and it stays.
pub(super) async fn audit_device(call: &Call) -> Outcome {
    if call.verb == Verb::Delete {
        call.allowed(Operation::Delete).await?;
        return match call.rest.trim_matches('/') {
            "log" => Err(Failure::bad("the log is the audit device, and it stays")),
            // What is not there needs no removing.
            _ => Ok(Reply::empty(StatusCode::NO_CONTENT)),
        };
    }
    call.allowed(Operation::Update).await?;
    Err(Failure::bad(match call.endpoint {
        Endpoint::AuditHash => "unknown audit backend",
        _ => "the log is the audit device, and there is no other",
    }))
}
