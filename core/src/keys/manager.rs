//! Who opens an unseal generation: a key file today; shares and key-management services alike.

use async_trait::async_trait;

use crate::{entropy::Entropy, id::WalletId, keys::GenerationKey};

/// Which generation of which wallet a key belongs to. The wrapped form is bound to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GenerationId {
    /// The wallet.
    pub wallet: WalletId,
    /// Counted from 1; each retirement of a KEK version makes a new one.
    pub number: u32,
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
