//! The keyring: the wallet's id and its KEK versions under one unseal generation.

use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use crate::{
    cbor::{self, as_array},
    entropy::Entropy,
    id::WalletId,
    keys::{GenerationKey, Kek, manager::GenerationId, wrap_place},
};

const FORMAT: u16 = 1;

/// The number of a KEK version, counted from 1.
pub type KekVersion = u32;

/// The keyring as it is stored: nothing in it is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyring {
    format: u16,
    /// The wallet that it belongs to.
    pub wallet: WalletId,
    /// Which unseal generation wraps its versions.
    pub generation: u32,
    /// The name of the key manager that opens the generation.
    pub manager: String,
    /// What that key manager needs to open it.
    pub wrapped_generation: ByteBuf,
    /// The version under which new keys are wrapped.
    pub current: KekVersion,
    /// All versions that can still be opened.
    keks: Vec<WrappedKek>,
}

as_array!(Keyring {
    format,
    wallet,
    generation,
    manager,
    wrapped_generation,
    current,
    keks
});

#[derive(Debug, Clone, PartialEq, Eq)]
struct WrappedKek {
    version: KekVersion,
    wrapped: ByteBuf,
}

as_array!(WrappedKek { version, wrapped });

impl Keyring {
    /// A new wallet's keyring, with one KEK version.
    pub fn create(
        generation: GenerationId,
        manager: &str,
        wrapped_generation: Vec<u8>,
        generation_key: &GenerationKey,
        entropy: &mut dyn Entropy,
    ) -> (Self, Kek) {
        let kek = Kek::generate(entropy);
        let version = 1;
        let mut keyring = Self {
            format: FORMAT,
            wallet: generation.wallet,
            generation: generation.number,
            manager: manager.to_owned(),
            wrapped_generation: ByteBuf::from(wrapped_generation),
            current: version,
            keks: Vec::new(),
        };
        let mut plain = Zeroizing::new(Vec::with_capacity(16 + 4 + 32));
        plain.extend_from_slice(keyring.wallet.as_bytes());
        plain.extend_from_slice(&version.to_be_bytes());
        plain.extend_from_slice(kek.expose());
        let wrapped = generation_key.seal(&keyring.place(version), &plain, entropy);
        keyring.keks.push(WrappedKek {
            version,
            wrapped: ByteBuf::from(wrapped),
        });
        (keyring, kek)
    }

    /// Opens every version.
    ///
    /// # Errors
    /// When the key is not this generation's, or a version was changed.
    pub fn open(&self, generation_key: &GenerationKey) -> Result<Vec<(KekVersion, Kek)>, Error> {
        self.keks
            .iter()
            .map(|kek| {
                let plain = generation_key
                    .open(&self.place(kek.version), &kek.wrapped)
                    .map_err(|_| Error::Unopened)?;
                // The plaintext names its place as well, for key managers without associated data.
                let (stated, key) = plain
                    .expose()
                    .split_at_checked(20)
                    .ok_or(Error::Malformed)?;
                let expected = [&self.wallet.as_bytes()[..], &kek.version.to_be_bytes()].concat();
                let key: &[u8; 32] = key.try_into().map_err(|_| Error::Malformed)?;
                if stated != expected {
                    return Err(Error::Malformed);
                }
                Ok((kek.version, Kek::danger_from_bytes(key)))
            })
            .collect()
    }

    /// Its bytes in the key store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// The keyring of these bytes.
    ///
    /// # Errors
    /// When they are no keyring of a known format.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let keyring: Self = cbor::decode(bytes).map_err(|_| Error::Malformed)?;
        if keyring.format != FORMAT {
            return Err(Error::Format(keyring.format));
        }
        Ok(keyring)
    }

    /// Which generation opens it.
    #[must_use]
    pub const fn generation_id(&self) -> GenerationId {
        GenerationId {
            wallet: self.wallet,
            number: self.generation,
        }
    }

    fn place(&self, version: KekVersion) -> crate::seal::Place {
        wrap_place(self.wallet)
            .and_number(u64::from(self.generation))
            .and_number(u64::from(version))
    }
}

/// Why stored keys are not usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Bytes that no wallet wrote.
    #[error("a stored key is malformed")]
    Malformed,
    /// A format from a later release.
    #[error("a stored key has format {0}, which this release does not know")]
    Format(u16),
    /// Another key, or changed bytes.
    #[error("a stored key does not open")]
    Unopened,
    /// It belongs to another wallet or slot.
    #[error("a stored key belongs to another place")]
    Misplaced,
    /// The KEK version that wraps it is not in the keyring.
    #[error("a stored key is under KEK version {0}, which the keyring does not have")]
    NoKek(KekVersion),
}
