//! What needs public keys alone: `verify --checkpoint-key`, and how keys and notes are given.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use billfold_core::proof::{Note, VerifierKey, key::Kind};
use billfold_replay::{Error, Place, bundle::Bundle, integrity, source::open_log, write_integrity};
use billfold_streams::EventLog;
use clap::Args;

use super::{
    bar::Bar,
    report::{write_json_of, write_source},
};
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

/// A key by its text, or in a file.
fn key(option: &str, text: &str) -> Result<VerifierKey, Error> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let file = Path::new(text);
    match fs::read_to_string(file) {
        Ok(text) => {
            let parsed = text.trim().parse();
            parsed.map_err(|error| Error::unfit(option, file, &error))
        }
        Err(_) if text.contains('+') => text
            .parse()
            .map_err(|error| Error::Usage(format!("{option}: {error}"))),
        Err(error) => Err(Error::unread(option, file, &error)),
    }
}

/// A key that signs a log's checkpoints.
pub(super) fn log_key(text: &str) -> Result<VerifierKey, Error> {
    let why = "a checkpoint key is that of a log, not of a witness";
    of_kind(key("--checkpoint-key", text)?, Kind::Note, why)
}

/// A key that cosigns, as this option gives it.
pub(super) fn witness_key(option: &str, text: &str) -> Result<VerifierKey, Error> {
    let why = "a witness's key is one that cosigns, as witness-key makes it";
    of_kind(key(option, text)?, Kind::Cosignature, why)
}

fn of_kind(key: VerifierKey, kind: Kind, why: &str) -> Result<VerifierKey, Error> {
    match key.kind() == kind {
        true => Ok(key),
        false => Err(Error::Usage(why.to_owned())),
    }
}

/// A checkpoint of `--checkpoint`.
pub(super) fn note(file: &Path) -> Result<Note, Error> {
    let option = "--checkpoint";
    let bytes = fs::read(file).map_err(|error| Error::unread(option, file, &error))?;
    Note::parse(&bytes).map_err(|error| Error::unfit(option, file, &error))
}

impl ByPublicKeys {
    /// Verifies the log of this place, tells what it came to, and says how it ends.
    pub(super) async fn verify(
        &self,
        place: &Place,
        json: bool,
        out: &mut (dyn Write + Send),
    ) -> Result<u8, Error> {
        let key = log_key(self.checkpoint_key.as_deref().unwrap_or_default())?;
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
            true => write_json_of(out, place, &report)?,
            false => {
                write_source(out, place, 13)?;
                write_integrity(out, &report)?;
            }
        }
        out.flush()?;
        Ok(if report.sound { SOUND } else { BROKEN })
    }
}
