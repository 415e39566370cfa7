//! `billfold serve`.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use billfold::{
    config::Settings,
    http::{self, Door, Phase},
    metrics,
    node::{self, Backend, Node},
};
use tokio::signal::unix::{SignalKind, signal};

use super::logging;

/// How often a server without a wallet looks for one.
const LOOK: Duration = Duration::from_millis(500);

pub(super) async fn run(settings: Settings) -> anyhow::Result<()> {
    logging::begin(&settings.log)?;
    let listener =
        http::bind(settings.listen).with_context(|| format!("listening on {}", settings.listen))?;
    let backend = Backend::open(&settings, true).await?;
    until_told(&settings, &backend, listener, |_, _| Ok(())).await
}

/// Serves until the process is told to end, or the node stops by itself.
pub(super) async fn until_told(
    settings: &Settings,
    backend: &Backend,
    listener: std::net::TcpListener,
    ready: impl FnOnce(&Node, std::net::SocketAddr) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    metrics::install();
    let door = Arc::new(Door::new(&settings.rates(), backend.name()));
    let serving = http::serve(listener, Arc::clone(&door), settings.tls()).await?;
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let node = tokio::select! {
        node = come_up(settings, backend, &door) => node?,
        _ = terminate.recv() => return Ok(serving.drain().await?),
        _ = interrupt.recv() => return Ok(serving.drain().await?),
    };
    tracing::info!(address = %serving.address, log = backend.name(), "serving");
    ready(&node, serving.address)?;
    let stopped = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        stopped = node.keychain().until_stopped() => Some(stopped),
    };
    if let Some(stopped) = stopped {
        // It stays up to tell its health, until someone has looked and ends it.
        tracing::error!(%stopped, "answering nothing but health until this process is ended");
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    tracing::info!("draining");
    let drained = serving.drain().await;
    door.enter(Phase::Draining);
    node.stop().await;
    Ok(drained?)
}

/// Waits for a wallet, and for the view to catch up.
async fn come_up(settings: &Settings, backend: &Backend, door: &Door) -> Result<Node, node::Error> {
    let mut told = false;
    loop {
        match Node::start(settings, backend, node::for_terminal()).await {
            Ok(node) => {
                door.enter(Phase::Ready(Arc::clone(node.wallet())));
                return Ok(node);
            }
            Err(node::Error::NoWallet) => {
                door.enter(Phase::Uninitialised);
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!("there is no wallet on this log yet: run `billfold init`");
                }
                tokio::time::sleep(LOOK).await;
            }
            Err(error) => return Err(error),
        }
    }
}
