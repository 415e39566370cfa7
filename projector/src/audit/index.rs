//! The index on disk.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

use billfold_core::{
    Millis, cbor,
    commit::CommitHash,
    event::{Actor, Fact},
    id::{PrincipalId, ProcessId, Seq},
    keys::ViewKey,
    seal,
    subject::Subject,
};
use billfold_streams::{custody::Custody, entropy::Os, replica::Head};
use serde_bytes::{ByteArray, ByteBuf};
use tokio::sync::{Notify, watch};

use crate::{
    chain::{Chains, Opened},
    view::{self, damaged, store},
};

/// The last sequence that was read.
const POSITION: &[u8] = b"m";
/// The heads of the subjects.
const HEADS: &[u8] = b"h";
/// The facts of each commit, by its sequence.
const FACTS: &[u8] = b"t";
/// The first sequence of each minute.
const MINUTES: &[u8] = b"d";
/// Places of facts by record.
pub(super) const BY_RECORD: &[u8] = b"r";
/// Places of facts by principal.
pub(super) const BY_PRINCIPAL: &[u8] = b"p";

/// How many places stand under one key at most.
const POSTING: usize = 1024;
const MINUTE: u64 = 60_000;

/// The audit index. Only one process has it open.
pub struct Index {
    pub(super) tree: sled::Db,
    key: ViewKey,
    id: [u8; 16],
    position: watch::Sender<Seq>,
    wanted: Notify,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Index")
    }
}

/// Where a fact stands: the sequence of its commit, and its number in it. In this order as bytes,
/// so that the order of bytes is that of the log.
pub(super) type Place = [u8; 10];

pub(super) fn place_of(seq: Seq, number: u16) -> Place {
    let mut place = [0; 10];
    let bytes = [&seq.0.to_be_bytes()[..], &number.to_be_bytes()].concat();
    place
        .iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = from);
    place
}

/// Sequence and number of a place.
pub(super) fn of_place(bytes: &[u8]) -> Option<(Seq, u16)> {
    let (seq, number) = bytes.split_first_chunk::<8>()?;
    let number = number.try_into().ok()?;
    Some((Seq(u64::from_be_bytes(*seq)), u16::from_be_bytes(number)))
}

/// The facts of a commit.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) time: Millis,
    pub(super) facts: Vec<Fact>,
}

type WireFacts = (Millis, Vec<ByteBuf>);
type WireHead = (String, Seq, ByteArray<32>, Millis, ProcessId);

impl Index {
    pub(super) fn open(dir: &Path, custody: &Custody, cache: u64) -> Result<Self, view::Error> {
        let (tree, key, id) = store::open(dir, custody, cache)?;
        let index = Self {
            tree,
            key,
            id,
            position: watch::Sender::new(Seq::ZERO),
            wanted: Notify::new(),
        };
        index.position.send_replace(index.stored_position()?);
        Ok(index)
    }

    /// The chains as far as they were read.
    pub(super) fn chains(&self) -> Result<Chains, view::Error> {
        let last = self.stored_position()?;
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
        let mut postings: BTreeMap<Vec<u8>, Vec<Place>> = BTreeMap::new();
        let mut minutes: BTreeMap<u64, Seq> = BTreeMap::new();
        for opened in commits {
            let time = opened.header.time;
            minutes.entry(time.0 / MINUTE).or_insert(opened.seq);
            let facts = opened.entries.iter();
            let wire: WireFacts = (
                time,
                facts
                    .map(|entry| ByteBuf::from(entry.fact.encode()))
                    .collect(),
            );
            let key = [FACTS, &opened.seq.0.to_be_bytes()].concat();
            let sealed = self.seal(&key, &cbor::encode(&wire), &mut entropy);
            batch.insert(key, sealed);
            for (number, entry) in (0..).zip(&opened.entries) {
                let at = place_of(opened.seq, number);
                let mut post = |kind: &[u8], id: &[u8]| {
                    postings.entry([kind, id].concat()).or_default().push(at);
                };
                if let Some(record) = entry.fact.event.record() {
                    post(BY_RECORD, record.as_bytes());
                }
                if let Some(principal) = principal_of(&entry.fact) {
                    post(BY_PRINCIPAL, principal.as_bytes());
                }
            }
        }
        for (about, places) in postings {
            for places in places.chunks(POSTING) {
                if let Some(first) = places.first() {
                    batch.insert([about.as_slice(), first].concat(), places.concat());
                }
            }
        }
        for (minute, first) in minutes {
            let key = [MINUTES, &minute.to_be_bytes()].concat();
            if !self.tree.contains_key(&key)? {
                batch.insert(key, &first.0.to_be_bytes());
            }
        }
        let read: HashSet<Subject> = commits.iter().map(|opened| opened.header.subject).collect();
        for (subject, head) in chains.heads().filter(|(subject, _)| read.contains(subject)) {
            let subject = subject.to_string();
            let wire: WireHead = (
                subject.clone(),
                head.seq,
                ByteArray::new(*head.hash.as_bytes()),
                head.time,
                head.writer,
            );
            let key = [HEADS, subject.as_bytes()].concat();
            let sealed = self.seal(&key, &cbor::encode(&wire), &mut entropy);
            batch.insert(key, sealed);
        }
        let position = cbor::encode(&chains.last());
        batch.insert(POSITION, self.seal(POSITION, &position, &mut entropy));
        self.tree.apply_batch(batch)?;
        self.position.send_replace(chains.last());
        Ok(())
    }

    fn stored_position(&self) -> Result<Seq, view::Error> {
        match self.tree.get(POSITION)? {
            None => Ok(Seq::ZERO),
            Some(sealed) => {
                cbor::decode(&self.unseal(POSITION, &sealed)?).map_err(|_| damaged("its position"))
            }
        }
    }

    /// How far it has read.
    #[must_use]
    pub fn position(&self) -> Seq {
        *self.position.borrow()
    }

    /// Waits until it has read this position.
    pub async fn read_up_to(&self, seq: Seq) {
        let mut position = self.position.subscribe();
        if *position.borrow() < seq {
            self.wanted.notify_one();
        }
        // The sender is this index's own: it is there for as long as anybody waits.
        let _ = position.wait_for(|position| *position >= seq).await;
    }

    /// Waits until someone waits for it.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// From which position on there may be commits of this time or later. The clocks of the nodes
    /// agree within seconds, so no minute begins after the end of the next one.
    pub(super) fn first_of(&self, time: Millis) -> Result<Option<Seq>, view::Error> {
        let from = [MINUTES, &(time.0 / MINUTE).to_be_bytes()].concat();
        let to = [MINUTES, &u64::MAX.to_be_bytes()].concat();
        let mut first: Option<Seq> = None;
        for item in self.tree.range(from..=to).take(2) {
            let seq = item?.1.as_ref().try_into().map(u64::from_be_bytes);
            let seq = Seq(seq.map_err(|_| damaged("a minute"))?);
            first = Some(first.map_or(seq, |first| first.min(seq)));
        }
        Ok(first)
    }

    /// The facts of a commit.
    pub(super) fn facts(&self, seq: Seq) -> Result<Facts, view::Error> {
        let wrong = || damaged("the facts of a commit");
        let key = [FACTS, &seq.0.to_be_bytes()].concat();
        let sealed = self.tree.get(&key)?.ok_or_else(wrong)?;
        let plain = self.unseal(&key, &sealed)?;
        let (time, wire): WireFacts = cbor::decode(&plain).map_err(|_| wrong())?;
        let facts = wire.iter().map(|bytes| Fact::decode(bytes));
        let facts = facts.collect::<Result<_, _>>().map_err(|_| wrong())?;
        Ok(Facts { time, facts })
    }

    /// Writes what is in memory to disk.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn flush(&self) -> Result<(), view::Error> {
        self.tree.flush()?;
        Ok(())
    }

    fn place(&self, key: &[u8]) -> seal::Place {
        seal::Place::new().and(&self.id).and(key)
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
