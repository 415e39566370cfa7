//! How far a tree is, and what the statements of the log come to there.

use billfold_core::{
    Millis, cbor,
    commit::CommitHash,
    id::{ProcessId, Seq},
    proof::{Checkpoint, Frontier, Hash, History, Note, VerifierKey, history::Attested},
};
use billfold_streams::replica::Head;
use serde_bytes::ByteArray;

use crate::view::{self, damaged};

/// How far the tree is.
#[derive(Debug, Clone, Default)]
pub struct Status {
    pub(super) frontier: Frontier,
    pub(super) history: History,
    pub(super) head: Head,
    pub(super) last_other: Seq,
}

type WireHead = (Seq, ByteArray<32>, Millis, ProcessId);
type WireMeta = (
    u64,
    Vec<Hash>,
    WireHead,
    Seq,
    Option<String>,
    Option<(Seq, String)>,
);

impl Status {
    /// How many messages it holds.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root over them.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// What the statements of the log come to.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// The last commit on the subject `checkpoint`.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.head
    }

    /// Whether something other than a checkpoint stands behind what the newest one attests.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.last_other.0 > self.history.size()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let Head {
            seq,
            hash,
            time,
            writer,
        } = self.head;
        let history = &self.history;
        let newest = history.newest();
        let meta: WireMeta = (
            self.size(),
            self.frontier.peaks().to_vec(),
            (seq, ByteArray::new(*hash.as_bytes()), time, writer),
            self.last_other,
            history.key().map(ToString::to_string),
            newest.map(|newest| (newest.seq, newest.note.to_string())),
        );
        cbor::encode(&meta)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, view::Error> {
        let wrong = || damaged("where the tree is");
        let meta: WireMeta = cbor::decode(bytes).map_err(|_| wrong())?;
        let (size, peaks, (seq, hash, time, writer), last_other, key, newest) = meta;
        let key: Option<VerifierKey> = key
            .map(|key| key.parse())
            .transpose()
            .map_err(|_| wrong())?;
        let newest = newest.map(|(seq, note)| {
            let note = Note::parse(note.as_bytes()).map_err(|_| wrong())?;
            let checkpoint = Checkpoint::parse(note.text()).map_err(|_| wrong())?;
            Ok::<_, view::Error>(Attested {
                seq,
                checkpoint,
                note,
            })
        });
        Ok(Self {
            frontier: Frontier::from_parts(size, peaks).ok_or_else(wrong)?,
            history: History::from_parts(key, newest.transpose()?),
            head: Head {
                seq,
                hash: CommitHash::from_bytes(hash.into_array()),
                time,
                writer,
            },
            last_other,
        })
    }
}
