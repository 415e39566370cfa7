//! Where the wallet is that a command is about.

use std::path::PathBuf;

use billfold_replay::{Place, source::Nats};
use clap::Args;

#[derive(Debug, Args)]
#[command(next_help_heading = "Where the log is, and the keys")]
pub(crate) struct PlaceArgs {
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
    /// A bundle, in place of a log
    #[arg(long, value_name = "FILE", env = "BILLFOLD_BUNDLE", global = true)]
    bundle: Option<PathBuf>,
    /// An auditor's key, as auditor-key makes it: the log alone is read, as far as it was granted
    #[arg(long, value_name = "FILE", env = "BILLFOLD_AUDITOR_KEY", global = true)]
    auditor_key: Option<PathBuf>,
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
            bundle: args.bundle,
            auditor_key: args.auditor_key,
        }
    }
}
