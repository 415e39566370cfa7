//! `billfold change-key-manager`.

use billfold::client::{Error, KeyManagerChange};
use clap::Args;
use serde_json::json;

use super::{
    input::Source,
    output::Shown,
    remote::{Remote, Session},
};

#[derive(Args)]
pub(crate) struct ChangeKeyManager {
    /// With --nonce: `-` reads the share from standard input; without it you are asked. The share itself does not belong here
    #[arg(value_name = "-", requires = "nonce")]
    share: Option<String>,
    /// Hand in a share for the change that has this nonce
    #[arg(long, value_name = "NONCE", conflicts_with_all = ["shares", "threshold"])]
    nonce: Option<String>,
    /// How many new shares to make: of the key, if people are to open the wallet, or else recovery shares
    #[arg(long, value_name = "N", requires = "threshold")]
    shares: Option<u16>,
    /// How many of them it takes
    #[arg(long, value_name = "N", requires = "shares")]
    threshold: Option<u16>,
    /// Tell how far a change is
    #[arg(long, conflicts_with_all = ["nonce", "shares", "cancel"])]
    status: bool,
    /// Give a change up
    #[arg(long, conflicts_with_all = ["nonce", "shares"])]
    cancel: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(super) async fn change(change: ChangeKeyManager) -> anyhow::Result<()> {
    let source = match change.share.as_deref() {
        None => Source::Prompt,
        Some("-") => Source::Stdin,
        // Not repeated: it is a secret.
        Some(_) => {
            return Err(Error::usage(
                "a share on the command line can be seen by others: use - for standard input, or none \
                 to be asked",
            )
            .into());
        }
    };
    let Session { client, format, .. } = change.remote.open()?;
    if change.cancel {
        client.cancel_key_manager().await?;
    }
    let told = match &change.nonce {
        _ if change.status || change.cancel => client.key_manager().await?,
        None => {
            let counts = change.shares.zip(change.threshold);
            client.change_key_manager(counts).await?
        }
        Some(nonce) => {
            let share = source.read_text("Share (not shown)").await?;
            client.share_for_key_manager(nonce, share.trim()).await?
        }
    };
    shown(&told).print(format.plain())
}

fn shown(told: &KeyManagerChange) -> Shown {
    let json = json!({
        "step": told.step,
        "key_manager": told.key_manager,
        "generation": told.generation,
        "next": told.next,
        "nonce": told.nonce,
        "progress": told.progress,
        "required": told.required,
        "shares": told.shares,
    });
    let mut shown = Shown::of(&json)
        .row("step", &told.step)
        .row("key manager", &told.key_manager)
        .row("generation", told.generation);
    if let Some(next) = &told.next {
        shown = shown.row("next", next);
    }
    if let Some(nonce) = &told.nonce {
        shown = shown.row("nonce", nonce);
    }
    if let Some((progress, required)) = told.progress.zip(told.required) {
        shown = shown.row("shares", format!("{progress}/{required}"));
    }
    // They are told once: hiding them would lose them.
    for (number, share) in (1..).zip(&told.shares) {
        shown = shown.row(format!("share {number}"), share);
    }
    shown
}
