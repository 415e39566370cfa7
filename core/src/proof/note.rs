//! Signed notes (`c2sp.org/signed-note`): a text, an empty line, and a line for each signature.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::key::{KeyId, KeyName, Kind, Signer, VerifierKey};

/// The largest note that is read, in bytes.
pub const LARGEST: usize = 64 << 10;
/// How many signatures a note that is read has at most.
const SIGNATURES: usize = 64;
/// What a line of a signature begins with: an em dash and a space.
const DASH: &str = "— ";
/// What stands before the text of a checkpoint when a witness signs it.
const COSIGNED: &str = "cosignature/v1";
const ED25519: usize = 64;
const TIME: usize = 8;

/// A text with signatures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// A signature, which may be of a key that nobody here knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signature {
    name: KeyName,
    id: KeyId,
    bytes: Vec<u8>,
}

impl Signature {
    /// Whether a key of this name and id made it, as it says.
    #[must_use]
    pub fn is_of(&self, key: &VerifierKey) -> bool {
        self.name == *key.name() && self.id == key.id()
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.id[..], &self.bytes].concat();
        let bytes = BASE64_STANDARD.encode(bytes);
        writeln!(f, "{DASH}{} {bytes}", self.name)
    }
}

/// Why a note does not say what it seems to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a note.
    #[error("it is no signed note")]
    Malformed,
    /// None of its signatures is of the key.
    #[error("it is not signed by the key")]
    Unsigned,
    /// A signature that says to be of the key is not.
    #[error("its signature is not good")]
    Forged,
}

impl Note {
    /// A note of this text, which nobody signed yet.
    ///
    /// # Errors
    /// When it is empty, does not end with a line's end, or has other control characters in it.
    pub fn new(text: String) -> Result<Self, Error> {
        let plain = |c: char| c == '\n' || !c.is_control();
        if !text.ends_with('\n') || text.len() > LARGEST || !text.chars().all(plain) {
            return Err(Error::Malformed);
        }
        Ok(Self {
            text,
            signatures: Vec::new(),
        })
    }

    /// Its text, with the end of its last line.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its signatures.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The same, with this signature behind the others unless it is there already.
    #[must_use]
    pub fn with(mut self, signature: Signature) -> Self {
        if !self.signatures.contains(&signature) {
            self.signatures.push(signature);
        }
        self
    }

    /// The same text with one good signature of each of these keys that signed it, and with no other: what
    /// others wrote beside it is neither kept nor told.
    #[must_use]
    pub fn only(&self, keys: &[VerifierKey]) -> Self {
        let own = keys.iter().filter_map(|key| {
            let mut of_key = self.signatures.iter().filter(|made| made.is_of(key));
            of_key.find(|made| check(key, &self.text, &made.bytes).is_some())
        });
        let bare = Self {
            text: self.text.clone(),
            signatures: Vec::new(),
        };
        own.fold(bare, |note, signature| note.with(signature.clone()))
    }

    /// The same, signed. A witness does not sign like this: it says when, by [`Note::cosign`].
    #[must_use]
    pub fn sign(self, signer: &Signer) -> Self {
        debug_assert_eq!(signer.kind(), Kind::Note);
        let signature = signature(signer, signer.sign(self.text.as_bytes()).to_vec());
        self.with(signature)
    }

    /// A witness's signature, which says that it saw this checkpoint at this time, in seconds since
    /// 1970.
    #[must_use]
    pub fn cosign(&self, signer: &Signer, time: u64) -> Signature {
        debug_assert_eq!(signer.kind(), Kind::Cosignature);
        let signed = signer.sign(&cosigned(&self.text, time));
        signature(signer, [&time.to_be_bytes()[..], &signed].concat())
    }

    /// Checks that this key signed it. Tells when, if the key is a witness's.
    ///
    /// # Errors
    /// When it did not.
    pub fn verify(&self, key: &VerifierKey) -> Result<Option<u64>, Error> {
        let mut found = Err(Error::Unsigned);
        for signature in self.signatures.iter().filter(|made| made.is_of(key)) {
            let time = check(key, &self.text, &signature.bytes).ok_or(Error::Forged)?;
            found = Ok(time);
        }
        found
    }

    /// Reads a note.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > LARGEST {
            return Err(Error::Malformed);
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| Error::Malformed)?;
        let (text, signatures) = whole.rsplit_once("\n\n").ok_or(Error::Malformed)?;
        let mut note = Self::new(format!("{text}\n"))?;
        let lines = signatures.strip_suffix('\n').ok_or(Error::Malformed)?;
        for line in lines.split('\n') {
            if note.signatures.len() == SIGNATURES {
                return Err(Error::Malformed);
            }
            let signature = read_signature(line).ok_or(Error::Malformed)?;
            note.signatures.push(signature);
        }
        Ok(note)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|signature| signature.fmt(f))
    }
}

fn signature(signer: &Signer, bytes: Vec<u8>) -> Signature {
    let key = signer.verifier();
    Signature {
        name: key.name().clone(),
        id: key.id(),
        bytes,
    }
}

fn read_signature(line: &str) -> Option<Signature> {
    let (name, bytes) = line.strip_prefix(DASH)?.split_once(' ')?;
    let bytes = BASE64_STANDARD.decode(bytes).ok()?;
    let (id, bytes) = bytes.split_first_chunk::<4>()?;
    (!bytes.is_empty()).then_some(())?;
    Some(Signature {
        name: KeyName::new(name).ok()?,
        id: *id,
        bytes: bytes.to_vec(),
    })
}

fn cosigned(text: &str, time: u64) -> Vec<u8> {
    format!("{COSIGNED}\ntime {time}\n{text}").into_bytes()
}

/// When the key signed the text, if it did.
fn check(key: &VerifierKey, text: &str, signature: &[u8]) -> Option<Option<u64>> {
    let (time, signature) = match key.kind() {
        Kind::Note => (None, signature),
        Kind::Cosignature => {
            let (time, signature) = signature.split_first_chunk::<TIME>()?;
            (Some(u64::from_be_bytes(*time)), signature)
        }
    };
    let signature: &[u8; ED25519] = signature.try_into().ok()?;
    let message = match time {
        None => text.as_bytes().to_vec(),
        Some(time) => cosigned(text, time),
    };
    key.verifies(&message, signature).then_some(time)
}

#[cfg(test)]
mod tests;
