//! `verify` holds a node's view against the fold.

use std::{fs, path::Path, sync::Arc};

use billfold_core::id::Seq;
use billfold_projector::{Fold, View, chain::open};
use billfold_replay::{
    Check, Source,
    verify::{Report, ViewState, verify},
};

use crate::{fixture::Wallet, node::view_closed, recorded::Recorded, tampered::Sound};

async fn check(source: Source) -> Report {
    verify(&source, &mut |_, _| ()).await.unwrap()
}

impl Sound {
    /// A view of these commits of the log.
    async fn view(&self, dir: &Path, fits: impl Fn(u64) -> bool) -> Seq {
        let view = Arc::new(View::open(dir, &self.custody, 8 << 20).unwrap());
        let mut fold = Fold::over(view, self.custody.clone());
        for message in &self.log.messages {
            if message.subject.is_decided() && fits(message.seq.0) {
                fold.add(&open(&self.custody, message).unwrap())
                    .await
                    .unwrap();
            }
        }
        fold.write().unwrap();
        let head = fold.head().seq;
        drop(fold);
        view_closed(dir).await;
        head
    }

    async fn against(&self, log: Recorded, view: &Path) -> Report {
        check(self.source(log).with_view(view.to_owned())).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_own_view_is_equal_and_left_alone() {
    let wallet = Wallet::new().await.lived_in().await;
    let at = wallet.node().keychain.view().head().seq;
    // Beside the running server it cannot be opened, which is no fault.
    let report = check(wallet.source().await).await;
    assert!(report.sound);
    assert_eq!(report.view, ViewState::InUse);
    let wallet = wallet.stopped().await;
    let before = crate::command::contents(wallet.dir.path());
    let report = check(wallet.source().await).await;
    assert_eq!(report.findings, []);
    assert_eq!(report.view, ViewState::Equal { sequence: at });
    assert_eq!(crate::command::contents(wallet.dir.path()), before);
    fs::remove_dir_all(wallet.view_dir()).unwrap();
    let report = check(wallet.source().await).await;
    assert!(report.sound);
    assert_eq!(report.view, ViewState::None);
    assert!(!wallet.view_dir().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn inv01_a_view_behind_the_log_is_compared_at_its_own_place() {
    let sound = Sound::new().await;
    let dir = tempfile::tempdir().unwrap();
    let sequence = sound.view(dir.path(), |seq| seq <= 7).await;
    let report = sound.against(sound.log.copy(), dir.path()).await;
    assert!(report.sound);
    assert_eq!(report.view, ViewState::Equal { sequence });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_ahead_of_the_log_shows_a_roll_back() {
    let sound = Sound::new().await;
    let dir = tempfile::tempdir().unwrap();
    let sequence = sound.view(dir.path(), |_| true).await;
    let mut log = sound.log.copy();
    log.messages.truncate(sequence.0 as usize - 2);
    let end = log.messages.len();
    let report = sound.against(log, dir.path()).await;
    assert_eq!(report.view, ViewState::Differs { sequence });
    let finding = report
        .findings
        .iter()
        .find(|f| f.check == Check::View)
        .unwrap();
    let what =
        format!("the view has applied it, but the log ends at {end}: the log was rolled back");
    assert_eq!((finding.sequence, &finding.what), (Some(sequence), &what));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_of_another_past_is_found() {
    let sound = Sound::new().await;
    let seqs = sound.log.seqs(true);
    // It left out a commit: its head is the same, its digest is not.
    let skipped = tempfile::tempdir().unwrap();
    let left_out = *seqs
        .iter()
        .find(|seq| changes_one_record(&sound, **seq))
        .unwrap();
    let sequence = sound
        .view(skipped.path(), |seq| seq <= left_out + 1 && seq != left_out)
        .await;
    let report = sound.against(sound.log.copy(), skipped.path()).await;
    assert_eq!(report.view, ViewState::Differs { sequence });
    assert_eq!(report.findings.len(), 1);
    assert!(
        report.findings[0].what.contains("the view's digest is"),
        "{}",
        report.findings[0]
    );

    // The log has another commit at its place: one with the same number, but of another subject.
    let dir = tempfile::tempdir().unwrap();
    let sequence = sound.view(dir.path(), |seq| seq <= 5).await;
    let mut log = sound.log.copy();
    let observed = log.seqs(false)[0] as usize - 1;
    let moved = log.messages.remove(observed);
    log.messages.insert(sequence.0 as usize - 1, moved);
    log.renumber();
    let report = sound.against(log, dir.path()).await;
    assert_eq!(report.view, ViewState::Differs { sequence });
    let finding = &report.findings[0];
    assert!(
        finding
            .what
            .contains("the view has applied it, but it decided nothing"),
        "{finding}"
    );

    // Here it is another decided one.
    let mut log = sound.log.copy();
    let moved = log.messages.remove(observed);
    log.messages.insert(1, moved);
    log.renumber();
    let report = sound.against(log, dir.path()).await;
    let finding = &report.findings[0];
    assert_eq!(
        (finding.check, finding.sequence),
        (Check::View, Some(sequence))
    );
    assert!(finding.what.contains("the view has commit"), "{finding}");
}

/// Whether the fold goes on without this commit.
fn changes_one_record(sound: &Sound, seq: u64) -> bool {
    let opened = open(&sound.custody, &sound.log.messages[seq as usize - 1]).unwrap();
    let next = open(&sound.custody, &sound.log.messages[seq as usize]).unwrap();
    opened.entries.len() == 1
        && opened.entries[0].fact.event.name() == "VersionsDeleted"
        && next.header.subject.is_decided()
        || opened.entries[0].fact.event.name() == "VersionsUndeleted"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_does_not_open_is_not_compared() {
    let sound = Sound::new().await;
    let dir = tempfile::tempdir().unwrap();
    sound.view(dir.path(), |_| true).await;
    fs::write(dir.path().join("rebuild-this-view"), []).unwrap();
    let report = sound.against(sound.log.copy(), dir.path()).await;
    assert!(report.sound);
    assert!(matches!(report.view, ViewState::Unusable { .. }));

    let other = Sound::new().await;
    let dir = tempfile::tempdir().unwrap();
    other.view(dir.path(), |_| true).await;
    let report = sound.against(sound.log.copy(), dir.path()).await;
    assert!(report.sound);
    assert!(matches!(report.view, ViewState::Unusable { why } if why.contains("another wallet")));

    // sled takes what it does not know for a new file, and a node would rebuild it.
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("db"), [7; 9000]).unwrap();
    let report = sound.against(sound.log.copy(), dir.path()).await;
    assert!(report.sound);
    assert_eq!(report.view, ViewState::None);
}
