//! `billfold grant-auditor`, `auditor-grants` and `revoke-auditor`.

use billfold::client::{Error, Grant as Wish};
use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::{
    output::Shown,
    remote::{Remote, Session},
};

#[derive(Args)]
pub(crate) struct Grant {
    /// The auditor's public key, as `billfold-replay auditor-key` prints it
    #[arg(long, value_name = "PUBKEY")]
    recipient: String,
    /// From when on: a time of RFC 3339, or a sequence of the log; without it from the beginning
    #[arg(long, value_name = "TIME|SEQ")]
    from: Option<String>,
    /// Until when; without it each further epoch is granted when it ends
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Grant the epoch that goes on, too: who holds its key and could write to the log could forge
    /// facts of it
    #[arg(long)]
    live: bool,
    /// Grant no table of names: neither the paths of secrets nor what tokens are called. What a request
    /// named itself (its client's address, a path where nothing is) goes with its epoch all the same
    #[arg(long)]
    without_names: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
pub(crate) struct Grants {
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
pub(crate) struct Revoke {
    /// The id of the grant
    id: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Deserialize)]
struct All {
    grants: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    id: String,
    recipient: Option<String>,
    from: String,
    to: Option<String>,
    live: bool,
    names: bool,
    granted_epoch: u32,
    granted_at: String,
}

/// Grants what happened to an auditor.
pub(super) async fn grant(grant: Grant) -> anyhow::Result<()> {
    let Session { client, format, .. } = grant.remote.open()?;
    let wish = Wish {
        recipient: grant.recipient,
        from: grant.from,
        to: grant.to,
        live: grant.live,
        names: !grant.without_names,
    };
    let answer = client.grant_auditor(&wish).await?;
    let one: One = read(answer.text()?)?;
    Shown::json(answer.text()?)
        .row("grant", &one.id)
        .row("from", &one.from)
        .row("to", one.to.as_deref().unwrap_or("until revoked"))
        .row("live", one.live)
        .row("names", one.names)
        .row("epochs", epochs(&one))
        .print(format.plain())
}

/// Lists the grants that stand.
pub(super) async fn all(grants: Grants) -> anyhow::Result<()> {
    let Session { client, format, .. } = grants.remote.open()?;
    let answer = client.auditor_grants().await?;
    let all: All = read(answer.text()?)?;
    let lines = all.grants.into_iter().map(|one| {
        let epochs = epochs(&one);
        vec![
            one.id,
            one.recipient.unwrap_or_default(),
            one.from,
            one.to.unwrap_or_default(),
            one.live.to_string(),
            one.names.to_string(),
            epochs,
            one.granted_at,
        ]
    });
    let head = &[
        "id",
        "recipient",
        "from",
        "to",
        "live",
        "names",
        "epochs",
        "granted",
    ];
    Shown::json(answer.text()?)
        .lines(head, lines.collect())
        .print(format.plain())
}

/// Ends a grant.
pub(super) async fn revoke(revoke: Revoke) -> anyhow::Result<()> {
    let Session { client, format, .. } = revoke.remote.open()?;
    client.revoke_auditor(&revoke.id).await?;
    Shown::of(&json!({ "grant": revoke.id, "done": "revoked" }))
        .row("grant", &revoke.id)
        .row("done", "revoked")
        .print(format.plain())
}

fn epochs(one: &One) -> String {
    match one.granted_epoch {
        0 => "none yet".to_owned(),
        last => format!("up to {last}"),
    }
}

fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|_| Error::Malformed("it has another form"))
}
