//! A root token that is being made: enough shares prove that the operators want it, and a one-time pad
//! keeps it from whoever sees the answer.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use billfold_core::{
    entropy::Entropy as _,
    keys::share::{Set, Share},
};
use billfold_streams::entropy::Os;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Collected, Error, Known, Lock};

/// The letters of a pad that is made here: 62, so that a byte below 248 gives each as often.
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A root token that is being made.
#[derive(Debug)]
pub(super) struct Root {
    collected: Collected,
    pad: Pad,
}

/// A one-time pad, as long as a token.
pub struct Pad(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Pad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pad(…)")
    }
}

impl Root {
    /// Whose shares it takes.
    pub(super) const fn set(&self) -> Set {
        self.collected.set()
    }
}

impl Pad {
    /// The pad that somebody chose.
    ///
    /// # Errors
    /// When it is not as long as a token.
    pub fn chosen(text: &str, length: usize) -> Result<Self, Error> {
        match text.len() == length {
            true => Ok(Self(Zeroizing::new(text.as_bytes().to_vec()))),
            false => Err(Error::PadLength),
        }
    }

    /// A random pad of letters and digits, and its text.
    #[must_use]
    pub fn generate(length: usize) -> (Self, Zeroizing<String>) {
        let mut entropy = Os::new();
        let mut text = Zeroizing::new(String::with_capacity(length));
        while text.len() < length {
            let [byte] = entropy.bytes();
            let letter = LETTERS.get(usize::from(byte % 62));
            if let Some(letter) = letter.filter(|_| byte < 248) {
                text.push(char::from(*letter));
            }
        }
        (Self(Zeroizing::new(text.as_bytes().to_vec())), text)
    }

    /// A token under this pad, as text.
    #[must_use]
    pub fn encode(&self, token: &str) -> Zeroizing<String> {
        let mixed = token.bytes().zip(self.0.iter()).map(|(a, b)| a ^ b);
        let mixed = Zeroizing::new(mixed.collect::<Vec<u8>>());
        Zeroizing::new(STANDARD_NO_PAD.encode(&mixed))
    }
}

/// How far a root token is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RootProgress {
    /// What tells this undertaking from others; none when there is none.
    pub nonce: Option<Uuid>,
    /// How many shares there are.
    pub shares: u8,
}

impl Lock {
    /// How far the root token is that is being made.
    #[must_use]
    pub fn root_progress(&self) -> RootProgress {
        self.root()
            .as_ref()
            .map_or_else(RootProgress::default, |root| RootProgress {
                nonce: Some(root.collected.nonce()),
                shares: root.collected.count(),
            })
    }

    /// Begins to make a root token.
    ///
    /// # Errors
    /// When one is being made, or there are no shares that could prove anything.
    pub fn begin_root(&self, known: &Known, pad: Pad) -> Result<(), Error> {
        let (set, counts) = known.set().zip(known.counts()).ok_or(Error::NoRecovery)?;
        let mut root = self.root();
        if root.is_some() {
            return Err(Error::RootUnderWay);
        }
        let collected = Collected::new(set, counts);
        *root = Some(Root { collected, pad });
        Ok(())
    }

    /// Gives the root token up that is being made.
    pub fn cancel_root(&self) {
        *self.root() = None;
    }

    /// Takes a share for the root token; with enough of them, they come out.
    ///
    /// # Errors
    /// When it is not for this undertaking, or no share of this wallet.
    pub fn add_to_root(&self, nonce: &str, share: Share) -> Result<Option<Vec<Share>>, Error> {
        let mut root = self.root();
        let root = root.as_mut().ok_or(Error::NoRoot)?;
        let expected = root.collected.nonce();
        if nonce != expected.to_string() {
            return Err(Error::OtherNonce(
                "this root generation operation",
                expected,
            ));
        }
        if root.collected.holds(&share) {
            return Err(Error::HeldAlready("generation operation"));
        }
        Ok(match root.collected.add(share)? {
            true => Some(root.collected.take_shares()),
            false => None,
        })
    }

    /// Ends the undertaking, and gives its pad; none when it was given up meanwhile.
    #[must_use]
    pub fn finish_root(&self, nonce: &str) -> Option<Pad> {
        let mut root = self.root();
        let is_this = |root: &mut Root| root.collected.nonce().to_string() == nonce;
        root.take_if(is_this).map(|root| root.pad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pad_gives_the_token_back() {
        let (pad, text) = Pad::generate(58);
        assert!(text.len() == 58 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let token = format!("hvs.{}", "x".repeat(54));
        let encoded = STANDARD_NO_PAD
            .decode(pad.encode(&token).as_bytes())
            .unwrap();
        let back: Vec<u8> = encoded
            .iter()
            .zip(text.bytes())
            .map(|(a, b)| a ^ b)
            .collect();
        assert_eq!(back, token.as_bytes());
        assert!(Pad::chosen("short", 58).is_err());
        assert_eq!(format!("{pad:?}"), "Pad(…)");
    }
}
