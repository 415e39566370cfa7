//! The index on disk: events by their places, lists of places by terms, and when it was where.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use billfold_core::{
    Millis, cbor,
    commit::CommitHash,
    event::Fact,
    id::{FactKeyId, MountId, ProcessId, Seq},
    keys::ViewKey,
    subject::Subject,
};
use billfold_streams::{custody::Custody, entropy::Os, replica::Head};
use bytes::Bytes;
use serde_bytes::{ByteArray, ByteBuf};
use tokio::sync::{Notify, watch};

use super::{
    place::Place,
    terms::{self, Beside, Outcome, Term},
};
use crate::{
    chain::Chains,
    store::{self, Sealing},
    view::{self, View, damaged},
};

/// Where it is in the log, and how the times of commits went.
const POSITION: &[u8] = b"m";
/// The heads of the subjects.
const HEADS: &[u8] = b"h";
/// The view that folders are blinded by.
const STATE: &[u8] = b"s";
/// Events, by the place of the first of a few.
pub(super) const EVENTS: &[u8] = b"e";
/// The first sequence at which the log had come to a second.
const SECONDS: &[u8] = b"d";
/// Lists of places, by term.
pub(super) const TERMS: &[u8] = b"p";

/// How many places stand under one key at most.
const POSTING: usize = 1024;
/// How many events of a commit are sealed together: whoever wants one opens all of them.
const TOGETHER: u16 = 16;
const SECOND: u64 = 1000;
/// How far the time of a void commit may be from the latest before it, in milliseconds, for the commit
/// to be found by times: whoever has the key of an epoch that ended can give such a commit any time.
const BELIEVED: u64 = 10 * SECOND;

/// The audit index. Only one process has it open.
pub struct Index {
    pub(super) tree: sled::Db,
    sealing: Sealing,
    dir: PathBuf,
    /// The keychain as it was where the index is, or shortly before: requests are judged by it.
    pub(super) state: Arc<View>,
    at: watch::Sender<At>,
    wanted: Notify,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Index")
    }
}

/// Where the index is in the log.
#[derive(Debug, Clone, Copy, Default)]
struct At {
    /// The last sequence that was read.
    seq: Seq,
    /// The latest time of any commit so far that is not void.
    latest: Millis,
    /// How far the time of one was before the latest so far, at most: commits of several subjects are
    /// not in the order of their times.
    lag: u64,
}

/// What a request was answered, or that nothing was, because its record is void.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// In one word.
    pub outcome: Outcome,
    /// The version that the verdict is about.
    pub version: Option<u32>,
    /// The policies that decided.
    pub policies: Vec<String>,
}

/// A commit as the index takes it in.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Its position.
    pub seq: Seq,
    /// Its time.
    pub time: Millis,
    /// Its subject.
    pub subject: Subject,
    /// The epochs whose keys it may be under.
    pub epochs: Vec<FactKeyId>,
    /// Its events.
    pub events: Vec<Added>,
}

impl Commit {
    /// Whether it came behind the end of its epoch: then all of it did.
    fn is_void(&self) -> bool {
        let told = self.events.iter().filter_map(|event| event.told.as_ref());
        told.map(|told| told.outcome)
            .any(|outcome| outcome == Outcome::Void)
    }
}

/// An event as the index takes it in.
#[derive(Debug, Clone)]
pub struct Added {
    /// What happened.
    pub fact: Fact,
    /// What a request named, sealed as in the log.
    pub names: Option<Bytes>,
    /// What a request was answered.
    pub told: Option<Told>,
    /// The execution that a request was made for.
    pub execution: Option<String>,
    /// The blinded ids of the folders that it concerns something in.
    pub folders: Vec<[u8; 16]>,
}

/// Events of a commit that are sealed together.
#[derive(Debug)]
pub(super) struct Events {
    pub(super) time: Millis,
    pub(super) epochs: Vec<FactKeyId>,
    first: u16,
    events: Vec<WireEvent>,
}

/// An event as it is kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) fact: Fact,
    pub(super) names: Option<Vec<u8>>,
    pub(super) told: Option<Told>,
}

type WireTold = (u8, Option<u32>, Vec<String>);
type WireEvent = (ByteBuf, Option<ByteBuf>, Option<WireTold>);
type WireEvents = (Millis, Vec<FactKeyId>, Vec<WireEvent>);
type WireHead = (String, Seq, ByteArray<32>, Millis, ProcessId);
/// With the epoch that is the current one there.
type WireAt = (Seq, Millis, u64, Option<FactKeyId>);

impl Index {
    pub(super) fn open(dir: &Path, custody: &Custody, cache: u64) -> Result<Self, view::Error> {
        let (tree, sealing) = store::open(&dir.join("index"), custody, cache)?;
        let state = Arc::new(View::open(&dir.join("state"), custody, cache)?);
        let index = Self {
            tree,
            sealing,
            dir: dir.to_owned(),
            state,
            at: watch::Sender::new(At::default()),
            wanted: Notify::new(),
        };
        index.at.send_replace(index.stored_position()?.0);
        index.belongs_together()?;
        Ok(index)
    }

    /// The index and the state beside it are made together: folders are blinded by the state's key,
    /// and requests are judged by a state that is not ahead of them.
    fn belongs_together(&self) -> Result<(), view::Error> {
        let id = self.state.sealing().id();
        match self.tree.get(STATE)? {
            None if self.position() == Seq::ZERO && self.state.head().seq == Seq::ZERO => {
                self.tree.insert(STATE, &id)?;
                self.tree.flush()?;
                Ok(())
            }
            Some(known) if known == id && self.state.head().seq <= self.position() => Ok(()),
            _ => Err(damaged("the state beside it")),
        }
    }

    /// The chains as far as they were read.
    pub(super) fn chains(&self) -> Result<Chains, view::Error> {
        let (At { seq: last, .. }, epoch) = self.stored_position()?;
        let mut heads = Vec::new();
        for item in self.tree.scan_prefix(HEADS) {
            let (key, sealed) = item?;
            let wire: WireHead = cbor::decode(&self.sealing.unseal(&key, &sealed)?)
                .map_err(|_| damaged("a head"))?;
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
        Ok(Chains::from_heads(heads, last).with_epoch(epoch))
    }

    /// Adds commits and the place that they lead to, in one batch.
    ///
    /// # Errors
    /// When the index does not take it.
    pub fn add(&self, commits: &[Commit], chains: &Chains) -> Result<(), view::Error> {
        let mut entropy = Os::new();
        let mut batch = sled::Batch::default();
        let mut postings: BTreeMap<Term, Vec<Place>> = BTreeMap::new();
        let mut at = *self.at.borrow();
        for commit in commits {
            at.pass(commit, &mut batch);
            self.add_events(commit, &mut batch, &mut entropy);
            let mut place = Place::first_of(commit.seq);
            for event in &commit.events {
                let beside = Beside {
                    outcome: event.told.as_ref().map(|told| told.outcome),
                    execution: event.execution.as_deref(),
                    folders: &event.folders,
                };
                for by in terms::of(&event.fact, &beside) {
                    let places = postings.entry(by.term(self.key())).or_default();
                    if places.last() != Some(&place) {
                        places.push(place);
                    }
                }
                place = place.next();
            }
        }
        for (term, places) in postings {
            for places in places.chunks(POSTING) {
                if let Some(first) = places.first() {
                    let key = [TERMS, &term, &first.bytes()].concat();
                    let places: Vec<u8> = places.iter().flat_map(|place| place.bytes()).collect();
                    batch.insert(key, places);
                }
            }
        }
        let read: HashSet<Subject> = commits.iter().map(|commit| commit.subject).collect();
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
            let sealed = self.sealing.seal(&key, &cbor::encode(&wire), &mut entropy);
            batch.insert(key, sealed);
        }
        at.seq = chains.last();
        let wire: WireAt = (at.seq, at.latest, at.lag, chains.epoch());
        batch.insert(
            POSITION,
            self.sealing
                .seal(POSITION, &cbor::encode(&wire), &mut entropy),
        );
        self.tree.apply_batch(batch)?;
        self.at.send_replace(at);
        Ok(())
    }

    fn add_events(&self, commit: &Commit, batch: &mut sled::Batch, entropy: &mut Os) {
        let mut place = Place::first_of(commit.seq);
        for together in commit.events.chunks(usize::from(TOGETHER)) {
            let events = together.iter().map(|event| {
                let told = event.told.as_ref();
                (
                    ByteBuf::from(event.fact.encode()),
                    event
                        .names
                        .as_ref()
                        .map(|names| ByteBuf::from(names.to_vec())),
                    told.map(|told| (told.outcome.code(), told.version, told.policies.clone())),
                )
            });
            let wire: WireEvents = (commit.time, commit.epochs.clone(), events.collect());
            let key = [EVENTS, &place.bytes()].concat();
            let sealed = self.sealing.seal(&key, &cbor::encode(&wire), entropy);
            // A few at most: they can be counted without opening them.
            let count = u8::try_from(together.len()).unwrap_or(u8::MAX);
            batch.insert(key, [&[count], sealed.as_slice()].concat());
            place.number = place.number.saturating_add(TOGETHER);
        }
    }

    fn stored_position(&self) -> Result<(At, Option<FactKeyId>), view::Error> {
        let Some(sealed) = self.tree.get(POSITION)? else {
            return Ok((At::default(), None));
        };
        let wire: Result<WireAt, _> = cbor::decode(&self.sealing.unseal(POSITION, &sealed)?);
        let (seq, latest, lag, epoch) = wire.map_err(|_| damaged("its position"))?;
        Ok((At { seq, latest, lag }, epoch))
    }

    /// How far it has read.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.at.borrow().seq
    }

    /// Waits until it has read this position.
    pub async fn read_up_to(&self, seq: Seq) {
        let mut at = self.at.subscribe();
        if at.borrow().seq < seq {
            self.wanted.notify_one();
        }
        // The sender is this index's own: it is there for as long as anybody waits.
        let _ = at.wait_for(|at| at.seq >= seq).await;
    }

    /// Waits until someone waits for it.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// The first sequence that may have this time or a later one; none while the log is before it.
    /// Void commits count as far as their times are believed.
    pub(super) fn first_of(&self, time: Millis) -> Result<Option<Seq>, view::Error> {
        self.first_in(time.0.saturating_sub(BELIEVED) / SECOND)
    }

    /// The first sequence from which on every commit has this time or a later one; none while that
    /// may still change.
    pub(super) fn end_of(&self, time: Millis) -> Result<Option<Seq>, view::Error> {
        let lag = self.at.borrow().lag.max(BELIEVED);
        match time.0.checked_add(lag) {
            Some(time) => self.first_in(time.div_ceil(SECOND)),
            None => Ok(None),
        }
    }

    fn first_in(&self, second: u64) -> Result<Option<Seq>, view::Error> {
        let from = [SECONDS, &second.to_be_bytes()].concat();
        let to = [SECONDS, &u64::MAX.to_be_bytes()].concat();
        match self.tree.range(from..=to).next().transpose()? {
            None => Ok(None),
            Some((_, seq)) => match seq.as_ref().try_into().map(u64::from_be_bytes) {
                Ok(seq) => Ok(Some(Seq(seq))),
                Err(_) => Err(damaged("a second")),
            },
        }
    }

    /// The events that are sealed together with that of a place.
    pub(super) fn events(&self, place: Place) -> Result<Events, view::Error> {
        let wrong = || damaged("the events of a commit");
        let first = place.number - place.number % TOGETHER;
        let at = Place {
            seq: place.seq,
            number: first,
        };
        let key = [EVENTS, &at.bytes()].concat();
        let value = self.tree.get(&key)?.ok_or_else(wrong)?;
        let (count, sealed) = value.split_first().ok_or_else(wrong)?;
        let plain = self.sealing.unseal(&key, sealed)?;
        let (time, epochs, events): WireEvents = cbor::decode(&plain).map_err(|_| wrong())?;
        if events.len() != usize::from(*count) {
            return Err(wrong());
        }
        Ok(Events {
            time,
            epochs,
            first,
            events,
        })
    }

    /// The blinded id of a folder: `path` is empty for the mount, or ends with a slash.
    #[must_use]
    pub fn folder(&self, mount: MountId, path: &str) -> [u8; 16] {
        self.state.folder(mount, path)
    }

    pub(super) const fn key(&self) -> &ViewKey {
        self.sealing.key()
    }

    /// How many bytes it takes on disk.
    #[must_use]
    pub fn size_on_disk(&self) -> u64 {
        let index = self.tree.size_on_disk().unwrap_or_default();
        index.saturating_add(self.state.size_on_disk())
    }

    /// Writes what is in memory to disk.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn flush(&self) -> Result<(), view::Error> {
        self.tree.flush()?;
        Ok(())
    }

    /// Leaves a mark that the index must be rebuilt at the next start.
    pub fn condemn(&self) {
        store::condemn(&self.dir.join("index"));
    }
}

impl At {
    /// Goes past a commit, and notes where the log came to another second.
    fn pass(&mut self, commit: &Commit, batch: &mut sled::Batch) {
        if commit.is_void() {
            self.seq = commit.seq;
            return;
        }
        let begins = self.seq == Seq::ZERO || commit.time.0 / SECOND > self.latest.0 / SECOND;
        if begins {
            let second = commit.time.0 / SECOND;
            let key = [SECONDS, &second.to_be_bytes()].concat();
            batch.insert(key, &commit.seq.0.to_be_bytes());
        }
        self.latest = self.latest.max(commit.time);
        self.lag = self.lag.max(self.latest.0 - commit.time.0);
        self.seq = commit.seq;
    }
}

impl Events {
    /// Whether they are those that are sealed together with that of a place; `open` is one of theirs.
    pub(super) fn are_of(&self, open: Place, place: Place) -> bool {
        open.seq == place.seq && place.number - place.number % TOGETHER == self.first
    }

    /// The event of this number in its commit.
    pub(super) fn get(&self, number: u16) -> Result<Kept, view::Error> {
        let wrong = || damaged("an event");
        let at = number.checked_sub(self.first).ok_or_else(wrong)?;
        let (fact, names, told) = self.events.get(usize::from(at)).ok_or_else(wrong)?;
        let told = match told {
            None => None,
            Some((code, version, policies)) => Some(Told {
                outcome: Outcome::from_code(*code).ok_or_else(wrong)?,
                version: *version,
                policies: policies.clone(),
            }),
        };
        Ok(Kept {
            fact: Fact::decode(fact).map_err(|_| wrong())?,
            names: names.as_ref().map(|names| names.to_vec()),
            told,
        })
    }
}
