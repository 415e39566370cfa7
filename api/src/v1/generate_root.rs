//! `sys/generate-root-token/*`: a root token for whoever has a token that may ask for it, and enough
//! shares.

use axum::http::StatusCode;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use billfold_core::{id::Seq, keys::share::Share, policy::Operation};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    failure,
    kv::input,
    seal::{self as closed, key_bytes, refuse_pgp},
    shape::Envelope,
};
use crate::{
    http::{Call, Door, Failure, Outcome, endpoints::Verb, json::Object, reply::Reply},
    seal::{Error, Known, Pad},
    wallet,
};

#[derive(Serialize)]
struct Attempt<'a> {
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoded_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    otp: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    otp_length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pgp_fingerprint: Option<&'static str>,
    progress: u8,
    required: u8,
    started: bool,
}

fn told(call: &Call, seq: Seq, attempt: &Attempt<'_>) -> Reply {
    let envelope = Envelope::of(call.caller.request, attempt);
    Reply::json(StatusCode::OK, &envelope).at(seq)
}

fn attempt<'a>(door: &Door, known: &Known) -> Attempt<'a> {
    let progress = door.lock().root_progress();
    Attempt {
        complete: false,
        encoded_token: None,
        nonce: progress.nonce.map(|nonce| nonce.to_string()),
        otp: Some(""),
        otp_length: Some(wallet::token_length()),
        pgp_fingerprint: progress.nonce.map(|_| ""),
        progress: progress.shares,
        required: known.counts().map_or(0, |counts| counts.threshold()),
        started: progress.nonce.is_some(),
    }
}

pub(super) async fn attempts(door: &Door, call: &Call) -> Outcome {
    if call.verb == Verb::Delete {
        call.allowed(Operation::Delete).await?;
        door.lock().cancel_root();
        return Ok(Reply::empty(StatusCode::NO_CONTENT));
    }
    let asked = match call.verb {
        Verb::Get => call.wallet.look_up(&call.caller, &call.path).await,
        _ => call.wallet.ask(&call.caller, &call.path).await,
    };
    let seq = asked.map_err(|error| failure(&error))?;
    let known = learn(door, call).await?;
    if call.verb == Verb::Get {
        return Ok(told(call, seq, &attempt(door, &known)));
    }
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    refuse_pgp(&body, "pgp_key")?;
    let chosen = text(&body, "otp")?;
    let length = wallet::token_length();
    let (pad, made) = match chosen.as_str() {
        "" => {
            let (pad, text) = Pad::generate(length);
            (Ok(pad), Some(text))
        }
        chosen => (Pad::chosen(chosen, length), None),
    };
    let begun = pad.and_then(|pad| door.lock().begin_root(&known, pad));
    begun.map_err(|error| closed::failure(&error))?;
    let mut attempt = attempt(door, &known);
    attempt.otp = made.as_ref().map(|text| text.as_str()).or(Some(""));
    Ok(told(call, seq, &attempt))
}

pub(super) async fn update(door: &Door, call: &Call) -> Outcome {
    let asked = call.wallet.ask(&call.caller, &call.path).await;
    let seq = asked.map_err(|error| failure(&error))?;
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    let nonce = text(&body, "nonce")?;
    if nonce.is_empty() {
        return Err(Failure::bad("nonce is required"));
    }
    let key = text(&body, "key")?;
    if key.is_empty() {
        return Err(Failure::bad("key is required"));
    }
    let known = learn(door, call).await?;
    let before = attempt(door, &known);
    let share = key_bytes(&key).and_then(|bytes| {
        Share::decode(&bytes).map_err(|error| closed::failure(&Error::from(error)))
    });
    let share = share.map_err(inside)?;
    let added = door.lock().add_to_root(&nonce, share);
    let added = added.map_err(|error| inside(closed::failure(&error)))?;
    let shown = Attempt {
        encoded_token: Some(""),
        otp: None,
        otp_length: None,
        ..attempt(door, &known)
    };
    let Some(shares) = added else {
        return Ok(told(call, seq, &shown));
    };
    if let Err(error) = call.wallet.prove(&known, &shares).await {
        let told = format!("root generation aborted: {error}");
        return Err(inside(Failure::bad(told)));
    }
    drop(shares);
    let pad = door.lock().finish_root(&nonce);
    let pad = pad.ok_or_else(|| inside(closed::failure(&Error::NoRoot)))?;
    let made = call.wallet.create_root_token(&call.caller, &call.path);
    let made = made.await.map_err(|error| failure(&error))?;
    let encoded = pad.encode(&made.value.secret);
    let shown = Attempt {
        complete: true,
        encoded_token: Some(&encoded),
        nonce: before.nonce,
        pgp_fingerprint: Some(""),
        progress: before.required,
        started: true,
        ..shown
    };
    Ok(told(call, made.seq, &shown))
}

/// What only somebody with the pad can do, and so anybody may.
pub(super) fn decode(body: &[u8]) -> Outcome {
    #[derive(Serialize)]
    struct Decoded<'a> {
        token: &'a str,
    }
    let body = Object::parse(body).map_err(Failure::bad)?;
    let (encoded, pad) = (text(&body, "encoded_token")?, text(&body, "otp")?);
    if encoded.is_empty() {
        return Err(Failure::bad("missing encoded_token"));
    }
    if pad.is_empty() {
        return Err(Failure::bad("missing otp"));
    }
    let bytes = STANDARD_NO_PAD.decode(encoded.trim_end_matches('='));
    let bytes = Zeroizing::new(bytes.map_err(|_| Failure::bad("encoded_token is not base64"))?);
    if bytes.len() != pad.len() {
        return Err(Failure::bad("encoded_token and otp are not equally long"));
    }
    let mixed = bytes.iter().zip(pad.bytes()).map(|(a, b)| a ^ b);
    let token = String::from_utf8(mixed.collect());
    let token = Zeroizing::new(token.map_err(|_| Failure::bad("otp is not that of the token"))?);
    let envelope = Envelope::of(wallet::Wallet::new_request(), Decoded { token: &token });
    Ok(Reply::json(StatusCode::OK, &envelope))
}

pub(super) fn text(body: &Object<'_>, name: &str) -> Result<Zeroizing<String>, Failure> {
    let read = body
        .read::<String>(name)
        .map_err(|()| input::invalid(name))?;
    Ok(Zeroizing::new(read.unwrap_or_default()))
}

/// Looks at the key store, where another node may have put new shares.
pub(crate) async fn learn(door: &Door, call: &Call) -> Result<Known, Failure> {
    let known = call
        .wallet
        .known_outside()
        .await
        .map_err(|error| failure(&error))?;
    door.lock().learn(Some(known.clone()));
    Ok(known)
}

/// These errors come in this dress, with this status, from OpenBao.
fn inside(failure: Failure) -> Failure {
    match failure.told {
        Some(told) if failure.status == StatusCode::BAD_REQUEST => Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("1 error occurred:\n\t* {told}\n\n"),
        ),
        told => Failure { told, ..failure },
    }
}
