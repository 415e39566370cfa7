//! `billfold put`, `get`, `ls`, `rm`, `history`, `undelete`, `destroy`: the arguments of the
//! commands about secrets, and all of them but the two that meet values.

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use billfold_core::Millis;
use clap::Args;
use serde_json::json;

use super::{
    output::Shown,
    remote::{Format, Remote, Session},
};

#[derive(Args)]
pub(crate) struct Put {
    /// The secret: MOUNT/PATH
    pub(super) path: String,
    /// KEY=@FILE, KEY=- (standard input), KEY (you are asked), @FILE or - (a JSON object)
    #[arg(value_name = "ITEM", required = true)]
    pub(super) items: Vec<String>,
    /// Write only if this is the current version; 0 if there is none
    #[arg(long, value_name = "VERSION")]
    pub(super) cas: Option<u64>,
    /// Allow KEY=VALUE, which stands in the shell's history and in the list of processes
    #[arg(long)]
    pub(super) insecure_value: bool,
    /// Print this field of the answer alone
    #[arg(long, value_name = "NAME")]
    pub(super) field: Option<String>,
    #[command(flatten)]
    pub(super) remote: Remote,
}

#[derive(Args)]
pub(crate) struct Get {
    /// The secret: MOUNT/PATH
    pub(super) path: String,
    /// This version instead of the current one
    #[arg(long, value_name = "VERSION")]
    pub(super) version: Option<u64>,
    /// Print this value alone
    #[arg(long, value_name = "NAME")]
    pub(super) field: Option<String>,
    /// Show values on a terminal, too
    #[arg(long)]
    pub(super) show: bool,
    #[command(flatten)]
    pub(super) remote: Remote,
}

#[derive(Args)]
pub(crate) struct Ls {
    /// The folder: MOUNT or MOUNT/PATH; without it the mounts are listed
    path: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
pub(crate) struct Rm {
    /// The secret: MOUNT/PATH
    path: String,
    /// Delete these versions instead of the current one: 1,2
    #[arg(long, value_name = "VERSIONS", value_delimiter = ',')]
    versions: Vec<u64>,
    /// Remove the secret with all its versions and its history, for ever
    #[arg(long, conflicts_with = "versions")]
    metadata: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
pub(crate) struct History {
    /// The secret: MOUNT/PATH
    path: String,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
pub(crate) struct Versions {
    /// The secret: MOUNT/PATH
    path: String,
    /// The versions: 1,2
    #[arg(long, value_name = "VERSIONS", value_delimiter = ',', required = true)]
    versions: Vec<u64>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Args)]
pub(crate) struct Tx {
    /// The changes in JSON, {"changes":[...]} or the list alone; - is standard input
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) remote: Remote,
}

/// Lists a folder, or the mounts.
pub(super) async fn ls(ls: Ls) -> anyhow::Result<()> {
    let Session { client, format, .. } = ls.remote.open()?;
    let names = match ls.path {
        None => client.mounts().await?,
        Some(path) => client.list(&client.place(&path).await?).await?,
    };
    let lines = names.iter().map(|name| vec![name.clone()]).collect();
    Shown::of(&json!(names))
        .lines(&["name"], lines)
        .print(format.plain())
}

/// Deletes a version or several, or removes the secret.
pub(super) async fn rm(rm: Rm) -> anyhow::Result<()> {
    let Session { client, format, .. } = rm.remote.open()?;
    let place = client.place(&rm.path).await?;
    if rm.metadata {
        client.remove(&place).await?;
        return done(&rm.path, "removed", &[], format);
    }
    client.delete(&place, &rm.versions).await?;
    done(&rm.path, "deleted", &rm.versions, format)
}

/// Brings deleted versions back.
pub(super) async fn undelete(undelete: Versions) -> anyhow::Result<()> {
    let Session { client, format, .. } = undelete.remote.open()?;
    let place = client.place(&undelete.path).await?;
    client.undelete(&place, &undelete.versions).await?;
    done(&undelete.path, "undeleted", &undelete.versions, format)
}

/// Destroys versions for ever.
pub(super) async fn destroy(destroy: Versions) -> anyhow::Result<()> {
    let Session { client, format, .. } = destroy.remote.open()?;
    let place = client.place(&destroy.path).await?;
    client.destroy(&place, &destroy.versions).await?;
    done(&destroy.path, "destroyed", &destroy.versions, format)
}

/// Tells the versions of a secret.
pub(super) async fn history(history: History) -> anyhow::Result<()> {
    let Session { client, format, .. } = history.remote.open()?;
    let place = client.place(&history.path).await?;
    let metadata = client.metadata(&place).await?;
    let now = now();
    let (mut lines, mut versions) = (Vec::new(), Vec::new());
    for (number, version) in &metadata.versions {
        let state = version.state(&now);
        versions.push(json!({
            "version": number,
            "state": state,
            "created_time": version.created_time,
            "deletion_time": version.deletion_time,
            "destroyed": version.destroyed,
        }));
        lines.push(vec![
            number.to_string(),
            state.to_owned(),
            version.created_time.clone(),
            version.deletion_time.clone(),
        ]);
    }
    let json = json!({
        "path": history.path,
        "current_version": metadata.current_version,
        "oldest_version": metadata.oldest_version,
        "created_time": metadata.created_time,
        "updated_time": metadata.updated_time,
        "versions": versions,
    });
    Shown::of(&json)
        .lines(&["version", "state", "created", "deleted"], lines)
        .print(format.plain())
}

/// The time as servers write it.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.unwrap_or_default().as_millis();
    Millis(u64::try_from(millis).unwrap_or(u64::MAX)).to_string()
}

fn done(path: &str, what: &str, versions: &[u64], format: Format) -> anyhow::Result<()> {
    let numbers: Vec<String> = versions.iter().map(ToString::to_string).collect();
    let mut shown = Shown::of(&json!({ "path": path, "done": what, "versions": versions }))
        .row("path", path)
        .row("done", what);
    if !versions.is_empty() {
        shown = shown.row("versions", numbers.join(", "));
    }
    shown.print(format.plain())
}
