//! The commands that need public keys alone: `verify --checkpoint-key`, `witness`, `witness-key`.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use billfold_core::proof::{Note, VerifierKey};
use billfold_replay::{
    Error, Place,
    bundle::Bundle,
    integrity,
    source::open_log,
    witness::{self, Memory, Refusal, Server, WitnessKey},
    write_integrity, write_json,
};
use billfold_streams::EventLog;
use clap::{Args, Subcommand};

use super::bar::Bar;
use crate::exit::{BROKEN, SOUND};

/// How a log is checked by public keys alone.
#[derive(Debug, Args)]
pub(crate) struct ByPublicKeys {
    /// Check by public keys alone, with no key of the wallet: sequences, chains, the tree, and all
    /// checkpoints. This key signs them: NAME+ID+KEY, or a file that holds it
    #[arg(long, value_name = "VKEY|FILE")]
    checkpoint_key: Option<String>,
    /// A checkpoint from outside that the log must still hold to; may be given several times
    #[arg(long, value_name = "FILE", requires = "checkpoint_key")]
    checkpoint: Vec<PathBuf>,
}

impl ByPublicKeys {
    pub(super) const fn is_wanted(&self) -> bool {
        self.checkpoint_key.is_some()
    }
}

/// The commands of a witness.
#[derive(Debug, Subcommand)]
pub(crate) enum WitnessCommand {
    /// Cosigns the log's newest checkpoint if it grew out of the last one that this witness signed; a
    /// log that was forked or rolled back is told with both checkpoints, and ends with 3
    Witness(WitnessArgs),
    /// Makes a key for a witness, and prints what its signatures are checked with
    WitnessKey(WitnessKeyArgs),
}

/// What a witness works with.
#[derive(Debug, Args)]
pub(crate) struct WitnessArgs {
    /// The key that signs the log's checkpoints: NAME+ID+KEY, or a file that holds it
    #[arg(long, value_name = "VKEY|FILE")]
    checkpoint_key: String,
    /// The witness's own key, as witness-key makes it
    #[arg(long, value_name = "FILE")]
    witness_key: PathBuf,
    /// Where the last checkpoint is remembered that was signed
    #[arg(long, value_name = "FILE")]
    memory: PathBuf,
    /// Ask this server for its checkpoint and what leads to it, rather than go over the log
    #[arg(long, value_name = "URL", requires = "token_file")]
    server: Option<String>,
    /// The token for the server; its policies allow to read api/audit/*
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The certificates to trust for the server, instead of the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Put the signed checkpoint into this file, too
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A new key for a witness.
#[derive(Debug, Args)]
pub(crate) struct WitnessKeyArgs {
    /// The witness's name: what its signatures are known by, such as witness.example.org/one
    name: String,
    /// The file for the key; it must not be there yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn unread(file: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::Usage(format!("{}: {why}", file.display()))
}

/// A key by its text, or in a file.
pub(super) fn key(text: &str) -> Result<VerifierKey, Error> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let file = Path::new(text);
    match fs::read_to_string(file) {
        Ok(text) => text.trim().parse().map_err(|error| unread(file, &error)),
        Err(_) if text.contains('+') => text
            .parse()
            .map_err(|error| Error::Usage(format!("the checkpoint key: {error}"))),
        Err(error) => Err(unread(file, &error)),
    }
}

pub(super) fn note(file: &Path) -> Result<Note, Error> {
    let bytes = fs::read(file).map_err(|error| unread(file, &error))?;
    Note::parse(&bytes).map_err(|error| unread(file, &error))
}

impl ByPublicKeys {
    /// Verifies the log of this place, tells what it came to, and says how it ends.
    pub(super) async fn verify(
        &self,
        place: &Place,
        json: bool,
        out: &mut (dyn Write + Send),
    ) -> Result<u8, Error> {
        let key = key(self.checkpoint_key.as_deref().unwrap_or_default())?;
        let held = self.checkpoint.iter().map(|file| note(file));
        let mut held = held.collect::<Result<Vec<_>, _>>()?;
        let (log, _copy) = match &place.bundle {
            Some(bundle) => {
                let bundle = Bundle::open(bundle).await?;
                held.extend_from_slice(bundle.notes());
                (Arc::new(bundle) as Arc<dyn EventLog>, None)
            }
            None => open_log(place).await?,
        };
        let mut bar = Bar::new();
        let progress = &mut |at, end| bar.at(at, end);
        let report = integrity::verify(&log, &[key], &held, progress).await;
        bar.finish();
        let report = report?;
        match json {
            true => write_json(out, &report)?,
            false => write_integrity(out, &report)?,
        }
        out.flush()?;
        Ok(if report.sound { SOUND } else { BROKEN })
    }
}

impl WitnessCommand {
    /// Does what is asked, and says how it ends.
    pub(super) async fn run(
        &self,
        place: &Place,
        out: &mut (dyn Write + Send),
    ) -> Result<u8, Error> {
        let code = match self {
            Self::Witness(args) => witness(place, args, out).await?,
            Self::WitnessKey(args) => {
                let verifier = witness::generate(&args.name, &args.out)?;
                writeln!(out, "{verifier}")?;
                SOUND
            }
        };
        out.flush()?;
        Ok(code)
    }
}

async fn witness(
    place: &Place,
    args: &WitnessArgs,
    out: &mut (dyn Write + Send),
) -> Result<u8, Error> {
    let log_key = key(&args.checkpoint_key)?;
    let own = WitnessKey::read(&args.witness_key)?;
    let mut memory = Memory::open(&args.memory)?;
    let last = memory.last().cloned();
    let shown = match (&args.server, &args.token_file) {
        (Some(url), Some(token)) => {
            let server = Server::new(url, token, args.ca_file.as_deref())?;
            Ok((server.show(last.as_ref()).await?, vec![log_key]))
        }
        _ => {
            let (log, _copy) = open_log(place).await?;
            let mut bar = Bar::new();
            let progress = &mut |at, end| bar.at(at, end);
            let shown = witness::from_log(&log, &log_key, last.as_ref(), progress).await;
            bar.finish();
            shown?
        }
    };
    let followed = shown.and_then(|(shown, keys)| {
        witness::follows(last.as_ref(), &shown, &keys)?;
        Ok::<_, Refusal>(shown.note)
    });
    match followed {
        Ok(note) => {
            let cosigned = witness::cosign(&mut memory, &own, note)?;
            if let Some(file) = &args.out {
                billfold_projector::tree::replace(file, cosigned.to_string().as_bytes())?;
            }
            write!(out, "{cosigned}")?;
            Ok(SOUND)
        }
        Err(refusal) => {
            writeln!(out, "BROKEN       {refusal}")?;
            Ok(BROKEN)
        }
    }
}
