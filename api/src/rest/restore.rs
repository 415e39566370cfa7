//! `/api/internal/wallet/restore`: what secrets said at a moment of the past is written anew.

use axum::http::StatusCode;
use billfold_core::{access::Need, decide::Refusal, moment::Moment, policy::Operation};
use serde::Serialize;

use super::checked_name;
use crate::{
    http::{Call, Failure, Outcome as Answer, json::Object, reply::Reply},
    v1::failure,
    wallet::{Error, Mount, Outcome, Restoration, Restored, Restoring, SECRETS, Why},
};

#[derive(Serialize)]
struct Told<'a> {
    dry_run: bool,
    restored: Vec<New<'a>>,
    /// Those whose current version says the same.
    unchanged: Vec<Same<'a>>,
    /// Those in a folder that had no value then.
    left: Vec<Left<'a>>,
    /// The time of the new versions.
    time: Option<String>,
    sequence: u64,
}

#[derive(Serialize)]
struct New<'a> {
    path: &'a str,
    from: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
}

#[derive(Serialize)]
struct Same<'a> {
    path: &'a str,
    version: u32,
}

#[derive(Serialize)]
struct Left<'a> {
    path: &'a str,
    why: &'static str,
}

#[derive(Serialize)]
struct Impossible<'a> {
    error: &'static str,
    status: u16,
    refused: Vec<Left<'a>>,
}

fn invalid(told: impl Into<String>) -> Failure {
    Failure::new(StatusCode::UNPROCESSABLE_ENTITY, told)
}

pub(super) async fn restore(call: &Call) -> Answer {
    call.allowed(Operation::Update).await?;
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    if !body.has_others(&["at", "paths", "dry_run"]).is_empty() {
        return Err(invalid("a restoration has at, paths and dry_run"));
    }
    let dry_run = body.read::<bool>("dry_run");
    let dry_run = dry_run.map_err(|()| invalid("dry_run is true or false"))?;
    let dry_run = dry_run.unwrap_or_default();
    let paths = body.read::<Vec<String>>("paths").ok().flatten();
    let paths = paths.filter(|paths| !paths.is_empty());
    let paths = paths.ok_or_else(|| invalid("paths is not a list of paths"))?;
    if paths.len() > SECRETS {
        let told = format!("a restoration may be about {SECRETS} secrets");
        return Err(invalid(told));
    }
    let wanted = Restoration {
        at: moment(&body)?,
        places: places(call, &paths).await?,
        dry_run,
    };
    let done = call.wallet.restore(&call.caller, &call.path, wanted).await;
    let done = done.map_err(|error| match error {
        Error::Refused(Refusal::Changed | Refusal::CasMismatch) => Failure::new(
            StatusCode::CONFLICT,
            "a secret was changed meanwhile: nothing was restored",
        ),
        Error::Invalid(told) => invalid(told),
        other => failure(&other),
    })?;
    Ok(match &done.value {
        Restoring::Impossible(because) => {
            let refused = because.iter().map(|(path, why)| left(path, *why));
            let told = Impossible {
                error: "nothing was restored",
                status: StatusCode::CONFLICT.as_u16(),
                refused: refused.collect(),
            };
            Reply::json(StatusCode::CONFLICT, &told).at(done.seq)
        }
        Restoring::Done(secrets, written) => {
            let time = written
                .as_ref()
                .map(|written| written.done.time.to_string());
            let told = tell(secrets, dry_run, time, done.seq.0);
            Reply::json(StatusCode::OK, &told).at(done.seq)
        }
    })
}

fn moment(body: &Object<'_>) -> Result<Moment, Failure> {
    let text = match body.read::<String>("at") {
        Ok(text) => text,
        Err(()) => body.get("at").map(str::to_owned),
    };
    let moment = text.and_then(|text| text.parse::<Moment>().ok());
    moment.ok_or_else(|| {
        invalid("at is not a sequence, a time of RFC 3339, or a time in milliseconds since 1970")
    })
}

async fn places(call: &Call, paths: &[String]) -> Result<Vec<(Mount, String)>, Failure> {
    let mut places = Vec::with_capacity(paths.len());
    for path in paths {
        // What is wrong by itself is told to anybody; whether there is a mount is not.
        checked_name(path.strip_suffix('/').unwrap_or(path))?;
        let found = call.wallet.mount_of(path).await;
        let Some(place) = found.map_err(|error| failure(&error))? else {
            let need = Need::to(Operation::Update, path.as_str());
            let may = call.wallet.may(&call.caller, &need).await;
            return Err(match may.map_err(|error| failure(&error))? {
                true => invalid("a path leads into no mount"),
                false => failure(&Error::Denied),
            });
        };
        places.push(place);
    }
    Ok(places)
}

fn tell(secrets: &[Restored], dry_run: bool, time: Option<String>, sequence: u64) -> Told<'_> {
    let mut told = Told {
        dry_run,
        restored: Vec::new(),
        unchanged: Vec::new(),
        left: Vec::new(),
        time,
        sequence,
    };
    for Restored { path, outcome } in secrets {
        match *outcome {
            Outcome::Written { from, version } => told.restored.push(New {
                path,
                from,
                version,
            }),
            Outcome::Current(version) => told.unchanged.push(Same { path, version }),
            Outcome::Left(why) => told.left.push(left(path, why)),
        }
    }
    told
}

const fn left(path: &str, why: Why) -> Left<'_> {
    let why = match why {
        Why::NoValue => "it had no value then, or was removed since",
        Why::Deleted => "its value was deleted then",
        Why::Erased => "its value of then is erased",
    };
    Left { path, why }
}
