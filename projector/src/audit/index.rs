//! The index on disk.

use std::path::Path;

use billfold_core::{
    Millis, cbor,
    commit::CommitHash,
    event::{Actor, Fact},
    id::{PrincipalId, ProcessId, Seq},
    keys::ViewKey,
    seal::Place,
    subject::Subject,
};
use billfold_streams::{custody::Custody, entropy::Os, replica::Head};
use serde_bytes::ByteArray;

use crate::{
    chain::{Chains, Opened},
    view::{self, damaged, store},
};

/// The last sequence that was read.
const POSITION: &[u8] = b"m";
/// The heads of the subjects.
const HEADS: &[u8] = b"h";
/// Facts, in the order of the log.
pub(super) const FACTS: &[u8] = b"t";
/// Places of facts by record.
pub(super) const BY_RECORD: &[u8] = b"r";
/// Places of facts by principal.
pub(super) const BY_PRINCIPAL: &[u8] = b"p";

/// The audit index. Only one process has it open.
pub struct Index {
    pub(super) tree: sled::Db,
    key: ViewKey,
    id: [u8; 16],
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Index")
    }
}

/// Where a fact stands: the time of its commit, its sequence, and its number in the commit. In this
/// order as bytes, so that the order of bytes is that of time.
pub(super) type At = [u8; 18];

pub(super) fn at(time: Millis, seq: Seq, number: usize) -> At {
    let mut at = [0; 18];
    let number = u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes();
    let bytes = [&time.0.to_be_bytes()[..], &seq.0.to_be_bytes(), &number].concat();
    at.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    at
}

type WireHead = (String, Seq, ByteArray<32>, Millis, ProcessId);

impl Index {
    pub(super) fn open(dir: &Path, custody: &Custody, cache: u64) -> Result<Self, view::Error> {
        let (tree, key, id) = store::open(dir, custody, cache)?;
        Ok(Self { tree, key, id })
    }

    /// The chains as far as they were read.
    pub(super) fn chains(&self) -> Result<Chains, view::Error> {
        let Some(sealed) = self.tree.get(POSITION)? else {
            return Ok(Chains::default());
        };
        let last: Seq =
            cbor::decode(&self.unseal(POSITION, &sealed)?).map_err(|_| damaged("its position"))?;
        let mut heads = Vec::new();
        for item in self.tree.scan_prefix(HEADS) {
            let (key, sealed) = item?;
            let wire: WireHead =
                cbor::decode(&self.unseal(&key, &sealed)?).map_err(|_| damaged("a head"))?;
            let (subject, seq, hash, time, writer) = wire;
            let subject: Subject = subject.parse().map_err(|_| damaged("a head"))?;
            let hash = CommitHash::from_bytes(hash.into_array());
            heads.push((
                subject,
                Head {
                    seq,
                    hash,
                    time,
                    writer,
                },
            ));
        }
        Ok(Chains::from_heads(heads, last))
    }

    /// Adds commits and the place that they lead to, in one batch.
    pub(super) fn add(&self, commits: &[Opened], chains: &Chains) -> Result<(), view::Error> {
        let mut entropy = Os::new();
        let mut batch = sled::Batch::default();
        for opened in commits {
            for (number, entry) in opened.entries.iter().enumerate() {
                let at = at(opened.header.time, opened.seq, number);
                let key = [FACTS, &at].concat();
                batch.insert(
                    key.as_slice(),
                    self.seal(&key, &entry.fact.encode(), &mut entropy),
                );
                if let Some(record) = entry.fact.event.record() {
                    batch.insert([BY_RECORD, record.as_bytes(), &at].concat(), &[]);
                }
                if let Some(principal) = principal_of(&entry.fact) {
                    batch.insert([BY_PRINCIPAL, principal.as_bytes(), &at].concat(), &[]);
                }
            }
            let subject = opened.header.subject;
            let Head {
                seq,
                hash,
                time,
                writer,
            } = opened.head();
            let wire: WireHead = (
                subject.to_string(),
                seq,
                ByteArray::new(*hash.as_bytes()),
                time,
                writer,
            );
            let key = [HEADS, subject.to_string().as_bytes()].concat();
            batch.insert(
                key.as_slice(),
                self.seal(&key, &cbor::encode(&wire), &mut entropy),
            );
        }
        let position = cbor::encode(&chains.last());
        batch.insert(POSITION, self.seal(POSITION, &position, &mut entropy));
        self.tree.apply_batch(batch)?;
        Ok(())
    }

    /// How far it has read.
    ///
    /// # Errors
    /// When the index is damaged.
    pub fn position(&self) -> Result<Seq, view::Error> {
        match self.tree.get(POSITION)? {
            None => Ok(Seq::ZERO),
            Some(sealed) => {
                cbor::decode(&self.unseal(POSITION, &sealed)?).map_err(|_| damaged("its position"))
            }
        }
    }

    /// Writes what is in memory to disk.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn flush(&self) -> Result<(), view::Error> {
        self.tree.flush()?;
        Ok(())
    }

    fn place(&self, key: &[u8]) -> Place {
        Place::new().and(&self.id).and(key)
    }

    fn seal(&self, key: &[u8], plain: &[u8], entropy: &mut Os) -> Vec<u8> {
        self.key.seal(&self.place(key), plain, entropy)
    }

    pub(super) fn unseal(&self, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, view::Error> {
        let plain = self
            .key
            .open(&self.place(key), sealed)
            .map_err(|_| damaged("a value"))?;
        Ok(plain.expose().to_vec())
    }
}

const fn principal_of(fact: &Fact) -> Option<PrincipalId> {
    match fact.actor {
        Actor::Principal(principal, _) => Some(principal),
        Actor::System | Actor::Anonymous => None,
    }
}
