//! The command `billfold-replay`: see `--help`.

use std::{
    ffi::OsString,
    io::{self, BufWriter, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use billfold_core::{id::Seq, keys::page::KeyRef, moment::Moment};
use billfold_replay::{
    Error, Place, Source, digest, keys, log, past, source::Nats, verify, write_dek, write_json,
    write_keks, write_keys_then, write_line, write_line_header, write_report,
};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

const SOUND: u8 = 0;
const USAGE: u8 = 1;
const UNREACHABLE: u8 = 2;
const BROKEN: u8 = 3;

const EXIT_CODES: &str = "\
Exit codes: 0 sound, 1 usage, 2 the log, the key store or the keys cannot be had, 3 broken.

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

#[derive(Debug, Args)]
struct PlaceArgs {
    /// A node's data folder, also beside its running server: the embedded log unless --nats is
    /// given, the view to compare with, and dev.key
    #[arg(long, value_name = "DIR", env = "BILLFOLD_DATA_DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// The NATS server or servers that hold the log
    #[arg(long, value_name = "URL", env = "BILLFOLD_NATS_URL", global = true)]
    nats: Option<String>,
    /// A credentials file for NATS, as nsc writes it
    #[arg(
        long,
        value_name = "FILE",
        env = "BILLFOLD_NATS_CREDS_FILE",
        global = true
    )]
    nats_creds_file: Option<PathBuf>,
    /// The certificates to trust for a TLS connection to NATS, instead of the system's
    #[arg(
        long,
        value_name = "FILE",
        env = "BILLFOLD_NATS_CA_FILE",
        global = true
    )]
    nats_ca_file: Option<PathBuf>,
    /// The wallet's key, if its key manager is key-file; otherwise the data folder's dev.key is used
    #[arg(long, value_name = "FILE", env = "BILLFOLD_KEY_FILE", global = true)]
    key_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists each event of each commit, and what each request was answered
    Log(LogArgs),
    /// Folds the log from zero, and prints the last decided sequence and the digest there
    Digest {
        /// Fold up to this sequence of the log
        #[arg(long, value_name = "SEQ")]
        at: Option<u64>,
    },
    /// Checks everything: sequences, chains, every commit and ciphertext, the state, the keys, the
    /// erasures, and that the data folder's view is what the fold makes of the log
    Verify {
        /// One JSON object: sound, wallet, sequence, digest, complete, summary, view, findings
        #[arg(long)]
        json: bool,
    },
    /// Tells the life of every KEK version: made, used, rewrapped, retired, destroyed; or the life
    /// of one DEK
    Keys {
        /// The id of a DEK, which is that of its page and its slot in it
        #[arg(value_name = "PAGE.SLOT", value_parser = key)]
        key: Option<KeyRef>,
        /// One JSON object: sequence, generations, versions; of a DEK: key, steps
        #[arg(long)]
        json: bool,
    },
    /// Tells what was true at a moment of the past
    At {
        /// A sequence of the log, a time of RFC 3339, or a time in milliseconds since 1970
        #[arg(value_name = "SEQ|TIME")]
        moment: Moment,
        #[command(subcommand)]
        what: Past,
    },
}

/// What is known of the past.
#[derive(Debug, Subcommand)]
enum Past {
    /// The status of the wallet's keys, as far as the log says it
    KeyStatus {
        /// One JSON object with the fields of GET /api/internal/wallet/key-status, without those
        /// that the log does not know: pooled, estimate_seconds
        #[arg(long)]
        json: bool,
    },
}

fn key(id: &str) -> Result<KeyRef, &'static str> {
    keys::parse(id).ok_or("a key is known by its page, a point, and its slot")
}

#[derive(Debug, Args)]
struct LogArgs {
    /// One JSON object a line: sequence, index, time, subject, writer, event, kind, actor, and as it
    /// applies principal, token, command, mount, record, versions, trimmed, kek, page, keys,
    /// uses, erasure, hold, records, request, operation, asked_version, verdict, version, refused,
    /// over_bound; with --names also mount_path, path and reason (null when erased), client,
    /// execution
    #[arg(long)]
    json: bool,
    /// The first sequence to list
    #[arg(long, value_name = "SEQ", default_value_t = 1)]
    from: u64,
    /// The last sequence to list
    #[arg(long, value_name = "SEQ")]
    to: Option<u64>,
    /// Open names: paths, and where requests came from; "(erased)" where their key is gone
    #[arg(long)]
    names: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()).await)
}

async fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(answer) => {
            // Help and version are what was asked for.
            let _ = answer.print();
            return if answer.use_stderr() { USAGE } else { SOUND };
        }
    };
    match execute(cli).await {
        Ok(code) => code,
        // Whoever read the output has seen enough.
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => SOUND,
        Err(error) => {
            let _ = writeln!(io::stderr(), "billfold-replay: {error}");
            match error {
                Error::Usage(_) => {
                    let _ = writeln!(io::stderr(), "\n{}", Cli::command().render_usage());
                    USAGE
                }
                Error::Broken(_) => BROKEN,
                _ => UNREACHABLE,
            }
        }
    }
}

async fn execute(cli: Cli) -> Result<u8, Error> {
    let source = Source::open(&cli.place.into()).await?;
    let mut out = BufWriter::new(io::stdout());
    let code = match cli.command {
        Command::Log(args) => list(&source, &args, &mut out).await.map(|()| SOUND),
        Command::Digest { at } => {
            let mut bar = Bar::new();
            let folded = digest::digest(&source, at.map(Seq), &mut |at, end| bar.at(at, end)).await;
            bar.finish();
            let folded = folded?;
            writeln!(out, "{} {}", folded.sequence, folded.digest)?;
            Ok(SOUND)
        }
        Command::Verify { json } => {
            let mut bar = Bar::new();
            let report = verify::verify(&source, &mut |at, end| bar.at(at, end)).await;
            bar.finish();
            let report = report?;
            if json {
                write_json(&mut out, &report)?;
            } else {
                write_report(&mut out, &report)?;
            }
            Ok(if report.sound { SOUND } else { BROKEN })
        }
        Command::Keys { key, json } => {
            let told = tell_keys(&source, key, json, &mut out).await;
            told.map(|()| SOUND)
        }
        Command::At { moment, what } => {
            let Past::KeyStatus { json } = what;
            let mut bar = Bar::new();
            let then = past::key_status(&source, moment, &mut |at, end| bar.at(at, end)).await;
            bar.finish();
            let then = then?;
            if json {
                write_json(&mut out, &then)?;
            } else {
                write_keys_then(&mut out, &then)?;
            }
            Ok(SOUND)
        }
    };
    // What was listed before something broken is told in any case.
    out.flush()?;
    code
}

async fn list(
    source: &Source,
    args: &LogArgs,
    out: &mut (impl io::Write + Send),
) -> Result<(), Error> {
    let range = log::Range {
        from: Seq(args.from),
        to: args.to.map(Seq),
        names: args.names,
    };
    if !args.json {
        write_line_header(out)?;
    }
    let mut each = |line: &log::Line| {
        if args.json {
            write_json(out, line)
        } else {
            write_line(out, line)
        }
    };
    log::log(source, &range, &mut each).await
}

async fn tell_keys(
    source: &Source,
    key: Option<KeyRef>,
    json: bool,
    out: &mut (impl io::Write + Send),
) -> Result<(), Error> {
    let mut bar = Bar::new();
    if let Some(key) = key {
        let life = keys::dek(source, key, &mut |at, end| bar.at(at, end)).await;
        bar.finish();
        return match json {
            true => write_json(out, &life?),
            false => write_dek(out, &life?),
        };
    }
    let keks = keys::keks(source, &mut |at, end| bar.at(at, end)).await;
    bar.finish();
    match json {
        true => write_json(out, &keks?),
        false => write_keks(out, &keks?),
    }
}

impl From<PlaceArgs> for Place {
    fn from(args: PlaceArgs) -> Self {
        Self {
            data_dir: args.data_dir,
            nats: args.nats.map(|url| Nats {
                url,
                credentials: args.nats_creds_file,
                ca_file: args.nats_ca_file,
            }),
            key_file: args.key_file,
        }
    }
}

/// A progress bar on standard error, if that is a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::new(0);
        let template = "{bar:40} {pos}/{len} commits, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }

    fn at(&mut self, at: Seq, end: Seq) {
        if self.0.length() != Some(end.0) {
            self.0.set_length(end.0);
        }
        self.0.set_position(at.0);
    }

    fn finish(&self) {
        self.0.finish_and_clear();
    }
}
