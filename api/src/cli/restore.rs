//! `billfold restore`.

use billfold::client;
use clap::Args;

use super::{
    output::Shown,
    remote::{Remote, Session},
};

#[derive(Args)]
pub(crate) struct Restore {
    /// The moment: a sequence of the log, a time of RFC 3339, or a time in milliseconds since 1970
    #[arg(long, value_name = "SEQ|TIME")]
    at: String,
    /// The secrets, with their mounts; with a slash at the end, all below a folder
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,
    /// Only tell what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn restore(restore: Restore) -> anyhow::Result<()> {
    let Restore {
        at,
        paths,
        dry_run,
        remote,
    } = restore;
    let Session { client, format, .. } = remote.open()?;
    let wanted = client::Restore { at, paths, dry_run };
    let (told, answer) = client.restore(&wanted).await?;
    let number = |version: Option<u32>| version.map_or_else(String::new, |n| n.to_string());
    let mut lines = Vec::new();
    for secret in told.restored {
        let what = match secret.version {
            Some(_) => "restored",
            None => "would be restored",
        };
        let from = secret.from.to_string();
        lines.push([secret.path, what.to_owned(), from, number(secret.version)].to_vec());
    }
    for secret in told.unchanged {
        let version = secret.version.to_string();
        lines.push([secret.path, "unchanged".to_owned(), String::new(), version].to_vec());
    }
    for secret in told.left {
        let why = format!("left: {}", secret.why);
        lines.push([secret.path, why, String::new(), String::new()].to_vec());
    }
    lines.sort();
    Shown::json(answer.text()?)
        .lines(&["path", "what", "from", "version"], lines)
        .print(format.plain())
}
