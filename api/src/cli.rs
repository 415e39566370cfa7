//! The commands of `billfold`.

mod arguments;
mod audit;
mod dev;
mod erasure;
mod grants;
mod init;
mod input;
mod key_manager;
mod keys;
mod logging;
mod login;
mod output;
mod policy;
mod prompt;
mod proof;
mod remote;
mod restore;
mod secrets;
mod serve;
mod shell;
mod token;
mod values;

use std::{ffi::OsString, io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use billfold::config::Settings;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

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
    #[command(flatten)]
    Client(Client),
}

/// The commands that talk to a server, and those about the commands themselves.
#[derive(Subcommand)]
enum Client {
    /// Check a token with a server and keep it for later commands
    Login(login::Login),
    /// Tell whether a server is sealed: exit code 0 if it is not, 2 if it is, 1 without an answer
    Status(login::Status),
    /// Write a secret
    Put(secrets::Put),
    /// Read a secret
    Get(secrets::Get),
    /// List a folder, or the mounts
    Ls(secrets::Ls),
    /// Delete the current version of a secret, or others; it can be undone
    Rm(secrets::Rm),
    /// List the versions of a secret
    History(secrets::History),
    /// Bring deleted versions back
    Undelete(secrets::Versions),
    /// Destroy versions, for ever
    Destroy(secrets::Versions),
    /// Change several secrets at once, all or none
    Tx(secrets::Tx),
    /// Erase a secret, versions of it, or a folder, for ever and with a receipt
    Erase(erasure::Erase),
    /// Receipts of what was erased, and how far that has come
    Erasures(erasure::Erasures),
    /// Tell who did what to which secret when, and with what answer
    Audit(Box<audit::Audit>),
    /// Legal holds: what is under one cannot be lost
    #[command(subcommand)]
    Hold(erasure::Hold),
    /// Write what secrets said at a moment of the past as new versions, all or none
    Restore(restore::Restore),
    /// Let an auditor read what happened, and never a secret
    GrantAuditor(grants::Grant),
    /// List the auditor grants that stand
    AuditorGrants(grants::Grants),
    /// End an auditor grant: nothing more is granted by it; what was granted cannot be taken back
    RevokeAuditor(grants::Revoke),
    /// Tokens
    #[command(subcommand)]
    Token(token::Command),
    /// Policies
    #[command(subcommand)]
    Policy(policy::Command),
    /// Show the KEK versions of the wallet, and what is under them
    Keys(keys::Keys),
    /// Make a new KEK version, and bring all keys under it
    Rotate(keys::Rotate),
    /// List the secrets that are to be changed at their source after a compromise
    Exposed(keys::Exposed),
    /// Print the newest checkpoint of the log, a signed note
    Checkpoint(proof::Checkpoint),
    /// Print the key that checkpoints are checked with
    CheckpointKey(proof::Checkpoint),
    /// Let another key sign checkpoints, and print it
    RotateCheckpointKey(proof::Checkpoint),
    /// Destroy a KEK version and all before it; nothing may be under them
    Retire(keys::Retire),
    /// Move the wallet to the key manager that the server's settings name next, or to a new version of its key
    ChangeKeyManager(key_manager::ChangeKeyManager),
    /// Print what a shell needs to complete these commands
    Completions(shell::Completions),
    /// Write manual pages into a folder
    Man(shell::Man),
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
    /// How many shares the key of a wallet under shamir is in; 5 by default
    #[arg(long, value_name = "N", requires = "key_threshold")]
    key_shares: Option<u16>,
    /// How many of them open the wallet; 3 by default
    #[arg(long, value_name = "N", requires = "key_shares")]
    key_threshold: Option<u16>,
    /// How many recovery shares to make for a wallet that a key manager opens; none by default
    #[arg(long, value_name = "N", requires = "recovery_threshold")]
    recovery_shares: Option<u16>,
    /// How many of them it takes
    #[arg(long, value_name = "N", requires = "recovery_shares")]
    recovery_threshold: Option<u16>,
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

/// Reads the command line; long options may have one dash.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(arguments::normal(&Cli::command(), arguments))
}

/// Runs a command. The code is the one to exit with.
pub(crate) async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Dev(dev) => dev::run(dev).await,
        Command::Init(init) => init::run(init).await,
        Command::Serve(configured) => serve::run(read(&configured)?).await,
        Command::CheckConfig(configured) => {
            read(&configured)?;
            say("the configuration is sound")
        }
        Command::Client(command) => return until_interrupted(command.run()).await,
    }
    .map(|()| ExitCode::SUCCESS)
}

impl Client {
    async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Login(login) => login::log_in(login).await,
            Self::Status(status) => return Ok(sealed(login::status(status).await)),
            Self::Put(put) => values::put(put).await,
            Self::Get(get) => values::get(get).await,
            Self::Ls(ls) => secrets::ls(ls).await,
            Self::Rm(rm) => secrets::rm(rm).await,
            Self::History(history) => secrets::history(history).await,
            Self::Undelete(versions) => secrets::undelete(versions).await,
            Self::Destroy(versions) => secrets::destroy(versions).await,
            Self::Tx(tx) => values::tx(tx).await,
            Self::Erase(erase) => erasure::erase(erase).await,
            Self::Erasures(erasures) => erasure::erasures(erasures).await,
            Self::Audit(asked) => audit::audit(*asked).await,
            Self::Hold(command) => erasure::hold(command).await,
            Self::Restore(wanted) => restore::restore(wanted).await,
            Self::GrantAuditor(grant) => grants::grant(grant).await,
            Self::AuditorGrants(grants) => grants::all(grants).await,
            Self::RevokeAuditor(revoke) => grants::revoke(revoke).await,
            Self::Token(command) => token::run(command).await,
            Self::Policy(command) => policy::run(command).await,
            Self::Keys(shown) => keys::show(shown).await,
            Self::Rotate(rotate) => keys::rotate(rotate).await,
            Self::Checkpoint(asked) => proof::checkpoint(asked).await,
            Self::CheckpointKey(asked) => proof::key(asked).await,
            Self::RotateCheckpointKey(asked) => proof::rotate(asked).await,
            Self::Exposed(exposed) => keys::exposed(exposed).await,
            Self::Retire(retire) => keys::retire(retire).await,
            Self::ChangeKeyManager(change) => key_manager::change(change).await,
            Self::Completions(completions) => shell::completions(&completions),
            Self::Man(man) => shell::man(&man),
        }
        .map(|()| ExitCode::SUCCESS)
    }
}

/// Runs a command until it is done or the process is told to end. What it holds is dropped then:
/// secrets are wiped, and a terminal shows again what is typed.
async fn until_interrupted(
    command: impl Future<Output = anyhow::Result<ExitCode>>,
) -> anyhow::Result<ExitCode> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    tokio::select! {
        done = command => done,
        _ = interrupt.recv() => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("terminated"),
    }
}

/// The exit code of a command that failed: 2 when a server or the way to it is to blame, else 1.
pub(crate) fn code(error: &anyhow::Error) -> ExitCode {
    remote::code(error)
}

/// The exit code of `status`, where 2 means sealed and nothing else.
fn sealed(outcome: anyhow::Result<bool>) -> ExitCode {
    match outcome {
        Ok(sealed) => ExitCode::from(if sealed { 2 } else { 0 }),
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
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
