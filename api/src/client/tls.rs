//! Whom a client trusts, and how it shows who it is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use reqwest::{Certificate, ClientBuilder, Identity};
use zeroize::Zeroizing;

use super::{Address, Error};

/// Certificates and keys, by their files.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// PEM certificates that may sign the server's; without them, those of the system.
    pub ca_cert: Option<PathBuf>,
    /// The client's own certificate, in PEM.
    pub client_cert: Option<PathBuf>,
    /// Its key, in PEM.
    pub client_key: Option<PathBuf>,
    /// Trust whoever answers. Whoever is on the way can then read and change everything.
    pub skip_verify: bool,
}

pub(super) fn apply(
    builder: ClientBuilder,
    address: &Address,
    trust: &Trust,
) -> Result<ClientBuilder, Error> {
    let mut builder = match &trust.ca_cert {
        Some(file) => builder.tls_certs_only(certificates(file)?),
        // Without TLS, a system without certificates is no reason to fail.
        None if !address.is_tls() => builder.tls_certs_only([]),
        None => builder,
    };
    match (&trust.client_cert, &trust.client_key) {
        (Some(certificate), Some(key)) => {
            builder = builder.identity(identity(certificate, key)?);
        }
        (None, None) => {}
        _ => {
            return Err(Error::usage(
                "a client certificate and its key go together: give both or neither",
            ));
        }
    }
    Ok(builder.tls_danger_accept_invalid_certs(trust.skip_verify))
}

fn certificates(file: &Path) -> Result<Vec<Certificate>, Error> {
    let certificates = Certificate::from_pem_bundle(&read(file)?).unwrap_or_default();
    if certificates.is_empty() {
        let told = format!("{} holds no certificate in PEM", file.display());
        return Err(Error::usage(told));
    }
    Ok(certificates)
}

fn identity(certificate: &Path, key: &Path) -> Result<Identity, Error> {
    let (chain, key_pem) = (read(certificate)?, read(key)?);
    let mut pem = Zeroizing::new(Vec::with_capacity(chain.len() + key_pem.len() + 1));
    pem.extend_from_slice(&chain);
    pem.push(b'\n');
    pem.extend_from_slice(&key_pem);
    Identity::from_pem(&pem).map_err(|_| {
        Error::usage(format!(
            "{} and {} are no certificate and key in PEM",
            certificate.display(),
            key.display()
        ))
    })
}

fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    fs::read(file)
        .map(Zeroizing::new)
        .map_err(|error| Error::local(format!("reading {}", file.display()), error))
}
