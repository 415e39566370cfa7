//! `verify` on keys that the log gave up or destroyed: erased, about to be, or back.

use billfold_core::{event::Event, id::Seq};
use billfold_replay::{Check, Finding};
use billfold_streams::keys::{Revision, Slot};

use crate::tampered::Sound;

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
    let (store, slot) = (sound.custody.store(), Slot::Page(key.page));
    let page = sound.pages.iter().find(|(page, _)| *page == key.page);
    let revision = store.read(slot).await.unwrap().unwrap().revision;
    store
        .write(slot, revision, page.unwrap().1.clone())
        .await
        .unwrap();
    sound.custody.forget(&key.page);
    let findings = sound.findings().await;
    // It came back with all the others that were destroyed.
    assert_eq!(findings.len(), destroyed.len());
    let what = format!("key {key} was destroyed here, but the key store has it");
    let finding = Finding {
        check: Check::Erasure,
        sequence: Some(Seq(seq)),
        what,
    };
    assert!(findings.contains(&finding), "{findings:?}");
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
