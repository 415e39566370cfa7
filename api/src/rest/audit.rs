//! `/api/internal/secret-audit`: who did what to which secret when.

use axum::http::StatusCode;
use billfold_core::{Millis, event::Event, id::Seq};
use serde::Serialize;

use super::{By, mount};
use crate::{
    http::{Call, Failure, Outcome, reply::Reply},
    v1::failure,
    wallet::AuditRow,
};

/// How many rows a page holds when the client does not say, and at most.
const USUAL: usize = 1_000;
const AT_MOST: usize = 10_000;

#[derive(Serialize)]
struct Page {
    rows: Vec<Row>,
    /// Where the next page begins; none when this one was not full.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct Row {
    /// The position of the event: sequence and number in its commit.
    audit_id: String,
    occurred_at: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
    /// The path of the record; none when it is erased or was never there.
    credential: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
    #[serde(flatten)]
    by: By,
    sequence: u64,
}

impl From<AuditRow> for Row {
    fn from(AuditRow { row, record, name }: AuditRow) -> Self {
        let (operation, request, version) = match &row.fact.event {
            Event::ResolutionRequested(asked) => (
                Some(asked.operation.name()),
                Some(asked.request.to_string()),
                asked.version,
            ),
            Event::CredentialWritten(written) => (None, None, Some(written.version)),
            _ => (None, None, None),
        };
        Self {
            audit_id: format!("{}.{}", row.seq, row.number),
            occurred_at: row.time.to_string(),
            event: row.fact.event.name(),
            operation,
            record: record.map(|record| record.to_string()),
            credential: name,
            version,
            request,
            by: row.fact.actor.into(),
            sequence: row.seq.0,
        }
    }
}

pub(super) async fn read(call: &Call) -> Outcome {
    let record = match call.parameter("credential") {
        None => None,
        Some(name) => Some(
            call.wallet
                .record(mount(call).await?.id, super::checked_name(name)?),
        ),
    };
    let millis = |name: &str, usual: u64| match call.parameter(name) {
        None => Ok(Millis(usual)),
        Some(text) => text
            .parse()
            .map(Millis)
            .map_err(|_| Failure::bad("from and to are milliseconds since 1970")),
    };
    let span = millis("from", 0)?..millis("to", u64::MAX)?;
    let (after, limit) = page(call)?;
    let found = call
        .wallet
        .audit(&call.caller, record, span, after, limit)
        .await;
    let found = found.map_err(|error| failure(&error))?;
    let last = found.value.last().filter(|_| found.value.len() == limit);
    let next = last.map(|last| format!("{}.{}", last.row.seq, last.row.number));
    let rows = found.value.into_iter().map(Row::from).collect();
    Ok(Reply::json(StatusCode::OK, &Page { rows, next }).at(found.seq))
}

/// Where a page begins, and how much it holds.
pub(super) fn page(call: &Call) -> Result<(Option<(Seq, u16)>, usize), Failure> {
    let limit = match call.parameter("limit").map(str::parse) {
        None => USUAL,
        Some(Ok(limit @ 1..=AT_MOST)) => limit,
        Some(_) => return Err(Failure::bad("limit is a number from 1 to 10000")),
    };
    let after = call.parameter("after").map(position).transpose()?;
    Ok((after, limit))
}

/// A place as an earlier page named it.
fn position(text: &str) -> Result<(Seq, u16), Failure> {
    let place = text.split_once('.');
    let read = place.and_then(|(seq, number)| Some((Seq(seq.parse().ok()?), number.parse().ok()?)));
    read.ok_or_else(|| Failure::bad("after is not what an earlier page named"))
}
