//! The ciphertexts that stand by themselves: names, payloads, MACs of tokens.

use billfold_core::id::{MountId, RecordId, TokenId};
use bytes::Bytes;

use super::{Error, StoredRecord, View, layout};

impl View {
    /// The ciphertext of a version's payload.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn payload(
        &self,
        id: &RecordId,
        stored: &StoredRecord,
        version: u32,
    ) -> Result<Option<Bytes>, Error> {
        if let Some(payload) = stored.payload(version) {
            return Ok(Some(payload));
        }
        self.bytes_at(&layout::payload(id, version))
    }

    /// The sealed names of a mount.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn mount_names(&self, mount: &MountId) -> Result<Option<Bytes>, Error> {
        self.bytes_at(&layout::mount_names(mount))
    }

    /// The sealed names of a token.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn token_names(&self, token: &TokenId) -> Result<Option<Bytes>, Error> {
        self.bytes_at(&layout::token_names(token))
    }

    /// The sealed MAC of a token.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn token_mac(&self, token: &TokenId) -> Result<Option<Bytes>, Error> {
        self.bytes_at(&layout::token_mac(token))
    }

    /// Something in a token's cubbyhole, sealed.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn cubbyhole_payload(
        &self,
        token: &TokenId,
        entry: &RecordId,
    ) -> Result<Option<Bytes>, Error> {
        self.bytes_at(&layout::cubbyhole_payload(token, entry))
    }

    /// The path of something in a token's cubbyhole, sealed.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn cubbyhole_names(
        &self,
        token: &TokenId,
        entry: &RecordId,
    ) -> Result<Option<Bytes>, Error> {
        self.bytes_at(&layout::cubbyhole_names(token, entry))
    }

    /// The sealed MAC of the root token.
    ///
    /// # Errors
    /// When the view is damaged.
    pub fn root_token_mac(&self) -> Result<Option<Bytes>, Error> {
        self.bytes_at(&layout::payload(&RecordId::default(), 0))
    }

    /// The keys of all that is in a token's cubbyhole.
    pub(crate) fn cubbyhole_keys(
        &self,
        token: &TokenId,
    ) -> impl Iterator<Item = Result<Vec<u8>, Error>> + use<> {
        let keys = self.tree.scan_prefix(layout::cubbyhole(token)).keys();
        keys.map(|key| Ok(key?.to_vec()))
    }

    pub(crate) fn payload_keys(
        &self,
        id: &RecordId,
    ) -> impl Iterator<Item = Result<Vec<u8>, Error>> + use<> {
        let keys = self.tree.scan_prefix(layout::payloads(id)).keys();
        keys.map(|key| Ok(key?.to_vec()))
    }

    pub(super) fn bytes_at(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let bytes = self.tree.get(key)?;
        Ok(bytes.map(|bytes| Bytes::copy_from_slice(&bytes)))
    }
}
