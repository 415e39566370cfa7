//! The configuration: a TOML file, and an environment variable for each setting, which wins.

mod key_manager;

use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroU64},
    path::{Path, PathBuf},
    time::Duration,
};

use figment::{
    Figment,
    providers::{Env, Format as _, Toml},
};
use serde::{Deserialize, Serialize};

pub use self::key_manager::{KeyManagerName, KeyManagerPlace};
use crate::http::TlsFiles;

/// The beginning of the names of environment variables.
const PREFIX: &str = "BILLFOLD_";

/// All settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where to listen (`BILLFOLD_LISTEN`). Other addresses than loopback need TLS.
    pub listen: SocketAddr,
    /// Where the views are, and the log when it is embedded (`BILLFOLD_DATA_DIR`).
    pub data_dir: PathBuf,
    /// The NATS servers; none is the embedded log (`BILLFOLD_NATS_URL`).
    pub nats_url: Option<String>,
    /// A NATS credentials file (`BILLFOLD_NATS_CREDS_FILE`).
    pub nats_creds_file: Option<PathBuf>,
    /// PEM certificates that may sign the NATS server's (`BILLFOLD_NATS_CA_FILE`).
    pub nats_ca_file: Option<PathBuf>,
    /// How many copies the streams keep: 1 or 3 (`BILLFOLD_NATS_REPLICAS`).
    pub nats_replicas: usize,
    /// The monitoring endpoints of the NATS servers, separated by commas
    /// (`BILLFOLD_NATS_MONITORING_URLS`).
    pub nats_monitoring_urls: Option<String>,
    /// The operator vouches for `sync_interval: always` (`BILLFOLD_NATS_ATTEST_SYNC_ALWAYS`).
    pub nats_attest_sync_always: bool,
    /// `shamir`, `vault-transit`, `key-file` or `dev-file` (`BILLFOLD_KEY_MANAGER`).
    pub key_manager: Option<KeyManagerName>,
    /// The file of the key manager `key-file` (`BILLFOLD_KEY_FILE`).
    pub key_file: Option<PathBuf>,
    /// The server of the key manager `vault-transit` (`BILLFOLD_VAULT_TRANSIT_ADDRESS`).
    pub vault_transit_address: Option<String>,
    /// Where its transit engine is mounted (`BILLFOLD_VAULT_TRANSIT_MOUNT`).
    pub vault_transit_mount: String,
    /// The name of its key (`BILLFOLD_VAULT_TRANSIT_KEY`).
    pub vault_transit_key: Option<String>,
    /// The file with its token, read before each call (`BILLFOLD_VAULT_TRANSIT_TOKEN_FILE`).
    pub vault_transit_token_file: Option<PathBuf>,
    /// PEM certificates that may sign its own (`BILLFOLD_VAULT_TRANSIT_CA_FILE`).
    pub vault_transit_ca_file: Option<PathBuf>,
    /// The key manager that the wallet is to be moved to when it is ordered
    /// (`BILLFOLD_NEXT_KEY_MANAGER`); the other settings of it as above.
    pub next_key_manager: Option<KeyManagerName>,
    /// (`BILLFOLD_NEXT_KEY_FILE`).
    pub next_key_file: Option<PathBuf>,
    /// (`BILLFOLD_NEXT_VAULT_TRANSIT_ADDRESS`).
    pub next_vault_transit_address: Option<String>,
    /// (`BILLFOLD_NEXT_VAULT_TRANSIT_MOUNT`).
    pub next_vault_transit_mount: String,
    /// (`BILLFOLD_NEXT_VAULT_TRANSIT_KEY`).
    pub next_vault_transit_key: Option<String>,
    /// (`BILLFOLD_NEXT_VAULT_TRANSIT_TOKEN_FILE`).
    pub next_vault_transit_token_file: Option<PathBuf>,
    /// (`BILLFOLD_NEXT_VAULT_TRANSIT_CA_FILE`).
    pub next_vault_transit_ca_file: Option<PathBuf>,
    /// The certificate chain, in PEM (`BILLFOLD_TLS_CERT_FILE`).
    pub tls_cert_file: Option<PathBuf>,
    /// Its key, in PEM (`BILLFOLD_TLS_KEY_FILE`).
    pub tls_key_file: Option<PathBuf>,
    /// `production` refuses what is unsafe (`BILLFOLD_ENV`).
    pub env: Environment,
    /// What is logged, as `tracing` filters are written (`BILLFOLD_LOG`).
    pub log: String,
    /// What the view may keep in memory, in MiB (`BILLFOLD_VIEW_CACHE_MIB`).
    pub view_cache_mib: u64,
    /// How long a request waits for the log, in milliseconds (`BILLFOLD_PATIENCE_MS`).
    pub patience_ms: u64,
    /// How many key pages are rewrapped in a second after a rotation; 0 is no bound
    /// (`BILLFOLD_REWRAP_PAGES_PER_SECOND`).
    pub rewrap_pages_per_second: u32,
    /// How many commits may stand behind the newest checkpoint before another is made
    /// (`BILLFOLD_CHECKPOINT_COMMITS`).
    pub checkpoint_commits: NonZeroU64,
    /// How long something may stand behind it before another is made, in seconds
    /// (`BILLFOLD_CHECKPOINT_SECONDS`).
    pub checkpoint_seconds: NonZeroU64,
    /// Where the newest checkpoint is put besides: a file, or a folder for all of them
    /// (`BILLFOLD_CHECKPOINT_FILE`).
    pub checkpoint_file: Option<PathBuf>,
    /// After how many days of UTC an epoch of facts ends; 0 is never (`BILLFOLD_EPOCH_DAYS`).
    pub epoch_days: u32,
    /// After how many commits it ends; 0 is no bound (`BILLFOLD_EPOCH_COMMITS`).
    pub epoch_commits: u64,
    /// How many requests a principal may make in a second (`BILLFOLD_PRINCIPAL_PER_SECOND`).
    pub principal_per_second: NonZeroU32,
    /// How many refusals of one source are looked at in a second (`BILLFOLD_REFUSED_PER_SECOND`).
    pub refused_per_second: NonZeroU32,
}

/// How strict to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// What is unsafe is warned of.
    #[default]
    Development,
    /// What is unsafe is refused.
    Production,
}

/// The bounds on requests.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Of a principal, in a second.
    pub principal_per_second: NonZeroU32,
    /// Of refusals of one source, in a second.
    pub refused_per_second: NonZeroU32,
}

const PRINCIPAL_PER_SECOND: NonZeroU32 = NonZeroU32::new(100_000).unwrap();
const CHECKPOINT_COMMITS: NonZeroU64 = NonZeroU64::new(4096).unwrap();
const CHECKPOINT_SECONDS: NonZeroU64 = NonZeroU64::new(60).unwrap();
const REFUSED_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).unwrap();

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8200)),
            data_dir: PathBuf::from("billfold-data"),
            nats_url: None,
            nats_creds_file: None,
            nats_ca_file: None,
            nats_replicas: 1,
            nats_monitoring_urls: None,
            nats_attest_sync_always: false,
            key_manager: None,
            key_file: None,
            vault_transit_address: None,
            vault_transit_mount: "transit".to_owned(),
            vault_transit_key: None,
            vault_transit_token_file: None,
            vault_transit_ca_file: None,
            next_key_manager: None,
            next_key_file: None,
            next_vault_transit_address: None,
            next_vault_transit_mount: "transit".to_owned(),
            next_vault_transit_key: None,
            next_vault_transit_token_file: None,
            next_vault_transit_ca_file: None,
            tls_cert_file: None,
            tls_key_file: None,
            env: Environment::Development,
            log: "info".to_owned(),
            view_cache_mib: 64,
            patience_ms: 10_000,
            rewrap_pages_per_second: 50,
            checkpoint_commits: CHECKPOINT_COMMITS,
            checkpoint_seconds: CHECKPOINT_SECONDS,
            checkpoint_file: None,
            epoch_days: 1,
            epoch_commits: 0,
            principal_per_second: PRINCIPAL_PER_SECOND,
            refused_per_second: REFUSED_PER_SECOND,
        }
    }
}

/// A configuration that cannot be used, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Settings {
    /// Reads the file, if there is one, and the environment.
    ///
    /// # Errors
    /// When a setting is unknown or malformed. Values are not repeated.
    pub fn read(file: Option<&Path>) -> Result<Self, Error> {
        let mut figment = Figment::new();
        if let Some(file) = file {
            if !file.is_file() {
                return Err(Error(format!(
                    "there is no configuration file {}",
                    file.display()
                )));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        let known: Vec<String> = match serde_json::to_value(Self::default()) {
            Ok(serde_json::Value::Object(settings)) => settings.keys().cloned().collect(),
            _ => Vec::new(),
        };
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        figment = figment.merge(Env::prefixed(PREFIX).only(&known));
        figment.extract().map_err(|error| Error(describe(error)))
    }

    /// Checks what goes together, and says what to set.
    ///
    /// # Errors
    /// With the first thing that is missing or unsafe.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |told: &str| Err(Error(told.to_owned()));
        self.key_managers()?;
        if self.tls_cert_file.is_some() != self.tls_key_file.is_some() {
            return wrong("TLS needs both tls_cert_file and tls_key_file");
        }
        if self.tls().is_none() && !self.listen.ip().is_loopback() {
            return wrong(
                "plain HTTP is for loopback only: set tls_cert_file and tls_key_file \
                 (BILLFOLD_TLS_CERT_FILE, BILLFOLD_TLS_KEY_FILE), or listen on 127.0.0.1",
            );
        }
        if !matches!(self.nats_replicas, 1 | 3) {
            return wrong("nats_replicas is 1 or 3");
        }
        Ok(())
    }

    /// Whether what is unsafe is refused.
    #[must_use]
    pub fn is_production(&self) -> bool {
        self.env == Environment::Production
    }

    /// The TLS files, if there are any.
    #[must_use]
    pub fn tls(&self) -> Option<TlsFiles> {
        let (certificate, key) = self.tls_cert_file.clone().zip(self.tls_key_file.clone())?;
        Some(TlsFiles { certificate, key })
    }

    /// How many key pages are rewrapped in a second at most; none is no bound.
    #[must_use]
    pub const fn rewrap_pace(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.rewrap_pages_per_second)
    }

    /// How long a request waits for the log.
    #[must_use]
    pub const fn patience(&self) -> Duration {
        Duration::from_millis(self.patience_ms)
    }

    /// The bounds on requests.
    #[must_use]
    pub const fn rates(&self) -> Rates {
        Rates {
            principal_per_second: self.principal_per_second,
            refused_per_second: self.refused_per_second,
        }
    }
}

/// Which setting is wrong and why, without its value: one may hold a password.
fn describe(error: figment::Error) -> String {
    use figment::error::Kind;
    let mut told = Vec::new();
    for error in error {
        let setting = error.path.join(".");
        let why = match error.kind {
            Kind::UnknownField(field, _) => format!("there is no setting {field}"),
            Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
                format!("{setting} must be {expected}")
            }
            Kind::UnknownVariant(_, known) => {
                format!("{setting} must be one of {}", known.join(", "))
            }
            Kind::MissingField(field) => format!("{field} is missing"),
            _ if setting.is_empty() => "the file is not TOML".to_owned(),
            _ => format!("{setting} is malformed"),
        };
        told.push(why);
    }
    told.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<Settings, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("billfold.toml");
        std::fs::write(&file, toml).unwrap();
        Settings::read(Some(&file)).map_err(|error| error.to_string())
    }

    #[test]
    fn unknown_settings_are_refused_by_name() {
        assert_eq!(read("listn = 1").unwrap_err(), "there is no setting listn");
        let told = read("listen = \"hvs.canary\"").unwrap_err();
        assert!(
            told.contains("listen") && !told.contains("canary"),
            "{told}"
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let told = |toml: &str| read(toml).unwrap().check().unwrap_err().to_string();
        assert!(told("").contains("BILLFOLD_KEY_MANAGER"));
        assert!(told("key_manager = \"key-file\"").contains("BILLFOLD_KEY_FILE"));
        let transit = told("key_manager = \"vault-transit\"\nvault_transit_key = \"k\"");
        assert!(transit.contains("BILLFOLD_VAULT_TRANSIT_ADDRESS"));
        assert!(read("key_manager = \"shamir\"").unwrap().check().is_ok());
        assert!(told("key_manager = \"dev-file\"\nenv = \"production\"").contains("production"));
        assert!(told("key_manager = \"dev-file\"\nlisten = \"0.0.0.0:1\"").contains("loopback"));
        assert!(read("key_manager = \"dev-file\"").unwrap().check().is_ok());
        let shamir = |rest: &str| told(&format!("key_manager = \"shamir\"\n{rest}"));
        let next = shamir("next_key_manager = \"key-file\"\nkey_file = \"k\"");
        assert!(next.contains("BILLFOLD_NEXT_KEY_FILE"), "{next}");
        let next = shamir("next_key_manager = \"dev-file\"\nenv = \"production\"");
        assert!(next.contains("production"), "{next}");
        let transit = "next_key_manager = \"vault-transit\"\nnext_vault_transit_key = \"k\"";
        assert!(shamir(transit).contains("BILLFOLD_NEXT_VAULT_TRANSIT_ADDRESS"));
        let next =
            "key_manager = \"shamir\"\nnext_key_manager = \"key-file\"\nnext_key_file = \"k\"";
        assert!(read(next).unwrap().check().is_ok());
    }
}
