//! Listening, and draining at the end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use axum_server::Handle;
use tower_http::catch_panic::CatchPanicLayer;

use super::{Door, TlsFiles, compress, connections, handle, tls};

/// How long open requests may take to end when the server stops.
const DRAIN: Duration = Duration::from_secs(20);

/// A server that listens.
#[derive(Debug)]
pub struct Serving {
    /// Where.
    pub address: SocketAddr,
    handle: Handle<SocketAddr>,
    task: tokio::task::JoinHandle<io::Result<()>>,
}

impl Serving {
    /// Takes no more requests and lets those that are open come to their end.
    ///
    /// # Errors
    /// When the server failed before.
    pub async fn drain(self) -> io::Result<()> {
        self.handle.graceful_shutdown(Some(DRAIN));
        self.task
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
    }
}

/// Takes the address.
///
/// # Errors
/// When it is in use or not this machine's.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves on a listener, with TLS if there are files for it.
///
/// # Errors
/// When the TLS files cannot be used.
pub async fn serve(
    listener: std::net::TcpListener,
    door: Arc<Door>,
    tls_files: Option<TlsFiles>,
) -> io::Result<Serving> {
    let address = listener.local_addr()?;
    let app = Router::new()
        .fallback(handle)
        .with_state(door)
        .layer(compress::layer())
        .layer(CatchPanicLayer::new());
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let handle = Handle::new();
    let connections = connections::Connections::new()?;
    let task = match tls_files {
        None => {
            tokio::spawn(tls::ignore_hangup());
            let server = axum_server::from_tcp(listener)?.acceptor(connections);
            tokio::spawn(connections::bound(server).handle(handle.clone()).serve(app))
        }
        Some(files) => {
            let config = tls::config(&files).await?;
            tokio::spawn(tls::reload_on_hangup(Arc::new(config.clone()), files));
            let server = axum_server::from_tcp_rustls(listener, config)?
                .map(|tls| tls.acceptor(connections));
            tokio::spawn(connections::bound(server).handle(handle.clone()).serve(app))
        }
    };
    Ok(Serving {
        address,
        handle,
        task,
    })
}
