//! Where the log and the keys are.

use std::{os::unix::fs::DirBuilderExt as _, sync::Arc, time::Duration};

use billfold_core::subject::Generation;
use billfold_streams::{
    Courier, EventLog, KeyStore,
    embedded::Embedded,
    jetstream::{Config, Credentials, JetStream},
};

use super::Error;
use crate::config::Settings;

/// How long one answer of a NATS server may take.
const ACK: Duration = Duration::from_secs(5);

/// Where the log and the keys are.
pub enum Backend {
    /// In the data folder.
    Embedded(Embedded),
    /// On NATS servers.
    JetStream(JetStream),
}

impl std::fmt::Debug for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Backend {
    /// Opens what the settings name; `create` makes what is missing.
    ///
    /// # Errors
    /// When it cannot be opened or reached, or would not keep what it acknowledged.
    pub async fn open(settings: &Settings, create: bool) -> Result<Self, Error> {
        // Views and the audit index are in there too, whatever the log is kept in.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&settings.data_dir)
            .map_err(|error| Error::DataDir(settings.data_dir.display().to_string(), error))?;
        let Some(url) = &settings.nats_url else {
            let dir = settings.data_dir.clone();
            let opened = tokio::task::spawn_blocking(move || Embedded::open(&dir)).await;
            let opened =
                opened.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
            let name = settings.data_dir.display().to_string();
            return opened
                .map(Self::Embedded)
                .map_err(|error| Error::Embedded(name, error));
        };
        let credentials = match &settings.nats_creds_file {
            Some(file) => Credentials::File(file.clone()),
            None => Credentials::None,
        };
        let monitoring = settings.nats_monitoring_urls.as_deref().unwrap_or_default();
        let connected = JetStream::connect(Config {
            url: url.clone(),
            credentials,
            ca_file: settings.nats_ca_file.clone(),
            client_certificate: None,
            generation: Generation::FIRST,
            replicas: settings.nats_replicas,
            create,
            ack_timeout: ACK,
            production: settings.is_production(),
            monitoring_urls: monitoring
                .split(',')
                .filter(|url| !url.is_empty())
                .map(str::to_owned)
                .collect(),
            attest_sync_always: settings.nats_attest_sync_always,
        });
        Ok(Self::JetStream(connected.await?))
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> Arc<dyn EventLog> {
        match self {
            Self::Embedded(embedded) => embedded.log(),
            Self::JetStream(jetstream) => jetstream.log(),
        }
    }

    /// The key store.
    #[must_use]
    pub fn keys(&self) -> Arc<dyn KeyStore> {
        match self {
            Self::Embedded(embedded) => embedded.keys(),
            Self::JetStream(jetstream) => jetstream.keys(),
        }
    }

    /// The way to other nodes, if there can be any.
    #[must_use]
    pub fn courier(&self) -> Option<Arc<dyn Courier>> {
        match self {
            Self::Embedded(_) => None,
            Self::JetStream(jetstream) => Some(jetstream.courier()),
        }
    }

    /// The generation of the log.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        Generation::FIRST
    }

    /// What it is called in answers.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Embedded(_) => "embedded",
            Self::JetStream(_) => "jetstream",
        }
    }
}
