//! What a log sends to a witness (`c2sp.org/tlog-witness`, `add-checkpoint`): the size that the witness
//! saw last, what leads from there to a checkpoint, and the checkpoint.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{note::Note, tree::Hash};

/// The largest one that is read, in bytes.
pub const LARGEST: usize = super::note::LARGEST + 4096;
/// How many hashes a consistency proof has at most.
const STEPS: usize = 63;

/// A checkpoint for a witness.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Submission {
    /// The size of the checkpoint that the proof begins at; 0 when the witness saw none.
    pub old: u64,
    /// The consistency proof.
    pub proof: Vec<Hash>,
    /// The checkpoint.
    pub checkpoint: Note,
}

/// The bytes are no submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not what a log sends to a witness")]
pub struct Malformed;

impl Submission {
    /// Reads one.
    ///
    /// # Errors
    /// When the bytes are none.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > LARGEST {
            return Err(Malformed);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed)?;
        let (head, note) = text.split_once("\n\n").ok_or(Malformed)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old "));
        let old = old.and_then(number).ok_or(Malformed)?;
        let proof = lines.map(hash).collect::<Option<Vec<_>>>();
        let proof = proof.filter(|proof| proof.len() <= STEPS);
        Ok(Self {
            old,
            proof: proof.ok_or(Malformed)?,
            checkpoint: Note::parse(note.as_bytes()).map_err(|_| Malformed)?,
        })
    }
}

impl fmt::Display for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        for hash in &self.proof {
            writeln!(f, "{}", BASE64_STANDARD.encode(hash.as_bytes()))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

/// A number in its one form: no sign, and no zeros before it.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn hash(text: &str) -> Option<Hash> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    Some(Hash::from_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::WalletId,
        keys::CheckpointSeed,
        proof::{Checkpoint, KeyName, Signer},
        subject::Generation,
    };

    fn submission() -> Submission {
        let origin = KeyName::origin(WalletId::from_bytes([1; 16]), Generation::FIRST);
        let signer =
            Signer::of_checkpoints(origin.clone(), &CheckpointSeed::danger_from_bytes(&[7; 32]));
        let checkpoint = Checkpoint {
            origin,
            size: 9,
            root: Hash::leaf(b"root"),
        };
        Submission {
            old: 4,
            proof: vec![Hash::leaf(b"a"), Hash::leaf(b"b")],
            checkpoint: checkpoint.sign(&signer).unwrap(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let whole = submission();
        let first = Submission {
            old: 0,
            proof: Vec::new(),
            ..whole.clone()
        };
        for one in [whole, first] {
            assert_eq!(Submission::parse(one.to_string().as_bytes()), Ok(one));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let good = submission().to_string();
        let hash = BASE64_STANDARD.encode(Hash::leaf(b"a").as_bytes());
        let many = format!("{hash}\n").repeat(STEPS);
        for (from, to) in [
            ("old 4", "old 04"),
            ("old 4", "old +4"),
            ("old 4", "old -4"),
            ("old 4", "old"),
            ("old 4\n", ""),
            ("old 4\n", "old 4\r\n"),
            (&hash[..], "AAAA"),
            (&hash[..], &hash[1..]),
            ("old 4\n", &format!("old 4\n{many}")),
            ("\n— ", "\n- "),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from:?}");
            assert_eq!(Submission::parse(bad.as_bytes()), Err(Malformed), "{to:?}");
        }
        for cut in 0..good.len() {
            assert_eq!(Submission::parse(&good.as_bytes()[..cut]), Err(Malformed));
        }
    }
}
