//! The keys of signed notes: their names, ids and texts (`c2sp.org/signed-note`).

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::{
    id::WalletId,
    keys::{CheckpointSeed, CosignerSeed},
    subject::Generation,
};

/// The longest name of a key, in bytes.
const LONGEST: usize = 255;

/// The name of a key: no space and no plus sign in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// The name of this text.
    ///
    /// # Errors
    /// When it is empty or too long, or has a space, a control character or a plus sign in it.
    pub fn new(text: &str) -> Result<Self, Malformed> {
        let refused = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if text.is_empty() || text.len() > LONGEST || text.contains(refused) {
            return Err(Malformed::Name);
        }
        Ok(Self(text.to_owned()))
    }

    /// The origin of a wallet's checkpoints, which is also the name of the key that signs them.
    #[must_use]
    pub fn origin(wallet: WalletId, generation: Generation) -> Self {
        Self(format!("billfold/{wallet}/{}", generation.0))
    }

    /// The wallet and generation that it is the origin of, if it is one.
    #[must_use]
    pub fn log(&self) -> Option<(WalletId, Generation)> {
        let rest = self.0.strip_prefix("billfold/")?;
        let (wallet, generation) = rest.split_once('/')?;
        let log = (wallet.parse().ok()?, Generation(generation.parse().ok()?));
        (Self::origin(log.0, log.1) == *self).then_some(log)
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyName({self})")
    }
}

/// What a key signs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// The text of a note.
    Note,
    /// A time and a checkpoint that a witness has seen (`c2sp.org/tlog-cosignature`).
    Cosignature,
}

impl Kind {
    /// The algorithm byte of the key.
    const fn byte(self) -> u8 {
        match self {
            Self::Note => 1,
            Self::Cosignature => 4,
        }
    }

    const fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Note),
            4 => Some(Self::Cosignature),
            _ => None,
        }
    }
}

/// What finds the key of a signature: with its name, four bytes of a hash over it.
pub type KeyId = [u8; 4];

/// A text that is no key, or no name of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Not a name.
    #[error("not the name of a key")]
    Name,
    /// Not name, id and key with plus signs between them.
    #[error("not a verifier key: it is NAME+ID+KEY")]
    Text,
    /// The key is of another algorithm.
    #[error("the key is not Ed25519")]
    Algorithm,
    /// The id is not that of this name and key.
    #[error("the id does not belong to the name and key")]
    Id,
}

/// What signatures of notes are checked with. Its text is that of C2SP's verifier keys.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    kind: Kind,
    key: VerifyingKey,
}

impl VerifierKey {
    /// The key's name.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// What it signs.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let hash = Sha256::new()
            .chain_update(self.name.0.as_bytes())
            .chain_update([b'\n', self.kind.byte()])
            .chain_update(self.key.as_bytes())
            .finalize();
        let mut id = KeyId::default();
        id.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        id
    }

    /// Whether this is its signature of the message.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.key.verify_strict(message, &signature).is_ok()
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.kind.byte()][..], self.key.as_bytes()].concat();
        let key = BASE64_STANDARD.encode(key);
        write!(f, "{}+{}+{key}", self.name, hex::encode(self.id()))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl FromStr for VerifierKey {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Malformed::Text);
        };
        let name = KeyName::new(name)?;
        let mut stated = KeyId::default();
        hex::decode_to_slice(id, &mut stated).map_err(|_| Malformed::Text)?;
        let key = BASE64_STANDARD.decode(key).map_err(|_| Malformed::Text)?;
        let (kind, key) = key.split_first().ok_or(Malformed::Text)?;
        let kind = Kind::of(*kind).ok_or(Malformed::Algorithm)?;
        let key = key.try_into().map_err(|_| Malformed::Text)?;
        let key = VerifyingKey::from_bytes(key).map_err(|_| Malformed::Text)?;
        let read = Self { name, kind, key };
        match read.id() == stated {
            true => Ok(read),
            false => Err(Malformed::Id),
        }
    }
}

/// What signs notes. Its key is wiped when it is let go.
pub struct Signer {
    name: KeyName,
    kind: Kind,
    key: SigningKey,
}

impl Signer {
    /// The signer of a wallet's checkpoints.
    #[must_use]
    pub fn of_checkpoints(origin: KeyName, seed: &CheckpointSeed) -> Self {
        Self::new(origin, Kind::Note, seed.expose())
    }

    /// A witness.
    #[must_use]
    pub fn of_a_witness(name: KeyName, seed: &CosignerSeed) -> Self {
        Self::new(name, Kind::Cosignature, seed.expose())
    }

    fn new(name: KeyName, kind: Kind, seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        Self { name, kind, key }
    }

    /// What its signatures are checked with.
    #[must_use]
    pub fn verifier(&self) -> VerifierKey {
        VerifierKey {
            name: self.name.clone(),
            kind: self.kind,
            key: self.key.verifying_key(),
        }
    }

    /// What it signs.
    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({}, …)", self.name)
    }
}
