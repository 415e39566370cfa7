//! Sealing what a decision puts beside its facts, each under a fresh DEK.

use bytes::Bytes;

use crate::{
    commit::ciphertext_hash,
    decide::Error,
    entropy::Entropy,
    event::SealedRef,
    id::WalletId,
    keys::{Content, Dek, keyring::KekVersion, page::KeyRef},
    seal::Place,
    state::{Source, State},
};

/// Where fresh DEKs come from. Each is drawn once, whatever becomes of it.
pub trait Supply {
    /// The next key; none when the supply is empty for now.
    fn draw(&mut self) -> Option<Drawn>;
}

/// A fresh DEK.
#[derive(Debug)]
pub struct Drawn {
    /// Where it stands.
    pub key: KeyRef,
    /// The key.
    pub dek: Dek,
    /// The KEK version that wraps it.
    pub kek: KekVersion,
}

/// Seals names and payloads.
pub struct Sealer<'a> {
    wallet: WalletId,
    supply: &'a mut dyn Supply,
    entropy: &'a mut dyn Entropy,
}

impl<'a> Sealer<'a> {
    /// Seals for this wallet, with keys and salts from these sources.
    pub fn new(wallet: WalletId, supply: &'a mut dyn Supply, entropy: &'a mut dyn Entropy) -> Self {
        Self {
            wallet,
            supply,
            entropy,
        }
    }

    pub(super) const fn wallet(&self) -> WalletId {
        self.wallet
    }

    pub(super) fn payload<S: Source>(
        &mut self,
        state: &State<S>,
        place: &Place,
        plaintext: &[u8],
    ) -> Result<(SealedRef, Bytes), Error<S::Error>> {
        self.seal(state, Content::Payload, place, plaintext)
    }

    pub(super) fn names<S: Source>(
        &mut self,
        state: &State<S>,
        place: &Place,
        plaintext: &[u8],
    ) -> Result<(SealedRef, Bytes), Error<S::Error>> {
        self.seal(state, Content::Names, place, plaintext)
    }

    fn seal<S: Source>(
        &mut self,
        state: &State<S>,
        content: Content,
        place: &Place,
        plaintext: &[u8],
    ) -> Result<(SealedRef, Bytes), Error<S::Error>> {
        let wallet = state.wallet().map_err(Error::Source)?;
        let current = wallet.and_then(|wallet| wallet.current_kek().map(|kek| kek.version));
        let (key, dek) = loop {
            let Drawn { key, dek, kek } = self.supply.draw().ok_or(Error::OutOfKeys)?;
            // Another node may have closed the page under its owner, or rotated the KEK.
            let closed = state.page(&key.page).map_err(Error::Source)?.closed;
            if !closed && current.is_none_or(|current| current == kek) {
                break (key, dek);
            }
        };
        let sealed = Bytes::from(dek.seal(content, place, plaintext, self.entropy));
        Ok((
            SealedRef {
                key,
                hash: ciphertext_hash(&sealed),
            },
            sealed,
        ))
    }
}

impl std::fmt::Debug for Sealer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealer({})", self.wallet)
    }
}
