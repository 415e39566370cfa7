//! `billfold policy`.

use std::path::PathBuf;

use billfold::client::Error;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;

use super::{
    input::Source,
    output::{Shown, print_text},
    remote::{Format, Remote, Session},
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the policies
    List(List),
    /// Print a policy
    Read(Named),
    /// Write a policy from a file
    Write(Write),
    /// Delete a policy
    Delete(Named),
}

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
pub(crate) struct Named {
    /// The policy
    name: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
pub(crate) struct Write {
    /// The policy
    name: String,
    /// Its text; - is standard input
    file: PathBuf,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Deserialize)]
struct Policy {
    policy: String,
}

/// Runs a command about policies.
pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(List { remote }) => {
            let Session { client, format, .. } = remote.open()?;
            let names = client.policies().await?;
            let lines = names.iter().map(|name| vec![name.clone()]).collect();
            Shown::of(&json!(names))
                .lines(&["policy"], lines)
                .print(format.plain())
        }
        Command::Read(Named { name, remote }) => {
            let Session { client, format, .. } = remote.open()?;
            let answer = client.policy(&name).await?;
            let data = answer.data()?;
            if format == Format::Json {
                return Shown::json(data).print(format.plain());
            }
            let policy: Policy =
                serde_json::from_str(data).map_err(|_| Error::Malformed("it is no policy"))?;
            print_text(&policy.policy)
        }
        Command::Write(Write { name, file, remote }) => {
            let Session { client, format, .. } = remote.open()?;
            let text = Source::named(&file).read_text("Policy").await?;
            client.write_policy(&name, &text).await?;
            done(&name, "written", format)
        }
        Command::Delete(Named { name, remote }) => {
            let Session { client, format, .. } = remote.open()?;
            client.delete_policy(&name).await?;
            done(&name, "deleted", format)
        }
    }
}

fn done(name: &str, what: &str, format: Format) -> anyhow::Result<()> {
    Shown::of(&json!({ "policy": name, "done": what }))
        .row("policy", name)
        .row("done", what)
        .print(format.plain())
}
