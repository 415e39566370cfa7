//! `sys/init`, `sys/unseal`, `sys/seal`, `sys/seal-status`: how a wallet begins, opens and closes.

use std::time::Duration;

use axum::http::StatusCode;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use billfold_core::keys::share::{BadCounts, Counts, Share};
use serde::Serialize;
use zeroize::Zeroizing;

use super::sys::{Condition, VERSION, condition};
use crate::{
    http::{Call, Door, Failure, Outcome, Phase, json::Object, reply::Reply},
    seal::{Begun, Error, NewShares},
};

/// How long an answer waits for the view to catch up once the wallet is open.
const CATCH_UP: Duration = Duration::from_secs(30);
const NO_KEY: &str = "'key' must be specified in request body as JSON, or 'reset' set to true";
pub(super) const NOT_A_KEY: &str = "'key' must be a valid hex or base64 string";
pub(super) const NO_PGP: &str = "PGP keys are not supported: hand each share to its holder by another way, such as \
     response wrapping";

#[derive(Serialize)]
struct SealStatus<'a> {
    r#type: &'a str,
    initialized: bool,
    sealed: bool,
    t: u8,
    n: u8,
    progress: u8,
    nonce: String,
    recovery_seal: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_seal_type: Option<&'static str>,
    version: &'static str,
    migration: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_id: Option<String>,
    storage_type: &'static str,
}

fn status(door: &Door) -> Reply {
    let Condition {
        initialised,
        sealed,
        wallet,
    } = condition(door);
    let lock = door.lock();
    let counts = lock.known().and_then(|known| known.counts());
    let progress = lock.progress();
    let is_recovery = !lock.is_shared();
    Reply::json(
        StatusCode::OK,
        &SealStatus {
            r#type: lock.manager(),
            initialized: initialised,
            sealed,
            t: counts.map_or(0, Counts::threshold),
            n: counts.map_or(0, Counts::shares),
            progress: progress.shares,
            nonce: progress
                .nonce
                .map_or_else(String::new, |nonce| nonce.to_string()),
            recovery_seal: is_recovery,
            recovery_seal_type: is_recovery.then_some("shamir"),
            version: VERSION,
            migration: false,
            cluster_name: wallet.as_ref().map(|_| "billfold"),
            cluster_id: wallet,
            storage_type: door.storage(),
        },
    )
}

pub(super) async fn seal_status(door: &Door) -> Reply {
    started(door).await;
    status(door)
}

pub(super) async fn init_status(door: &Door) -> Reply {
    started(door).await;
    let initialized = condition(door).initialised;
    Reply::json(
        StatusCode::OK,
        &serde_json::json!({ "initialized": initialized }),
    )
}

/// What `sys/init` answers with.
#[derive(Serialize)]
struct Initialised<'a> {
    keys: Vec<&'a str>,
    keys_base64: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recovery_keys: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recovery_keys_base64: Vec<&'a str>,
    root_token: &'a str,
}

/// Shares as text, in both ways.
pub(crate) struct Texts {
    hex: Vec<Zeroizing<String>>,
    base64: Vec<Zeroizing<String>>,
}

impl Texts {
    pub(crate) fn of(shares: &[Zeroizing<Vec<u8>>]) -> Self {
        let text = |encode: fn(&[u8]) -> String| {
            let texts = shares.iter().map(|share| Zeroizing::new(encode(share)));
            texts.collect()
        };
        Self {
            hex: text(|share| hex::encode(share)),
            base64: text(|share| STANDARD.encode(share)),
        }
    }

    pub(super) fn hex(&self) -> Vec<&str> {
        self.hex.iter().map(|text| text.as_str()).collect()
    }

    pub(crate) fn base64(&self) -> Vec<&str> {
        self.base64.iter().map(|text| text.as_str()).collect()
    }
}

pub(super) async fn init(door: &Door, body: &[u8]) -> Outcome {
    let wanted = new_shares(door, &parse(body)?)?;
    started(door).await;
    match *door.phase() {
        Phase::Uninitialised => {}
        Phase::Starting | Phase::Sealed | Phase::CatchingUp | Phase::Ready(_) => {
            return Err(failure(&Error::Exists));
        }
        Phase::Draining => return door.wallet().map(|_| status(door)),
    }
    let begun = door.lock().begin(wanted).await;
    let Begun { shares, token } = begun.map_err(|error| failure(&error))?;
    let texts = Texts::of(&shares);
    let mut initialised = Initialised {
        keys: texts.hex(),
        keys_base64: texts.base64(),
        recovery_keys: Vec::new(),
        recovery_keys_base64: Vec::new(),
        root_token: &token,
    };
    if let NewShares::Recovery(_) = wanted {
        initialised.recovery_keys = std::mem::take(&mut initialised.keys);
        initialised.recovery_keys_base64 = std::mem::take(&mut initialised.keys_base64);
        // The key manager opens it at once.
        let open = |phase: &Phase| matches!(phase, Phase::Ready(_) | Phase::Draining);
        door.until(open, CATCH_UP).await;
    }
    Ok(Reply::json(StatusCode::OK, &initialised))
}

fn new_shares(door: &Door, body: &Object<'_>) -> Result<NewShares, Failure> {
    let number = |name: &str| -> Result<i64, Failure> {
        let read = body.read::<i64>(name);
        read.map(Option::unwrap_or_default)
            .map_err(|()| not_a_number(name))
    };
    let (shares, threshold) = (number("secret_shares")?, number("secret_threshold")?);
    let (recovery, needed) = (number("recovery_shares")?, number("recovery_threshold")?);
    for list in ["pgp_keys", "recovery_pgp_keys", "root_token_pgp_key"] {
        refuse_pgp(body, list)?;
    }
    let kind = door.lock().manager();
    let inapplicable = |parameters: &str| {
        Failure::bad(format!(
            "parameters {parameters} not applicable to seal type {kind}"
        ))
    };
    if door.lock().is_shared() {
        if (recovery, needed) != (0, 0) {
            return Err(inapplicable("recovery_shares,recovery_threshold"));
        }
        let counts = Counts::new(shares, threshold);
        return counts
            .map(NewShares::Unseal)
            .map_err(|bad| bad_counts("invalid seal configuration", bad));
    }
    if (shares, threshold) != (0, 0) {
        return Err(inapplicable("secret_shares,secret_threshold"));
    }
    if (recovery, needed) == (0, 0) {
        return Ok(NewShares::Recovery(None));
    }
    Counts::new(recovery, needed)
        .map(|counts| NewShares::Recovery(Some(counts)))
        .map_err(|bad| bad_counts("invalid recovery configuration", bad))
}

pub(super) fn bad_counts(what: &str, bad: BadCounts) -> Failure {
    Failure::bad(format!("{what}: {bad}"))
}

/// Closes the wallet on every node.
pub(super) async fn seal(call: &Call) -> Outcome {
    parse(&call.body)?;
    let sealed = call.wallet.seal(&call.caller).await;
    let sealed = sealed.map_err(|error| super::failure(&error))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT).at(sealed.seq))
}

pub(super) async fn unseal(door: &Door, body: &[u8]) -> Outcome {
    let body = parse(body)?;
    let flag = |name: &str| -> Result<bool, Failure> {
        let read = body.read::<bool>(name);
        read.map(Option::unwrap_or_default).map_err(|()| {
            Failure::bad(format!("failed to decode JSON input: {name} is no boolean"))
        })
    };
    let (reset, migrate) = (flag("reset")?, flag("migrate")?);
    let is_open = matches!(*door.phase(), Phase::Ready(_));
    if reset {
        if is_open {
            return Err(failure(&Error::Open));
        }
        door.lock().reset();
        return Ok(status(door));
    }
    let text = body.read::<String>("key");
    let text = text.map_err(|()| Failure::bad("failed to decode JSON input: key is no text"))?;
    let text = text.map(Zeroizing::new).filter(|text| !text.is_empty());
    let bytes = key_bytes(&text.ok_or_else(|| Failure::bad(NO_KEY))?)?;
    let share = Share::decode(&bytes).map_err(|error| failure(&error.into()))?;
    if migrate {
        return Err(Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "can't perform a seal migration, no migration seal found",
        ));
    }
    started(door).await;
    match *door.phase() {
        Phase::Uninitialised => return Err(failure(&Error::NoWallet)),
        // Its keys are open already, or will be without a share.
        Phase::CatchingUp | Phase::Ready(_) => return Ok(status(door)),
        Phase::Draining => return door.wallet().map(|_| status(door)),
        Phase::Starting | Phase::Sealed => {}
    }
    let opened = door.lock().hand_in(share).await;
    opened.map_err(|error| failure(&error))?;
    let settled = |phase: &Phase| !matches!(phase, Phase::CatchingUp);
    door.until(settled, CATCH_UP).await;
    Ok(status(door))
}

/// Waits until the node has looked whether there is a wallet.
async fn started(door: &Door) {
    door.until(|phase| !matches!(phase, Phase::Starting), CATCH_UP)
        .await;
}

/// The bytes of a key as text: hexadecimal digits, or base64.
pub(crate) fn key_bytes(text: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let bytes = hex::decode(text).ok();
    let bytes = bytes.or_else(|| STANDARD.decode(text).ok());
    bytes
        .map(Zeroizing::new)
        .ok_or_else(|| Failure::bad(NOT_A_KEY))
}

fn parse(body: &[u8]) -> Result<Object<'_>, Failure> {
    Object::parse(body).map_err(Failure::bad)
}

fn not_a_number(name: &str) -> Failure {
    Failure::bad(format!(
        "failed to decode JSON input: {name} is no whole number"
    ))
}

/// A list of PGP keys, or one: whoever sends one would wait for shares that only its holder can read.
pub(super) fn refuse_pgp(body: &Object<'_>, name: &str) -> Result<(), Failure> {
    match body.get(name) {
        None | Some("null" | "[]" | "\"\"") => Ok(()),
        Some(_) => Err(Failure::bad(NO_PGP)),
    }
}

/// What an error of a closed wallet is to a client.
pub(crate) fn failure(error: &Error) -> Failure {
    let status = match error {
        Error::Unavailable(why) => {
            tracing::warn!(why, "the wallet was not opened or begun");
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => StatusCode::BAD_REQUEST,
    };
    Failure::new(status, error.to_string())
}
