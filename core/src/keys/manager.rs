//! Who opens an unseal generation: a key file today; shares and key-management services alike.

use async_trait::async_trait;

use zeroize::Zeroizing;

use crate::{
    entropy::Entropy,
    id::WalletId,
    keys::{FileKey, GenerationKey, wrap_place},
    seal::{Place, Unopened},
};

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
    fn stated(&self) -> [u8; 20] {
        let number = self.number.to_be_bytes();
        let mut stated = [0; 20];
        let bytes = self.wallet.as_bytes().iter().chain(&number);
        stated
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
        stated
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
        let mut plain = Zeroizing::new(Vec::with_capacity(20 + 32));
        plain.extend_from_slice(&id.stated());
        plain.extend_from_slice(key.expose());
        let wrapped = self.seal(&id.place(), &plain, entropy);
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
        let plain = self.open(&id.place(), wrapped)?;
        let (stated, key) = plain.expose().split_first_chunk::<20>().ok_or(Unopened)?;
        if *stated != id.stated() {
            return Err(Unopened);
        }
        key.try_into()
            .map(GenerationKey::danger_from_bytes)
            .map_err(|_| Unopened)
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
    /// The dependency's fault.
    #[error("the key manager {0} cannot be reached: {1}")]
    Unavailable(&'static str, String),
}
