//! Counts of what a log holds.

use std::collections::{BTreeMap, HashSet};

use billfold_core::{
    Millis,
    event::Event,
    id::{ProcessId, Seq},
    subject::Subject,
};
use billfold_projector::chain::Opened;
use serde::Serialize;

use crate::{Error, Walk, log::names::ruling};

/// How much there is of everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The last sequence that was read.
    pub last_sequence: Seq,
    /// Commits on all subjects.
    pub commits: u64,
    /// Those that were decided.
    pub decided: u64,
    /// Those that state checkpoints.
    pub checkpoints: u64,
    /// Processes that recorded requests.
    pub observers: usize,
    /// Events by their names.
    pub events: BTreeMap<&'static str, u64>,
    /// Records that exist.
    pub records: u64,
    /// Their versions.
    pub versions: Versions,
    /// All payloads of secrets that were ever written.
    pub payloads: Payloads,
    /// The keys that the log uses or used.
    pub keys: KeyCounts,
    /// Requests by what they were answered: `permitted`, `denied`, `absent`, `deleted`;
    /// `void` where the record came behind the end of its epoch, and nothing was answered.
    pub requests: BTreeMap<&'static str, u64>,
    /// Requests without a valid token, refused.
    pub refused: u64,
    #[serde(skip)]
    processes: HashSet<ProcessId>,
    /// The time of the log: that of its latest commit.
    #[serde(skip)]
    now: Millis,
}

/// The versions that records keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// Neither deleted nor destroyed.
    pub live: u64,
    /// Deleted, in a way that can be undone.
    pub deleted: u64,
    /// Destroyed.
    pub destroyed: u64,
}

/// Payloads that were written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Payloads {
    /// Their keys are live.
    pub readable: u64,
    /// Their keys were given up: with a version, for its age, or with its record.
    pub erased: u64,
}

/// Keys by what the fold says of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct KeyCounts {
    /// In use.
    pub live: u64,
    /// Given up, and not yet known to be destroyed.
    pub to_be_destroyed: u64,
    /// Destroyed.
    pub destroyed: u64,
    /// Pages of which older writings are still to be removed.
    pub pages_to_be_swept: u64,
}

impl Summary {
    /// Counts a commit at its place: the state is that before it.
    pub(super) async fn add(&mut self, walk: &mut Walk, opened: &Opened) -> Result<(), Error> {
        self.last_sequence = opened.seq;
        self.now = self.now.max(opened.header.time);
        self.commits += 1;
        match opened.header.subject {
            Subject::Decided(_) => self.decided += 1,
            Subject::Checkpoint(_) => self.checkpoints += 1,
            Subject::Observed(_, process) => {
                self.processes.insert(process);
                self.observers = self.processes.len();
            }
        }
        for entry in &opened.entries {
            let event = &entry.fact.event;
            *self.events.entry(event.name()).or_default() += 1;
            match event {
                // What is void was answered by nobody, and is recorded once more.
                Event::ResolutionRequested(_) if walk.is_void() => {
                    *self.requests.entry("void").or_default() += 1;
                }
                Event::RequestsRefused(_) if walk.is_void() => {}
                Event::ResolutionRequested(asked) => {
                    let ruling = ruling(walk, opened, entry, asked).await?;
                    *self.requests.entry(ruling.verdict.name()).or_default() += 1;
                }
                Event::RequestsRefused(event) => self.refused += u64::from(event.count),
                Event::CredentialWritten(_) => self.payloads.erased += 1,
                _ => {}
            }
        }
        Ok(())
    }

    /// Counts what the fold came to; the temporary view has to be there. So far every payload
    /// counts as erased.
    pub(super) fn finish(&mut self, walk: &Walk) -> Result<(), Error> {
        for record in walk.view().records() {
            let (_, stored) = record?;
            self.records += 1;
            for version in &stored.record.versions {
                if version.destroyed {
                    self.versions.destroyed += 1;
                    continue;
                }
                self.payloads.readable += 1;
                if version.is_deleted(self.now) {
                    self.versions.deleted += 1;
                } else {
                    self.versions.live += 1;
                }
            }
        }
        self.payloads.erased = self.payloads.erased.saturating_sub(self.payloads.readable);
        for page in walk.view().pages() {
            let (_, using) = page?;
            self.keys.live += using.live.len() as u64;
            self.keys.to_be_destroyed += using.dying.len() as u64;
            self.keys.destroyed += using.gone.len() as u64;
        }
        Ok(())
    }
}
