//! What is replayed: a log, the keys that open it, and perhaps a view to compare it with.

mod keys;
mod place;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use billfold_core::{
    Millis,
    grant::AuditorSecret,
    id::{Seq, WalletId},
    subject::Generation,
};
use billfold_streams::{
    EventLog, KeyStore,
    custody::Custody,
    embedded::{Embedded, OpenError},
    jetstream::{Config, Credentials, JetStream},
    log::Filter,
};
use tempfile::TempDir;

pub use self::place::{Nats, Place};
use crate::{
    Check, Error, Finding,
    auditor::{self, Granted},
    bundle::Bundle,
    tail::PATIENCE,
};

/// The files of an embedded log in its folder.
const LOG: &str = "log.redb";
const KEYS: &str = "keys.redb";
const FILES: [&str; 2] = [LOG, KEYS];
/// The view in a data folder.
const VIEW: &str = "view";
/// The newest checkpoint that the node of a data folder knew of.
const CHECKPOINT: &str = "checkpoint";
/// All messages of the log.
pub(crate) const EVERYTHING: Filter = Filter::All(Generation::FIRST);

/// An open log and the wallet's open keys.
#[derive(Debug)]
pub struct Source {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) custody: Arc<Custody>,
    pub(crate) view: Option<PathBuf>,
    /// The file with the checkpoint that the node of the view keeps beside it.
    pub(crate) kept: Option<PathBuf>,
    pub(crate) patience: Duration,
    /// What an auditor's key opens, if that is what it is read with.
    pub(crate) granted: Option<Arc<Granted>>,
    /// Declared last, so that the files in it are closed before it is removed.
    _copy: Option<TempDir>,
}

impl Source {
    /// Opens the log and the keys of this place, to read only.
    ///
    /// A data folder can be read beside the server that owns it. One that was not closed cleanly
    /// and has no owner now is read from a copy in a temporary folder, which is repaired there.
    ///
    /// # Errors
    /// When the place is incomplete, or the log, the key store or the keys cannot be opened.
    pub async fn open(place: &Place) -> Result<Self, Error> {
        if let Some(file) = &place.auditor_key {
            return Self::open_granted(place, &auditor::read_key(file)?).await;
        }
        if place.bundle.is_some() {
            return Err(Error::Usage(
                "a bundle holds no keys: give an auditor's key, or check it with --checkpoint-key"
                    .to_owned(),
            ));
        }
        let (log, store, copy) = match (&place.nats, &place.data_dir) {
            (Some(nats), _) => on_nats(nats).await?,
            (None, Some(dir)) => on_files(dir.clone()).await?,
            (None, None) => return Err(nowhere()),
        };
        let custody = keys::open(place, &log, store).await?;
        Ok(Self {
            view: place.data_dir.as_ref().map(|dir| dir.join(VIEW)),
            kept: place.data_dir.as_ref().map(|dir| dir.join(CHECKPOINT)),
            _copy: copy,
            ..Self::of(log, Arc::new(custody))
        })
    }

    async fn open_granted(place: &Place, secret: &AuditorSecret) -> Result<Self, Error> {
        let (log, copy) = open_log(place).await?;
        Ok(Self {
            _copy: copy,
            ..Self::of_granted(log, secret).await?
        })
    }

    /// A log that is open already, as an auditor's key opens it.
    ///
    /// # Errors
    /// When nothing is granted to the key, or the log is broken or cannot be reached.
    pub async fn of_granted(log: Arc<dyn EventLog>, secret: &AuditorSecret) -> Result<Self, Error> {
        let (custody, granted) = auditor::take_up(&log, secret, PATIENCE).await?;
        Ok(Self {
            granted: Some(Arc::new(granted)),
            ..Self::of(log, custody)
        })
    }

    /// The sequences whose facts are closed to an auditor's key, as spans from first to last.
    #[must_use]
    pub fn closed(&self) -> &[(Seq, Seq)] {
        self.granted
            .as_ref()
            .map_or(&[], |granted| granted.closed())
    }

    /// The first sequence that is closed to an auditor's key: before it there is a state.
    pub(crate) fn first_closed(&self) -> Option<Seq> {
        self.granted.as_ref()?.first_closed()
    }

    /// Refuses to go on with what is appended, with an auditor's key: what was granted is taken up once.
    ///
    /// # Errors
    /// When it is an auditor's key that the log is read with.
    pub fn require_all_keys_to_follow(&self) -> Result<(), Error> {
        match self.granted {
            None => Ok(()),
            Some(_) => Err(Error::Usage(
                "an auditor's key opens what was granted up to now, and follows nothing: run it again"
                    .to_owned(),
            )),
        }
    }

    /// Refuses a log that has nothing of the wallet whose keys are there.
    pub(crate) async fn require_begun(&self, end: Seq) -> Result<(), Error> {
        if end > Seq::ZERO || self.granted.is_some() || self.head().await? > Seq::ZERO {
            return Ok(());
        }
        let wallet = self.wallet();
        let what = format!("the key store has wallet {wallet}, the log has nothing of it");
        Err(Finding::new(Check::Sequence, None, what).into())
    }

    /// Refuses what takes the state up to here, where an auditor's key does not open it.
    pub(crate) fn require_open(&self, end: Seq) -> Result<(), Error> {
        match self.first_closed().filter(|closed| *closed <= end) {
            None => Ok(()),
            Some(closed) => Err(Error::Usage(format!(
                "sequence {closed} is closed to this auditor's key: from there on only facts can be \
                 listed (log), and no state can be told"
            ))),
        }
    }

    /// The same log and keys, without a view.
    pub(crate) fn beside(&self) -> Self {
        Self {
            granted: self.granted.clone(),
            ..Self::of(Arc::clone(&self.log), Arc::clone(&self.custody))
                .with_patience(self.patience)
        }
    }

    /// A log and keys that are open already, and no view.
    #[must_use]
    pub fn of(log: Arc<dyn EventLog>, custody: Arc<Custody>) -> Self {
        Self {
            log,
            custody,
            view: None,
            kept: None,
            granted: None,
            patience: PATIENCE,
            _copy: None,
        }
    }

    /// The same, with the view in this folder to compare with.
    #[must_use]
    pub fn with_view(self, dir: PathBuf) -> Self {
        Self {
            view: Some(dir),
            ..self
        }
    }

    /// The same, but the log may give nothing for another time than a minute before it counts as
    /// unreachable.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The wallet's id.
    #[must_use]
    pub fn wallet(&self) -> WalletId {
        self.custody.wallet()
    }

    /// Where the log ends now: what is replayed goes to here.
    ///
    /// # Errors
    /// When the log cannot be reached.
    pub async fn head(&self) -> Result<Seq, Error> {
        Ok(self.log.head(EVERYTHING).await?)
    }

    /// What the log's clock says.
    pub(crate) async fn now(&self) -> Result<Millis, Error> {
        Ok(self.log.now().await?)
    }
}

type Opened = (Arc<dyn EventLog>, Arc<dyn KeyStore>, Option<TempDir>);

/// Opens the log of this place alone: neither public keys nor an auditor's need a key store.
///
/// # Errors
/// When the place is incomplete, or the log cannot be opened.
pub async fn open_log(place: &Place) -> Result<(Arc<dyn EventLog>, Option<TempDir>), Error> {
    if let Some(bundle) = &place.bundle {
        return Ok((Arc::new(Bundle::open(bundle).await?), None));
    }
    match (&place.nats, &place.data_dir) {
        (Some(nats), _) => Ok((JetStream::connect_to_log(config(nats)).await?, None)),
        (None, Some(dir)) => on_log_file(dir.clone()).await,
        (None, None) => Err(nowhere()),
    }
}

fn nowhere() -> Error {
    Error::Usage("which wallet? give a data folder or the URL of a NATS server".to_owned())
}

fn config(nats: &Nats) -> Config {
    Config {
        credentials: match &nats.credentials {
            Some(file) => Credentials::File(file.clone()),
            None => Credentials::None,
        },
        ca_file: nats.ca_file.clone(),
        create: false,
        ..Config::dev(&nats.url)
    }
}

async fn on_nats(nats: &Nats) -> Result<Opened, Error> {
    let open = JetStream::connect(config(nats)).await?;
    Ok((open.log(), open.keys(), None))
}

/// The log of a data folder; one that was not closed cleanly is repaired in a copy.
async fn on_log_file(dir: PathBuf) -> Result<(Arc<dyn EventLog>, Option<TempDir>), Error> {
    let opening = tokio::task::spawn_blocking(move || match Embedded::open_log_reader(&dir) {
        // What is missing beside it is made empty.
        Err(OpenError::Unclean) => match copy_of(&dir, &[LOG]) {
            Ok((open, copy)) => Ok((open.log(), Some(copy))),
            // An owner may have begun to write while the copy was made.
            Err(error) => match Embedded::open_log_reader(&dir) {
                Ok(log) => Ok((log, None)),
                Err(_) => Err(error),
            },
        },
        other => Ok((other.map_err(|error| unopened(&dir, error))?, None)),
    });
    let joined = opening.await;
    joined.map_err(|error| Error::Machine(error.to_string()))?
}

async fn on_files(dir: PathBuf) -> Result<Opened, Error> {
    let opening = tokio::task::spawn_blocking(move || match Embedded::open_reader(&dir) {
        Err(OpenError::Unclean) => open_copy(&dir),
        Err(missing @ OpenError::Missing(_)) => Err(keys::without_store(&dir, missing.to_string())),
        other => Ok((other.map_err(|error| unopened(&dir, error))?, None)),
    });
    let joined = opening.await;
    let (open, copy) = joined.map_err(|error| Error::Machine(error.to_string()))??;
    Ok((open.log(), open.keys(), copy))
}

/// Only an owner may repair what a crash left, and this is not one: it repairs a copy.
fn open_copy(dir: &Path) -> Result<(Embedded, Option<TempDir>), Error> {
    match copy_of(dir, &FILES) {
        Ok((open, copy)) => Ok((open, Some(copy))),
        // An owner may have begun to write while the copy was made.
        Err(error) => match Embedded::open_reader(dir) {
            Ok(open) => Ok((open, None)),
            Err(_) => Err(error),
        },
    }
}

fn copy_of(dir: &Path, files: &[&str]) -> Result<(Embedded, TempDir), Error> {
    let copy = temporary_folder()?;
    for file in files {
        let copied = fs::copy(dir.join(file), copy.path().join(file));
        copied.map_err(|error| Error::Machine(format!("{file} cannot be copied: {error}")))?;
    }
    let opened = Embedded::open(copy.path());
    let opened = opened.map_err(|error| unopened(copy.path(), error))?;
    Ok((opened, copy))
}

/// Why the files of a folder do not open: one that is cut short is damaged as well, and which it is is
/// told.
fn unopened(dir: &Path, error: OpenError) -> Error {
    let Some(what) = damage(&error) else {
        return error.into();
    };
    let of_log = Embedded::open_log_reader(dir).err();
    let file = match of_log.as_ref().and_then(damage) {
        Some(_) => LOG,
        None => KEYS,
    };
    Finding::new(Check::Sequence, None, format!("{file} is damaged: {what}")).into()
}

fn damage(error: &OpenError) -> Option<String> {
    match error {
        OpenError::Damaged(what) => Some(what.clone()),
        OpenError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Some("it is cut short".to_owned())
        }
        _ => None,
    }
}

pub(crate) fn temporary_folder() -> Result<TempDir, Error> {
    let made = TempDir::with_prefix("billfold-replay-");
    made.map_err(|error| Error::Machine(format!("no temporary folder can be made: {error}")))
}
