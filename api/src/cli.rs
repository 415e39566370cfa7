//! The commands of `billfold`.

mod dev;
mod init;
mod logging;
mod serve;

use std::{io::Write as _, net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use billfold::config::Settings;
use clap::{Args, Parser, Subcommand};

/// A secrets wallet whose database is an append-only log.
#[derive(Parser)]
#[command(name = "billfold", version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a wallet on this machine for development: insecure by design, on loopback only
    Dev(Dev),
    /// Create the wallet on the configured log and print its root token, once
    Init(Init),
    /// Serve the wallet
    Serve(Configured),
    /// Check the configuration and say what is wrong with it
    CheckConfig(Configured),
}

#[derive(Args)]
struct Configured {
    /// The configuration file (TOML); environment variables (BILLFOLD_...) win over it
    #[arg(long, value_name = "FILE", env = "BILLFOLD_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Init {
    #[command(flatten)]
    configured: Configured,
    /// Use this root token instead of a random one; refused in production
    #[arg(
        long,
        value_name = "TOKEN",
        env = "BILLFOLD_ROOT_TOKEN",
        hide_env_values = true
    )]
    root_token: Option<String>,
}

#[derive(Args)]
pub(crate) struct Dev {
    /// Where to listen; loopback only
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "BILLFOLD_LISTEN",
        default_value = "127.0.0.1:8200"
    )]
    listen: SocketAddr,
    /// Where log, keys and views are kept
    #[arg(
        long,
        value_name = "DIR",
        env = "BILLFOLD_DATA_DIR",
        default_value = ".billfold/dev"
    )]
    data_dir: PathBuf,
    /// Keep log and keys on this NATS server instead of in the data folder
    #[arg(long, value_name = "URL", env = "BILLFOLD_NATS_URL")]
    nats: Option<String>,
    /// Use this root token instead of a random one
    #[arg(
        long,
        value_name = "TOKEN",
        env = "BILLFOLD_ROOT_TOKEN",
        hide_env_values = true
    )]
    root_token: Option<String>,
}

/// Runs a command.
pub(crate) async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Dev(dev) => dev::run(dev).await,
        Command::Init(init) => init::run(init).await,
        Command::Serve(configured) => serve::run(read(&configured)?).await,
        Command::CheckConfig(configured) => {
            read(&configured)?;
            say("the configuration is sound")
        }
    }
}

fn read(configured: &Configured) -> anyhow::Result<Settings> {
    let settings = Settings::read(configured.config.as_deref()).context("the configuration")?;
    settings.check().context("the configuration")?;
    Ok(settings)
}

/// Writes a line to standard output.
fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Tells why a command failed.
pub(crate) fn complain(error: &anyhow::Error) {
    let told: Vec<String> = error.chain().map(ToString::to_string).collect();
    // Standard error may be closed; then nobody listens anyway.
    let _ = writeln!(std::io::stderr(), "billfold: {}", told.join(": "));
}
