//! The command `billfold-replay`: see `--help`.

mod command;
mod exit;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use billfold_replay::Error;
use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use self::command::{Command, PlaceArgs, WITHOUT_A_LOG};

const EXIT_CODES: &str = "\
Exit codes: 0 sound, 1 usage, 2 unreachable (the log, the key store, the keys or a target), 3 tampered
with or incomplete.

Nothing is written to what is read. The fold, and copies of a view or of files that were not closed
cleanly, stand in a temporary folder meanwhile (TMPDIR); all in it is sealed as it is in the wallet.";

/// Replays the log of a Billfold wallet: what happened, the digest of the fold, whether all is sound.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(subcommand)]
    command: Command,
}

#[tokio::main]
async fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()).await)
}

/// All commands with their options; those that read no log do not speak of one.
fn surface() -> clap::Command {
    WITHOUT_A_LOG.into_iter().fold(Cli::command(), |all, name| {
        all.mut_subcommand(name, |command| command.args(PlaceArgs::hidden()))
    })
}

async fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let parsed = surface().try_get_matches_from(args);
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(answer) => {
            // Help and version are what was asked for.
            let _ = answer.print();
            return if answer.use_stderr() {
                exit::USAGE
            } else {
                exit::SOUND
            };
        }
    };
    match cli.command.execute(cli.place).await {
        Ok(code) => code,
        // Whoever read the output has seen enough.
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => exit::SOUND,
        Err(error) => {
            let _ = writeln!(io::stderr(), "billfold-replay: {error}");
            exit::code_of(&error)
        }
    }
}
