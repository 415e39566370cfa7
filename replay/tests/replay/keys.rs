//! `verify` on the key store: what is live must be there and open, what was destroyed must not.

use std::sync::Arc;

use billfold_core::{
    command::What,
    commit::{Entry, ciphertext_hash},
    event::{
        Event, SealedRef,
        v1::{CredentialWritten, Operation, ResolutionRequested},
    },
    id::{PageId, ProcessId, RecordId, RequestId, Seq},
    keys::page::{KeyRef, Page},
    subject::{Generation, Subject},
};
use billfold_projector::chain::open;
use billfold_replay::{Check, Finding, Source, verify::verify};
use billfold_streams::{entropy::Os, keys::Slot};
use bytes::Bytes;

use crate::{
    fixture::{MOUNT, Wallet},
    recorded::{DECIDED, Recorded},
    tampered::{Sound, entry},
};

impl Sound {
    /// Sequence and key of each use of a key that passes.
    pub fn uses(&self, of: impl Fn(&Event) -> Vec<KeyRef>) -> Vec<(u64, KeyRef)> {
        let mut uses = Vec::new();
        for message in &self.log.messages {
            for entry in open(&self.custody, message).unwrap().entries {
                uses.extend(
                    of(&entry.fact.event)
                        .into_iter()
                        .map(|key| (message.seq.0, key)),
                );
            }
        }
        uses
    }

    pub fn record(&self, path: &str) -> RecordId {
        self.custody.keys().id.record(MOUNT, path)
    }

    pub fn payload_of(&self, path: &str, version: u32) -> (u64, KeyRef) {
        let record = self.record(path);
        let uses = self.uses(|event| match event {
            Event::CredentialWritten(event)
                if (event.record, event.version) == (record, version) =>
            {
                vec![event.payload.key]
            }
            _ => Vec::new(),
        });
        uses[0]
    }

    pub async fn replace(&self, id: PageId, change: impl Fn(&Page) -> Page) {
        let (page, revision) = self.custody.fetch(id).await.unwrap().unwrap();
        self.custody
            .replace_page(&change(&page), revision)
            .await
            .unwrap();
        self.custody.forget(&id);
    }

    async fn lose(&self, key: KeyRef) {
        self.replace(key.page, |page| page.keeping(|slot| slot != key.slot))
            .await;
    }

    pub async fn findings(&self) -> Vec<Finding> {
        let report = self.verify(self.log.copy()).await;
        assert!(report.complete);
        assert_eq!(report.sound, report.findings.is_empty());
        report.findings
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_live_key_is_named_with_its_version() {
    let sound = Sound::new().await;
    assert_eq!(sound.findings().await, []);
    let (seq, key) = sound.payload_of("app/db", 4);
    sound.lose(key).await;
    let findings = sound.findings().await;
    assert_eq!(findings.len(), 1);
    let record = sound.record("app/db");
    let what = format!(
        "the payload of record {record} version 4 cannot be read: its key {key} is live, but the \
         key store does not have it"
    );
    assert_eq!(
        findings[0],
        Finding {
            check: Check::Key,
            sequence: Some(Seq(seq)),
            what
        }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_live_key_counts() {
    let sound = Sound::new().await;
    let uses = sound.uses(|event| match event {
        Event::WalletCreated(event) => vec![event.root_token_mac.key],
        Event::MountEnabled(event) => vec![event.names.key],
        Event::MetadataChanged(event) => event.names.iter().map(|names| names.key).collect(),
        _ => Vec::new(),
    });
    // The root token's MAC, the mount's names, the second names of `app/api` and those of `new`.
    assert_eq!(uses.len(), 4);
    for (_, key) in &uses {
        sound.lose(*key).await;
    }
    let findings = sound.findings().await;
    let found: Vec<_> = findings
        .iter()
        .map(|f| (f.check, f.sequence.unwrap().0))
        .collect();
    let expected: Vec<_> = uses.iter().map(|(seq, _)| (Check::Key, *seq)).collect();
    assert_eq!(found, expected, "{findings:?}");
    for (finding, what) in findings
        .iter()
        .zip(["the MAC of the root", "the names of mount"])
    {
        assert!(finding.what.contains(what), "{finding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_its_key_did_not_seal_is_named() {
    let sound = Sound::new().await;
    let (_, KeyRef { page, .. }) = sound.payload_of("app/db", 5);
    // Written by somebody with all keys, and under none of them.
    let (sealed, record) = (Bytes::from_static(&[1; 100]), sound.record("app/db"));
    let event = Event::CredentialWritten(CredentialWritten {
        record,
        mount: MOUNT,
        version: 6,
        payload: SealedRef {
            key: KeyRef { page, slot: 255 },
            hash: ciphertext_hash(&sealed),
        },
        names: None,
        retired_names: None,
        deletes_at: None,
        trimmed: Vec::new(),
    });
    let forged = Entry {
        payload: Some(sealed),
        ..entry(event)
    };
    let mut log = sound.log.copy();
    let seq = log.forge(&sound.custody, (DECIDED, ProcessId::default()), &[forged]);
    let report = sound.verify(log).await;
    let what = format!("the payload of record {record} version 6 does not open with its key");
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].sequence, Some(Seq(seq)));
    assert!(
        report.findings[0].what.contains(&what),
        "{}",
        report.findings[0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_named_must_open() {
    let sound = Sound::new().await;
    let sealed = Bytes::from_static(&[1; 100]);
    let event = Event::ResolutionRequested(ResolutionRequested {
        request: RequestId::from_bytes([7; 16]),
        operation: Operation::ReadMounts,
        mount: None,
        record: None,
        version: None,
        wrap_ttl: None,
        names: ciphertext_hash(&sealed),
    });
    let forged = Entry {
        names: Some(sealed),
        ..entry(event)
    };
    let process = ProcessId::from_bytes([5; 16]);
    let observed = Subject::Observed(Generation::FIRST, process);
    let mut log = sound.log.copy();
    let seq = log.forge(&sound.custody, (observed, process), &[forged]);
    let report = sound.verify(log).await;
    let what = "what request 07070707070707070707070707070707 named does not open".to_owned();
    let sequence = Some(Seq(seq));
    assert_eq!(
        report.findings,
        [Finding {
            check: Check::Key,
            sequence,
            what
        }]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_another_key_sealed_stop_the_fold() {
    let sound = Sound::new().await;
    let (first, key) = sound.payload_of("app/db", 1);
    sound
        .replace(key.page, |page| {
            let other = Page::generate(page.id, page.owner, page.made, page.kek, &mut Os::new());
            other.keeping(|slot| page.slots().has(slot))
        })
        .await;
    let report = sound.verify(sound.log.copy()).await;
    assert!(!report.sound && !report.complete);
    let finding = &report.findings[0];
    let found = (finding.check, finding.sequence);
    assert_eq!(found, (Check::Key, Some(Seq(first))), "{finding}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_does_not_open_is_named() {
    let sound = Sound::new().await;
    let (_, key) = sound.payload_of("app/db", 5);
    let (store, slot) = (sound.custody.store(), Slot::Page(key.page));
    let stored = store.read(slot).await.unwrap().unwrap();
    let mut bytes = stored.bytes.to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    store
        .write(slot, stored.revision, Bytes::from(bytes))
        .await
        .unwrap();
    sound.custody.forget(&key.page);
    let report = sound.verify(sound.log.copy()).await;
    assert!(!report.sound);
    let what = format!("key page {} does not open", key.page);
    assert!(
        report.findings.iter().any(|finding| finding.what == what),
        "{:?}",
        report.findings
    );
    // The fold needs the names of the first mount, which are in that page, too.
    assert!(
        report
            .findings
            .iter()
            .any(|finding| finding.sequence.is_some())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_faults_are_counted_and_not_all_told() {
    let wallet = Wallet::new().await;
    let puts = (0..250).map(|number| (format!("many/{number}"), number));
    for (path, _) in puts {
        wallet.put(&path).await;
    }
    wallet.change(vec![("many/1", What::DeleteMetadata)]).await;
    wallet.swept().await;
    let node = wallet.node();
    let log = Recorded::of(node.embedded.log()).await;
    for page in node.embedded.keys().pages().await.unwrap() {
        let (full, revision) = node.custody.fetch(page).await.unwrap().unwrap();
        let empty = full.keeping(|_| false);
        node.custody.replace_page(&empty, revision).await.unwrap();
        node.custody.forget(&page);
    }
    let source = Source::of(Arc::new(log), node.custody.clone());
    let report = verify(&source, &mut |_, _| ()).await.unwrap();
    // Payloads and names of 249 records, the mount's names, the root token's MAC.
    let all = 2 * 249 + 2;
    assert_eq!(report.findings.len(), 200);
    assert_eq!(report.findings.len() + report.more_findings, all);
}
