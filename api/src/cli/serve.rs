//! `billfold serve`.

use std::sync::Arc;

use anyhow::Context as _;
use billfold::{
    config::Settings,
    http::{self, Door, Phase},
    metrics,
    node::{self, Backend, Life, Node},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::logging;

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
    let (lock, orders) = node::lock(settings);
    let door = Arc::new(Door::new(&settings.rates(), backend.name(), lock));
    let serving = http::serve(listener, Arc::clone(&door), settings.tls()).await?;
    let mut told = Told::new()?;
    let mut life = Life::new(settings, backend, &door, orders)?;
    let mut ready = Some(ready);
    loop {
        let node = tokio::select! {
            node = life.until_open() => node?,
            () = told.until_ended() => return Ok(serving.drain().await?),
        };
        tracing::info!(address = %serving.address, log = backend.name(), "serving");
        if let Some(ready) = ready.take() {
            ready(&node, serving.address)?;
        }
        tokio::select! {
            () = told.until_ended() => {}
            stopped = node.keychain().until_stopped() => {
                // It stays up to tell its health, until someone has looked and ends it.
                tracing::error!(%stopped, "answering nothing but health until this process is ended");
                told.until_ended().await;
            }
            () = node.keychain().until_sealed() => {
                tracing::warn!("the wallet is sealed");
                door.shut();
                door.lock().abandon();
                node.stop().await;
                life.shut();
                continue;
            }
        }
        tracing::info!("draining");
        let drained = serving.drain().await;
        door.enter(Phase::Draining);
        node.stop().await;
        return Ok(drained?);
    }
}

/// What tells the process to end.
struct Told {
    terminate: Signal,
    interrupt: Signal,
}

impl Told {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn until_ended(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
