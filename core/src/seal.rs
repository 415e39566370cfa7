//! The one sealing construction, used for everything that is stored or sent.
//!
//! `HKDF-SHA256(key, fresh salt, label)` gives an AES-256-GCM key and a commitment to it
//! (`docs/wire-format.md`, "Sealed bytes"). Each sealing has a key of its own, so no nonce is shared
//! and none is stored; the commitment makes sure that no ciphertext opens under two keys.

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag};
use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    entropy::Entropy,
    labels::Label,
    secret::{KeyBytes, SecretBytes},
};

/// The algorithm id of this construction, the first byte of all that it seals.
const HKDF_SHA256_AES256GCM_COMMITTED: u8 = 1;
const SALT: usize = 32;
const COMMITMENT: usize = 32;
const TAG: usize = 16;
/// How many bytes sealing adds.
pub const OVERHEAD: usize = 1 + SALT + COMMITMENT + TAG;

/// The place of a ciphertext, as associated data: parts with their lengths before them
/// (invariant 5).
#[derive(Clone, Default)]
pub struct Place(Vec<u8>);

impl Place {
    /// A place of no parts.
    #[must_use]
    pub fn new() -> Self {
        Self(Vec::with_capacity(160))
    }

    /// Adds a part, its length before it as eight bytes, big-endian.
    #[must_use]
    pub fn and(mut self, part: &[u8]) -> Self {
        self.0.extend_from_slice(&(part.len() as u64).to_be_bytes());
        self.0.extend_from_slice(part);
        self
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Adds a number as a part of eight bytes, big-endian.
    #[must_use]
    pub fn and_number(self, number: u64) -> Self {
        self.and(&number.to_be_bytes())
    }
}

/// A ciphertext that did not open: another key, another place, or changed bytes. It says no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a ciphertext does not open")]
pub struct Unopened;

/// Seals `plaintext` under a key for one use and place.
///
/// # Panics
/// When the plaintext is over 64 GiB: what did not get sealed must not get into a log that is for
/// ever.
#[expect(
    clippy::expect_used,
    reason = "AES-GCM refuses only what is over 64 GiB, and no such plaintext gets here"
)]
pub(crate) fn seal(
    key: &KeyBytes,
    label: Label,
    place: &Place,
    plaintext: &[u8],
    entropy: &mut dyn Entropy,
) -> Vec<u8> {
    let mut sealed = vec![0; OVERHEAD + plaintext.len()];
    seal_into(key, label, place, plaintext, entropy, &mut sealed).expect("it is sealed");
    sealed
}

fn seal_into(
    key: &KeyBytes,
    label: Label,
    place: &Place,
    plaintext: &[u8],
    entropy: &mut dyn Entropy,
    sealed: &mut [u8],
) -> Result<(), Unopened> {
    let (algorithm, rest) = sealed.split_first_mut().ok_or(Unopened)?;
    let (salt, rest) = rest.split_at_mut_checked(SALT).ok_or(Unopened)?;
    let (commitment, rest) = rest.split_at_mut_checked(COMMITMENT).ok_or(Unopened)?;
    let (body, tag) = rest.split_at_mut_checked(plaintext.len()).ok_or(Unopened)?;
    *algorithm = HKDF_SHA256_AES256GCM_COMMITTED;
    entropy.fill(salt);
    let derived = derive(key, salt, label);
    commitment.copy_from_slice(derived.commitment());
    body.copy_from_slice(plaintext);
    let made = derived
        .cipher()
        .encrypt_inout_detached(&Nonce::default(), &place.0, body.into())
        .map_err(|_| Unopened)?;
    tag.copy_from_slice(&made);
    Ok(())
}

/// Opens what [`seal`] made for the same key, use and place.
pub(crate) fn open(
    key: &KeyBytes,
    label: Label,
    place: &Place,
    sealed: &[u8],
) -> Result<SecretBytes, Unopened> {
    let parts = Parts::of(sealed)?;
    parts.open(&derive(key, parts.salt, label), place)
}

/// What opens one ciphertext and no other: the pseudorandom key that HKDF extracts from the key above
/// it with the ciphertext's own salt. AES key and commitment both follow from it, so what it opens is
/// what the key above it opens.
pub struct CiphertextKey(KeyBytes);

impl CiphertextKey {
    /// The key of these bytes; the caller wipes its own copy.
    #[must_use]
    pub fn danger_from_bytes(bytes: &[u8; 32]) -> Self {
        Self(KeyBytes::with(|key| key.copy_from_slice(bytes)))
    }

    /// Its bytes. Whoever has them reads the one ciphertext.
    #[must_use]
    pub const fn danger_expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// Opens the ciphertext that it is the key of.
    pub(crate) fn open(
        &self,
        label: Label,
        place: &Place,
        sealed: &[u8],
    ) -> Result<SecretBytes, Unopened> {
        let hkdf = Hkdf::<Sha256>::from_prk(self.0.expose()).map_err(|_| Unopened)?;
        Parts::of(sealed)?.open(&expand(&hkdf, label), place)
    }
}

impl std::fmt::Debug for CiphertextKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CiphertextKey(…)")
    }
}

/// The key of one ciphertext, if `key` sealed it for this use.
pub(crate) fn ciphertext_key(
    key: &KeyBytes,
    label: Label,
    sealed: &[u8],
) -> Result<CiphertextKey, Unopened> {
    let parts = Parts::of(sealed)?;
    let (mut extracted, hkdf) = Hkdf::<Sha256>::extract(Some(parts.salt), key.expose());
    let own = CiphertextKey(KeyBytes::with(|bytes| {
        bytes
            .iter_mut()
            .zip(&extracted)
            .for_each(|(to, from)| *to = *from);
    }));
    zeroize::Zeroize::zeroize(extracted.as_mut_slice());
    match parts.is_of(&expand(&hkdf, label)) {
        true => Ok(own),
        false => Err(Unopened),
    }
}

/// Sealed bytes, taken apart.
struct Parts<'a> {
    salt: &'a [u8],
    commitment: &'a [u8],
    body: &'a [u8],
    tag: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(sealed: &'a [u8]) -> Result<Self, Unopened> {
        let (algorithm, rest) = sealed.split_first().ok_or(Unopened)?;
        let (salt, rest) = rest.split_at_checked(SALT).ok_or(Unopened)?;
        let (commitment, rest) = rest.split_at_checked(COMMITMENT).ok_or(Unopened)?;
        let (body, tag) = rest
            .split_at_checked(rest.len().checked_sub(TAG).ok_or(Unopened)?)
            .ok_or(Unopened)?;
        match *algorithm {
            HKDF_SHA256_AES256GCM_COMMITTED => Ok(Self {
                salt,
                commitment,
                body,
                tag,
            }),
            _ => Err(Unopened),
        }
    }

    fn is_of(&self, derived: &Derived) -> bool {
        derived.commitment().ct_eq(self.commitment).into()
    }

    fn open(&self, derived: &Derived, place: &Place) -> Result<SecretBytes, Unopened> {
        if !self.is_of(derived) {
            return Err(Unopened);
        }
        let mut plaintext = Zeroizing::new(self.body.to_vec());
        let tag = Tag::try_from(self.tag).map_err(|_| Unopened)?;
        derived
            .cipher()
            .decrypt_inout_detached(
                &Nonce::default(),
                &place.0,
                plaintext.as_mut_slice().into(),
                &tag,
            )
            .map_err(|_| Unopened)?;
        Ok(SecretBytes::new(plaintext))
    }
}

/// The AES key and the commitment, in this order.
struct Derived(Zeroizing<[u8; 64]>);

impl Derived {
    fn commitment(&self) -> &[u8] {
        self.0.split_at(32).1
    }

    fn cipher(&self) -> Aes256Gcm {
        let mut key = aes_gcm::Key::<Aes256Gcm>::default();
        key.copy_from_slice(self.0.split_at(32).0);
        let cipher = Aes256Gcm::new(&key);
        zeroize::Zeroize::zeroize(key.as_mut_slice());
        cipher
    }
}

fn derive(key: &KeyBytes, salt: &[u8], label: Label) -> Derived {
    expand(&Hkdf::<Sha256>::new(Some(salt), key.expose()), label)
}

#[expect(
    clippy::expect_used,
    reason = "HKDF-SHA256 gives up to 8,160 bytes; without these the key would be all zeros"
)]
fn expand(hkdf: &Hkdf<Sha256>, label: Label) -> Derived {
    let mut okm = Zeroizing::new([0; 64]);
    hkdf.expand(label.as_bytes(), okm.as_mut_slice())
        .expect("HKDF-SHA256 gives 64 bytes");
    Derived(okm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{labels, test_entropy::Counter};

    fn key(byte: u8) -> KeyBytes {
        KeyBytes::with(|k| k.fill(byte))
    }

    #[test]
    fn opens_only_where_it_was_sealed() {
        let place = Place::new().and(b"record").and_number(7);
        let sealed = seal(
            &key(1),
            labels::PAYLOAD,
            &place,
            b"plain",
            &mut Counter::new(3),
        );
        assert_eq!(sealed.len(), OVERHEAD + 5);
        let open = |key: &KeyBytes, label, place: &Place, bytes: &[u8]| {
            super::open(key, label, place, bytes).map(|p| p.expose().to_vec())
        };
        assert_eq!(
            open(&key(1), labels::PAYLOAD, &place, &sealed),
            Ok(b"plain".to_vec())
        );
        assert_eq!(
            open(&key(2), labels::PAYLOAD, &place, &sealed),
            Err(Unopened)
        );
        assert_eq!(open(&key(1), labels::NAMES, &place, &sealed), Err(Unopened));
        let elsewhere = Place::new().and(b"record").and_number(8);
        assert_eq!(
            open(&key(1), labels::PAYLOAD, &elsewhere, &sealed),
            Err(Unopened)
        );
    }

    #[test]
    fn inv05_every_changed_byte_and_every_cut_is_found() {
        let place = Place::new();
        let sealed = seal(
            &key(1),
            labels::PAYLOAD,
            &place,
            b"plain",
            &mut Counter::new(3),
        );
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(
                open(&key(1), labels::PAYLOAD, &place, &changed).is_err(),
                "byte {at}"
            );
            assert!(
                open(&key(1), labels::PAYLOAD, &place, &sealed[..at]).is_err(),
                "cut {at}"
            );
        }
    }

    #[test]
    fn the_key_of_one_ciphertext_opens_that_one_alone() {
        let mut entropy = Counter::new(9);
        let place = Place::new().and(b"here");
        let [one, other] =
            [b"one", b"two"].map(|plain| seal(&key(1), labels::FACT, &place, plain, &mut entropy));
        let own = ciphertext_key(&key(1), labels::FACT, &one).unwrap();
        let again = CiphertextKey::danger_from_bytes(own.danger_expose());
        let opened = again.open(labels::FACT, &place, &one).unwrap();
        assert_eq!(opened.expose(), b"one");
        assert!(own.open(labels::FACT, &place, &other).is_err());
        assert!(own.open(labels::NAMES, &place, &one).is_err());
        assert!(own.open(labels::FACT, &Place::new(), &one).is_err());
        // A key that did not seal it has none to give.
        assert!(ciphertext_key(&key(2), labels::FACT, &one).is_err());
        assert!(ciphertext_key(&key(1), labels::NAMES, &one).is_err());
        assert_eq!(format!("{own:?}"), "CiphertextKey(…)");
    }

    #[test]
    fn the_parts_of_a_place_do_not_run_into_each_other() {
        let sealed = seal(
            &key(1),
            labels::NAMES,
            &Place::new().and(b"ab").and(b"c"),
            b"",
            &mut Counter::new(1),
        );
        assert!(
            open(
                &key(1),
                labels::NAMES,
                &Place::new().and(b"a").and(b"bc"),
                &sealed
            )
            .is_err()
        );
    }
}
