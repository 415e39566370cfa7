//! How to reach the server, and how strict to be with it.

use std::{fmt, path::PathBuf, time::Duration};

use async_nats::ConnectOptions;
use billfold_core::subject::Generation;

use super::ConnectError;

/// Where the wallet's streams are.
#[derive(Debug, Clone)]
pub struct Config {
    /// One or more servers of one cluster: `nats://host:4222` or `tls://host:4222`, separated by
    /// commas.
    pub url: String,
    /// Who the wallet is to the server.
    pub credentials: Credentials,
    /// A file of PEM certificates that may sign the server's. TLS is then required.
    pub ca_file: Option<PathBuf>,
    /// Files of the wallet's own PEM certificate and key, for a server that wants mutual TLS.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Which generation of the log.
    pub generation: Generation,
    /// How many copies a new stream keeps, and an existing one must keep: 1 or 3.
    pub replicas: usize,
    /// Whether to make streams that are missing.
    pub create: bool,
    /// How long to wait for an acknowledgement, a connection or an answer.
    pub ack_timeout: Duration,
    /// Whether to refuse a server that may lose what it acknowledged, instead of warning.
    pub production: bool,
    /// The monitoring endpoints (`http://host:8222`) of all servers that hold the streams.
    pub monitoring_urls: Vec<String>,
    /// The operator vouches that every server runs with `sync_interval: always`.
    pub attest_sync_always: bool,
}

impl Config {
    /// A lone server without credentials, streams made on demand, no strictness: for development.
    #[must_use]
    pub fn dev(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            credentials: Credentials::None,
            ca_file: None,
            client_certificate: None,
            generation: Generation::FIRST,
            replicas: 1,
            create: true,
            ack_timeout: Duration::from_secs(5),
            production: false,
            monitoring_urls: Vec::new(),
            attest_sync_always: false,
        }
    }

    pub(super) async fn options(&self) -> Result<ConnectOptions, ConnectError> {
        let options = ConnectOptions::new()
            .name("billfold")
            .connection_timeout(self.ack_timeout)
            .request_timeout(Some(self.ack_timeout))
            // A peer that is gone without a word is noticed within some 10 s.
            .ping_interval(Duration::from_secs(5))
            .reconnect_delay_callback(reconnect_delay);
        let options = match &self.credentials {
            Credentials::None => options,
            Credentials::User { user, password } => {
                options.user_and_password(user.clone(), password.clone())
            }
            Credentials::Token(token) => options.token(token.clone()),
            Credentials::NkeySeed(seed) => options.nkey(seed.clone()),
            Credentials::File(path) => options.credentials_file(path).await.map_err(|error| {
                ConnectError::Config(format!("credentials file {}: {error}", path.display()))
            })?,
        };
        let options = match &self.ca_file {
            Some(path) => options
                .add_root_certificates(path.clone())
                .require_tls(true),
            None => options,
        };
        Ok(match &self.client_certificate {
            Some((certificate, key)) => options
                .add_client_certificate(certificate.clone(), key.clone())
                .require_tls(true),
            None => options,
        })
    }
}

/// How long to wait before an attempt to connect. The client's own rule waits up to 4 s, for which
/// every read of a secret would stand still after the server is back.
fn reconnect_delay(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(6);
    Duration::from_millis(5 << doublings)
}

/// Who the wallet is to the server.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Credentials {
    /// Nobody, or whoever the client certificate says.
    #[default]
    None,
    /// A file with a JWT and its seed, as `nsc` writes it.
    File(PathBuf),
    /// A user of the server's configuration.
    User {
        /// The user's name.
        user: String,
        /// The user's password.
        password: String,
    },
    /// A shared token.
    Token(String),
    /// The seed of an NKEY that the server knows.
    NkeySeed(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::File(_) => "File(..)",
            Self::User { .. } => "User(..)",
            Self::Token(_) => "Token(..)",
            Self::NkeySeed(_) => "NkeySeed(..)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_secret() {
        let secret = || "hunter2".to_owned();
        for credentials in [
            Credentials::User {
                user: "u".into(),
                password: secret(),
            },
            Credentials::Token(secret()),
            Credentials::NkeySeed(secret()),
        ] {
            let config = Config {
                credentials,
                ..Config::dev("nats://localhost")
            };
            assert!(!format!("{config:?}").contains("hunter2"));
        }
    }
}
