//! `/api/internal/wallet/holds`: legal holds.

use axum::http::StatusCode;
use billfold_core::{id::HoldId, policy::Operation, told::By};
use serde::Serialize;

use super::placed;
use crate::{
    http::{Call, Failure, Outcome, json::Object, reply::Reply},
    v1::failure,
    wallet::HoldFacts,
};

#[derive(Serialize)]
struct All {
    holds: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    path: String,
    reason: String,
    placed_at: String,
    by: By,
}

impl From<HoldFacts> for Shown {
    fn from(hold: HoldFacts) -> Self {
        Self {
            id: hold.id.to_string(),
            path: hold.path,
            reason: hold.reason,
            placed_at: hold.placed.to_string(),
            by: hold.actor.into(),
        }
    }
}

/// Places a hold.
pub(super) async fn place(call: &Call) -> Outcome {
    let invalid = |told: &str| Failure::new(StatusCode::UNPROCESSABLE_ENTITY, told);
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    if !body.has_others(&["path", "reason"]).is_empty() {
        return Err(invalid("there are members that a hold does not have"));
    }
    let text = |name: &str| body.read::<String>(name).ok().flatten();
    let path = text("path").ok_or_else(|| invalid("path is missing"))?;
    let reason = text("reason").ok_or_else(|| invalid("reason is missing"))?;
    let (mount, path) = placed(call, &path, Operation::Update).await?;
    let placed = call
        .wallet
        .place_hold(&call.caller, &mount, &path, &reason, call.command()?)
        .await;
    let placed = placed.map_err(|error| failure(&error))?;
    Ok(Reply::json(StatusCode::OK, &Shown::from(placed.value)).at(placed.seq))
}

/// All holds.
pub(super) async fn all(call: &Call) -> Outcome {
    let found = call.wallet.holds(&call.caller, &call.path).await;
    let found = found.map_err(|error| failure(&error))?;
    let holds = found.value.into_iter().map(Shown::from).collect();
    Ok(Reply::json(StatusCode::OK, &All { holds }).at(found.seq))
}

/// One hold.
pub(super) async fn one(call: &Call) -> Outcome {
    let found = call.wallet.hold(&call.caller, &call.path, id(call)?).await;
    let found = found.map_err(|error| failure(&error))?;
    Ok(Reply::json(StatusCode::OK, &Shown::from(found.value)).at(found.seq))
}

/// Lifts a hold.
pub(super) async fn lift(call: &Call) -> Outcome {
    let lifted = call
        .wallet
        .lift_hold(&call.caller, &call.path, id(call)?, call.command()?)
        .await;
    let lifted = lifted.map_err(|error| failure(&error))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT).at(lifted.seq))
}

fn id(call: &Call) -> Result<HoldId, Failure> {
    let id = call.rest.parse();
    id.map_err(|_| Failure::bad("the id of a hold is 32 hexadecimal digits"))
}
