//! Where a wallet is.

use std::{fmt, path::PathBuf};

/// Where a wallet is. Its text says which log is read there.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// The data folder of a node: the embedded log unless `nats` is set, the view, and the key of
    /// the key manager `dev-file`.
    pub data_dir: Option<PathBuf>,
    /// The NATS server or servers that hold the log.
    pub nats: Option<Nats>,
    /// The key of the key manager `key-file`.
    pub key_file: Option<PathBuf>,
    /// A bundle, in place of a log.
    pub bundle: Option<PathBuf>,
    /// An auditor's key: the log alone is read, with what was granted to it.
    pub auditor_key: Option<PathBuf>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.bundle, &self.nats, &self.data_dir) {
            (Some(bundle), _, _) => write!(f, "bundle {}", bundle.display()),
            (None, Some(nats), _) => write!(f, "NATS {nats}"),
            (None, None, Some(dir)) => write!(f, "data folder {}", dir.display()),
            (None, None, None) => f.write_str("none"),
        }
    }
}

/// How to reach a log on NATS. Its text has the servers, without what logs in there.
#[derive(Clone)]
pub struct Nats {
    /// The URL, or several with commas between them.
    pub url: String,
    /// A credentials file as `nsc` writes it.
    pub credentials: Option<PathBuf>,
    /// The certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

impl fmt::Display for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, url) in self.url.split(',').enumerate() {
            let before = if number > 0 { "," } else { "" };
            let (scheme, server) = match url.split_once("://") {
                Some((scheme, rest)) => (Some(scheme), rest),
                None => (None, url),
            };
            // A user, a password or a token may stand before the server.
            let server = server.rsplit_once('@').map_or(server, |(_, server)| server);
            match scheme {
                Some(scheme) => write!(f, "{before}{scheme}://{server}")?,
                None => write!(f, "{before}{server}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nats({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_tells_no_login() {
        let nats = |url: &str| Nats {
            url: url.to_owned(),
            credentials: None,
            ca_file: None,
        };
        let logins = nats("nats://me:s3cr@t@one:4222, tls://token@two,three");
        assert_eq!(logins.to_string(), "nats://one:4222, tls://two,three");
        assert_eq!(
            format!("{logins:?}"),
            "Nats(nats://one:4222, tls://two,three)"
        );
        let place = Place {
            data_dir: Some("/var/lib/billfold".into()),
            ..Place::default()
        };
        assert_eq!(place.to_string(), "data folder /var/lib/billfold");
        let place = Place {
            nats: Some(nats("nats://one")),
            ..place
        };
        assert_eq!(place.to_string(), "NATS nats://one");
        let place = Place {
            bundle: Some("a.bundle".into()),
            ..place
        };
        assert_eq!(place.to_string(), "bundle a.bundle");
    }
}
