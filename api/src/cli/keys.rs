//! `billfold keys`, `rotate` and `retire`.

use std::time::Duration;

use billfold::client::{Client, KekStatus, KeyStatus};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{
    output::Shown,
    remote::{Remote, Session},
};

/// How often the server is asked how far it is.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(crate) struct Keys {
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
pub(crate) struct Rotate {
    /// Wait until all keys are under the new version
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
pub(crate) struct Retire {
    /// The newest KEK version that is to be destroyed
    version: u32,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn show(Keys { remote }: Keys) -> anyhow::Result<()> {
    let Session { client, format, .. } = remote.open()?;
    let (status, answer) = client.key_status().await?;
    let lines = status.versions.iter().map(line).collect();
    Shown::json(answer.text()?)
        .lines(
            &[
                "version",
                "state",
                "provider",
                "generation",
                "live",
                "dying",
                "pooled",
                "created",
            ],
            lines,
        )
        .print(format.plain())
}

fn line(kek: &KekStatus) -> Vec<String> {
    vec![
        kek.version.to_string(),
        kek.state.clone(),
        kek.provider.clone(),
        kek.generation.to_string(),
        kek.live.to_string(),
        kek.dying.to_string(),
        kek.pooled.to_string(),
        kek.created.clone(),
    ]
}

pub(super) async fn rotate(Rotate { watch, remote }: Rotate) -> anyhow::Result<()> {
    let Session { client, format, .. } = remote.open()?;
    let version = client.rotate_kek().await?;
    let rewrapped = match watch {
        true => Some(until_rewrapped(&client).await?),
        false => None,
    };
    let shown = Shown::of(&json!({ "version": version, "rewrapped": rewrapped }));
    let shown = shown.row("version", version);
    match rewrapped {
        Some(keys) => shown.row("rewrapped", keys),
        None => shown,
    }
    .print(format.plain())
}

/// Waits until no key is under an older version; how many were, when it was first asked.
async fn until_rewrapped(client: &Client) -> anyhow::Result<u64> {
    let (KeyStatus { rewrap, .. }, _) = client.key_status().await?;
    let all = rewrap.keys;
    let template = "rewrapping {wide_bar} {pos}/{len} keys {eta}";
    let style = ProgressStyle::with_template(template);
    let bar =
        ProgressBar::new(all).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut left = all;
    while left > 0 {
        tokio::time::sleep(LOOK).await;
        let (KeyStatus { rewrap, .. }, _) = client.key_status().await?;
        left = rewrap.keys;
        bar.set_position(all.saturating_sub(left));
    }
    bar.finish_and_clear();
    Ok(all)
}

pub(super) async fn retire(Retire { version, remote }: Retire) -> anyhow::Result<()> {
    let Session { client, format, .. } = remote.open()?;
    client.retire_keks(version).await?;
    let (status, _) = client.key_status().await?;
    let found = status.versions.iter().find(|kek| kek.version == version);
    let state = found.map_or("retired", |kek| kek.state.as_str());
    Shown::of(&json!({ "version": version, "state": state }))
        .row("version", version)
        .row("state", state)
        .print(format.plain())
}
