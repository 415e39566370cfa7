//! Settings from options and from the environment.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{Address, Error, Token, Trust};

/// The beginnings of the names of variables; an earlier one wins.
const PREFIXES: [&str; 3] = ["BILLFOLD_", "BAO_", "VAULT_"];

/// Variables that Vault's clients know and this one does not. They say whom to trust or what to
/// send, so that leaving them out would do something else than was meant.
const UNKNOWN: [&str; 8] = [
    "CAPATH",
    "CACERT_BYTES",
    "TLS_SERVER_NAME",
    "AGENT_ADDR",
    "PROXY_ADDR",
    "HTTP_PROXY",
    "WRAP_TTL",
    "MFA",
];

/// The variables of the environment that matter here. Wiped when dropped: one may be a token.
pub struct Variables(BTreeMap<String, Zeroizing<String>>);

impl Variables {
    /// Those of this process.
    ///
    /// # Errors
    /// When one that matters is not UTF-8.
    pub fn of_this_process() -> Result<Self, Error> {
        let mut all = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else {
                continue;
            };
            if name != "HOME" && !PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            let value = value.into_string();
            let value = value.map_err(|_| Error::usage(format!("{name} is not UTF-8")))?;
            all.insert(name, Zeroizing::new(value));
        }
        Ok(Self(all))
    }

    /// A variable by the end of its name, with its whole name. An empty one is none.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(String, &str)> {
        PREFIXES.iter().find_map(|prefix| {
            let name = format!("{prefix}{name}");
            let value = self.plain(&name)?;
            Some((name, value))
        })
    }

    /// Where a token is kept between commands: the place that `bao` and `vault` use.
    ///
    /// # Errors
    /// When there is no home folder.
    pub fn token_file(&self) -> Result<PathBuf, Error> {
        let home = self.plain("HOME");
        let home = home.ok_or_else(|| {
            Error::usage("HOME is not set, so there is no place for a token: set BILLFOLD_TOKEN")
        })?;
        Ok(Path::new(home).join(".vault-token"))
    }

    fn plain(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(|value| value.as_str());
        value.filter(|value| !value.is_empty())
    }

    fn flag(&self, name: &str) -> Result<bool, Error> {
        match self.find(name) {
            None | Some((_, "0" | "f" | "F" | "false" | "False" | "FALSE")) => Ok(false),
            Some((_, "1" | "t" | "T" | "true" | "True" | "TRUE")) => Ok(true),
            Some((name, _)) => Err(Error::usage(format!("{name} is true or false"))),
        }
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Variables {
    fn from(variables: [(&str, &str); N]) -> Self {
        let own = |(name, value): (&str, &str)| (name.to_owned(), Zeroizing::new(value.to_owned()));
        Self(variables.into_iter().map(own).collect())
    }
}

/// What was chosen by options. It wins over the environment.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    /// The server's address.
    pub address: Option<String>,
    /// The namespace.
    pub namespace: Option<String>,
    /// Certificates and keys.
    pub trust: Trust,
}

/// What a client works with.
#[derive(Debug)]
pub struct Settings {
    /// Where the server is.
    pub address: Address,
    /// The token, if there is one.
    pub token: Option<Token>,
    /// The namespace, which Billfold refuses.
    pub namespace: Option<String>,
    /// Certificates and keys.
    pub trust: Trust,
}

impl Settings {
    /// Puts options and environment together. The token is read by [`Settings::find_token`].
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn read(choices: Choices, variables: &Variables) -> Result<Self, Error> {
        for name in UNKNOWN {
            if let Some((name, _)) = variables.find(name) {
                return Err(Error::usage(format!(
                    "{name} is set, which this client does not know: unset it"
                )));
            }
        }
        let chosen = |option: Option<String>, name: &str| {
            option.or_else(|| variables.find(name).map(|(_, value)| value.to_owned()))
        };
        let file = |option: Option<PathBuf>, name: &str| {
            option.or_else(|| variables.find(name).map(|(_, value)| value.into()))
        };
        let address = chosen(choices.address, "ADDR");
        let trust = choices.trust;
        Ok(Self {
            address: Address::parse(address.as_deref().unwrap_or(Address::USUAL))?,
            token: None,
            namespace: chosen(choices.namespace, "NAMESPACE"),
            trust: Trust {
                ca_cert: file(trust.ca_cert, "CACERT"),
                client_cert: file(trust.client_cert, "CLIENT_CERT"),
                client_key: file(trust.client_key, "CLIENT_KEY"),
                skip_verify: trust.skip_verify || variables.flag("SKIP_VERIFY")?,
            },
        })
    }

    /// Takes the token of the environment, or the one that was stored.
    ///
    /// # Errors
    /// When there is one that cannot be used.
    pub fn find_token(mut self, variables: &Variables) -> Result<Self, Error> {
        self.token = match variables.find("TOKEN") {
            Some((name, token)) => Some(
                Token::parse(token)
                    .map_err(|error| Error::usage(format!("{name} holds no token: {error}")))?,
            ),
            None => match variables.token_file() {
                Ok(file) => Token::read_if_there(&file)?,
                // Some requests need no token, and the server says which do.
                Err(_) => None,
            },
        };
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_wins_then_the_prefixes_in_their_order() {
        let variables = Variables::from([
            ("VAULT_ADDR", "http://vault:1"),
            ("BAO_ADDR", "http://bao:1"),
            ("BILLFOLD_ADDR", ""),
        ]);
        let read = |address: Option<&str>| {
            let choices = Choices {
                address: address.map(str::to_owned),
                ..Choices::default()
            };
            Settings::read(choices, &variables)
                .unwrap()
                .address
                .to_string()
        };
        assert_eq!(read(None), "http://bao:1");
        assert_eq!(read(Some("http://own:1")), "http://own:1");
        let usual = Settings::read(Choices::default(), &Variables::from([])).unwrap();
        assert_eq!(usual.address.to_string(), Address::USUAL);
    }

    #[test]
    fn the_token_of_the_environment_wins_over_the_stored_one() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().to_str().unwrap();
        let token = |variables: &Variables| {
            let settings = Settings::read(Choices::default(), variables).unwrap();
            let token = settings.find_token(variables).unwrap().token;
            token.map(|token| token.expose().to_owned())
        };
        assert_eq!(token(&Variables::from([("HOME", path)])), None);
        assert_eq!(token(&Variables::from([])), None);
        Token::parse("stored")
            .unwrap()
            .store(&home.path().join(".vault-token"))
            .unwrap();
        assert_eq!(
            token(&Variables::from([("HOME", path)])).as_deref(),
            Some("stored")
        );
        let both = Variables::from([("HOME", path), ("VAULT_TOKEN", "v"), ("BAO_TOKEN", "b")]);
        assert_eq!(token(&both).as_deref(), Some("b"));
        let bad = Variables::from([("VAULT_TOKEN", "can ary")]);
        let settings = Settings::read(Choices::default(), &bad).unwrap();
        let told = settings.find_token(&bad).unwrap_err().to_string();
        assert!(
            told.contains("VAULT_TOKEN") && !told.contains("ary"),
            "{told}"
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (name, value) in [
            ("VAULT_SKIP_VERIFY", "maybe"),
            ("VAULT_TLS_SERVER_NAME", "h"),
            ("BAO_CAPATH", "/certs"),
        ] {
            let variables = Variables::from([(name, value)]);
            let told = Settings::read(Choices::default(), &variables).unwrap_err();
            assert!(told.to_string().contains(name), "{told}");
        }
    }
}
