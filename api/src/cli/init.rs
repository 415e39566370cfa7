//! `billfold init`.

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use billfold::{
    config::{KeyManagerName, Settings},
    node::{self, Backend, Born, new_token},
    seal::NewShares,
};
use billfold_core::keys::share::Counts;
use zeroize::Zeroizing;

use super::{Init, logging, read, say};

/// The shortest root token that may be chosen, in bytes.
const SHORTEST: usize = 4;
/// How many shares are made unless another number is asked for, and how many of them are needed.
const SHARES: u16 = 5;
const THRESHOLD: u16 = 3;

pub(super) async fn run(init: Init) -> anyhow::Result<()> {
    let settings = read(&init.configured)?;
    logging::begin(&settings.log)?;
    let wanted = wanted(&init, &settings)?;
    let token = match init.root_token {
        None => new_token(),
        Some(_) if settings.is_production() => {
            bail!("a chosen root token is refused in production: leave --root-token away")
        }
        Some(token) => Zeroizing::new(token),
    };
    check_token(&token)?;
    let backend = Backend::open(&settings, true).await?;
    match node::create(&settings, &backend, &token, wanted, node::for_terminal()).await? {
        Born::Before => Err(node::Error::Exists.into()),
        Born::Now {
            shares,
            checkpoint_key,
        } => {
            tell(wanted, &shares)?;
            say("Its checkpoints are checked with this key; give it to whoever audits it:")?;
            say(&checkpoint_key)?;
            say("The wallet is created. This is its root token; it is shown only now:")?;
            say(&token).context("the root token could not be shown")
        }
    }
}

/// The shares that the wallet is to have: by default as many as OpenBao makes, if people open it.
fn wanted(init: &Init, settings: &Settings) -> anyhow::Result<NewShares> {
    let counts = |shares: u16, threshold: u16| Counts::new(shares.into(), threshold.into());
    if settings.key_manager == Some(KeyManagerName::Shamir) {
        if init.recovery_shares.is_some() {
            bail!("shamir has no recovery shares: use --key-shares and --key-threshold");
        }
        let counts = counts(
            init.key_shares.unwrap_or(SHARES),
            init.key_threshold.unwrap_or(THRESHOLD),
        );
        return Ok(NewShares::Unseal(counts?));
    }
    if init.key_shares.is_some() {
        bail!("a key manager opens this wallet: use --recovery-shares and --recovery-threshold");
    }
    let recovery = init.recovery_shares.zip(init.recovery_threshold);
    let recovery = recovery.map(|(shares, threshold)| counts(shares, threshold));
    Ok(NewShares::Recovery(recovery.transpose()?))
}

fn tell(wanted: NewShares, shares: &[Zeroizing<Vec<u8>>]) -> anyhow::Result<()> {
    let (name, counts) = match wanted {
        NewShares::Unseal(counts) => ("Unseal Key", counts),
        NewShares::Recovery(Some(counts)) => ("Recovery Key", counts),
        NewShares::Recovery(None) => return Ok(()),
    };
    for (number, share) in (1..).zip(shares) {
        let text = Zeroizing::new(STANDARD.encode(share));
        let line = Zeroizing::new(format!("{name} {number}: {}", text.as_str()));
        say(&line).context("a share could not be shown")?;
    }
    say(&format!(
        "\nThese {} shares are shown only now; {} of them are needed. Give each to somebody else.\n",
        counts.shares(),
        counts.threshold()
    ))
}

/// A token has to fit into a header, and must not be guessed at once.
pub(super) fn check_token(token: &str) -> anyhow::Result<()> {
    let fits = token.bytes().all(|byte| byte.is_ascii_graphic());
    if token.len() < SHORTEST || !fits {
        bail!("a root token has at least {SHORTEST} characters, all of them printable ASCII");
    }
    Ok(())
}
