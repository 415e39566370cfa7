//! `/api/internal/wallet/key-manager`: the wallet is moved to another key manager, or to another key.

use axum::http::StatusCode;
use billfold_core::{
    id::Seq,
    keys::share::{Counts, Share},
    policy::Operation,
};
use serde::Serialize;
use uuid::Uuid;

use super::keys::permitted_to_ask;
use crate::{
    http::{Call, Door, Failure, Outcome, endpoints::Verb, json::Object, reply::Reply},
    seal::{Awaited, ChangeProgress, Error, Known, NewKey, Step},
    v1::{self, failure},
};

/// How far a change is, or what came of it.
#[derive(Serialize)]
struct Status<'a> {
    /// `none`, `permit`, `confirm` or `done`.
    step: &'static str,
    /// The wallet's key manager.
    key_manager: &'a str,
    /// The unseal generation that it opens.
    generation: u32,
    /// The key manager that this node's settings name as the next one.
    next: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
    /// How many shares of the step there are, and how many it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    required: Option<u8>,
    /// The new shares, told once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shares: Vec<&'a str>,
    sequence: u64,
}

impl<'a> Status<'a> {
    fn of(call: &Call, known: &'a Known, seq: Seq, progress: Option<ChangeProgress>) -> Self {
        Self {
            step: match progress.map(|progress| progress.awaited) {
                None => "none",
                Some(Awaited::Permission) => "permit",
                Some(Awaited::Confirmation) => "confirm",
            },
            key_manager: &known.manager,
            generation: known.generation.number,
            next: call.wallet.next_key_manager(),
            nonce: progress.map(|progress| progress.nonce.to_string()),
            progress: progress.map(|progress| progress.shares),
            required: progress.map(|progress| progress.required),
            shares: Vec::new(),
            sequence: seq.0,
        }
    }

    fn reply(&self) -> Outcome {
        Ok(Reply::json(StatusCode::OK, self).at(Seq(self.sequence)))
    }
}

/// What was sent: the counts of new shares, or a share.
enum Asked {
    Begin(Option<Counts>),
    Share(String, Share),
}

pub(super) async fn change(door: &Door, call: &Call) -> Outcome {
    if call.verb == Verb::Get {
        let seq = call.wallet.look_up(&call.caller, &call.path).await;
        let seq = seq.map_err(|error| failure(&error))?;
        let known = v1::learn(door, call).await?;
        return Status::of(call, &known, seq, door.lock().change()).reply();
    }
    if call.verb == Verb::Delete {
        call.allowed(Operation::Delete).await?;
        door.lock().cancel_change();
        return Ok(Reply::empty(StatusCode::NO_CONTENT));
    }
    permitted_to_ask(call).await?;
    let asked = asked(call)?;
    let seq = call.wallet.ask(&call.caller, &call.path).await;
    let seq = seq.map_err(|error| failure(&error))?;
    let known = v1::learn(door, call).await?;
    match asked {
        Asked::Begin(counts) => begin(door, call, &known, seq, counts).await,
        Asked::Share(nonce, share) => hand_in(door, call, &known, seq, &nonce, share).await,
    }
}

fn invalid(told: &str) -> Failure {
    Failure::new(StatusCode::UNPROCESSABLE_ENTITY, told)
}

fn closed(error: &Error) -> Failure {
    v1::closed_failure(error)
}

fn asked(call: &Call) -> Result<Asked, Failure> {
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    let others = body.has_others(&["shares", "threshold", "nonce", "key"]);
    if !others.is_empty() {
        return Err(invalid(
            "a change has shares and threshold, or the nonce of one and a key",
        ));
    }
    let number = |name: &str| body.read::<u16>(name);
    let text = |name: &str| body.read::<String>(name);
    let unreadable = |()| invalid("shares and threshold are numbers, nonce and key are texts");
    let shares = number("shares").map_err(unreadable)?;
    let threshold = number("threshold").map_err(unreadable)?;
    let nonce = text("nonce").map_err(unreadable)?;
    let key = text("key")
        .map_err(unreadable)?
        .map(zeroize::Zeroizing::new);
    match (shares, threshold, nonce, key) {
        (None, None, None, None) => Ok(Asked::Begin(None)),
        (Some(shares), Some(threshold), None, None) => {
            let counts = Counts::new(shares.into(), threshold.into());
            let counts = counts.map_err(|bad| invalid(&bad.to_string()))?;
            Ok(Asked::Begin(Some(counts)))
        }
        (None, None, Some(nonce), Some(key)) => {
            let share = Share::decode(&v1::key_bytes(&key)?);
            let share = share.map_err(|error| closed(&Error::from(error)))?;
            Ok(Asked::Share(nonce, share))
        }
        _ => Err(invalid(
            "shares and threshold go together, and so do nonce and key",
        )),
    }
}

async fn begin(
    door: &Door,
    call: &Call,
    known: &Known,
    seq: Seq,
    counts: Option<Counts>,
) -> Outcome {
    let opener = call.wallet.next_opener(known).await;
    let opener = opener.map_err(|error| failure(&error))?;
    if opener.is_none() && counts.is_none() {
        return Err(invalid(
            "people are to open the wallet: say how many shares there are to be, and the threshold",
        ));
    }
    let begun = door.lock().begin_change(known, counts);
    let (nonce, progress) = begun.map_err(|error| closed(&error))?;
    match progress {
        Some(_) => Status::of(call, known, seq, progress).reply(),
        None => go_on(door, call, known, seq, nonce).await,
    }
}

async fn hand_in(
    door: &Door,
    call: &Call,
    known: &Known,
    seq: Seq,
    nonce: &str,
    share: Share,
) -> Outcome {
    let step = door.lock().add_to_change(nonce, share);
    match step.map_err(|error| closed(&error))? {
        Step::Wait(progress) => Status::of(call, known, seq, Some(progress)).reply(),
        Step::Prove(shares) => {
            if let Err(error) = call.wallet.prove(known, &shares).await {
                door.lock().refuse_change(known, nonce);
                return Err(closed(&error));
            }
            drop(shares);
            let nonce = Uuid::parse_str(nonce).map_err(|_| closed(&Error::NoChange))?;
            go_on(door, call, known, seq, nonce).await
        }
        Step::Finish(key) => finish(door, call, known, Some(key)).await,
    }
}

/// It is permitted: new shares are made if there are to be any; otherwise it is done.
async fn go_on(door: &Door, call: &Call, known: &Known, seq: Seq, nonce: Uuid) -> Outcome {
    let counts = door.lock().permit_change(nonce);
    let Some(counts) = counts.map_err(|error| closed(&error))? else {
        return finish(door, call, known, None).await;
    };
    let opener = call.wallet.next_opener(known).await;
    let opener = opener.map_err(|error| {
        door.lock().cancel_change();
        failure(&error)
    })?;
    let (key, shares) = call.wallet.next_key(known, &opener, counts);
    let kept = door.lock().keep_changed_key(nonce, known, key);
    let progress = kept.map_err(|error| closed(&error))?;
    let texts = v1::Texts::of(&shares);
    Status {
        shares: texts.base64(),
        ..Status::of(call, known, seq, Some(progress))
    }
    .reply()
}

async fn finish(door: &Door, call: &Call, known: &Known, key: Option<NewKey>) -> Outcome {
    let wallet = &call.wallet;
    let done = wallet.change_key_manager(&call.caller, &call.path, known, key);
    let seq = done.await.map_err(|error| failure(&error))?;
    let known = v1::learn(door, call).await?;
    Status {
        step: "done",
        ..Status::of(call, &known, seq, None)
    }
    .reply()
}
