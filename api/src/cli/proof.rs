//! `billfold checkpoint`, `checkpoint-key` and `rotate-checkpoint-key`.

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::{
    output::{Shown, print_text},
    remote::{Format, Remote, Session},
};

#[derive(Args)]
pub(crate) struct Checkpoint {
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn checkpoint(Checkpoint { remote }: Checkpoint) -> anyhow::Result<()> {
    let Session { client, format, .. } = remote.open()?;
    let (newest, answer) = client.checkpoint().await?;
    let note = newest.note.context("there is no checkpoint yet")?;
    if format == Format::Json {
        return Shown::json(answer.text()?).print(format.plain());
    }
    print_text(&note)
}

pub(super) async fn key(Checkpoint { remote }: Checkpoint) -> anyhow::Result<()> {
    let Session { client, format, .. } = remote.open()?;
    let (newest, _) = client.checkpoint().await?;
    tell_key(&newest.key, format == Format::Json)
}

pub(super) async fn rotate(Checkpoint { remote }: Checkpoint) -> anyhow::Result<()> {
    let Session { client, format, .. } = remote.open()?;
    let key = client.rotate_checkpoint_key().await?;
    tell_key(&key, format == Format::Json)
}

fn tell_key(key: &str, as_json: bool) -> anyhow::Result<()> {
    match as_json {
        true => print_text(&format!("{}\n", json!({ "key": key }))),
        false => print_text(&format!("{key}\n")),
    }
}
