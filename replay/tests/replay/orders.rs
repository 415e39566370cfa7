//! Erasures that were ordered and legal holds: how `log` tells them, and what `verify` makes of them.

use std::{sync::Arc, time::Duration};

use billfold_core::{
    command::{Action, Command, NewErasure, NewHold, Target},
    id::{ErasureId, HoldId, RecordId},
    names::{ErasureNames, HoldNames},
    state::{Fate, State},
};
use billfold_replay::{log::Name, verify::verify};
use billfold_streams::{rewrapper::Rewrapper, sweeper::Sweeper};

use crate::{
    fixture::{MOUNT, PATIENCE, ROOT, Wallet},
    listing::{all, text},
};

const ERASURE: ErasureId = ErasureId::from_bytes([0x44; 16]);
const HOLD: HoldId = HoldId::from_bytes([0x55; 16]);

/// Orders that these secrets are erased.
async fn erase(wallet: &Wallet, erasure: ErasureId, folder: &str, paths: &[&str]) {
    let ids = &wallet.node().custody.keys().id;
    let target = |path: &&str| Target {
        record: wallet.record(path),
        folders: ids.folders(MOUNT, path),
    };
    let erase = NewErasure {
        erasure,
        mount: MOUNT,
        place: ids.folder(MOUNT, folder),
        versions: None,
        records: paths.iter().map(target).collect(),
        names: ErasureNames {
            reason: "they left us".to_owned(),
        },
    };
    let erase = Action::Erase(Box::new(erase));
    wallet.node().submit(ROOT, erase).await;
}

/// A wallet in which a secret was erased by order, and a hold placed on another.
async fn ordered() -> Wallet {
    let wallet = Wallet::new().await;
    for path in ["team/a", "team/a", "team/b"] {
        wallet.put(path).await;
    }
    erase(&wallet, ERASURE, "team/", &["team/a", "team/b"]).await;
    let ids = &wallet.node().custody.keys().id;
    let hold = NewHold {
        hold: HOLD,
        mount: MOUNT,
        place: ids.folder(MOUNT, "kept/"),
        is_folder: true,
        names: HoldNames {
            path: "kept/".to_owned(),
            reason: "a lawsuit".to_owned(),
        },
    };
    let hold = Action::PlaceHold(Box::new(hold));
    wallet.node().submit(ROOT, hold).await;
    wallet.swept().await;
    wallet
}

#[tokio::test(flavor = "multi_thread")]
async fn inv07_what_was_erased_by_order_is_told_as_erased() {
    let wallet = ordered().await;
    let taken: Vec<RecordId> = ["team/a", "team/b"].map(|path| wallet.record(path)).into();
    let lines = all(&wallet, true).await;
    let open = |text: &str| Some(Name::Open(text.to_owned()));
    let order = lines
        .iter()
        .find(|line| line.event == "ErasureOrdered")
        .unwrap();
    assert_eq!(order.erasure, Some(ERASURE));
    assert_eq!(order.records, taken);
    assert_eq!(order.reason, open("they left us"));
    let deleted: Vec<_> = lines
        .iter()
        .filter(|line| line.event == "MetadataDeleted")
        .collect();
    assert_eq!(deleted.len(), 2);
    for line in &deleted {
        assert_eq!(line.path, Some(Name::Erased));
        assert_eq!(line.sequence, order.sequence, "in one commit");
    }
    // Nor does any line before it tell the path any more.
    assert!(!text(&lines).contains("team"));
    let hold = lines
        .iter()
        .find(|line| line.event == "HoldPlaced")
        .unwrap();
    assert_eq!((hold.hold, &hold.path), (Some(HOLD), &open("kept/")));
    assert_eq!(hold.reason, open("a lawsuit"));
    let silent = text(&all(&wallet, false).await);
    for name in ["they left", "kept", "lawsuit"] {
        assert!(!silent.contains(name), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv07_names_of_a_hold_that_is_over_are_told_as_erased() {
    let wallet = ordered().await;
    wallet.node().submit(ROOT, Action::LiftHold(HOLD)).await;
    wallet.swept().await;
    let lines = all(&wallet, true).await;
    let hold = lines
        .iter()
        .find(|line| line.event == "HoldPlaced")
        .unwrap();
    assert_eq!(hold.path, Some(Name::Erased));
    assert_eq!(hold.reason, Some(Name::Erased));
    let told = text(&lines);
    assert!(told.contains("reason=(erased)"), "{told}");
    assert!(
        !told.contains("lawsuit") && !told.contains("kept"),
        "{told}"
    );
    assert!(lines.iter().any(|line| line.event == "HoldLifted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn inv07_what_was_erased_by_order_is_sound_and_has_a_receipt() {
    let wallet = ordered().await;
    let view = wallet.node().keychain.view();
    let erasures: Vec<_> = view.erasures().map(Result::unwrap).collect();
    let [(id, erasure)] = &erasures[..] else {
        panic!("{erasures:?}")
    };
    assert_eq!(*id, ERASURE);
    let (order, _) = view.erasure_order(id).unwrap().unwrap();
    let outcome = view.destroyed(&erasure.keys).unwrap().unwrap();
    assert!(outcome.seq > order, "{outcome:?}");
    let state = State::over(&**view, view.digest());
    let owner = state.wallet().unwrap().unwrap();
    assert_eq!(Fate::of(Some(outcome.kek), &owner), Fate::Pending);
    let wallet = wallet.stopped().await;
    let report = verify(&wallet.source().await, &mut |_, _| ())
        .await
        .unwrap();
    assert!(report.sound, "{:?}", report.findings);
    assert_eq!(report.summary.events["ErasureOrdered"], 1);
    assert_eq!(report.summary.keys.to_be_destroyed, 0);
    // Names of the order that do not open any more are found.
    let key = erasure.names.key;
    let wallet = wallet.started().await;
    let custody = &wallet.node().custody;
    let (page, revision) = custody.fetch(key.page).await.unwrap().unwrap();
    let without = page.keeping(|slot| slot != key.slot);
    custody.replace_page(&without, revision).await.unwrap();
    let wallet = wallet.stopped().await;
    let report = verify(&wallet.source().await, &mut |_, _| ())
        .await
        .unwrap();
    let what = format!("the reason of erasure {ERASURE} cannot be read");
    let found = report.findings.iter().any(|f| f.what.contains(&what));
    assert!(found, "{:?}", report.findings);
}

/// How far an erasure is, by the view.
fn fate(wallet: &Wallet, erasure: ErasureId) -> Fate {
    let view = wallet.node().keychain.view();
    let state = State::over(&**view, view.digest());
    let keys = state.erasure(&erasure).unwrap().unwrap().keys;
    let destroyed = view.destroyed(&keys).unwrap();
    let owner = state.wallet().unwrap().unwrap();
    Fate::of(destroyed.map(|end| end.kek), &owner)
}

#[tokio::test(flavor = "multi_thread")]
async fn inv07_a_receipt_is_complete_when_key_and_generation_above_it_are_gone() {
    const LATER: ErasureId = ErasureId::from_bytes([0x45; 16]);
    let wallet = ordered().await;
    let node = wallet.node();
    let sweeper = Sweeper::new(
        node.custody.clone(),
        node.keychain.clone(),
        node.committer.clone(),
    );
    let rewrapping = tokio::spawn(Rewrapper::new(Arc::new(sweeper), None).run());
    let (next, _) = node.custody.make_next_kek().await.unwrap();
    let rotate = Action::RotateKek(next);
    node.submit(ROOT, rotate).await;
    wallet.put("late/a").await;
    erase(&wallet, LATER, "late/", &["late/a"]).await;
    wallet.swept().await;
    let fates = || [ERASURE, LATER].map(|erasure| fate(&wallet, erasure));
    assert_eq!(fates(), [Fate::Pending; 2]);
    let retired = async {
        let retire = || Command {
            id: None,
            actor: ROOT,
            needs: Vec::new(),
            action: Action::RetireKeks(1),
        };
        // It is refused while anything is under it.
        while node.committer.submit(retire()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let view = node.keychain.view();
        let destroyed = || {
            let state = State::over(&**view, view.digest());
            let owner = state.wallet().unwrap().unwrap();
            owner.kek(1).unwrap().destroyed.is_some()
        };
        while !destroyed() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, retired).await.unwrap();
    assert_eq!(fates(), [Fate::Pending; 2], "its generation opens a backup");
    let replaced = Action::ReplaceGeneration {
        generation: node.custody.kek().generation + 1,
        manager: "dev-file".to_owned(),
        back_to: 2,
    };
    node.submit(ROOT, replaced).await;
    assert_eq!(fates(), [Fate::Complete, Fate::Pending]);
    rewrapping.abort();
}
