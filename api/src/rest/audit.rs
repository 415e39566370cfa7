//! `/api/internal/secret-audit`: who did what to which secret when, and with what answer.

use axum::http::StatusCode;
use billfold_core::{
    Millis,
    event::{Event, v1::Operation},
    policy,
    told::By,
};
use billfold_projector::audit::{Order, Outcome as Answer, Place};
use serde::Serialize;

use super::{mount, placed};
use crate::{
    http::{Call, Failure, Outcome, path::is_plain, reply::Reply},
    v1::failure,
    wallet::{AuditFilter, AuditOf, AuditRow},
};

/// How many rows a page holds when the client does not say, and at most.
const USUAL: usize = 1_000;
const AT_MOST: usize = 10_000;
/// The longest name of an execution: more of it no request keeps.
const LONGEST_EXECUTION: usize = 256;

/// What one can ask for.
const KNOWN: &[&str] = &[
    "credential",
    "path",
    "record",
    "principal",
    "token",
    "worker",
    "execution",
    "event",
    "operation",
    "outcome",
    "from",
    "to",
    "order",
    "limit",
    "after",
];
/// What any request may say besides.
const ANYWHERE: &[&str] = &["execution_id", "help", "list", "scan"];

#[derive(Serialize)]
struct Page {
    rows: Vec<Row>,
    /// Where the next page begins; none when there is no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct Row {
    /// The position of the event: sequence and number in its commit.
    audit_id: String,
    sequence: u64,
    number: u16,
    occurred_at: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    policies: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
    /// The path of the record; none when it is erased or was never there.
    credential: Option<String>,
    /// The path of its mount.
    #[serde(skip_serializing_if = "Option::is_none")]
    mount: Option<String>,
    /// What else a request named.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// The version that was told or written.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    /// The version that was asked for, where one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked_version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
    #[serde(flatten)]
    by: By,
    /// What the token is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
}

impl From<AuditRow> for Row {
    fn from(told: AuditRow) -> Self {
        let row = told.row;
        let asked = match &row.fact.event {
            Event::ResolutionRequested(asked) => Some(asked),
            _ => None,
        };
        let written = match &row.fact.event {
            Event::CredentialWritten(written) => Some(written.version),
            _ => None,
        };
        let (client, execution) = match row.names {
            Some(names) => (Some(names.client), names.execution),
            None => (None, None),
        };
        let answer = row.told.as_ref();
        Self {
            audit_id: row.place.to_string(),
            sequence: row.place.seq.0,
            number: row.place.number,
            occurred_at: row.time.to_string(),
            event: row.fact.event.name(),
            operation: asked.map(|asked| asked.operation.name()),
            outcome: answer.map(|told| told.outcome.name()),
            version: answer.and_then(|told| told.version).or(written),
            policies: row.told.map(|told| told.policies).unwrap_or_default(),
            record: told.record.map(|record| record.to_string()),
            credential: told.name,
            mount: told.mount,
            path: told.path,
            asked_version: asked.and_then(|asked| asked.version),
            request: asked.map(|asked| asked.request.to_string()),
            by: row.fact.actor.into(),
            display_name: told.display,
            execution,
            client,
        }
    }
}

pub(super) async fn read(call: &Call) -> Outcome {
    let is_known = |name: &str| KNOWN.contains(&name) || ANYWHERE.contains(&name);
    if !call.query.iter().all(|(name, _)| is_known(name)) {
        let told = format!("unknown parameter; known are {}", KNOWN.join(", "));
        return Err(Failure::bad(told));
    }
    let filter = filter(call).await?;
    let order = match call.single("order")? {
        None | Some("oldest") => Order::Oldest,
        Some("newest") => Order::Newest,
        Some(_) => return Err(Failure::bad("order is oldest or newest")),
    };
    let (after, limit) = page(call)?;
    let found = call
        .wallet
        .audit(&call.caller, &filter, order, after, limit)
        .await;
    let found = found.map_err(|error| failure(&error))?;
    let page = Page {
        rows: found.value.rows.into_iter().map(Row::from).collect(),
        next: found.value.next.map(|place| place.to_string()),
    };
    Ok(Reply::json(StatusCode::OK, &page).at(found.seq))
}

async fn filter(call: &Call) -> Result<AuditFilter, Failure> {
    let execution = call.single("execution")?;
    let is_wrong = |name: &str| name.is_empty() || name.chars().count() > LONGEST_EXECUTION;
    if execution.is_some_and(is_wrong) {
        return Err(Failure::bad("execution has 1 to 256 characters"));
    }
    let event = match call.single("event")? {
        None => None,
        Some(wanted) => {
            let mut kinds = Event::KINDS.iter();
            let known = kinds.find(|(_, name)| *name == wanted);
            let unknown = || Failure::bad("event is not the name of a kind of events");
            Some(known.ok_or_else(unknown)?.0)
        }
    };
    let (from, to) = (time(call, "from")?, time(call, "to")?);
    if from.zip(to).is_some_and(|(from, to)| to < from) {
        return Err(Failure::bad("to is before from"));
    }
    Ok(AuditFilter {
        what: what(call).await?,
        principal: read_as(call, "principal", "is 32 hexadecimal digits", |text| {
            text.parse().ok()
        })?,
        token: read_as(
            call,
            "token",
            "is the accessor of a token, 32 hexadecimal digits",
            |text| text.parse().ok(),
        )?,
        worker: read_as(
            call,
            "worker",
            "is the id of a principal or the accessor of a token, 32 hexadecimal digits",
            |text| {
                let id: Option<billfold_core::id::TokenId> = text.parse().ok();
                id.map(|id| *id.as_bytes())
            },
        )?,
        execution: execution.map(str::to_owned),
        event,
        operation: read_as(
            call,
            "operation",
            "is not the name of an operation",
            Operation::named,
        )?,
        outcome: read_as(
            call,
            "outcome",
            "is permitted, denied, absent, deleted, unknown or void",
            Answer::named,
        )?,
        from,
        to,
    })
}

/// What the events are to concern.
async fn what(call: &Call) -> Result<AuditOf, Failure> {
    let asked = (
        call.single("credential")?,
        call.single("path")?,
        call.single("record")?,
    );
    let (mount, path) = match asked {
        (None, None, None) => return Ok(AuditOf::Anything),
        (None, None, Some(id)) => {
            let wrong = |_| Failure::bad("record is 32 hexadecimal digits");
            return id.parse().map(AuditOf::Record).map_err(wrong);
        }
        (Some(name), None, None) => {
            checked("credential", name)?;
            (mount(call).await?, name.to_owned())
        }
        (None, Some(path), None) => {
            checked("path", path)?;
            placed(call, path, policy::Operation::Read)
                .await
                .map_err(|failure| match failure.status {
                    StatusCode::UNPROCESSABLE_ENTITY => Failure {
                        status: StatusCode::BAD_REQUEST,
                        ..failure
                    },
                    _ => failure,
                })?
        }
        _ => {
            return Err(Failure::bad(
                "credential, path and record are three ways to say one thing: give one of them",
            ));
        }
    };
    Ok(match path.is_empty() || path.ends_with('/') {
        true => AuditOf::Folder(mount, path),
        false => AuditOf::Secret(mount, path),
    })
}

/// That this can be the path of a secret, or with a slash behind it that of a folder.
fn checked(name: &str, path: &str) -> Result<(), Failure> {
    let inside = path.strip_suffix('/').unwrap_or(path);
    let is_path = !inside.is_empty() && !inside.ends_with('/') && is_plain(inside);
    let told = || Failure::bad(format!("{name} is not a path of a secret or folder"));
    is_path.then_some(()).ok_or_else(told)
}

fn read_as<T>(
    call: &Call,
    name: &str,
    told: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Failure> {
    match call.single(name)? {
        None => Ok(None),
        Some(text) => match read(text) {
            Some(value) => Ok(Some(value)),
            None => Err(Failure::bad(format!("{name} {told}"))),
        },
    }
}

/// A time: milliseconds since 1970, or a text of RFC 3339.
fn time(call: &Call, name: &str) -> Result<Option<Millis>, Failure> {
    let told = "is a time of RFC 3339, or milliseconds since 1970";
    read_as(call, name, told, |text| {
        match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse().ok().map(Millis),
            false => Millis::parse(text),
        }
    })
}

/// Where a page begins, and how much it holds.
pub(super) fn page(call: &Call) -> Result<(Option<Place>, usize), Failure> {
    let limit = match call.single("limit")?.map(str::parse) {
        None => USUAL,
        Some(Ok(limit @ 1..=AT_MOST)) => limit,
        Some(_) => return Err(Failure::bad("limit is a number from 1 to 10000")),
    };
    let told = "is not what an earlier page named";
    Ok((
        read_as(call, "after", told, |text| text.parse().ok())?,
        limit,
    ))
}
