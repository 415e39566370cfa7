//! Who opens an unseal generation: shares, key files and key-management services alike.

use async_trait::async_trait;
use serde_bytes::ByteBuf;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::{
    cbor::{self, as_array},
    entropy::Entropy,
    id::WalletId,
    keys::{FileKey, GenerationKey, ShareKey, share::Counts, wrap_place},
    seal::{Place, Unopened},
};

/// The format of a generation under shares.
const FORMAT: u16 = 1;

/// Which generation of which wallet a key belongs to. The wrapped form is bound to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GenerationId {
    /// The wallet.
    pub wallet: WalletId,
    /// Counted from 1; each retirement of a KEK version makes a new one.
    pub number: u32,
}

impl GenerationId {
    fn place(&self) -> Place {
        wrap_place(self.wallet).and_number(u64::from(self.number))
    }

    /// What stands before the key inside the wrapping: not every key manager takes associated data.
    fn stated(&self) -> [u8; STATED] {
        let number = self.number.to_be_bytes();
        let mut stated = [0; STATED];
        let bytes = self.wallet.as_bytes().iter().chain(&number);
        stated
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
        stated
    }
}

/// How much stands before the key: a wallet and a number.
const STATED: usize = 16 + 4;

impl GenerationKey {
    /// What a key manager is given to wrap: the key, and which generation's it is.
    #[must_use]
    pub fn state(&self, id: GenerationId) -> Zeroizing<Vec<u8>> {
        let mut plain = Zeroizing::new(Vec::with_capacity(STATED + 32));
        plain.extend_from_slice(&id.stated());
        plain.extend_from_slice(self.expose());
        plain
    }

    /// Whether both are the same key. Compared in constant time.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }

    /// The key in what a key manager gave back.
    ///
    /// # Errors
    /// When it is another generation's, or no key.
    pub fn from_stated(id: GenerationId, plain: &[u8]) -> Result<Self, Unopened> {
        let (stated, key) = plain.split_first_chunk::<STATED>().ok_or(Unopened)?;
        if *stated != id.stated() {
            return Err(Unopened);
        }
        key.try_into()
            .map(Self::danger_from_bytes)
            .map_err(|_| Unopened)
    }
}

impl FileKey {
    /// Makes a generation's key, and wraps it.
    pub fn create_generation(
        &self,
        id: GenerationId,
        entropy: &mut dyn Entropy,
    ) -> (GenerationKey, Vec<u8>) {
        let key = GenerationKey::generate(entropy);
        let wrapped = self.seal(&id.place(), &key.state(id), entropy);
        (key, wrapped)
    }

    /// Unwraps a generation's key.
    ///
    /// # Errors
    /// When this key did not wrap it for this generation.
    pub fn open_generation(
        &self,
        id: GenerationId,
        wrapped: &[u8],
    ) -> Result<GenerationKey, Unopened> {
        GenerationKey::from_stated(id, self.open(&id.place(), wrapped)?.expose())
    }
}

/// A generation's key under a key that shares make.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shared {
    format: u16,
    counts: Counts,
    sealed: ByteBuf,
}

as_array!(Shared {
    format,
    counts,
    sealed
});

impl Shared {
    /// What was stored.
    ///
    /// # Errors
    /// When the bytes are none of a known format.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unopened> {
        let shared: Self = cbor::decode(bytes).map_err(|_| Unopened)?;
        match shared.format == FORMAT && shared.counts.checked().is_some() {
            true => Ok(shared),
            false => Err(Unopened),
        }
    }

    /// How many shares there are, and how many it takes. Whoever opens it proves them.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    fn place(id: GenerationId, counts: Counts) -> Place {
        id.place()
            .and_number(u64::from(counts.shares()))
            .and_number(u64::from(counts.threshold()))
    }
}

impl ShareKey {
    /// Makes a generation's key, and wraps it.
    pub fn create_generation(
        &self,
        id: GenerationId,
        counts: Counts,
        entropy: &mut dyn Entropy,
    ) -> (GenerationKey, Vec<u8>) {
        let key = GenerationKey::generate(entropy);
        let sealed = self.seal(&Shared::place(id, counts), &key.state(id), entropy);
        let shared = Shared {
            format: FORMAT,
            counts,
            sealed: ByteBuf::from(sealed),
        };
        (key, cbor::encode(&shared))
    }

    /// Unwraps a generation's key.
    ///
    /// # Errors
    /// When this key did not wrap it for this generation and these counts.
    pub fn open_generation(
        &self,
        id: GenerationId,
        wrapped: &[u8],
    ) -> Result<GenerationKey, Unopened> {
        let shared = Shared::decode(wrapped)?;
        let place = Shared::place(id, shared.counts);
        GenerationKey::from_stated(id, self.open(&place, &shared.sealed)?.expose())
    }
}

/// Keeps unseal generations. One call opens one, at unseal; no read calls it.
#[async_trait]
pub trait KeyManager: Send + Sync {
    /// Its name in the configuration, which also stands in the keyring.
    fn name(&self) -> &'static str;

    /// Makes a generation's key and what has to be stored to open it again.
    ///
    /// # Errors
    /// When the key manager cannot be used or reached.
    async fn create(
        &self,
        generation: GenerationId,
        entropy: &mut (dyn Entropy + Send),
    ) -> Result<(GenerationKey, Vec<u8>), Error>;

    /// Opens a generation's key from what [`KeyManager::create`] gave to store.
    ///
    /// # Errors
    /// When this key manager did not make it, or cannot be used or reached.
    async fn open(&self, generation: GenerationId, wrapped: &[u8]) -> Result<GenerationKey, Error>;

    /// Whether the second of two wrapped keys is under a newer version of this key manager's key
    /// than the first one. A key without versions is always the same.
    fn is_newer(&self, _before: &[u8], _after: &[u8]) -> bool {
        false
    }
}

/// Why a generation did not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operator's to mend: a file that is missing, readable by others, or of another length.
    #[error("{0}")]
    Configuration(String),
    /// Another key, or changed bytes.
    #[error("the key manager {0} does not open this wallet's unseal generation")]
    WrongKey(&'static str),
    /// The key at the key manager is missing, disabled, or not of a kind that wraps.
    #[error("the key of the key manager {0} cannot be used: {1}")]
    Key(&'static str, String),
    /// The version of its key that wrapped it is one that the key manager opens nothing with any more.
    #[error("the key of the key manager {0} cannot be used: {1}")]
    TooOld(&'static str, &'static str),
    /// The key manager knows us no more, or does not let us.
    #[error("the key manager {0} refuses: {1}")]
    Denied(&'static str, String),
    /// The dependency's fault.
    #[error("the key manager {0} cannot be reached: {1}")]
    Unavailable(&'static str, String),
}

impl Error {
    /// Whether it may pass without a change here: the key manager comes back, a key is enabled, a
    /// token is renewed.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Key(..) | Self::TooOld(..) | Self::Denied(..) | Self::Unavailable(..)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_entropy::Counter;

    const ID: GenerationId = GenerationId {
        wallet: WalletId::from_bytes([7; 16]),
        number: 2,
    };

    #[test]
    fn inv05_counts_and_generation_are_bound_to_what_shares_open() {
        let mut entropy = Counter::new(1);
        let key = ShareKey::generate(&mut entropy);
        let counts = Counts::new(5, 3).unwrap();
        let (made, wrapped) = key.create_generation(ID, counts, &mut entropy);
        let opened = key.open_generation(ID, &wrapped).unwrap();
        assert_eq!(opened.expose(), made.expose());
        let other = GenerationId { number: 3, ..ID };
        assert!(key.open_generation(other, &wrapped).is_err());
        let mut shared = Shared::decode(&wrapped).unwrap();
        shared.counts = Counts::new(5, 2).unwrap();
        assert!(key.open_generation(ID, &cbor::encode(&shared)).is_err());
        for at in 0..wrapped.len() {
            let mut changed = wrapped.clone();
            changed[at] ^= 1;
            assert!(key.open_generation(ID, &changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn what_a_key_manager_gives_back_is_held_to_its_generation() {
        let key = GenerationKey::generate(&mut Counter::new(1));
        let plain = key.state(ID);
        assert!(GenerationKey::from_stated(ID, &plain).is_ok());
        assert!(GenerationKey::from_stated(GenerationId { number: 1, ..ID }, &plain).is_err());
        assert!(GenerationKey::from_stated(ID, &plain[..51]).is_err());
        assert!(GenerationKey::from_stated(ID, &[&plain[..], &[0]].concat()).is_err());
    }
}
