//! `verify` on the key store: what is live must be there and open, what was destroyed must not.

use std::sync::Arc;

use billfold_core::{
    Millis,
    command::What,
    event::Event,
    id::{ProcessId, Seq},
    keys::page::{KeyRef, Page},
};
use billfold_projector::chain::open;
use billfold_replay::{Check, Finding, Source, verify::verify};
use billfold_streams::{
    entropy::Os,
    keys::{Revision, Slot},
};
use bytes::Bytes;

use crate::{fixture::Wallet, recorded::Recorded, tampered::Sound};

impl Sound {
    /// Sequence and key of each use of a key that passes.
    fn uses(&self, of: impl Fn(&Event) -> Vec<KeyRef>) -> Vec<(u64, KeyRef)> {
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

    fn payload_of(&self, path: &str, version: u32) -> (u64, KeyRef) {
        let record = self.custody.keys().id.record(crate::fixture::MOUNT, path);
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

    async fn replace(&self, id: billfold_core::id::PageId, change: impl Fn(&Page) -> Page) {
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

    async fn findings(&self) -> Vec<Finding> {
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
    let record = sound
        .custody
        .keys()
        .id
        .record(crate::fixture::MOUNT, "app/db");
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
async fn another_key_in_its_place_does_not_open() {
    let sound = Sound::new().await;
    let (_, key) = sound.payload_of("app/db", 5);
    let live = sound.verify(sound.log.copy()).await.summary.keys.live;
    sound
        .replace(key.page, |page| {
            let other = Page::generate(page.id, page.owner, page.made, &mut Os::new());
            other.keeping(|slot| page.slots().has(slot))
        })
        .await;
    let findings = sound.findings().await;
    // All of this small wallet's keys are of one page.
    assert_eq!(findings.len() as u64, live);
    assert!(
        findings
            .iter()
            .all(|finding| finding.what.contains("does not open with its key"))
    );
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
async fn inv07_a_destroyed_key_that_is_back_is_broken() {
    let sound = Sound::new().await;
    let (_, key) = sound.payload_of("app/db", 3);
    let destroyed = sound.uses(|event| match event {
        Event::KeysDestroyed(event) => event.keys.clone(),
        _ => Vec::new(),
    });
    let (seq, _) = *destroyed
        .iter()
        .find(|(_, destroyed)| *destroyed == key)
        .unwrap();
    sound
        .replace(key.page, |page| {
            let all = Page::generate(page.id, ProcessId::default(), Millis(0), &mut Os::new());
            // The other keys are lost with it, and count on their own.
            all.keeping(|slot| slot == key.slot || page.slots().has(slot))
        })
        .await;
    let findings = sound.findings().await;
    let back: Vec<_> = findings
        .iter()
        .filter(|f| f.check == Check::Erasure)
        .collect();
    let what = format!("key {key} was destroyed here, but the key store has it");
    assert_eq!(back.len(), 1);
    assert_eq!((back[0].sequence, &back[0].what), (Some(Seq(seq)), &what));
}

#[tokio::test(flavor = "multi_thread")]
async fn inv07_a_key_that_was_given_up_may_be_there_or_not() {
    let sound = Sound::new().await;
    // The log as it was between giving up the first key and the outcome; the key is gone by now.
    let (seq, first) = sound.uses(|event| match event {
        Event::KeysDestroyed(event) => event.keys.clone(),
        _ => Vec::new(),
    })[0];
    let mut log = sound.log.copy();
    log.messages.truncate(seq as usize - 1);
    let report = sound.verify(log).await;
    assert!(report.summary.keys.to_be_destroyed > 0);
    // What was given up behind the cut is missing, of course; this key is not.
    let first = first.to_string();
    let about = |finding: &Finding| finding.what.contains(&first);
    assert!(!report.findings.iter().any(about), "{:?}", report.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_given_up_while_the_log_is_read_is_no_fault() {
    let sound = Sound::new().await;
    // As if the log had ended early when the reading began, and the sweeper had been at work since.
    let (early, _) = sound.payload_of("gone/soon", 1);
    let begun = |heads: &[u64]| {
        let log = sound.log.copy();
        log.heads
            .lock()
            .unwrap()
            .extend(heads.iter().copied().map(Seq));
        log
    };
    let report = sound.verify(begun(&[early])).await;
    assert_eq!(report.findings, []);
    assert!(report.sequence <= Seq(early));
    // Without what came later it would be one.
    let report = sound.verify(begun(&[early, early])).await;
    assert!(report.findings.len() > 3);
    assert!(
        report
            .findings
            .iter()
            .all(|finding| finding.check == Check::Key)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn older_writings_are_counted_until_they_are_swept() {
    let sound = Sound::new().await;
    let (_, key) = sound.payload_of("app/db", 5);
    let before = sound.verify(sound.log.copy()).await;
    assert_eq!(before.summary.keys.pages_to_be_swept, 0);
    sound.replace(key.page, |page| page.keeping(|_| true)).await;
    let after = sound.verify(sound.log.copy()).await;
    assert!(after.sound);
    assert_eq!(after.summary.keys.pages_to_be_swept, 1);
    let (store, slot) = (sound.custody.store(), Slot::Page(key.page));
    assert!(store.read(slot).await.unwrap().unwrap().revision > Revision(1));
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
