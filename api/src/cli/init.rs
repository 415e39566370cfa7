//! `billfold init`.

use anyhow::{Context as _, bail};
use billfold::node::{self, Backend, Born, new_token};
use zeroize::Zeroizing;

use super::{Init, logging, read, say};

/// The shortest root token that may be chosen, in bytes.
const SHORTEST: usize = 4;

pub(super) async fn run(init: Init) -> anyhow::Result<()> {
    let settings = read(&init.configured)?;
    logging::begin(&settings.log)?;
    let token = match init.root_token {
        None => new_token(),
        Some(_) if settings.is_production() => {
            bail!("a chosen root token is refused in production: leave --root-token away")
        }
        Some(token) => Zeroizing::new(token),
    };
    check_token(&token)?;
    let backend = Backend::open(&settings, true).await?;
    match node::create(&settings, &backend, &token, node::for_terminal()).await? {
        Born::Before => Err(node::Error::Exists.into()),
        Born::Now => {
            say("The wallet is created. This is its root token; it is shown only now:")?;
            say(&token).context("the root token could not be shown")
        }
    }
}

/// A token has to fit into a header, and must not be guessed at once.
pub(super) fn check_token(token: &str) -> anyhow::Result<()> {
    let fits = token.bytes().all(|byte| byte.is_ascii_graphic());
    if token.len() < SHORTEST || !fits {
        bail!("a root token has at least {SHORTEST} characters, all of them printable ASCII");
    }
    Ok(())
}
