//! An auditor's key pair, and its text forms.

use std::{fmt, str::FromStr};

use hpke::{Deserializable as _, Kem as _, Serializable as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::part::{self, Kem};
use crate::{
    entropy::Entropy,
    labels::{self, Label},
    secret::KeyBytes,
};

const PUBLIC: &str = "billfold-auditor-";
const SECRET: &str = "billfold-auditor-secret-";
/// How many bytes of a text find a slip of the hand.
const CHECK: usize = 4;

/// A text or bytes that are no auditor's key. It says nothing of what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not an auditor's key")]
pub struct Malformed;

/// An auditor's public key: a point of X25519 that is not of low order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditorKey([u8; 32]);

/// What names a public key in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecipientId([u8; 16]);

impl RecipientId {
    /// Its 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl AuditorKey {
    /// The key of these bytes.
    ///
    /// # Errors
    /// When what is sealed to it would be open to everyone: it is of low order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, Malformed> {
        let key = Self(*bytes);
        part::agrees(&key).then_some(key).ok_or(Malformed)
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What names it in the log.
    #[must_use]
    pub fn id(&self) -> RecipientId {
        let mut id = [0; 16];
        let hash = labelled(labels::AUDITOR_KEY, &self.0);
        id.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        RecipientId(id)
    }
}

impl fmt::Display for AuditorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", *text_of(&self.0))
    }
}

impl fmt::Debug for AuditorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AuditorKey {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        Self::from_bytes(&*bytes_of(text, PUBLIC)?)
    }
}

/// An auditor's own key. It never reaches the wallet.
pub struct AuditorSecret(KeyBytes);

impl AuditorSecret {
    /// A new random key.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self(KeyBytes::with(|key| entropy.fill(key)))
    }

    /// The key of a text, as a key file has it.
    ///
    /// # Errors
    /// When the text is none.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let bytes = bytes_of(text.trim_end(), SECRET)?;
        Ok(Self(KeyBytes::with(|key| key.copy_from_slice(&*bytes))))
    }

    /// Its text, for a file that only its owner reads.
    #[must_use]
    pub fn danger_text(&self) -> Zeroizing<String> {
        let digits = text_of(self.0.expose());
        let mut text = Zeroizing::new(String::with_capacity(SECRET.len() + digits.len()));
        text.push_str(SECRET);
        text.push_str(&digits);
        text
    }

    /// The public key that belongs to it.
    ///
    /// # Errors
    /// Never for a key that was generated: no clamped key makes a point of low order.
    pub fn public(&self) -> Result<AuditorKey, Malformed> {
        let secret = self.hpke().ok_or(Malformed)?;
        let public = Kem::sk_to_pk(&secret).to_bytes();
        let public: [u8; 32] = public.as_slice().try_into().map_err(|_| Malformed)?;
        AuditorKey::from_bytes(&public)
    }

    pub(super) fn hpke(&self) -> Option<<Kem as hpke::Kem>::PrivateKey> {
        <Kem as hpke::Kem>::PrivateKey::from_bytes(self.0.expose()).ok()
    }
}

impl fmt::Debug for AuditorSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditorSecret(…)")
    }
}

fn labelled(label: Label, bytes: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [label.as_bytes(), bytes] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// The digits of a key and of its check.
fn text_of(key: &[u8; 32]) -> Zeroizing<String> {
    let check = labelled(labels::AUDITOR_KEY_CHECK, key);
    let mut bytes = Zeroizing::new([0; 32 + CHECK]);
    let all = key.iter().chain(&check);
    bytes.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
    Zeroizing::new(hex::encode(*bytes))
}

fn bytes_of(text: &str, prefix: &str) -> Result<Zeroizing<[u8; 32]>, Malformed> {
    let digits = text.strip_prefix(prefix).ok_or(Malformed)?;
    let mut bytes = Zeroizing::new([0; 32 + CHECK]);
    hex::decode_to_slice(digits, &mut *bytes).map_err(|_| Malformed)?;
    let (key, _) = bytes.split_first_chunk::<32>().ok_or(Malformed)?;
    let key = Zeroizing::new(*key);
    // One text for each key: upper-case digits are none.
    match *text_of(&key) == digits {
        true => Ok(key),
        false => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_entropy::Counter;

    #[test]
    fn texts_are_read_as_they_were_written_and_slips_are_found() {
        let secret = AuditorSecret::generate(&mut Counter::new(7));
        let public = secret.public().unwrap();
        let text = public.to_string();
        assert_eq!(text.parse(), Ok(public));
        let again = AuditorSecret::parse(&format!("{}\n", *secret.danger_text())).unwrap();
        assert_eq!(again.public(), Ok(public));
        let digits = PUBLIC.len();
        for at in digits..text.len() {
            let mut slip = text.clone();
            let other = if &slip[at..=at] == "7" { "8" } else { "7" };
            slip.replace_range(at..=at, other);
            assert_eq!(slip.parse::<AuditorKey>(), Err(Malformed), "{at}");
        }
        for other in [
            text.to_uppercase(),
            text[..text.len() - 2].to_owned(),
            format!("{text}00"),
            format!(" {text}"),
            secret.danger_text().to_string(),
            String::new(),
        ] {
            assert_eq!(other.parse::<AuditorKey>(), Err(Malformed));
        }
        assert!(AuditorSecret::parse(&text).is_err());
    }

    #[test]
    fn keys_of_low_order_are_refused() {
        // The eight points, as RFC 7748's implementations list them, and their other encodings.
        for point in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000080",
        ] {
            let bytes: [u8; 32] = hex::decode(point).unwrap().try_into().unwrap();
            assert_eq!(AuditorKey::from_bytes(&bytes), Err(Malformed), "{point}");
        }
    }

    #[test]
    fn inv04_an_auditors_secret_is_silent() {
        let secret = AuditorSecret::generate(&mut Counter::new(7));
        assert_eq!(format!("{secret:?}"), "AuditorSecret(…)");
        assert_eq!(Malformed.to_string(), "this is not an auditor's key");
    }
}
