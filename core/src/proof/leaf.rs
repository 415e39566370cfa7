//! What a message of the log is in the tree.

use sha2::{Digest, Sha256};

use super::tree::{Hash, leaf_hasher};
use crate::{
    id::{Seq, WalletId},
    labels,
    subject::{Generation, Subject},
};

/// Hashes the messages of one wallet and generation. The leaf of a message says where it stands:
/// wallet, generation, sequence and subject, each with its length before it, then its bytes.
#[derive(Clone)]
pub struct Leaves {
    begun: Sha256,
}

impl std::fmt::Debug for Leaves {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Leaves")
    }
}

impl Leaves {
    /// For this wallet and generation.
    #[must_use]
    pub fn of(wallet: WalletId, generation: Generation) -> Self {
        let mut begun = leaf_hasher();
        part(&mut begun, labels::LEAF.as_bytes());
        part(&mut begun, wallet.as_bytes());
        part(&mut begun, &u64::from(generation.0).to_be_bytes());
        Self { begun }
    }

    /// The leaf's hash of a message.
    #[must_use]
    pub fn hash(&self, seq: Seq, subject: &Subject, message: &[u8]) -> Hash {
        let mut hasher = self.begun.clone();
        part(&mut hasher, &seq.0.to_be_bytes());
        part(&mut hasher, subject.to_string().as_bytes());
        part(&mut hasher, message);
        Hash::from_bytes(hasher.finalize().into())
    }
}

fn part(hasher: &mut Sha256, bytes: &[u8]) {
    hasher.update((bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
}
