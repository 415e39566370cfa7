//! What the log says of the wallet's keys: the same for whoever folded it to the same place.

use serde::Serialize;

use crate::{
    Millis,
    event::v1::RotationPolicy,
    keys::keyring::KekVersion,
    state::{Wallet, WalletKek},
};

/// The wallet's keys, as the log tells them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyStatus {
    /// The KEK version under which new keys are wrapped; 0 before there is one.
    pub current: KekVersion,
    /// The unseal generations, oldest first; the last one wraps the KEK versions.
    pub generations: Vec<GenerationStatus>,
    /// The KEK versions, oldest first.
    pub versions: Vec<KekStatus>,
    /// What is left to be rewrapped.
    pub rewrap: RewrapStatus,
    /// How far keys are gone that were given up.
    pub erasures: ErasureStatus,
    /// When the wallet makes a new KEK version by itself.
    pub rotation: RotationStatus,
}

/// An unseal generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GenerationStatus {
    /// Its number.
    pub generation: u32,
    /// Its key manager.
    pub provider: String,
    /// Since when it wraps the KEK versions.
    pub created: String,
}

/// A KEK version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KekStatus {
    /// Its number.
    pub version: KekVersion,
    /// What can be done with it.
    pub state: KekState,
    /// The unseal generation that wraps it, or wrapped it last.
    pub generation: u32,
    /// The key manager of that generation.
    pub provider: String,
    /// When it was made.
    pub created: String,
    /// Since when it is to be destroyed.
    pub retired: Option<String>,
    /// Since when it is destroyed.
    pub destroyed: Option<String>,
    /// How many keys were taken into use under it.
    pub used: u64,
    /// How many keys under it something live refers to.
    pub live: u64,
    /// How many keys under it are to be destroyed.
    pub dying: u64,
    /// How many keys were destroyed while it was the newest: it may have wrapped them, and no newer one.
    pub erased: u64,
}

/// What can be done with a KEK version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KekState {
    /// It wraps new keys.
    Current,
    /// It opens what is under it still.
    DecryptOnly,
    /// It is to be destroyed.
    Retired,
    /// It is destroyed.
    Destroyed,
}

/// What is under other KEK versions than the current one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RewrapStatus {
    /// So many keys: those that something live refers to, and those that are to be destroyed.
    pub keys: u64,
    /// In so many pages.
    pub pages: u64,
}

/// The keys that were given up, by how far they are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ErasureStatus {
    /// Still in the key store.
    pub destroying: u64,
    /// Gone from the key store. A backup of it may hold them, under a KEK version or an unseal
    /// generation that is not destroyed.
    pub pending: u64,
    /// Gone from every copy, wherever it is.
    pub complete: u64,
}

/// When the wallet makes a new KEK version by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RotationStatus {
    /// Whether it does at all.
    pub enabled: bool,
    /// How old the current version gets at most, in seconds; 0 is no bound.
    pub max_age_seconds: u64,
    /// How many keys are taken into use under it at most; 0 is no bound.
    pub max_wraps: u64,
}

impl KeyStatus {
    /// The status of a wallet.
    #[must_use]
    pub fn of(wallet: &Wallet) -> Self {
        let current = wallet.current_kek().map_or(0, |kek| kek.version);
        let older = || wallet.keks.iter().filter(|kek| kek.version < current);
        let sum = |count: fn(&WalletKek) -> u64| wallet.keks.iter().map(count).sum::<u64>();
        let complete = wallet
            .keks
            .iter()
            .filter(|kek| kek.version <= wallet.complete)
            .map(|kek| kek.erased)
            .sum();
        Self {
            current,
            generations: wallet.generations.iter().map(generation).collect(),
            versions: wallet.keks.iter().map(|kek| version(wallet, kek)).collect(),
            rewrap: RewrapStatus {
                keys: older().map(|kek| kek.live + kek.dying).sum(),
                pages: older().map(|kek| kek.pages).sum(),
            },
            erasures: ErasureStatus {
                destroying: sum(|kek| kek.dying),
                pending: sum(|kek| kek.erased).saturating_sub(complete),
                complete,
            },
            rotation: RotationStatus {
                enabled: wallet.rotation.enabled,
                max_age_seconds: wallet.rotation.max_age / 1000,
                max_wraps: wallet.rotation.max_wraps,
            },
        }
    }
}

fn generation(known: &crate::state::WalletGeneration) -> GenerationStatus {
    GenerationStatus {
        generation: known.number,
        provider: known.manager.clone(),
        created: known.created.to_string(),
    }
}

fn version(wallet: &Wallet, kek: &WalletKek) -> KekStatus {
    let newest = wallet.keks.last().map(|newest| newest.version);
    let state = match (kek.retired, kek.destroyed) {
        (_, Some(_)) => KekState::Destroyed,
        (Some(_), None) => KekState::Retired,
        (None, None) if newest == Some(kek.version) => KekState::Current,
        (None, None) => KekState::DecryptOnly,
    };
    // A version that is there is under the last generation; one that is gone was under the last
    // that began before it went.
    let under = match kek.destroyed {
        None => wallet.generations.last(),
        Some(gone) => {
            let before = wallet.generations.iter().rev();
            before.into_iter().find(|known| known.created <= gone)
        }
    };
    let text = |time: Option<Millis>| time.map(|time| time.to_string());
    KekStatus {
        version: kek.version,
        state,
        generation: under.map_or(kek.generation, |known| known.number),
        provider: under.map(|known| known.manager.clone()).unwrap_or_default(),
        created: kek.created.to_string(),
        retired: text(kek.retired),
        destroyed: text(kek.destroyed),
        used: kek.used,
        live: kek.live,
        dying: kek.dying,
        erased: kek.erased,
    }
}

impl RotationPolicy {
    /// Whether the wallet is to make a new KEK version at this time.
    #[must_use]
    pub fn is_due(&self, wallet: &Wallet, now: Millis) -> bool {
        let Some(kek) = wallet.current_kek().filter(|_| self.enabled) else {
            return false;
        };
        let too_old = self.max_age > 0 && now >= kek.created.plus(self.max_age);
        let too_much = self.max_wraps > 0 && kek.used >= self.max_wraps;
        too_old || too_much
    }
}
