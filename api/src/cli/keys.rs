//! `billfold keys`, `rotate` and `retire`.

use std::time::Duration;

use billfold::client::{Client, ExposedSecret, KekStatus, KeyStatus, escape};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{
    output::Shown,
    remote::{Remote, Session},
};

/// How often the server is asked how far it is.
const LOOK: Duration = Duration::from_secs(1);

/// How often it is asked whether a retired version is destroyed, before that is left to the server.
const LOOKS: u32 = 30;
const DESTROYED: &str = "destroyed";

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
    /// The versions before may be known to others: seal all secrets anew, and list those that are
    /// to be changed at their source
    #[arg(long)]
    compromised: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
pub(crate) struct Exposed {
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

pub(super) async fn rotate(rotate: Rotate) -> anyhow::Result<()> {
    let Rotate {
        watch,
        compromised,
        remote,
    } = rotate;
    let Session { client, format, .. } = remote.open()?;
    let version = client.rotate_kek(compromised).await?;
    let rewrapped = match watch {
        true => Some(until_rewrapped(&client).await?),
        false => None,
    };
    let exposed = match compromised {
        true => Some(all_exposed(&client).await?),
        false => None,
    };
    let told = json!({ "version": version, "rewrapped": rewrapped, "exposed": exposed });
    let mut shown = Shown::of(&told).row("version", version);
    if let Some(exposed) = &exposed {
        shown = shown.lines(&HEAD, exposed.iter().map(exposed_line).collect());
    }
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

const HEAD: [&str; 2] = ["change at its source", "version"];

pub(super) async fn exposed(Exposed { remote }: Exposed) -> anyhow::Result<()> {
    let Session { client, format, .. } = remote.open()?;
    let exposed = all_exposed(&client).await?;
    let lines = exposed.iter().map(exposed_line).collect();
    Shown::of(&json!(exposed))
        .lines(&HEAD, lines)
        .print(format.plain())
}

async fn all_exposed(client: &Client) -> anyhow::Result<Vec<ExposedSecret>> {
    let (mut exposed, mut next) = client.exposed(None).await?;
    while let Some(after) = next {
        let (more, then) = client.exposed(Some(&after)).await?;
        exposed.extend(more);
        next = then;
    }
    exposed.sort_unstable_by(|a, b| (&a.mount, &a.path).cmp(&(&b.mount, &b.path)));
    Ok(exposed)
}

fn exposed_line(secret: &ExposedSecret) -> Vec<String> {
    let path = secret.path.as_deref().unwrap_or("(erased)");
    vec![
        format!("{}{}", escape(&secret.mount), escape(path)),
        secret.version.to_string(),
    ]
}

pub(super) async fn retire(Retire { version, remote }: Retire) -> anyhow::Result<()> {
    let Session { client, format, .. } = remote.open()?;
    client.retire_keks(version).await?;
    let mut state = "retired".to_owned();
    for _ in 0..LOOKS {
        let (status, _) = client.key_status().await?;
        let found = status
            .versions
            .into_iter()
            .find(|kek| kek.version == version);
        state = found.map_or(state, |kek| kek.state);
        if state == DESTROYED {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    Shown::of(&json!({ "version": version, "state": state }))
        .row("version", version)
        .row("state", state)
        .print(format.plain())
}
