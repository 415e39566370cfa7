//! The servers, each started as one runs it, in a fresh folder on loopback.

use std::{net::SocketAddr, path::PathBuf};

use billfold_tests::{
    billfold::Billfold,
    nats::{NatsServer, Settings},
    openbao::OpenBao,
};

use super::rusty_vault::RustyVault;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    OpenBao,
    Embedded,
    JetStream,
    RustyVault,
}

impl Name {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::OpenBao => "OpenBao",
            Self::Embedded => "Billfold, embedded log",
            Self::JetStream => "Billfold, JetStream",
            Self::RustyVault => "RustyVault (KV v1, unsynced, no audit)",
        }
    }

    /// The name in the bench's arguments.
    pub(crate) const fn argument(self) -> &'static str {
        match self {
            Self::OpenBao => "openbao",
            Self::Embedded => "embedded",
            Self::JetStream => "jetstream",
            Self::RustyVault => "rusty-vault",
        }
    }
}

/// The version of the KV engine at `secret/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    V1,
    V2,
}

/// A server that runs. Dropping it kills its processes and deletes its folders.
pub(crate) enum System {
    OpenBao(OpenBao),
    Billfold(Box<Billfold>, Option<NatsServer>),
    RustyVault(RustyVault),
}

impl System {
    pub(crate) async fn start(name: Name) -> Self {
        match name {
            Name::OpenBao => Self::OpenBao(OpenBao::raft().await),
            Name::Embedded => Self::billfold(None).await,
            Name::JetStream => {
                // It syncs before it acknowledges.
                let large = Settings {
                    max_file_store: "20GB".into(),
                    ..Settings::default()
                };
                Self::billfold(Some(NatsServer::start_with(&large, None))).await
            }
            Name::RustyVault => Self::RustyVault(RustyVault::start().await),
        }
    }

    async fn billfold(nats: Option<NatsServer>) -> Self {
        let mut builder = Billfold::serve();
        if let Some(nats) = &nats {
            builder = builder
                .nats(nats.url())
                .env("BILLFOLD_NATS_MONITORING_URLS", nats.monitoring_url());
        }
        builder.init().await.unwrap().success().unwrap();
        Self::Billfold(Box::new(builder.spawn().await.unwrap()), nats)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::OpenBao(server) => server.address(),
            Self::Billfold(node, _) => node.address(),
            Self::RustyVault(server) => server.address(),
        }
    }

    pub(crate) fn token(&self) -> &str {
        match self {
            Self::OpenBao(server) => server.token(),
            Self::Billfold(node, _) => node.token(),
            Self::RustyVault(server) => server.token(),
        }
    }

    pub(crate) const fn engine(&self) -> Engine {
        match self {
            Self::OpenBao(_) | Self::Billfold(..) => Engine::V2,
            Self::RustyVault(_) => Engine::V1,
        }
    }

    /// The server's process, and that of its log if it has one of its own.
    pub(crate) fn processes(&self) -> (u32, Option<u32>) {
        match self {
            Self::OpenBao(server) => (server.pid(), None),
            Self::Billfold(node, nats) => {
                let nats = nats.as_ref().and_then(NatsServer::pid);
                (node.pid().unwrap(), nats)
            }
            Self::RustyVault(server) => (server.pid(), None),
        }
    }

    /// The folders of all that it writes, with what it prints.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        match self {
            Self::OpenBao(server) => vec![server.home().to_owned()],
            Self::Billfold(node, nats) => {
                let home = node.log_path().parent().unwrap().to_owned();
                let store = nats.iter().map(|nats| nats.store().to_owned());
                std::iter::once(home).chain(store).collect()
            }
            Self::RustyVault(server) => vec![server.home().to_owned()],
        }
    }
}
