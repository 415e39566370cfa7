//! The log, the key store and the hand-over on a NATS server or cluster with JetStream.
//!
//! A commit is one message of a stream that takes no delete, purge or limit. Every write carries
//! the last sequence that its writer saw on the subject, and counts once the stream acknowledged
//! it; the server must sync to disk before it does (`sync_interval: always`).

mod config;
mod courier;
mod keys;
mod layout;
mod link;
mod log;
mod outlet;
mod sync;
mod tail;

use std::sync::Arc;

pub use self::{
    config::{Config, Credentials},
    outlet::{Outlet, Untaken},
};
use self::{layout::Layout, link::Link};
use crate::{Courier, EventLog, KeyStore};

/// A connection to the wallet's streams.
#[derive(Debug, Clone)]
pub struct JetStream {
    log: Arc<log::Log>,
    keys: Arc<keys::Keys>,
    courier: Arc<courier::NatsCourier>,
}

impl JetStream {
    /// Connects, makes the streams if they are missing and `config.create` says so, and checks
    /// that both are configured so that nothing can be lost.
    ///
    /// The connection then outlives restarts of the server: it tries again for as long as it
    /// lives.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(config: Config) -> Result<Self, ConnectError> {
        let link = Link::connect(&config).await?;
        let layout = Layout::of(&config);
        let events = layout.open_events(&link, config.create).await?;
        let keys = layout.open_keys(&link, config.create).await?;
        let mut unsafe_settings = layout::unsafe_events(&events.info.config, &layout.events);
        unsafe_settings.extend(layout::unsafe_keys(&keys.info.config, &layout.keys));
        unsafe_settings.extend(sync::doubts(&config, &link).await);
        if config.production && !unsafe_settings.is_empty() {
            return Err(ConnectError::Unsafe(unsafe_settings));
        }
        for setting in unsafe_settings {
            tracing::warn!("the NATS server may lose what it acknowledged: {setting}");
        }
        let limit = layout::largest_message(&link, &events.info.config);
        Ok(Self {
            log: Arc::new(log::Log::new(
                link.clone(),
                events.stream,
                config.generation,
                limit,
            )),
            keys: Arc::new(keys::Keys::new(link.clone(), keys.stream)),
            courier: Arc::new(courier::NatsCourier::new(link)),
        })
    }

    /// Connects to the log alone, to read it: whoever only audits may have no access to the keys.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect_to_log(config: Config) -> Result<Arc<dyn EventLog>, ConnectError> {
        let link = Link::connect(&config).await?;
        let events = Layout::of(&config).open_events(&link, false).await?;
        let limit = layout::largest_message(&link, &events.info.config);
        let log = log::Log::new(link, events.stream, config.generation, limit);
        Ok(Arc::new(log))
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> Arc<dyn EventLog> {
        self.log.clone()
    }

    /// The key store.
    #[must_use]
    pub fn keys(&self) -> Arc<dyn KeyStore> {
        self.keys.clone()
    }

    /// The way to other processes of this wallet.
    #[must_use]
    pub fn courier(&self) -> Arc<dyn Courier> {
        self.courier.clone()
    }
}

/// Why the wallet cannot use this server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The caller's mistake: the configuration makes no sense.
    #[error("the NATS configuration is wrong: {0}")]
    Config(String),
    /// The caller's mistake, or a wallet that was never initialised here.
    #[error("the server has no stream {0}: initialise the wallet first, or check the account")]
    Missing(String),
    /// The server's settings would lose acknowledged commits.
    #[error("the NATS server may lose what it acknowledged: {}", .0.join("; "))]
    Unsafe(Vec<String>),
    /// The server is too old to be relied on.
    #[error("nats-server {0} is too old: 2.15 or later is needed")]
    TooOld(String),
    /// The dependency's fault.
    #[error("the NATS server cannot be reached: {0}")]
    Unavailable(String),
}
