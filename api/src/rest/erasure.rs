//! `/api/internal/wallet/erase` and `/erasures`: erasing by order, and receipts.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use billfold_core::{
    id::{ErasureId, RecordId},
    policy::Operation,
    told::By,
};
use serde::Serialize;

use super::{audit::page, placed};
use crate::{
    http::{Call, Failure, Outcome, json::Object, reply::Reply},
    v1::failure,
    wallet::{Erased, Receipt, Receipts},
};

/// How many versions one order names at most.
const VERSIONS: usize = 10_000;

#[derive(Serialize)]
struct Order {
    receipts: Vec<Shown>,
    /// How many secrets below the folder were written meanwhile and are left.
    left: usize,
}

#[derive(Serialize)]
struct Page {
    erasures: Vec<Shown>,
    /// Where the next page begins; none when this is the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    /// The erasure; none for what was destroyed in another way.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    what: &'static str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mount: Option<String>,
    records: Vec<Gone>,
    keys: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    ordered_at: String,
    by: By,
    /// The `decided` sequence of the order.
    sequence: u64,
    /// That of the event which confirms the last key to be destroyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome_sequence: Option<u64>,
}

#[derive(Serialize)]
struct Gone {
    record: String,
    /// Told once, to who ordered it.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    whole: bool,
    versions: Vec<u32>,
}

impl Shown {
    fn of(receipt: Receipt, paths: &BTreeMap<RecordId, String>) -> Self {
        let records = receipt.records.into_iter().map(|gone| Gone {
            record: gone.record.to_string(),
            path: paths.get(&gone.record).cloned(),
            whole: gone.whole,
            versions: gone.versions,
        });
        Self {
            id: receipt.erasure.map(|id| id.to_string()),
            what: receipt.what,
            state: receipt.fate.name(),
            mount: receipt.mount.map(|mount| mount.to_string()),
            records: records.collect(),
            keys: receipt.keys,
            reason: receipt.reason,
            ordered_at: receipt.ordered.to_string(),
            by: receipt.actor.into(),
            sequence: receipt.order.0,
            outcome_sequence: receipt.outcome.map(|seq| seq.0),
        }
    }
}

/// Erases a secret, versions of it, or a folder.
pub(super) async fn erase(call: &Call) -> Outcome {
    let invalid = |told: &str| Failure::new(StatusCode::UNPROCESSABLE_ENTITY, told);
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    if !body.has_others(&["path", "versions", "reason"]).is_empty() {
        return Err(invalid("there are members that an erasure does not have"));
    }
    let text = |name: &str| body.read::<String>(name).ok().flatten();
    let path = text("path").ok_or_else(|| invalid("path is missing"))?;
    let reason = text("reason").ok_or_else(|| invalid("reason is missing"))?;
    let versions: Option<Vec<u32>> = body
        .read("versions")
        .map_err(|()| invalid("versions is no list of version numbers"))?;
    let is_wrong = |versions: &Vec<u32>| {
        versions.is_empty() || versions.len() > VERSIONS || versions.contains(&0)
    };
    if versions.as_ref().is_some_and(is_wrong) {
        return Err(invalid("versions is no list of version numbers"));
    }
    let (mount, path) = placed(call, &path, Operation::Update).await?;
    let erased = call
        .wallet
        .erase(
            &call.caller,
            &mount,
            &path,
            versions.as_deref(),
            &reason,
            call.command()?,
        )
        .await;
    let erased = erased.map_err(|error| failure(&error))?;
    let Erased {
        receipts,
        paths,
        left,
    } = erased.value;
    let shown = receipts.into_iter().map(|r| Shown::of(r, &paths));
    let order = Order {
        receipts: shown.collect(),
        left,
    };
    Ok(Reply::json(StatusCode::OK, &order).at(erased.seq))
}

/// The receipts of all orders, or of all that was destroyed of a secret.
pub(super) async fn all(call: &Call) -> Outcome {
    let (after, limit) = page(call)?;
    let found = match call.parameter("path") {
        None => {
            call.wallet
                .erasures(&call.caller, &call.path, after, limit)
                .await
        }
        Some(path) if path.ends_with('/') => {
            return Err(Failure::bad("path is that of a secret"));
        }
        Some(path) => {
            let (mount, path) = placed(call, path, Operation::Read).await?;
            call.wallet
                .receipts_of(&call.caller, &call.path, &mount, &path, after, limit)
                .await
        }
    };
    let found = found.map_err(|error| failure(&error))?;
    let Receipts { receipts, next } = found.value;
    let shown = receipts.into_iter();
    let page = Page {
        erasures: shown.map(|r| Shown::of(r, &BTreeMap::new())).collect(),
        next: next.map(|place| place.to_string()),
    };
    Ok(Reply::json(StatusCode::OK, &page).at(found.seq))
}

/// The receipt of one order.
pub(super) async fn one(call: &Call) -> Outcome {
    let id: ErasureId = call
        .rest
        .parse()
        .map_err(|_| Failure::bad("the id of an erasure is 32 hexadecimal digits"))?;
    let found = call
        .wallet
        .erasure(&call.caller, &call.path, id)
        .await
        .map_err(|error| failure(&error))?;
    let shown = Shown::of(found.value, &BTreeMap::new());
    Ok(Reply::json(StatusCode::OK, &shown).at(found.seq))
}
