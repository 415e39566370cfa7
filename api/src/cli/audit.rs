//! `billfold audit`.

use billfold::client::Error;
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    output::Shown,
    remote::{Format, Remote, Session},
};

/// How many rows a page has at most.
const PAGE: usize = 1_000;

#[derive(Args)]
pub(crate) struct Audit {
    /// What concerns this secret, MOUNT/PATH, or anything below this folder: MOUNT/PATH/
    path: Option<String>,
    /// What concerns this record
    #[arg(long, value_name = "ID", conflicts_with = "path")]
    record: Option<String>,
    /// What this principal did
    #[arg(long, value_name = "ID")]
    principal: Option<String>,
    /// What was done by the token of this accessor
    #[arg(long, value_name = "ACCESSOR")]
    token: Option<String>,
    /// What the principal or the token of this id did
    #[arg(long, value_name = "ID")]
    worker: Option<String>,
    /// What was asked for in this execution
    #[arg(long, value_name = "NAME")]
    execution: Option<String>,
    /// Events of this kind: CredentialWritten
    #[arg(long, value_name = "KIND")]
    event: Option<String>,
    /// Requests for this: read-data
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// Requests that were answered so: permitted, denied, absent, deleted or unknown
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
    /// From this time on: RFC 3339, or milliseconds since 1970
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// The newest events first
    #[arg(long)]
    newest: bool,
    /// How many events at most
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Only events behind this place, which an earlier answer ended with
    #[arg(long, value_name = "PLACE")]
    after: Option<String>,
    /// The same as -o json
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Deserialize)]
struct Page {
    rows: Vec<Value>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Row {
    audit_id: String,
    occurred_at: String,
    event: String,
    operation: Option<String>,
    outcome: Option<String>,
    record: Option<String>,
    credential: Option<String>,
    mount: Option<String>,
    path: Option<String>,
    version: Option<u32>,
    actor: String,
    token: Option<String>,
    display_name: Option<String>,
    execution: Option<String>,
}

/// Tells what happened.
pub(super) async fn audit(audit: Audit) -> anyhow::Result<()> {
    let parameters = audit.parameters();
    let (limit, json) = (audit.limit, audit.json);
    let mut after = audit.after;
    let Session { client, format, .. } = audit.remote.open()?;
    let mut rows = Vec::new();
    while rows.len() < limit {
        let mut parameters = parameters.clone();
        parameters.push(("limit", PAGE.min(limit - rows.len()).to_string()));
        parameters.extend(after.map(|place| ("after", place)));
        let answer = client.audit(&parameters).await?;
        let page: Page = serde_json::from_str(answer.text()?).map_err(|_| malformed())?;
        rows.extend(page.rows);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let format = if json { Format::Json } else { format };
    let lines: Result<Vec<_>, Error> = rows.iter().map(line).collect();
    let mut shown = Shown::of(&json!({ "rows": rows, "next": after }));
    if let Some(after) = &after {
        shown = shown.row("next", after);
    }
    let head = &[
        "place",
        "time",
        "event",
        "what",
        "version",
        "outcome",
        "by",
        "execution",
    ];
    shown.lines(head, lines?).print(format.plain())
}

impl Audit {
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let named = [
            ("path", &self.path),
            ("record", &self.record),
            ("principal", &self.principal),
            ("token", &self.token),
            ("worker", &self.worker),
            ("execution", &self.execution),
            ("event", &self.event),
            ("operation", &self.operation),
            ("outcome", &self.outcome),
            ("from", &self.from),
            ("to", &self.to),
        ];
        let named = named.into_iter();
        let mut parameters: Vec<_> = named
            .filter_map(|(name, value)| Some((name, value.clone()?)))
            .collect();
        if self.newest {
            parameters.push(("order", "newest".to_owned()));
        }
        parameters
    }
}

fn line(row: &Value) -> Result<Vec<String>, Error> {
    let row = Row::deserialize(row).map_err(|_| malformed())?;
    let mount = row.mount.unwrap_or_default();
    let what = match (row.record, row.credential, row.path) {
        (_, Some(path), _) => format!("{mount}{path}"),
        (Some(record), None, _) => format!("(erased) {record}"),
        (None, None, Some(path)) => format!("{mount}{path}"),
        (None, None, None) => mount,
    };
    Ok(vec![
        row.audit_id,
        row.occurred_at,
        row.operation.unwrap_or(row.event),
        what,
        row.version.map(|v| v.to_string()).unwrap_or_default(),
        row.outcome.unwrap_or_default(),
        row.display_name.or(row.token).unwrap_or(row.actor),
        row.execution.unwrap_or_default(),
    ])
}

fn malformed() -> Error {
    Error::Malformed("it has another form")
}
