//! The keys of a wallet, each with a type of its own, so that none is used in another's place.
//!
//! ```text
//! unseal generation   (opened by a KeyManager)
//!   └─ KEK versions   (keyring)
//!        ├─ payload DEKs, name DEKs   (page)
//!        └─ wallet keys, fact keys    (wallet)
//! ```

pub mod keyring;
pub mod manager;
pub mod page;
pub mod recovery;
pub mod share;
pub mod wallet;

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroize;

use crate::{
    entropy::Entropy,
    id::{MountId, RecordId, WalletId},
    labels::{self, Label},
    seal::{self, CiphertextKey, Place, Unopened},
    secret::{KeyBytes, SecretBytes},
};

macro_rules! typed_keys {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        pub struct $name(KeyBytes);

        impl $name {
            /// A new random key.
            pub fn generate(entropy: &mut dyn Entropy) -> Self {
                Self(KeyBytes::with(|key| entropy.fill(key)))
            }

            /// The key of these bytes; the caller wipes its own copy.
            #[must_use]
            pub fn danger_from_bytes(bytes: &[u8; 32]) -> Self {
                Self(KeyBytes::with(|key| key.copy_from_slice(bytes)))
            }

            #[allow(dead_code, reason = "not every kind of key is wrapped inside this crate")]
            pub(crate) const fn expose(&self) -> &[u8; 32] {
                self.0.expose()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}

typed_keys! {
    /// A key that an operator keeps in a file. It wraps unseal generations.
    FileKey;
    /// The key that a threshold of shares makes. It wraps an unseal generation.
    ShareKey;
    /// The key that a threshold of recovery shares makes. It wraps nothing: it is proof.
    RecoveryKey;
    /// The key of an unseal generation. It wraps KEK versions.
    GenerationKey;
    /// A version of the key-encryption key. It wraps DEKs, wallet keys and fact keys.
    Kek;
    /// A data-encryption key: of one payload, or of one record's or mount's names.
    Dek;
    /// The key of one namespace and epoch, for facts.
    FactKey;
    /// The key of one namespace and epoch, for what requests named.
    RequestNameKey;
    /// The key from which record ids are made. It cannot change for records that exist.
    IdKey;
    /// The key that seals each view's own key.
    ViewWrapKey;
    /// The key of one view, for its values and the order of its folders.
    ViewKey;
    /// The key under which tokens are remembered as MACs.
    TokenMacKey;
    /// The key for commands: their fingerprints, and hand-overs between nodes.
    CommandKey;
    /// The seed of the key that signs checkpoints.
    CheckpointSeed;
    /// The seed of a witness's key.
    CosignerSeed;
}

macro_rules! sealing_keys {
    ($($name:ident => $label:ident: $what:literal;)*) => {$(
        impl $name {
            #[doc = concat!("Seals ", $what, ".")]
            pub fn seal(&self, place: &Place, plaintext: &[u8], entropy: &mut dyn Entropy) -> Vec<u8> {
                seal::seal(&self.0, labels::$label, place, plaintext, entropy)
            }

            #[doc = concat!("Opens ", $what, ".")]
            ///
            /// # Errors
            /// When the bytes were not sealed by this key for this place.
            pub fn open(&self, place: &Place, sealed: &[u8]) -> Result<SecretBytes, Unopened> {
                seal::open(&self.0, labels::$label, place, sealed)
            }
        }
    )*};
}

sealing_keys! {
    FileKey => GENERATION: "a generation's key";
    ShareKey => SHARED_GENERATION: "a generation's key";
    GenerationKey => KEK: "a KEK version";
    FactKey => FACT: "a fact";
    RequestNameKey => REQUEST_NAMES: "what a request named";
    ViewKey => VIEW_VALUE: "a value of the view";
    ViewWrapKey => VIEW_KEY: "a view's own key";
}

macro_rules! disclosing_keys {
    ($($name:ident => $label:ident: $what:literal;)*) => {$(
        impl $name {
            #[doc = concat!("What opens one ciphertext and no other, to show ", $what, ".")]
            ///
            /// # Errors
            /// When this key did not seal it.
            pub fn disclose(&self, sealed: &[u8]) -> Result<CiphertextKey, Unopened> {
                seal::ciphertext_key(&self.0, labels::$label, sealed)
            }
        }
    )*};
}

disclosing_keys! {
    FactKey => FACT: "a fact";
    RequestNameKey => REQUEST_NAMES: "what a request named";
    Dek => NAMES: "names";
}

/// What a DEK seals. A payload never opens as names, nor the reverse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// The secret itself.
    Payload,
    /// Path, metadata and display names.
    Names,
}

impl Content {
    const fn label(self) -> Label {
        match self {
            Self::Payload => labels::PAYLOAD,
            Self::Names => labels::NAMES,
        }
    }
}

impl Dek {
    /// Seals a payload or names.
    pub fn seal(
        &self,
        content: Content,
        place: &Place,
        plaintext: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Vec<u8> {
        seal::seal(&self.0, content.label(), place, plaintext, entropy)
    }

    /// Opens a payload or names.
    ///
    /// # Errors
    /// When the bytes were not sealed by this key for this content and place.
    pub fn open(
        &self,
        content: Content,
        place: &Place,
        sealed: &[u8],
    ) -> Result<SecretBytes, Unopened> {
        seal::open(&self.0, content.label(), place, sealed)
    }
}

impl Kek {
    fn seal(
        &self,
        label: Label,
        place: &Place,
        plaintext: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Vec<u8> {
        seal::seal(&self.0, label, place, plaintext, entropy)
    }

    fn open(&self, label: Label, place: &Place, sealed: &[u8]) -> Result<SecretBytes, Unopened> {
        seal::open(&self.0, label, place, sealed)
    }
}

/// A message authentication code over labelled parts with their lengths before them.
fn mac(key: &KeyBytes, label: Label, parts: &[&[u8]]) -> [u8; 32] {
    // A key shorter than the hash's block is filled up with zeros (RFC 2104).
    let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
    block
        .iter_mut()
        .zip(key.expose())
        .for_each(|(to, from)| *to = *from);
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&block);
    block.as_mut_slice().zeroize();
    for part in std::iter::once(&label.as_bytes()).chain(parts) {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn short_mac(key: &KeyBytes, label: Label, parts: &[&[u8]]) -> [u8; 16] {
    let mut short = [0; 16];
    for (to, from) in short.iter_mut().zip(mac(key, label, parts)) {
        *to = from;
    }
    short
}

impl IdKey {
    /// The record of a path in a mount. The mount stands for its namespace.
    #[must_use]
    pub fn record(&self, mount: MountId, path: &str) -> RecordId {
        RecordId::from_bytes(short_mac(
            &self.0,
            labels::RECORD_ID,
            &[mount.as_bytes(), path.as_bytes()],
        ))
    }

    /// The blinded path of a folder in a mount; it is empty for the mount, or ends with a slash.
    #[must_use]
    pub fn folder(&self, mount: MountId, path: &str) -> RecordId {
        RecordId::from_bytes(short_mac(
            &self.0,
            labels::FOLDER_ID,
            &[mount.as_bytes(), path.as_bytes()],
        ))
    }

    /// The folders that a path in a mount is in, the mount first.
    #[must_use]
    pub fn folders(&self, mount: MountId, path: &str) -> Vec<RecordId> {
        let ends = path.match_indices('/').map(|(at, _)| at + 1);
        let above = ends.filter(|end| *end < path.len());
        std::iter::once(0)
            .chain(above)
            .filter_map(|end| path.get(..end))
            .map(|folder| self.folder(mount, folder))
            .collect()
    }

    /// The blinded path of a mount, or of a folder above one.
    #[must_use]
    pub fn mount_path(&self, path: &str) -> RecordId {
        RecordId::from_bytes(short_mac(&self.0, labels::MOUNT_PATH, &[path.as_bytes()]))
    }
}

impl ViewKey {
    /// A folder's or leaf's blinded id: its parent's and its own segment, keyed.
    #[must_use]
    pub fn segment(&self, parent: &[u8; 16], segment: &str) -> [u8; 16] {
        short_mac(&self.0, labels::VIEW_INDEX, &[parent, segment.as_bytes()])
    }

    /// A blinded value of some kind, to be looked up by. No kind is as long as a folder's id.
    #[must_use]
    pub fn term(&self, kind: &str, value: &[u8]) -> [u8; 16] {
        short_mac(&self.0, labels::VIEW_INDEX, &[kind.as_bytes(), value])
    }
}

impl TokenMacKey {
    /// What is kept of a token.
    #[must_use]
    pub fn mac(&self, token: &[u8]) -> TokenMac {
        TokenMac(mac(&self.0, labels::TOKEN_MAC, &[token]))
    }
}

/// The MAC of a token. Compared in constant time.
pub struct TokenMac([u8; 32]);

impl TokenMac {
    /// Its bytes, to be sealed as a payload.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The MAC that was stored as these bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Whether both are of the same token.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        subtle::ConstantTimeEq::ct_eq(&self.0[..], &other.0[..]).into()
    }
}

impl fmt::Debug for TokenMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenMac(…)")
    }
}

impl CommandKey {
    /// What tells two commands of one id apart. It never covers a secret.
    #[must_use]
    pub fn fingerprint(&self, description: &[u8]) -> [u8; 16] {
        short_mac(&self.0, labels::COMMAND_PRINT, &[description])
    }

    /// Seals commands for another node of the wallet.
    pub fn seal_hand_over(
        &self,
        place: &Place,
        plaintext: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Vec<u8> {
        seal::seal(&self.0, labels::HAND_OVER, place, plaintext, entropy)
    }

    /// Opens commands from another node of the wallet.
    ///
    /// # Errors
    /// When no node of this wallet sealed them for this place.
    pub fn open_hand_over(&self, place: &Place, sealed: &[u8]) -> Result<SecretBytes, Unopened> {
        seal::open(&self.0, labels::HAND_OVER, place, sealed)
    }

    /// Seals the answer to a hand-over.
    pub fn seal_answer(
        &self,
        place: &Place,
        plaintext: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Vec<u8> {
        seal::seal(&self.0, labels::HAND_OVER_ANSWER, place, plaintext, entropy)
    }

    /// Opens the answer to a hand-over.
    ///
    /// # Errors
    /// When no node of this wallet sealed it for this place.
    pub fn open_answer(&self, place: &Place, sealed: &[u8]) -> Result<SecretBytes, Unopened> {
        seal::open(&self.0, labels::HAND_OVER_ANSWER, place, sealed)
    }
}

/// Where a wrapped key belongs, as associated data.
fn wrap_place(wallet: WalletId) -> Place {
    Place::new().and(wallet.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_entropy::Counter;

    #[test]
    fn inv04_keys_are_silent_in_debug() {
        let mut entropy = Counter::new(1);
        let shown = format!(
            "{:?} {:?} {:?}",
            Kek::generate(&mut entropy),
            Dek::generate(&mut entropy),
            TokenMacKey::generate(&mut entropy).mac(b"hvs.x"),
        );
        assert_eq!(shown, "Kek(…) Dek(…) TokenMac(…)");
    }

    #[test]
    fn inv05_a_payload_does_not_open_as_names() {
        let mut entropy = Counter::new(2);
        let dek = Dek::generate(&mut entropy);
        let place = Place::new();
        let sealed = dek.seal(Content::Payload, &place, b"x", &mut entropy);
        assert!(dek.open(Content::Payload, &place, &sealed).is_ok());
        assert!(dek.open(Content::Names, &place, &sealed).is_err());
    }
}
