//! `verify` on logs that somebody changed: it says where and what. Each tampering is of a copy of
//! one sound log, which verifies before.

use std::{sync::Arc, time::Duration};

use billfold_core::{
    commit::Entry,
    event::{
        Actor, Event, Fact,
        v1::{KekCreated, KeyPageClosed, RequestsRefused, VersionsDeleted},
    },
    id::{FactKeyId, PageId, ProcessId, RecordId, Seq},
    subject::{Generation, Subject},
};
use billfold_replay::{
    Check, Error, Source,
    verify::{Report, verify},
};
use billfold_streams::{custody::Custody, embedded::Embedded, keys::Slot};
use bytes::Bytes;

use crate::{
    fixture::Wallet,
    node::open_custody,
    recorded::{DECIDED, Recorded},
};

/// A sound log in memory, and the keys that open it.
pub struct Sound {
    pub log: Recorded,
    pub custody: Arc<Custody>,
    /// The key pages as they were before anything was destroyed.
    pub pages: Vec<(PageId, Bytes)>,
    _wallet: Wallet,
}

impl Sound {
    pub async fn new() -> Self {
        let wallet = Wallet::new().await;
        let mut pages = Vec::new();
        let keys = wallet.node().embedded.keys();
        for page in keys.pages().await.unwrap() {
            let stored = keys.read(Slot::Page(page)).await.unwrap().unwrap();
            pages.push((page, stored.bytes));
        }
        drop(keys);
        let wallet = wallet.lived_in().await.stopped().await;
        let embedded = Embedded::open(wallet.dir.path()).unwrap();
        let process = ProcessId::from_bytes([0xee; 16]);
        Self {
            log: Recorded::of(embedded.log()).await,
            custody: open_custody(&embedded, wallet.dir.path(), process).await,
            pages,
            _wallet: wallet,
        }
    }

    pub fn source(&self, log: Recorded) -> Source {
        Source::of(Arc::new(log), self.custody.clone()).with_patience(Duration::from_secs(2))
    }

    pub async fn verify(&self, log: Recorded) -> Report {
        verify(&self.source(log), &mut |_, _| ()).await.unwrap()
    }

    /// Verifies a changed log, which must break at this sequence for this reason.
    async fn expect(&self, log: Recorded, check: Check, seq: u64, what: &str) {
        let report = self.verify(log).await;
        let finding = &report.findings[0];
        let found = (finding.check, finding.sequence, finding.what.contains(what));
        assert_eq!(found, (check, Some(Seq(seq)), true), "{what}: {finding}");
        assert!(!report.sound);
        assert!(!report.complete);
        assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    }
}

fn flipped(bytes: &Bytes, at: usize) -> Bytes {
    let mut changed = bytes.to_vec();
    changed[at] ^= 1;
    changed.into()
}

pub fn entry(event: Event) -> Entry {
    let fact = Fact {
        actor: Actor::System,
        command: None,
        event,
    };
    Entry {
        fact,
        names: None,
        payload: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_log_is_sound_and_counted() {
    let sound = Sound::new().await;
    let log = sound.log.copy();
    let (decided, observed) = (log.seqs(true).len() as u64, log.seqs(false).len() as u64);
    let report = sound.verify(log).await;
    assert_eq!(report.findings, []);
    assert!(report.sound && report.complete);
    let summary = &report.summary;
    assert_eq!(
        (summary.commits, summary.decided),
        (decided + observed, decided)
    );
    assert_eq!(summary.last_sequence, Seq(decided + observed));
    assert_eq!(summary.observers, 1);
    assert_eq!(summary.events["CredentialWritten"], 9);
    assert_eq!(summary.events["ResolutionRequested"], 7);
    // Left are `app/db` with versions 3 (destroyed), 4 (deleted) and 5, `app/api` and `new`.
    assert_eq!(summary.records, 3);
    let versions = summary.versions;
    assert_eq!(
        (versions.live, versions.deleted, versions.destroyed),
        (3, 1, 1)
    );
    let payloads = summary.payloads;
    assert_eq!((payloads.readable, payloads.erased), (4, 5));
    // The root token's MAC, the mount, and the names of three records.
    assert_eq!(summary.keys.live, 4 + 5);
    assert_eq!(summary.keys.to_be_destroyed, 0);
    // Payloads, and the names of `app/api`, `new` (twice named), `gone/soon` and `brief`.
    assert!(summary.keys.destroyed >= 5 + 3, "{:?}", summary.keys);
    let verdicts = [
        ("absent", 3),
        ("deleted", 1),
        ("denied", 1),
        ("permitted", 2),
    ];
    assert_eq!(summary.requests, verdicts.into());
    assert_eq!(summary.refused, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv09_a_missing_commit_is_named() {
    let sound = Sound::new().await;
    for seq in [1, 4, sound.log.seqs(false)[0]] {
        let mut log = sound.log.copy();
        log.messages.remove(seq as usize - 1);
        sound
            .expect(log, Check::Sequence, seq, "it is missing")
            .await;
    }
    // The next numbers are given to what follows: the chain still shows it.
    for subject in [true, false] {
        let seqs = sound.log.seqs(subject);
        let mut log = sound.log.copy();
        log.messages.remove(seqs[1] as usize - 1);
        log.renumber();
        sound
            .expect(log, Check::Commit, seqs[2] - 1, "the chain is broken")
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv09_a_commit_out_of_its_place_is_named() {
    let sound = Sound::new().await;
    let seqs = sound.log.seqs(true);
    let mut swapped = sound.log.copy();
    swapped
        .messages
        .swap(seqs[2] as usize - 1, seqs[3] as usize - 1);
    swapped.renumber();
    sound
        .expect(swapped, Check::Commit, seqs[2], "the chain is broken")
        .await;

    let mut repeated = sound.log.copy();
    let again = repeated.at(seqs[2]).clone();
    repeated.messages.insert(seqs[2] as usize, again);
    repeated.renumber();
    sound
        .expect(repeated, Check::Commit, seqs[2] + 1, "the chain is broken")
        .await;

    let mut redelivered = sound.log.copy();
    let again = redelivered.at(3).clone();
    redelivered.messages.insert(5, again);
    sound
        .expect(redelivered, Check::Sequence, 3, "was read before")
        .await;

    let mut moved = sound.log.copy();
    let other = Subject::Observed(Generation::FIRST, ProcessId::from_bytes([9; 16]));
    moved.at(seqs[2]).subject = other;
    sound
        .expect(moved, Check::Commit, seqs[2], "was written for")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv05_a_changed_byte_is_found_at_its_sequence() {
    let sound = Sound::new().await;
    for seq in [3, sound.log.seqs(false)[0]] {
        let length = sound.log.messages[seq as usize - 1].bytes.len();
        for at in (0..length).step_by(length / 12) {
            let mut log = sound.log.copy();
            let message = log.at(seq);
            message.bytes = flipped(&message.bytes, at);
            let report = sound.verify(log).await;
            assert_eq!(report.findings[0].sequence, Some(Seq(seq)), "byte {at}");
            assert_eq!(report.summary.last_sequence, Seq(seq - 1));
        }
    }
    // The last bytes of a write are its payload's: only the fact's hash tells.
    let mut log = sound.log.copy();
    let message = log.at(3);
    message.bytes = flipped(&message.bytes, message.bytes.len() - 1);
    let what = "a ciphertext of event 0 of the commit is not the one that was committed";
    sound.expect(log, Check::Commit, 3, what).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_event_does_not_follow_from_the_state() {
    let sound = Sound::new().await;
    let writer = ProcessId::from_bytes([5; 16]);
    let kek = Event::KekCreated(KekCreated {
        version: 3,
        generation: 1,
        manager: "key-file".to_owned(),
        compromised: false,
        fact_key: FactKeyId::default(),
    });
    let deleted = Event::VersionsDeleted(VersionsDeleted {
        record: RecordId::from_bytes([8; 16]),
        versions: vec![1],
    });
    for (event, what) in [
        (kek, "a KEK version is not the next one"),
        (deleted, "there is no such record"),
    ] {
        let mut log = sound.log.copy();
        let seq = log.forge(&sound.custody, (DECIDED, writer), &[entry(event)]);
        sound.expect(log, Check::State, seq, what).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_stand_where_they_belong_and_only_there() {
    let sound = Sound::new().await;
    let process = ProcessId::from_bytes([5; 16]);
    let observed = Subject::Observed(Generation::FIRST, process);
    let closed = || {
        Event::KeyPageClosed(KeyPageClosed {
            page: PageId::default(),
        })
    };
    let refused = || {
        Event::RequestsRefused(RequestsRefused {
            count: 1,
            over_bound: 0,
            since: billfold_core::Millis(0),
        })
    };
    let cases = [
        (
            observed,
            closed(),
            "KeyPageClosed does not belong on wallet.events.1.observed",
        ),
        (
            DECIDED,
            refused(),
            "RequestsRefused does not belong on wallet.events.1.decided",
        ),
    ];
    for (subject, event, what) in cases {
        let mut log = sound.log.copy();
        let seq = log.forge(&sound.custody, (subject, process), &[entry(event)]);
        sound.expect(log, Check::Commit, seq, what).await;
    }
    let mut log = sound.log.copy();
    let other = ProcessId::from_bytes([6; 16]);
    let seq = log.forge(&sound.custody, (observed, other), &[entry(refused())]);
    sound
        .expect(log, Check::Commit, seq, "wrote on the subject of process")
        .await;
    // Where they belong, both are well.
    let mut log = sound.log.copy();
    log.forge(&sound.custody, (observed, process), &[entry(refused())]);
    log.forge(&sound.custody, (DECIDED, process), &[entry(closed())]);
    assert!(sound.verify(log).await.sound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_keeps_back_its_end_is_not_sound() {
    let sound = Sound::new().await;
    let mut log = sound.log.copy();
    let end = log.messages.pop().unwrap().seq;
    log.heads.lock().unwrap().push_back(end);
    let source = sound.source(log).with_patience(Duration::from_millis(200));
    let stopped = verify(&source, &mut |_, _| ()).await;
    assert!(matches!(stopped, Err(Error::Unreachable(_))), "{stopped:?}");
}
