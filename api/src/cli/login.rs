//! `billfold login` and `billfold status`.

use std::path::PathBuf;

use anyhow::Context as _;
use billfold::client::{Error, Token};
use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::{
    input::Source,
    output::{Asked, Shown},
    remote::{Remote, Session, warn},
    token,
};

#[derive(Args)]
pub(crate) struct Login {
    /// `-` reads the token from standard input; without it you are asked. The token itself does not belong here
    #[arg(value_name = "-", conflicts_with = "token_file")]
    token: Option<String>,
    /// Read the token from this file
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
pub(crate) struct Status {
    /// Print this field alone
    #[arg(long, value_name = "NAME")]
    field: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Deserialize)]
struct Seal {
    r#type: String,
    initialized: bool,
    sealed: bool,
    version: String,
    cluster_name: Option<String>,
    storage_type: Option<String>,
}

/// Checks a token with the server, and keeps it for later commands.
pub(super) async fn log_in(login: Login) -> anyhow::Result<()> {
    let source = match (login.token.as_deref(), login.token_file) {
        (None, None) => Source::Prompt,
        (Some("-"), None) => Source::Stdin,
        (None, Some(file)) => Source::File(file),
        // Not repeated: it is a secret.
        _ => return Err(token::on_the_command_line().into()),
    };
    let Session {
        client,
        format,
        variables,
    } = login.remote.open_without_token()?;
    let file = variables.token_file()?;
    let token = Token::parse(&source.read_text("Token (not shown)").await?)?;
    let client = client.with_token(token.clone());
    let answer = client
        .look_up_token(&billfold::client::Whose::Own)
        .await
        .context("the token was not accepted, and not kept")?;
    let found = token::Found::read(answer.data()?)?;
    token.store(&file)?;
    if let Some((name, _)) = variables.find("TOKEN") {
        warn(&format!(
            "{name} is set and wins over the token that was stored now"
        ));
    }
    let stored = file.display().to_string();
    let json = json!({
        "accessor": found.accessor,
        "display_name": found.display_name,
        "policies": found.policies,
        "ttl": found.ttl,
        "renewable": found.renewable,
        "token_file": stored,
    });
    Shown::of(&json)
        .row("accessor", &found.accessor)
        .row("display_name", &found.display_name)
        .row("policies", found.policies.join(", "))
        .row("ttl", token::lifetime(found.ttl))
        .row("token_file", &stored)
        .print(format.plain())
}

/// Asks the server whether it is sealed. Returns whether it is.
pub(super) async fn status(status: Status) -> anyhow::Result<bool> {
    let Session { client, format, .. } = status.remote.open_without_token()?;
    let answer = client.seal_status().await?;
    let seal: Seal = serde_json::from_str(answer.text()?)
        .map_err(|_| Error::Malformed("it is no seal status"))?;
    let json = json!({
        "address": client.address().to_string(),
        "initialized": seal.initialized,
        "sealed": seal.sealed,
        "type": seal.r#type,
        "version": seal.version,
        "cluster_name": seal.cluster_name,
        "storage_type": seal.storage_type,
    });
    let shown = Shown::of(&json)
        .row("address", client.address())
        .row("initialized", seal.initialized)
        .row("sealed", seal.sealed)
        .row("type", &seal.r#type)
        .row("version", &seal.version)
        .row("cluster_name", seal.cluster_name.unwrap_or_default())
        .row("storage_type", seal.storage_type.unwrap_or_default());
    shown.print(Asked {
        format,
        field: status.field.as_deref(),
        show: false,
    })?;
    Ok(seal.sealed)
}
