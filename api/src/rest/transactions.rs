//! `/api/transactions`: several secrets change together, or none does.

use axum::http::StatusCode;
use billfold_core::{access::Need, policy::Operation};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{checked_name, credentials::refused};
use crate::{
    http::{
        Call, Failure, Outcome,
        json::{Object, canonical, is_object},
        reply::Reply,
    },
    v1::failure,
    wallet::{Error, Mount, Put, Step},
};

/// How many changes one transaction may hold.
const CHANGES: usize = 1000;

/// One change, as clients write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish<'a> {
    op: Op,
    /// With the mount: `secret/app/db`.
    path: String,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    cas: Option<u32>,
    versions: Option<Vec<u32>>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Op {
    Put,
    Delete,
    Undelete,
    Destroy,
    Remove,
}

#[derive(Serialize)]
struct Done {
    time: String,
    /// The version that each change wrote, in their order; 0 for those that wrote none.
    versions: Vec<u32>,
    sequence: u64,
}

pub(super) async fn transact(call: &Call) -> Outcome {
    let invalid = |told: &str| Failure::new(StatusCode::UNPROCESSABLE_ENTITY, told);
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    if !body.has_others(&["changes"]).is_empty() {
        return Err(invalid("a transaction has only changes"));
    }
    let wishes = wishes(&body).map_err(|()| invalid("changes is not a list of changes"))?;
    let wishes = wishes.filter(|wishes| !wishes.is_empty());
    let wishes = wishes.ok_or_else(|| invalid("a transaction needs at least one change"))?;
    if wishes.len() > CHANGES {
        return Err(invalid("a transaction may hold 1000 changes"));
    }
    let mut steps: Vec<(Mount, String, Step)> = Vec::with_capacity(wishes.len());
    for wish in wishes {
        // What is wrong by itself is told to anybody; whether there is a mount is not.
        checked_name(&wish.path)?;
        let step = step(&wish)?;
        let found = call
            .wallet
            .mount_of(&wish.path)
            .await
            .map_err(|error| failure(&error))?;
        let Some((mount, path)) = found else {
            let need = Need::to(Operation::Update, wish.path);
            let may = call.wallet.may(&call.caller, &need).await;
            return Err(match may.map_err(|error| failure(&error))? {
                true => invalid("a path leads into no mount"),
                false => failure(&Error::Denied),
            });
        };
        steps.push((mount, path, step));
    }
    let done = call
        .wallet
        .transact(&call.caller, steps, call.command()?)
        .await;
    let done = done.map_err(|error| refused(&error))?;
    let told = Done {
        time: done.done.time.to_string(),
        versions: done.done.versions,
        sequence: done.seq.0,
    };
    Ok(Reply::json(StatusCode::OK, &told).at(done.seq))
}

fn wishes<'a>(body: &Object<'a>) -> Result<Option<Vec<Wish<'a>>>, ()> {
    let Some(changes) = body.read::<Vec<&RawValue>>("changes")? else {
        return Ok(None);
    };
    // A list of what its members are would be read, too.
    let read = |change: &'a RawValue| {
        let members = Some(change.get()).filter(|change| is_object(change));
        serde_json::from_str(members.ok_or(())?).map_err(|_| ())
    };
    changes
        .into_iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map(Some)
}

fn step(wish: &Wish<'_>) -> Result<Step, Failure> {
    let invalid = |told: &str| Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, told));
    let Wish {
        op,
        data,
        cas,
        versions,
        ..
    } = wish;
    match (op, data, cas, versions) {
        (Op::Put, Some(data), cas, None) if is_object(data.get()) => {
            let data = canonical(data.get()).map_err(Failure::bad)?;
            Ok(Step::Put(Put {
                cas: *cas,
                data,
                credential: None,
            }))
        }
        (Op::Put, ..) => invalid("a put needs data, an object, and takes cas"),
        (Op::Delete, None, None, None) => Ok(Step::DeleteCurrent),
        (Op::Delete, None, None, Some(versions)) => Ok(Step::Delete(versions.clone())),
        (Op::Delete, ..) => invalid("a delete takes versions and nothing else"),
        (Op::Undelete, None, None, Some(versions)) => Ok(Step::Undelete(versions.clone())),
        (Op::Undelete, ..) => invalid("an undelete needs versions and nothing else"),
        (Op::Destroy, None, None, Some(versions)) => Ok(Step::Destroy(versions.clone())),
        (Op::Destroy, ..) => invalid("a destroy needs versions and nothing else"),
        (Op::Remove, None, None, None) => Ok(Step::Remove),
        (Op::Remove, ..) => invalid("a remove takes nothing else"),
    }
}
