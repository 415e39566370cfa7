//! Which key managers the settings name: the wallet's, and the one that it is to be moved to.

use std::path::PathBuf;

use billfold_upstreams::{shamir, vault_transit};
use serde::{Deserialize, Serialize};

use super::{Error, Settings};

/// The key managers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyManagerName {
    /// People open the wallet, with shares of its key.
    Shamir,
    /// A transit key of a Vault or OpenBao.
    VaultTransit,
    /// A key file that the operator guards.
    KeyFile,
    /// A key beside the data: insecure.
    DevFile,
}

impl KeyManagerName {
    /// As it stands in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shamir => "shamir",
            Self::VaultTransit => "vault-transit",
            Self::KeyFile => "key-file",
            Self::DevFile => "dev-file",
        }
    }
}

/// A key manager, with all that is needed to use it.
#[derive(Debug, Clone)]
pub enum KeyManagerPlace {
    /// People open the wallet: there is nothing else to be named.
    Shamir,
    /// Where the transit key is.
    VaultTransit(vault_transit::Settings),
    /// The key file.
    KeyFile(PathBuf),
    /// The key file beside the data.
    DevFile(PathBuf),
}

impl KeyManagerPlace {
    /// The name of the key manager.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Shamir => shamir::NAME,
            Self::VaultTransit(_) => KeyManagerName::VaultTransit.name(),
            Self::KeyFile(_) => KeyManagerName::KeyFile.name(),
            Self::DevFile(_) => KeyManagerName::DevFile.name(),
        }
    }
}

/// What the settings say of one key manager, as it stands there.
struct Named<'a> {
    /// What its settings begin with.
    prefix: &'a str,
    key_file: &'a Option<PathBuf>,
    address: &'a Option<String>,
    mount: &'a str,
    key: &'a Option<String>,
    token_file: &'a Option<PathBuf>,
    ca_file: &'a Option<PathBuf>,
}

impl Settings {
    /// The key manager that opens the wallet, and the one that it is to be moved to, if there is one.
    ///
    /// # Errors
    /// When a setting is missing, or something is refused in production.
    pub fn key_managers(&self) -> Result<(KeyManagerPlace, Option<KeyManagerPlace>), Error> {
        let none = || {
            let told = "no key manager is configured, and without one nothing is opened: set \
                        key_manager = \"shamir\", or \"key-file\" and key_file, or \
                        \"vault-transit\" and where its key is (BILLFOLD_KEY_MANAGER, \
                        BILLFOLD_KEY_FILE, BILLFOLD_VAULT_TRANSIT_...)";
            Error(told.to_owned())
        };
        let now = Named {
            prefix: "",
            key_file: &self.key_file,
            address: &self.vault_transit_address,
            mount: &self.vault_transit_mount,
            key: &self.vault_transit_key,
            token_file: &self.vault_transit_token_file,
            ca_file: &self.vault_transit_ca_file,
        };
        let next = Named {
            prefix: "next_",
            key_file: &self.next_key_file,
            address: &self.next_vault_transit_address,
            mount: &self.next_vault_transit_mount,
            key: &self.next_vault_transit_key,
            token_file: &self.next_vault_transit_token_file,
            ca_file: &self.next_vault_transit_ca_file,
        };
        let now = self.place(self.key_manager.ok_or_else(none)?, now)?;
        let next = self.next_key_manager.map(|name| self.place(name, next));
        Ok((now, next.transpose()?))
    }

    fn place(&self, name: KeyManagerName, named: Named<'_>) -> Result<KeyManagerPlace, Error> {
        let needs = |settings: &[&str]| {
            let prefixed = |name: &&str| format!("{}{name}", named.prefix);
            let settings: Vec<_> = settings.iter().map(prefixed).collect();
            let variable = |name: &String| format!("BILLFOLD_{}", name.to_uppercase());
            let variables: Vec<_> = settings.iter().map(variable).collect();
            Error(format!(
                "the key manager {} needs {} ({})",
                name.name(),
                settings.join(", "),
                variables.join(", ")
            ))
        };
        Ok(match name {
            KeyManagerName::Shamir => KeyManagerPlace::Shamir,
            KeyManagerName::VaultTransit => {
                let all = [
                    "vault_transit_address",
                    "vault_transit_key",
                    "vault_transit_token_file",
                ];
                let transit = || {
                    Some(vault_transit::Settings {
                        address: named.address.clone()?,
                        mount: named.mount.to_owned(),
                        key: named.key.clone()?,
                        token_file: named.token_file.clone()?,
                        ca_file: named.ca_file.clone(),
                    })
                };
                KeyManagerPlace::VaultTransit(transit().ok_or_else(|| needs(&all))?)
            }
            KeyManagerName::KeyFile => {
                let file = named.key_file.clone();
                KeyManagerPlace::KeyFile(file.ok_or_else(|| needs(&["key_file"]))?)
            }
            KeyManagerName::DevFile if self.is_production() => {
                return Err(Error(
                    "the key manager dev-file protects nothing: it is refused in production"
                        .to_owned(),
                ));
            }
            KeyManagerName::DevFile => KeyManagerPlace::DevFile(self.dev_key()),
        })
    }

    /// The key file of the key manager `dev-file`.
    #[must_use]
    pub fn dev_key(&self) -> PathBuf {
        self.data_dir.join("dev.key")
    }
}
