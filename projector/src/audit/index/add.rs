//! Adding commits to the index, with the lists by which their events are found.

use std::collections::{BTreeMap, HashSet};

use billfold_core::{
    Millis, cbor,
    event::Fact,
    id::{FactKeyId, Seq},
    subject::Subject,
};
use billfold_streams::entropy::Os;
use bytes::Bytes;
use serde_bytes::ByteArray;

use super::{At, HEADS, Index, POSITION, SECOND, SECONDS, TERMS, WireAt, WireHead};
use crate::{
    audit::{
        place::Place,
        terms::{self, Beside, Outcome, Term},
    },
    chain::Chains,
    view,
};

/// How many places stand under one key at most.
const POSTING: usize = 1024;

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

impl Index {
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
