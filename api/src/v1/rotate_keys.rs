//! `sys/rotate/root/*` and `sys/rotate/recovery/*`: new shares in the place of those there are.

use axum::http::StatusCode;
use billfold_core::{
    id::Seq,
    keys::share::{Counts, Share},
    policy::Operation,
};
use serde::Serialize;

use super::{
    failure,
    generate_root::{learn, text},
    kv::input,
    seal::{self as closed, NO_PGP, Texts, bad_counts, key_bytes, refuse_pgp},
    shape::Envelope,
};
use crate::{
    http::{
        Call, Door, Failure, Outcome,
        endpoints::{Endpoint, Verb},
        json::Object,
        reply::Reply,
    },
    seal::{Error, Known, RotationProgress, Target},
};

/// Where a rotation is.
#[derive(Serialize)]
struct Status {
    n: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<u8>,
    required: u8,
    started: bool,
    t: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification_nonce: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification_required: Option<bool>,
}

/// What came of it.
#[derive(Serialize)]
struct Rotated<'a> {
    backup: bool,
    complete: bool,
    keys: Vec<&'a str>,
    keys_base64: Vec<&'a str>,
    nonce: &'a str,
    pgp_fingerprints: Option<()>,
    verification_nonce: String,
    verification_required: bool,
}

/// Where the showing of new shares is.
#[derive(Serialize)]
struct Showing {
    n: u8,
    nonce: String,
    progress: u8,
    started: bool,
    t: u8,
}

#[derive(Serialize)]
struct Shown<'a> {
    complete: bool,
    nonce: &'a str,
}

fn told<T: Serialize>(call: &Call, seq: Seq, data: &T) -> Reply {
    let envelope = Envelope::of(call.caller.request, data);
    Reply::json(StatusCode::OK, &envelope).at(seq)
}

const fn target(endpoint: Endpoint) -> Target {
    match endpoint {
        Endpoint::RecoveryRotation
        | Endpoint::RecoveryRotationUpdate
        | Endpoint::RecoveryRotationVerify => Target::Recovery,
        _ => Target::Root,
    }
}

/// Puts the question on record, and sees that it is permitted.
async fn asked(call: &Call) -> Result<Seq, Failure> {
    let asked = match call.verb {
        Verb::Get => call.wallet.look_up(&call.caller, &call.path).await,
        _ => call.wallet.ask(&call.caller, &call.path).await,
    };
    asked.map_err(|error| failure(&error))
}

fn status(known: &Known, progress: Option<RotationProgress>) -> Status {
    let required = known.counts().map_or(0, Counts::threshold);
    let Some(progress) = progress else {
        return Status {
            n: 0,
            nonce: None,
            progress: None,
            required,
            started: false,
            t: 0,
            verification_nonce: None,
            verification_required: None,
        };
    };
    let shown = progress.shown.map(|(nonce, _)| nonce.to_string());
    Status {
        n: progress.counts.shares(),
        nonce: Some(progress.nonce.to_string()),
        progress: Some(progress.shares),
        required,
        started: true,
        t: progress.counts.threshold(),
        verification_nonce: Some(shown.unwrap_or_default()),
        verification_required: Some(progress.confirm),
    }
}

pub(super) async fn init(door: &Door, call: &Call) -> Outcome {
    let target = target(call.endpoint);
    if call.verb == Verb::Delete {
        call.allowed(Operation::Delete).await?;
        door.lock().cancel_rotation(target);
        return Ok(Reply::empty(StatusCode::NO_CONTENT));
    }
    let seq = asked(call).await?;
    let known = learn(door, call).await?;
    if target == Target::Recovery && known.is_shared() {
        return Err(Failure::bad("recovery keys not supported"));
    }
    if call.verb != Verb::Get {
        let (counts, confirm) = wanted(call, &known, target)?;
        let begun = door.lock().begin_rotation(&known, target, counts, confirm);
        begun.map_err(|error| closed::failure(&error))?;
    }
    Ok(told(
        call,
        seq,
        &status(&known, door.lock().rotation(target)),
    ))
}

/// The counts of the new shares, and whether enough of them have to be shown.
fn wanted(call: &Call, known: &Known, target: Target) -> Result<(Counts, bool), Failure> {
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    refuse_pgp(&body, "pgp_keys")?;
    let flag = |name: &str| -> Result<bool, Failure> {
        let read = body.read::<bool>(name).map_err(|()| input::invalid(name))?;
        Ok(read.unwrap_or_default())
    };
    if flag("backup")? {
        return Err(Failure::bad(NO_PGP));
    }
    let confirm = flag("require_verification")?;
    if target == Target::Root && !known.is_shared() {
        if confirm {
            return Err(Failure::bad(
                "requiring verification not supported when rotating the barrier key with recovery keys",
            ));
        }
        // The key manager gets a new key; there is nothing to hand out.
        return Counts::new(1, 1)
            .map(|counts| (counts, false))
            .map_err(|bad| bad_counts("invalid rotate seal configuration", bad));
    }
    let number = |name: &str| -> Result<i64, Failure> {
        let text = body.get(name).unwrap_or("0").trim_matches('"');
        text.parse().map_err(|_| input::invalid(name))
    };
    Counts::new(number("secret_shares")?, number("secret_threshold")?)
        .map(|counts| (counts, confirm))
        .map_err(|bad| bad_counts("invalid rotate seal configuration", bad))
}

/// A share and the nonce of what it is for.
fn handed_in(call: &Call) -> Result<(Share, String), Failure> {
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    let (key, nonce) = (text(&body, "key")?, text(&body, "nonce")?);
    if key.is_empty() {
        return Err(Failure::bad("missing required field 'key'"));
    }
    if nonce.is_empty() {
        return Err(Failure::bad("missing required field 'nonce'"));
    }
    let share = Share::decode(&key_bytes(&key)?);
    let share = share.map_err(|error| closed::failure(&Error::from(error)))?;
    Ok((share, nonce.to_string()))
}

pub(super) async fn update(door: &Door, call: &Call) -> Outcome {
    let target = target(call.endpoint);
    let seq = asked(call).await?;
    let known = learn(door, call).await?;
    let (share, nonce) = handed_in(call)?;
    let under_way = door.lock().rotation(target);
    let counts = under_way
        .map(|progress| progress.counts)
        .ok_or_else(|| closed::failure(&Error::NoRotation))?;
    let added = door.lock().add_to_rotation(target, &nonce, share);
    let Some(shares) = added.map_err(|error| closed::failure(&error))? else {
        return Ok(told(
            call,
            seq,
            &status(&known, door.lock().rotation(target)),
        ));
    };
    let proven = call.wallet.prove(&known, &shares).await;
    proven.map_err(|error| closed::failure(&error))?;
    drop(shares);
    let (key, shares) = call.wallet.new_key(&known, target, counts);
    let kept = match key {
        Some(key) => {
            let kept = door.lock().keep_new_key(target, &nonce, &known, key);
            kept.map_err(|error| closed::failure(&error))?.map(Some)
        }
        None => {
            door.lock().cancel_rotation(target);
            Ok(None)
        }
    };
    let (seq, verification) = match kept {
        Ok(key) => {
            let wallet = &call.wallet;
            let done = wallet.use_new_key(&call.caller, &call.path, &known, key);
            let done = done.await.map_err(|error| failure(&error))?;
            (done.unwrap_or(seq), None)
        }
        Err(nonce) => (seq, Some(nonce)),
    };
    learn(door, call).await?;
    let texts = Texts::of(&shares);
    let rotated = Rotated {
        backup: false,
        complete: true,
        keys: texts.hex(),
        keys_base64: texts.base64(),
        nonce: &nonce,
        pgp_fingerprints: None,
        verification_required: verification.is_some(),
        verification_nonce: verification.map_or_else(String::new, |nonce| nonce.to_string()),
    };
    Ok(told(call, seq, &rotated))
}

pub(super) async fn verify(door: &Door, call: &Call) -> Outcome {
    let target = target(call.endpoint);
    let none = || Failure::bad("no rotation configuration found");
    let showing = |progress: RotationProgress| {
        let (nonce, shares) = progress.shown.ok_or_else(none)?;
        Ok(Showing {
            n: progress.counts.shares(),
            nonce: nonce.to_string(),
            progress: shares,
            started: true,
            t: progress.counts.threshold(),
        })
    };
    if call.verb == Verb::Delete {
        call.allowed(Operation::Delete).await?;
        let progress = door.lock().restart_showing(target).map_err(|_| none())?;
        let envelope = Envelope::of(call.caller.request, showing(progress)?);
        return Ok(Reply::json(StatusCode::OK, &envelope));
    }
    let seq = asked(call).await?;
    if call.verb == Verb::Get {
        let progress = door.lock().rotation(target).ok_or_else(none)?;
        return Ok(told(call, seq, &showing(progress)?));
    }
    let known = learn(door, call).await?;
    let (share, nonce) = handed_in(call)?;
    let shown = door.lock().show_to_rotation(target, &nonce, share);
    let Some(key) = shown.map_err(|error| closed::failure(&error))? else {
        let progress = door.lock().rotation(target).ok_or_else(none)?;
        return Ok(told(call, seq, &showing(progress)?));
    };
    let wallet = &call.wallet;
    let done = wallet.use_new_key(&call.caller, &call.path, &known, Some(key));
    let done = done.await.map_err(|error| failure(&error))?;
    learn(door, call).await?;
    let shown = Shown {
        complete: true,
        nonce: &nonce,
    };
    Ok(told(call, done.unwrap_or(seq), &shown))
}

/// Shares are kept nowhere, so there is no backup of them.
pub(super) async fn backup(call: &Call) -> Outcome {
    if call.verb == Verb::Delete {
        call.allowed(Operation::Delete).await?;
        return Ok(Reply::empty(StatusCode::NO_CONTENT));
    }
    asked(call).await?;
    Err(Failure::bad("no backed-up keys found"))
}
