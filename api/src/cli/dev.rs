//! `billfold dev`: a wallet in one command.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use billfold::{
    config::{KeyManagerName, Settings},
    http,
    node::{self, Backend, Born, new_token},
    seal::NewShares,
    wallet::{Token, Wallet},
};
use zeroize::Zeroizing;

use super::{Dev, init::check_token, logging, say, serve::until_told};

pub(super) async fn run(dev: Dev) -> anyhow::Result<()> {
    let settings = settings(&dev)?;
    logging::begin(&settings.log)?;
    let listener =
        http::bind(settings.listen).with_context(|| format!("listening on {}", settings.listen))?;
    let backend = Backend::open(&settings, true).await?;
    let file = settings.data_dir.join("root-token");
    let kept = read_token(&file)?;
    let token = match (dev.root_token.map(Zeroizing::new), kept) {
        (Some(chosen), Some(kept)) if *chosen != *kept => bail!(
            "the wallet in {} has another root token: leave --root-token away, or choose another \
             --data-dir",
            settings.data_dir.display()
        ),
        (Some(chosen), _) => chosen,
        (None, Some(kept)) => kept,
        (None, None) => new_token(),
    };
    check_token(&token)?;
    // Kept before the wallet exists: a crash in between must not lose the only token.
    write_token(&file, &token)?;
    let wanted = NewShares::Recovery(None);
    let born = node::create(&settings, &backend, &token, wanted, node::for_terminal()).await?;
    until_told(&settings, &backend, listener, |node, address| {
        if !node.wallet().is_root(&Token(token.as_bytes())) {
            fs::remove_file(&file)?;
            bail!(
                "the wallet in {} has another root token; it was not kept in {}",
                settings.data_dir.display(),
                file.display()
            );
        }
        banner(&settings, node.wallet(), (address, &token), &born, &file)
    })
    .await
}

fn settings(dev: &Dev) -> anyhow::Result<Settings> {
    let mut settings = Settings::read(None).context("the configuration")?;
    settings.listen = dev.listen;
    settings.data_dir.clone_from(&dev.data_dir);
    settings.nats_url.clone_from(&dev.nats);
    settings.key_manager = Some(KeyManagerName::DevFile);
    if !dev.listen.ip().is_loopback() {
        bail!("`billfold dev` listens on loopback only; for anything else use `billfold serve`");
    }
    if std::env::var_os("BILLFOLD_LOG").is_none() {
        "warn".clone_into(&mut settings.log);
    }
    settings.check().context("the configuration")?;
    Ok(settings)
}

fn read_token(file: &Path) -> anyhow::Result<Option<Zeroizing<String>>> {
    match fs::read_to_string(file) {
        Ok(token) => Ok(Some(Zeroizing::new(token.trim_end().to_owned()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
    }
}

fn write_token(file: &Path, token: &str) -> anyhow::Result<()> {
    let half: PathBuf = file.with_extension("new");
    let written = || -> std::io::Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut options = fs::OpenOptions::new();
        let mut out = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&half)?;
        writeln!(out, "{token}")?;
        out.sync_all()?;
        fs::rename(&half, file)
    };
    written().with_context(|| format!("writing {}", file.display()))
}

fn banner(
    settings: &Settings,
    wallet: &Wallet,
    (address, token): (std::net::SocketAddr, &str),
    born: &Born,
    file: &Path,
) -> anyhow::Result<()> {
    let dir = settings.data_dir.display();
    let log = settings.nats_url.as_ref().map_or_else(
        || format!("embedded, in {dir}"),
        |url| {
            // A URL may carry a password in front of its host.
            format!("NATS, {}", url.rsplit('@').next().unwrap_or_default())
        },
    );
    let key = wallet.checkpoint_key()?;
    let state = if matches!(born, Born::Now { .. }) {
        "a new wallet"
    } else {
        "the wallet that was here"
    };
    say(&format!(
        "\nBillfold runs {state}, for development only: the key lies beside the data.\n\n  \
         address     http://{address}\n  \
         root token  {token}   (also in {})\n  \
         checkpoints {key}   (the key that they are checked with)\n  \
         data        {dir}\n  \
         log         {log}\n\n\
         Try it:\n\n  \
         export VAULT_ADDR=http://{address} VAULT_TOKEN={token}\n  \
         curl -H \"X-Vault-Token: $VAULT_TOKEN\" -d '{{\"data\":{{\"password\":\"s3cret\"}}}}' \
         $VAULT_ADDR/v1/secret/data/app\n  \
         curl -H \"X-Vault-Token: $VAULT_TOKEN\" $VAULT_ADDR/v1/secret/data/app\n",
        file.display()
    ))
}
