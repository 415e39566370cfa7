//! `/api/audit`: checkpoints of the log and proofs of what is in it.

use axum::http::StatusCode;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use billfold_core::{id::Seq, proof::Hash};
use serde::Serialize;

use super::keys::permitted_to_ask;
use crate::{
    http::{Call, Failure, Outcome, json::Object, reply::Reply},
    v1::failure,
    wallet::{Consistency, Inclusion},
};

/// Notes are text.
const NOTE: &str = "text/plain; charset=utf-8";

/// A hash, as checkpoints write it.
fn told(hash: &Hash) -> String {
    BASE64_STANDARD.encode(hash.as_bytes())
}

#[derive(Serialize)]
struct Newest {
    /// The key that signs the checkpoints to come.
    key: String,
    /// How each key gave way to the next.
    key_changes: Vec<String>,
    #[serde(flatten)]
    newest: Option<Attested>,
}

#[derive(Serialize)]
struct Attested {
    sequence: u64,
    origin: String,
    size: u64,
    root: String,
    note: String,
}

pub(super) async fn checkpoint(call: &Call) -> Outcome {
    let found = call.wallet.checkpoint(&call.caller, &call.path).await;
    let found = found.map_err(|error| failure(&error))?;
    let as_note = match call.parameter("format") {
        None | Some("json") => false,
        Some("note") => true,
        Some(_) => return Err(Failure::bad("format is json or note")),
    };
    let newest = found.value.newest;
    if as_note {
        let none = || Failure::new(StatusCode::NOT_FOUND, "there is no checkpoint yet");
        let note = newest.ok_or_else(none)?.note;
        return Ok(Reply::text(NOTE, note.to_string()).at(found.seq));
    }
    let newest = newest.map(|newest| Attested {
        sequence: newest.seq.0,
        origin: newest.checkpoint.origin.to_string(),
        size: newest.checkpoint.size,
        root: told(&newest.checkpoint.root),
        note: newest.note.to_string(),
    });
    let told = Newest {
        key: found.value.key,
        key_changes: found.value.key_changes,
        newest,
    };
    Ok(Reply::json(StatusCode::OK, &told).at(found.seq))
}

#[derive(Serialize)]
struct Included {
    sequence: u64,
    size: u64,
    root: String,
    leaf: String,
    proof: Vec<String>,
}

fn number(call: &Call, name: &str) -> Result<Option<u64>, Failure> {
    let read = call.parameter(name).map(str::parse).transpose();
    read.map_err(|_| Failure::bad(format!("{name} is not a number")))
}

fn wanted(call: &Call, name: &str) -> Result<u64, Failure> {
    number(call, name)?.ok_or_else(|| Failure::bad(format!("{name} is missing")))
}

/// What a request says, once it is known that it may be made at all: whoever may not is told nothing
/// of what it should have said.
async fn permitted<T>(call: &Call, said: Result<T, Failure>) -> Result<T, Failure> {
    if said.is_err() {
        let permitted = call.wallet.checkpoint(&call.caller, &call.path).await;
        permitted.map_err(|error| failure(&error))?;
    }
    said
}

pub(super) async fn inclusion(call: &Call) -> Outcome {
    let said = || Ok((Seq(wanted(call, "seq")?), number(call, "size")?));
    let (seq, size) = permitted(call, said()).await?;
    let found = call
        .wallet
        .inclusion(&call.caller, &call.path, seq, size)
        .await;
    let found = found.map_err(|error| failure(&error))?;
    let Inclusion {
        leaf,
        size,
        root,
        proof,
    } = found.value;
    let included = Included {
        sequence: seq.0,
        size,
        root: told(&root),
        leaf: told(&leaf),
        proof: proof.iter().map(told).collect(),
    };
    Ok(Reply::json(StatusCode::OK, &included).at(found.seq))
}

#[derive(Serialize)]
struct Consistent {
    from: u64,
    to: u64,
    from_root: String,
    to_root: String,
    proof: Vec<String>,
}

pub(super) async fn consistency(call: &Call) -> Outcome {
    let said = || Ok((wanted(call, "from")?, number(call, "to")?));
    let (from, to) = permitted(call, said()).await?;
    let found = call
        .wallet
        .consistency(&call.caller, &call.path, from, to)
        .await;
    let found = found.map_err(|error| failure(&error))?;
    let (to, proven) = found.value;
    let Consistency {
        from_root,
        to_root,
        proof,
    } = proven;
    let consistent = Consistent {
        from,
        to,
        from_root: told(&from_root),
        to_root: told(&to_root),
        proof: proof.iter().map(told).collect(),
    };
    Ok(Reply::json(StatusCode::OK, &consistent).at(found.seq))
}

#[derive(Serialize)]
struct Changed {
    key: String,
    sequence: u64,
}

pub(super) async fn rotate_key(call: &Call) -> Outcome {
    permitted_to_ask(call).await?;
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    if !body.has_others(&[]).is_empty() {
        let told = "a change of the checkpoint key has no fields";
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, told));
    }
    let changed = call
        .wallet
        .rotate_checkpoint_key(&call.caller, &call.path)
        .await;
    let changed = changed.map_err(|error| failure(&error))?;
    let told = Changed {
        key: changed.value,
        sequence: changed.seq.0,
    };
    Ok(Reply::json(StatusCode::OK, &told).at(changed.seq))
}
