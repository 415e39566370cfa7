//! What the client commands stand on: a client of Vault's HTTP API, and of what Billfold adds.
//!
//! It works against any server that speaks the API. A token goes to the address that was chosen and
//! nowhere else. Tokens, bodies and answers are wiped after use, and stand in no error.

mod address;
mod answer;
mod audit;
mod environment;
mod erasures;
mod error;
mod grants;
mod key_manager;
mod keys;
mod kv;
mod mount;
mod policies;
mod proof;
mod request;
mod restore;
mod text;
mod tls;
mod token;
mod tokens;

use std::time::Duration;

use reqwest::{header::HeaderValue, redirect::Policy};

pub use self::{
    address::Address,
    answer::Answer,
    environment::{Choices, Settings, Variables},
    error::Error,
    grants::Grant,
    key_manager::KeyManagerChange,
    keys::{ErasureStatus, ExposedSecret, KekStatus, KeyStatus, RewrapStatus},
    kv::{Metadata, Reading, Version},
    mount::{Kv, Place},
    proof::NewestCheckpoint,
    request::{Method, Request},
    restore::{Left, NewVersion, Restore, Restored, Unchanged},
    text::{escape, escape_json, is_dangerous},
    tls::Trust,
    token::Token,
    tokens::{NewToken, Whose},
};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a request may take, from its first byte to the answer's last.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client of one server.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    address: Address,
    token: Option<Token>,
    namespace: Option<HeaderValue>,
}

impl Client {
    /// A client with these settings. It reaches for nothing yet.
    ///
    /// # Errors
    /// When certificates or keys cannot be read or used.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("billfold/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(PATIENCE)
            // Followed by hand, so that a token stays with its address.
            .redirect(Policy::none())
            .referer(false);
        // A proxy would read what goes in clear, and is of no use on the way to this machine.
        if !settings.address.is_tls() || settings.address.is_loopback() {
            builder = builder.no_proxy();
        }
        let builder = tls::apply(builder, &settings.address, &settings.trust)?;
        let http = builder.build().map_err(Error::setup)?;
        let namespace = settings.namespace.map(|name| {
            HeaderValue::from_str(&name)
                .map_err(|_| Error::usage("a namespace is printable ASCII text"))
        });
        Ok(Self {
            http,
            address: settings.address,
            token: settings.token,
            namespace: namespace.transpose()?,
        })
    }

    /// The same client with another token.
    #[must_use]
    pub fn with_token(self, token: Token) -> Self {
        Self {
            token: Some(token),
            ..self
        }
    }

    /// Where the server is.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Whether the server is initialised and sealed, as it says itself.
    ///
    /// # Errors
    /// When no answer comes, or another than was asked for.
    pub async fn seal_status(&self) -> Result<Answer, Error> {
        self.send(Request::get(["v1", "sys", "seal-status"])).await
    }

    /// Changes several secrets at once, all or none: a list of changes in JSON. Billfold's own.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn transact(&self, changes: &[u8]) -> Result<Answer, Error> {
        let body = [b"{\"changes\":", changes, b"}"].concat();
        self.send(Request::post(["api", "transactions"]).body(body.into()))
            .await
    }
}
