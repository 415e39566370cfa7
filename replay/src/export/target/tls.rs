//! TLS to a server whose certificate one of those signed that are trusted.

use std::{fmt::Display, fs, io, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::Error;

/// What is trusted: the certificates of a file, or the system's.
pub(super) fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, Error> {
    let mut roots = RootCertStore::empty();
    let bad = |what: String| Error::Usage(format!("certificates to trust: {what}"));
    match ca_file {
        Some(file) => {
            let option = "--to-ca-file";
            let pem = fs::read(file).map_err(|error| Error::unread(option, file, &error))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let unfit = |why: &dyn Display| Error::unfit(option, file, why);
                let certificate = certificate.map_err(|error| unfit(&error))?;
                roots.add(certificate).map_err(|error| unfit(&error))?;
            }
            if roots.is_empty() {
                return Err(Error::unfit(option, file, &"it holds no certificate"));
            }
        }
        // Some of a system's may be of no use; one that is missing is seen at the handshake.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(bad("there are none".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Machine(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The connection, once the server showed who it is: it goes by the host in its address.
pub(super) async fn secured(
    connector: &TlsConnector,
    address: &str,
    stream: TcpStream,
) -> io::Result<TlsStream<TcpStream>> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let name = ServerName::try_from(host);
    let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    connector.connect(name, stream).await
}
