//! The key managers that the settings name: which of them a wallet is under, and which is next.

use std::sync::Arc;

use billfold_core::keys::manager::{self, KeyManager};
use billfold_streams::{custody, entropy::Os};
use billfold_upstreams::{DevFile, KeyFile, VaultTransit};

use super::Known;
use crate::config::{Error, KeyManagerPlace, Settings};

/// Who opens a wallet: a key manager, or people when there is none.
pub type Opener = Option<Arc<dyn KeyManager>>;

/// The key managers that the settings name. Each is opened when it is needed.
#[derive(Debug, Clone)]
pub struct Managers {
    now: KeyManagerPlace,
    next: Option<KeyManagerPlace>,
    production: bool,
}

impl Managers {
    /// Those of the settings.
    ///
    /// # Errors
    /// When a setting is missing, or something is refused in production.
    pub fn of(settings: &Settings) -> Result<Self, Error> {
        let (now, next) = settings.key_managers()?;
        Ok(Self {
            now,
            next,
            production: settings.is_production(),
        })
    }

    /// Their names, that of the wallet's own first.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.all().map(KeyManagerPlace::name).collect()
    }

    /// The name of the one that the wallet is to be moved to, if there is one.
    #[must_use]
    pub fn next_name(&self) -> Option<&'static str> {
        self.next.as_ref().map(KeyManagerPlace::name)
    }

    /// Who opens a wallet that begins.
    ///
    /// # Errors
    /// When that key manager cannot be used.
    pub fn first(&self) -> Result<Opener, manager::Error> {
        self.open(&self.now)
    }

    /// Sees that there is one that can be used.
    ///
    /// # Errors
    /// When there is none.
    pub fn check(&self) -> Result<(), manager::Error> {
        let Err(error) = self.open(&self.now) else {
            return Ok(());
        };
        match &self.next {
            Some(next) if self.open(next).is_ok() => {
                tracing::warn!(%error, "the next key manager alone can be used");
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// Who opens this wallet as it is.
    ///
    /// # Errors
    /// When the settings do not name the wallet's key manager, or it cannot be used.
    pub async fn of_wallet(&self, known: &Known) -> Result<Opener, custody::Error> {
        let named = self.all().filter(|place| place.name() == known.manager);
        let named: Vec<_> = named.collect();
        if let [only] = named.as_slice() {
            return Ok(self.open(only)?);
        }
        let mut refused = None;
        for place in named {
            let Some(manager) = self
                .open(place)
                .map_err(|error| refused = Some(error))
                .ok()
                .flatten()
            else {
                continue;
            };
            match manager.open(known.generation, &known.wrapped).await {
                Ok(_) => return Ok(Some(manager)),
                // What may pass is told rather than what will not.
                Err(error) if error.may_pass() || refused.is_none() => refused = Some(error),
                Err(_) => {}
            }
        }
        Err(match refused {
            Some(error) => error.into(),
            None => custody::Error::OtherManager {
                found: known.manager.clone(),
                generation: known.generation.number,
                configured: self.names().join(" and "),
            },
        })
    }

    /// Who is to open the wallet: the next one, or without one the same, whose key may have a new
    /// version.
    ///
    /// # Errors
    /// When that key manager cannot be used.
    pub async fn target(&self, known: &Known) -> Result<Opener, custody::Error> {
        match &self.next {
            Some(next) => Ok(self.open(next)?),
            None => self.of_wallet(known).await,
        }
    }

    fn all(&self) -> impl Iterator<Item = &KeyManagerPlace> {
        std::iter::once(&self.now).chain(&self.next)
    }

    fn open(&self, place: &KeyManagerPlace) -> Result<Opener, manager::Error> {
        Ok(Some(match place {
            KeyManagerPlace::Shamir => return Ok(None),
            KeyManagerPlace::VaultTransit(settings) => Arc::new(VaultTransit::new(settings)?),
            KeyManagerPlace::KeyFile(file) => Arc::new(KeyFile::open(file)?),
            KeyManagerPlace::DevFile(file) => {
                Arc::new(DevFile::open(file, self.production, &mut Os::new())?)
            }
        }))
    }
}
