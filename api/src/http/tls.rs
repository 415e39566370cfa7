//! TLS from files, read again on SIGHUP.

use std::{io, path::PathBuf, sync::Arc};

use axum_server::tls_rustls::RustlsConfig;

/// Where certificate and key are.
#[derive(Debug, Clone)]
pub struct Files {
    /// The certificate chain, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// The TLS side of a server.
///
/// # Errors
/// When the files cannot be read, or do not belong together.
pub async fn config(files: &Files) -> io::Result<RustlsConfig> {
    // One provider for the whole process; a second call finds the first one's choice in place.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    RustlsConfig::from_pem_file(&files.certificate, &files.key).await
}

/// Reads the files again; connections that are open keep what they have. Files that do not load
/// change nothing.
pub(crate) async fn reload(config: &RustlsConfig, files: &Files) {
    match config
        .reload_from_pem_file(&files.certificate, &files.key)
        .await
    {
        Ok(()) => tracing::info!("the TLS certificate was read again"),
        Err(error) => tracing::error!(%error, "the TLS certificate was not changed"),
    }
}

/// Without certificates there is nothing to read again, and a SIGHUP must not end the process.
pub(crate) async fn ignore_hangup() {
    let hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
    let Ok(mut hangup) = hangup else { return };
    while hangup.recv().await.is_some() {
        tracing::info!("SIGHUP: there is no TLS certificate to read again");
    }
}

/// Reads the files again whenever the process is told to.
pub(crate) async fn reload_on_hangup(config: Arc<RustlsConfig>, files: Files) {
    let hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
    let Ok(mut hangup) = hangup else {
        return tracing::error!("SIGHUP cannot be listened to: certificates need a restart");
    };
    while hangup.recv().await.is_some() {
        reload(&config, &files).await;
    }
}
