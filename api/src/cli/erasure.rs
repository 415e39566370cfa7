//! `billfold erase`, `erasures` and `hold`.

use billfold::client::Error;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    output::Shown,
    remote::{Format, Remote, Session},
};

#[derive(Args)]
pub(crate) struct Erase {
    /// The secret, MOUNT/PATH, or all below a folder: MOUNT/PATH/
    path: String,
    /// Why; the receipt tells it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Erase these versions of the secret alone: 1,2
    #[arg(long, value_name = "VERSIONS", value_delimiter = ',')]
    versions: Vec<u64>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
pub(crate) struct Erasures {
    /// The id of an erasure, or a secret, MOUNT/PATH, of which all that was destroyed is listed;
    /// without it all erasures are listed
    #[arg(value_name = "ID|PATH")]
    which: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Subcommand)]
pub(crate) enum Hold {
    /// Forbid that anything under a path is lost
    Place(Place),
    /// List the legal holds
    List(List),
    /// Lift a legal hold
    Lift(Lift),
}

#[derive(Args)]
pub(crate) struct Place {
    /// The secret, MOUNT/PATH, or all below a folder: MOUNT/PATH/
    path: String,
    /// Why; who looks at the holds is told it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
pub(crate) struct Lift {
    /// The id of the hold
    id: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Deserialize)]
struct Receipt {
    id: Option<String>,
    what: String,
    state: String,
    records: Vec<Gone>,
    keys: u64,
    reason: Option<String>,
    ordered_at: String,
    sequence: u64,
    outcome_sequence: Option<u64>,
}

#[derive(Deserialize)]
struct Gone {
    record: String,
    path: Option<String>,
    whole: bool,
    versions: Vec<u32>,
}

#[derive(Deserialize)]
struct Order {
    receipts: Vec<Receipt>,
    left: u64,
}

#[derive(Deserialize)]
struct Page {
    erasures: Vec<Value>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Holds {
    holds: Vec<OneHold>,
}

#[derive(Deserialize)]
struct OneHold {
    id: String,
    path: String,
    reason: String,
    placed_at: String,
}

const WENT: &[&str] = &["path", "record", "versions"];

/// Erases a secret, versions of it, or a folder.
pub(super) async fn erase(erase: Erase) -> anyhow::Result<()> {
    let Session { client, format, .. } = erase.remote.open()?;
    let answer = client
        .erase(&erase.path, &erase.versions, &erase.reason)
        .await?;
    if format == Format::Json {
        return Shown::json(answer.text()?).print(format.plain());
    }
    let order: Order = read(answer.text()?)?;
    let mut shown = Shown::json("");
    for receipt in &order.receipts {
        shown = rows(shown, receipt);
    }
    if order.left > 0 {
        shown = shown.row("left", order.left);
    }
    let gone = order.receipts.iter().flat_map(|receipt| &receipt.records);
    shown
        .lines(WENT, gone.map(Gone::line).collect())
        .print(format.plain())
}

/// Tells of one erasure, of all that was destroyed of a secret, or of all erasures.
pub(super) async fn erasures(erasures: Erasures) -> anyhow::Result<()> {
    let Session { client, format, .. } = erasures.remote.open()?;
    let secret = match erasures.which {
        Some(id) if is_id(&id) => {
            let answer = client.erasure(&id).await?;
            if format == Format::Json {
                return Shown::json(answer.text()?).print(format.plain());
            }
            let receipt: Receipt = read(answer.text()?)?;
            let gone = receipt.records.iter().map(Gone::line).collect();
            return rows(Shown::json(""), &receipt)
                .lines(WENT, gone)
                .print(format.plain());
        }
        other => other,
    };
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let answer = client.erasures(secret.as_deref(), after.as_deref()).await?;
        let page: Page = read(answer.text()?)?;
        found.extend(page.erasures);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let lines: Result<Vec<_>, Error> = found
        .iter()
        .map(|receipt| {
            let receipt = Receipt::deserialize(receipt).map_err(|_| malformed())?;
            let versions = receipt.records.iter().map(Gone::versions);
            Ok(vec![
                receipt.id.unwrap_or_default(),
                receipt.what,
                receipt.state,
                receipt.records.len().to_string(),
                if secret.is_some() {
                    versions.collect()
                } else {
                    String::new()
                },
                receipt.keys.to_string(),
                receipt.ordered_at,
                receipt.sequence.to_string(),
            ])
        })
        .collect();
    let head = &[
        "id", "what", "state", "secrets", "versions", "keys", "ordered", "sequence",
    ];
    Shown::of(&json!({ "erasures": found }))
        .lines(head, lines?)
        .print(format.plain())
}

/// Runs a command about legal holds.
pub(super) async fn hold(command: Hold) -> anyhow::Result<()> {
    match command {
        Hold::Place(Place {
            path,
            reason,
            remote,
        }) => {
            let Session { client, format, .. } = remote.open()?;
            let answer = client.place_hold(&path, &reason).await?;
            let hold: OneHold = read(answer.text()?)?;
            Shown::json(answer.text()?)
                .row("id", hold.id)
                .row("path", hold.path)
                .row("reason", hold.reason)
                .row("placed", hold.placed_at)
                .print(format.plain())
        }
        Hold::List(List { remote }) => {
            let Session { client, format, .. } = remote.open()?;
            let answer = client.holds().await?;
            let found: Holds = read(answer.text()?)?;
            let lines = found.holds.into_iter();
            let lines = lines.map(|hold| vec![hold.id, hold.path, hold.placed_at, hold.reason]);
            Shown::json(answer.text()?)
                .lines(&["id", "path", "placed", "reason"], lines.collect())
                .print(format.plain())
        }
        Hold::Lift(Lift { id, remote }) => {
            let Session { client, format, .. } = remote.open()?;
            client.lift_hold(&id).await?;
            Shown::of(&json!({ "hold": id, "done": "lifted" }))
                .row("hold", &id)
                .row("done", "lifted")
                .print(format.plain())
        }
    }
}

impl Gone {
    fn versions(&self) -> String {
        let numbers: Vec<String> = self.versions.iter().map(ToString::to_string).collect();
        match (self.whole, numbers.is_empty()) {
            (true, true) => "all".to_owned(),
            (true, false) => format!("all ({})", numbers.join(",")),
            (false, _) => numbers.join(","),
        }
    }

    fn line(&self) -> Vec<String> {
        let path = self.path.clone().unwrap_or_else(|| "(erased)".to_owned());
        vec![path, self.record.clone(), self.versions()]
    }
}

fn rows(shown: Shown, receipt: &Receipt) -> Shown {
    let mut shown = shown;
    if let Some(id) = &receipt.id {
        shown = shown.row("erasure", id);
    }
    shown = shown.row("state", &receipt.state);
    if let Some(reason) = &receipt.reason {
        shown = shown.row("reason", reason);
    }
    shown = shown
        .row("ordered", &receipt.ordered_at)
        .row("sequence", receipt.sequence);
    if let Some(outcome) = receipt.outcome_sequence {
        shown = shown.row("outcome", outcome);
    }
    shown.row("keys", receipt.keys)
}

/// Whether a text is an id: a path of a secret has a slash.
fn is_id(text: &str) -> bool {
    !text.contains('/')
}

fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|_| malformed())
}

fn malformed() -> Error {
    Error::Malformed("it has another form")
}
