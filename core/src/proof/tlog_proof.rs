//! Proofs that are checked offline (`c2sp.org/tlog-proof`): where a leaf is, its inclusion proof, and
//! the checkpoint that it leads to.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{
    checkpoint::{self, Checkpoint},
    key::VerifierKey,
    note::{self, Note},
    path::{self, Unproven},
    tree::Hash,
};

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// The largest one that is read, in bytes: what stands in `extra` may be as large as a message.
pub const LARGEST: usize = 96 << 20;
/// A tree of 2⁶² leaves has no longer proofs.
const STEPS: usize = 63;

/// An inclusion proof and all that it takes to check it but the leaf and the key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlogProof {
    /// What the application puts beside it. Nothing here vouches for it.
    pub extra: Option<Vec<u8>>,
    /// Where the leaf is, counted from 0.
    pub index: u64,
    /// The inclusion proof, from the leaf up.
    pub path: Vec<Hash>,
    /// The checkpoint, as the log and perhaps witnesses signed it.
    pub checkpoint: Note,
}

/// Why something proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a proof in this format.
    #[error("it is no proof of a transparency log")]
    Malformed,
    /// The note's fault.
    #[error("its checkpoint cannot be read: {0}")]
    Note(#[from] note::Error),
    /// The checkpoint's fault.
    #[error("its checkpoint cannot be taken: {0}")]
    Checkpoint(#[from] checkpoint::Error),
    /// The proof's fault.
    #[error("what it shows is not in the log: {0}")]
    Unproven(#[from] Unproven),
}

impl TlogProof {
    /// Reads one.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(bytes).map_err(|_| Error::Malformed)?;
        let sized = Some(text).filter(|text| text.len() <= LARGEST);
        let (head, note) = sized
            .and_then(|text| text.split_once("\n\n"))
            .ok_or(Error::Malformed)?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(Error::Malformed);
        }
        let decode = |text: &str| BASE64_STANDARD.decode(text).map_err(|_| Error::Malformed);
        let extra = lines.next_if(|line| line.starts_with("extra "));
        let extra = extra.and_then(|line| line.strip_prefix("extra "));
        let extra = extra.map(decode).transpose()?;
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index.ok_or(Error::Malformed)?;
        let number: u64 = index.parse().map_err(|_| Error::Malformed)?;
        // One text for one number: no sign and no zeros before it.
        if number.to_string() != index {
            return Err(Error::Malformed);
        }
        let path = lines
            .map(|line| {
                let hash: [u8; 32] = decode(line)?.try_into().map_err(|_| Error::Malformed)?;
                Ok(Hash::from_bytes(hash))
            })
            .collect::<Result<Vec<_>, Error>>()?;
        if path.len() > STEPS {
            return Err(Error::Malformed);
        }
        Ok(Self {
            extra,
            index: number,
            path,
            checkpoint: Note::parse(note.as_bytes())?,
        })
    }

    /// What the checkpoint says, once it is shown that the key signed it and the leaf is in its tree.
    ///
    /// # Errors
    /// When either is not so.
    pub fn verified(&self, leaf: Hash, key: &VerifierKey) -> Result<Checkpoint, Error> {
        let checkpoint = Checkpoint::verified(&self.checkpoint, key)?;
        path::verify_inclusion(
            &self.path,
            self.index,
            leaf,
            checkpoint.size,
            checkpoint.root,
        )?;
        Ok(checkpoint)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", BASE64_STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.path {
            writeln!(f, "{}", BASE64_STANDARD.encode(hash.as_bytes()))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::WalletId,
        keys::CheckpointSeed,
        proof::{KeyName, Signer},
        subject::Generation,
    };

    fn proof() -> (TlogProof, Hash, VerifierKey) {
        let origin = KeyName::origin(WalletId::from_bytes([3; 16]), Generation::FIRST);
        let seed = CheckpointSeed::danger_from_bytes(&[4; 32]);
        let signer = Signer::of_checkpoints(origin.clone(), &seed);
        let [left, right] = [b"left", b"rest"].map(|leaf| Hash::leaf(leaf));
        let root = Hash::node(&left, &right);
        let checkpoint = Checkpoint {
            origin,
            size: 2,
            root,
        };
        let proof = TlogProof {
            extra: Some(b"beside".to_vec()),
            index: 1,
            path: vec![left],
            checkpoint: checkpoint.sign(&signer).unwrap(),
        };
        (proof, right, signer.verifier())
    }

    #[test]
    fn what_is_written_is_read_and_proves_its_leaf_alone() {
        let (proof, leaf, key) = proof();
        let text = proof.to_string();
        assert!(text.starts_with("c2sp.org/tlog-proof@v1\nextra YmVzaWRl\nindex 1\n"));
        assert_eq!(TlogProof::parse(text.as_bytes()), Ok(proof.clone()));
        assert_eq!(proof.verified(leaf, &key).unwrap().size, 2);
        let other = Hash::leaf(b"another");
        assert_eq!(proof.verified(other, &key), Err(Unproven.into()));
        let elsewhere = TlogProof { index: 0, ..proof };
        assert_eq!(elsewhere.verified(leaf, &key), Err(Unproven.into()));
    }

    #[test]
    fn what_is_no_proof_is_refused() {
        let (proof, ..) = proof();
        let text = proof.to_string();
        for (from, to) in [
            ("@v1", "@v2"),
            ("index 1", "index 01"),
            ("index 1", "index +1"),
            ("index 1\n", ""),
            ("extra YmVz", "extra *mVz"),
            ("\n\nbillfold", "\nbillfold"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            assert!(TlogProof::parse(changed.as_bytes()).is_err(), "{from}");
        }
        let step = BASE64_STANDARD.encode([0; 32]);
        let long = text.replacen(
            "index 1\n",
            &format!("index 1\n{}", format!("{step}\n").repeat(63)),
            1,
        );
        assert_eq!(TlogProof::parse(long.as_bytes()), Err(Error::Malformed));
        for end in 0..text.len() {
            assert!(
                TlogProof::parse(&text.as_bytes()[..end]).is_err(),
                "cut at {end}"
            );
        }
    }
}
