//! The wallet's own entry: who rules it, its KEK versions and its unseal generations.

use crate::{
    Millis,
    cbor::as_array,
    event::{SealedRef, v1::RotationPolicy},
    id::{FactKeyId, PrincipalId, TokenId, WalletId},
    keys::keyring::KekVersion,
};

/// The wallet: who rules it, and under which keys it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wallet {
    /// Its id.
    pub id: WalletId,
    /// When it began.
    pub created: Millis,
    /// The principal that may do everything.
    pub root: PrincipalId,
    /// The accessor of its token.
    pub root_token: TokenId,
    /// The MAC of its token, a payload.
    pub root_token_mac: SealedRef,
    /// Its KEK versions, oldest first; the last one is current.
    pub keks: Vec<WalletKek>,
    /// Its unseal generations, oldest first; the last one wraps the KEK versions.
    pub generations: Vec<WalletGeneration>,
    /// The newest KEK version that was destroyed before the generation above it was replaced: what
    /// was erased under it and older ones is gone from every copy.
    pub complete: KekVersion,
    /// When it makes a new KEK version by itself.
    pub rotation: RotationPolicy,
    /// The newest KEK version that may be known to others, if one ever was.
    pub compromised: Option<Compromise>,
    /// The epoch whose keys seal what is recorded; none before the first KEK version.
    pub epoch: Option<FactKeyId>,
}

as_array!(Wallet {
    id,
    created,
    root,
    root_token,
    root_token_mac,
    keks,
    generations,
    complete,
    rotation,
    compromised,
    epoch
});

/// KEK versions that may be known to others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Compromise {
    /// The newest of them.
    pub version: KekVersion,
    /// When that was said: what was written before is to be changed at its source.
    pub time: Millis,
}

as_array!(Compromise { version, time });

impl Wallet {
    /// The KEK version under which new keys are wrapped; none before the first.
    #[must_use]
    pub fn current_kek(&self) -> Option<&WalletKek> {
        self.keks.last()
    }

    /// A KEK version.
    #[must_use]
    pub fn kek(&self, version: KekVersion) -> Option<&WalletKek> {
        self.keks.iter().find(|kek| kek.version == version)
    }
}

/// An unseal generation of the wallet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WalletGeneration {
    /// Its number.
    pub number: u32,
    /// The name of its key manager.
    pub manager: String,
    /// Since when it wraps the KEK versions.
    pub created: Millis,
    /// The newest KEK version that may open it; 0 for the first generation, which none opens.
    pub opened_by: KekVersion,
    /// The newest KEK version that was destroyed before, and so was never under it; 0 for none.
    pub above: KekVersion,
}

as_array!(WalletGeneration {
    number,
    manager,
    created,
    opened_by,
    above
});

/// A KEK version of the wallet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WalletKek {
    /// Its number.
    pub version: KekVersion,
    /// The unseal generation that wrapped it when it was made.
    pub generation: u32,
    /// The epoch that began with it.
    pub fact_key: FactKeyId,
    /// When it was made.
    pub created: Millis,
    /// How many keys were taken into use under it.
    pub used: u64,
    /// How many keys under it something live refers to.
    pub live: u64,
    /// How many keys under it are to be destroyed.
    pub dying: u64,
    /// How many keys were destroyed while it was the newest.
    pub erased: u64,
    /// How many pages hold those that are live or to be destroyed.
    pub pages: u64,
    /// Since when it is to be destroyed.
    pub retired: Option<Millis>,
    /// Since when it is destroyed.
    pub destroyed: Option<Millis>,
}

as_array!(WalletKek {
    version,
    generation,
    fact_key,
    created,
    used,
    live,
    dying,
    erased,
    pages,
    retired,
    destroyed
});
