//! Where the wallet is that a command is about.

use std::{env, path::PathBuf};

use billfold_replay::{Error, Place, source::Nats};
use clap::{Arg, Args, Command};

/// The environment is not left to clap: it would rank beside the options, and its values would stand in
/// the help.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where the log is, and the keys: an option outranks the environment")]
pub(crate) struct PlaceArgs {
    /// A node's data folder, also beside its running server: the embedded log unless --nats is
    /// given, the view to compare with, and dev.key [env: BILLFOLD_DATA_DIR]
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// The NATS server or servers that hold the log [env: BILLFOLD_NATS_URL]
    #[arg(long, value_name = "URL", global = true)]
    nats: Option<String>,
    /// A credentials file for NATS, as nsc writes it [env: BILLFOLD_NATS_CREDS_FILE]
    #[arg(long, value_name = "FILE", global = true)]
    nats_creds_file: Option<PathBuf>,
    /// The certificates to trust for a TLS connection to NATS, instead of the system's
    /// [env: BILLFOLD_NATS_CA_FILE]
    #[arg(long, value_name = "FILE", global = true)]
    nats_ca_file: Option<PathBuf>,
    /// The wallet's key, if its key manager is key-file; otherwise the data folder's dev.key is used
    /// [env: BILLFOLD_KEY_FILE]
    #[arg(long, value_name = "FILE", global = true)]
    key_file: Option<PathBuf>,
    /// A bundle, in place of a log [env: BILLFOLD_BUNDLE]
    #[arg(long, value_name = "FILE", global = true)]
    bundle: Option<PathBuf>,
    /// An auditor's key, as auditor-key makes it: the log alone is read, as far as it was granted
    /// [env: BILLFOLD_AUDITOR_KEY]
    #[arg(long, value_name = "FILE", global = true)]
    auditor_key: Option<PathBuf>,
}

/// A log by its options or its variables.
struct Log {
    bundle: Option<PathBuf>,
    nats: Option<String>,
    data_dir: Option<PathBuf>,
}

impl PlaceArgs {
    /// The same options, as a command takes them that needs none: they stand in no help.
    pub(crate) fn hidden() -> Vec<Arg> {
        let all = Self::augment_args(Command::new("place"));
        all.get_arguments()
            .map(|arg| arg.clone().hide(true))
            .collect()
    }

    /// The place by the options; where none says where the log is, or which key it is, by the environment.
    ///
    /// # Errors
    /// When several logs are named.
    pub(super) fn place(&self) -> Result<Place, Error> {
        let log = self.log()?;
        let (key_file, auditor_key) = match (&self.key_file, &self.auditor_key) {
            (None, None) => (file("BILLFOLD_KEY_FILE"), file("BILLFOLD_AUDITOR_KEY")),
            (Some(_), Some(_)) => {
                let why = "which key? --key-file has the wallet's, --auditor-key an auditor's";
                return Err(Error::Usage(why.to_owned()));
            }
            (key_file, auditor_key) => (key_file.clone(), auditor_key.clone()),
        };
        let or = |option: &Option<PathBuf>, name| option.clone().or_else(|| file(name));
        Ok(Place {
            data_dir: log.data_dir,
            nats: log.nats.map(|url| Nats {
                url,
                credentials: or(&self.nats_creds_file, "BILLFOLD_NATS_CREDS_FILE"),
                ca_file: or(&self.nats_ca_file, "BILLFOLD_NATS_CA_FILE"),
            }),
            key_file,
            bundle: log.bundle,
            auditor_key,
        })
    }

    fn log(&self) -> Result<Log, Error> {
        let log = match (&self.bundle, &self.nats, &self.data_dir) {
            (None, None, None) => Log {
                bundle: file("BILLFOLD_BUNDLE"),
                nats: text("BILLFOLD_NATS_URL")?,
                data_dir: file("BILLFOLD_DATA_DIR"),
            },
            // Beside a log on NATS the folder has the view and perhaps the key.
            (None, Some(nats), None) => Log {
                bundle: None,
                nats: Some(nats.clone()),
                data_dir: file("BILLFOLD_DATA_DIR"),
            },
            (bundle, nats, data_dir) => Log {
                bundle: bundle.clone(),
                nats: nats.clone(),
                data_dir: data_dir.clone(),
            },
        };
        match (&log.bundle, &log.nats, &log.data_dir) {
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => Err(Error::Usage(
                "which log? a bundle (--bundle, BILLFOLD_BUNDLE) is in place of a NATS server \
                 (--nats, BILLFOLD_NATS_URL) or a data folder (--data-dir, BILLFOLD_DATA_DIR): name one \
                 by its option"
                    .to_owned(),
            )),
            _ => Ok(log),
        }
    }
}

fn file(name: &str) -> Option<PathBuf> {
    let value = env::var_os(name).filter(|value| !value.is_empty());
    value.map(PathBuf::from)
}

fn text(name: &str) -> Result<Option<String>, Error> {
    match env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Error::Usage(format!("{name} is not UTF-8"))),
    }
}
