//! The address of a server, and what belongs to it.

use std::{fmt, net::IpAddr};

use reqwest::Url;

use super::Error;

/// Where a server is: scheme, host, port, perhaps a folder in front of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(Url);

impl Address {
    /// The address that is used when none is given.
    pub const USUAL: &str = "http://127.0.0.1:8200";

    /// Reads an address.
    ///
    /// # Errors
    /// When it is not one of HTTP or HTTPS, or holds what an address does not have. It is not
    /// repeated, since it may hold a password.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |told: &str| Error::usage(format!("the server's address {told}"));
        let url = Url::parse(text).map_err(|_| wrong("is not a URL such as https://host:8200"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("begins with http:// or https://, nothing else"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("holds a name or a password: it takes none"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("ends in a query or a fragment: it takes none"));
        }
        Ok(Self(url))
    }

    /// Whether what is sent there is protected.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether it is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// The URL of a path below the address, each segment as it is.
    pub(super) fn url(&self, path: &[String], query: &[(&'static str, String)]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Whether a URL leads to the same server over the same protocol.
    pub(super) fn is_origin_of(&self, url: &Url) -> bool {
        self.0.origin() == url.origin() && url.username().is_empty() && url.password().is_none()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(address: &str, path: &[&str]) -> String {
        let path: Vec<String> = path.iter().map(|&part| part.to_owned()).collect();
        Address::parse(address).unwrap().url(&path, &[]).into()
    }

    #[test]
    fn segments_stay_apart() {
        assert_eq!(
            url("http://h:1", &["v1", "a/b", "%41?#", "é"]),
            "http://h:1/v1/a%2Fb/%2541%3F%23/%C3%A9"
        );
        assert_eq!(url("https://h/vault/", &["v1"]), "https://h/vault/v1");
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_repeated() {
        for bad in [
            "canary",
            "unix:///canary",
            "http://u:canary@h",
            "http://canary@h",
            "http://h?canary",
            "http://h#canary",
        ] {
            let told = Address::parse(bad).unwrap_err().to_string();
            assert!(!told.contains("canary"), "{told}");
        }
    }

    #[test]
    fn only_the_same_scheme_host_and_port_is_the_same_origin() {
        let address = Address::parse("https://h:8200").unwrap();
        for (url, same) in [
            ("https://h:8200/other", true),
            ("http://h:8200/", false),
            ("https://h:8201/", false),
            ("https://h.evil:8200/", false),
            ("https://u@h:8200/", false),
        ] {
            assert_eq!(
                address.is_origin_of(&Url::parse(url).unwrap()),
                same,
                "{url}"
            );
        }
    }

    #[test]
    fn loopback_is_known_in_each_of_its_forms() {
        for (text, local) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("http://10.0.0.1", false),
            ("http://localhost.evil", false),
        ] {
            assert_eq!(Address::parse(text).unwrap().is_loopback(), local, "{text}");
        }
    }
}
