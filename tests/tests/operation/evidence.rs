//! What a view says of its log: that the log was rolled back, that it is another one; or nothing, when it is damaged.

use std::{
    fs,
    path::{Path, PathBuf},
};

use billfold_tests::{
    backup::LogCopy,
    tools::{self, Rng},
    wallet::{Backend, State, Wallet},
};
use serde_json::json;

async fn write(node: &billfold_tests::billfold::Billfold, prefix: &str, count: usize) {
    for number in 0..count {
        let path = format!("/v1/secret/data/{prefix}/{number}");
        let reply = node
            .root("POST", &path, json!({ "data": { "k": number } }))
            .await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

/// The node does not start, says what was found, and leaves the view where it is.
async fn assert_evidence(wallet: &Wallet, found: &str) {
    // It is as sure the second time.
    for _ in 0..2 {
        let ended = wallet.node.builder().clone().spawn_refused().await.unwrap();
        assert_eq!(ended.code, 1, "{ended:?}");
        let view = wallet.view();
        for word in [
            "rolled back or altered",
            "kept as evidence",
            view.to_str().unwrap(),
            found,
        ] {
            assert!(ended.stderr.contains(word), "{word:?} is not in {ended:?}");
        }
        assert!(!ended.stderr.contains("rebuilding the view"), "{ended:?}");
    }
}

pub async fn a_view_ahead_of_the_log_stops_the_node_and_is_kept(backend: Backend) {
    let mut wallet = Wallet::serve(backend).await;
    write(&wallet.node, "before", 2).await;
    wallet.node.stop().await.unwrap();
    let older = LogCopy::of(&mut wallet);
    wallet.node.restart().await.unwrap();
    write(&wallet.node, "after", 3).await;
    let state = wallet.settled().await;
    wallet.node.stop().await.unwrap();
    let newer = LogCopy::of(&mut wallet);

    older.back(&mut wallet);
    assert_evidence(
        &wallet,
        &format!("the view has applied sequence {}", state.sequence),
    )
    .await;

    // With its own log, the view that was kept is as good as before.
    newer.back(&mut wallet);
    wallet.node.restart().await.unwrap();
    wallet.assert_unchanged(&state).await;
    assert!(
        !wallet.node.log().contains("rebuilding the view"),
        "{}",
        wallet.node.log()
    );
    wallet.assert_sound().await;
}

pub async fn a_view_of_another_history_stops_the_node_and_is_kept(backend: Backend) {
    let mut wallet = Wallet::serve(backend).await;
    write(&wallet.node, "before", 2).await;
    wallet.node.stop().await.unwrap();
    let older = LogCopy::of(&mut wallet);
    wallet.node.restart().await.unwrap();
    write(&wallet.node, "after", 3).await;
    let state = wallet.settled().await;
    wallet.node.stop().await.unwrap();
    let newer = LogCopy::of(&mut wallet);

    // From the older copy on, another node writes another and longer history.
    let elsewhere = tempfile::tempdir().unwrap();
    match backend {
        Backend::Embedded => older.files_into(elsewhere.path()),
        Backend::JetStream => older.back(&mut wallet),
    }
    let port = tools::free_port();
    let other = wallet
        .node
        .builder()
        .clone()
        .data_dir(elsewhere.path())
        .listen(([127, 0, 0, 1], port).into());
    let mut other = other.spawn().await.unwrap();
    write(&other, "instead", 30).await;
    other.stop().await.unwrap();
    if backend == Backend::Embedded {
        LogCopy::of_folder(elsewhere.path()).files_into(wallet.node.data_dir());
    }
    assert_evidence(&wallet, &format!("sequence {}", state.sequence)).await;

    newer.back(&mut wallet);
    wallet.node.restart().await.unwrap();
    wallet.assert_unchanged(&state).await;
    wallet.assert_sound().await;
}

/// What can happen to the files of a view.
/// Something that befalls a view's folder.
type Damage = fn(&Path, &mut Rng);

const DAMAGES: [(&str, Damage); 8] = [
    ("half of it is gone", |view, _| {
        let file = fs::OpenOptions::new()
            .write(true)
            .open(view.join("db"))
            .unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    }),
    ("it is random", |view, rng| {
        overwrite(&view.join("db"), 0, usize::MAX, || rng.draw() as u8)
    }),
    ("its end is zero", |view, _| {
        let half = fs::metadata(view.join("db")).unwrap().len() / 2;
        overwrite(&view.join("db"), half as usize, usize::MAX, || 0);
    }),
    ("bytes are changed", |view, rng| {
        for _ in 0..200 {
            let length = fs::metadata(view.join("db")).unwrap().len();
            let (at, byte) = (rng.below(length) as usize, rng.draw() as u8);
            overwrite(&view.join("db"), at, 1, || byte);
        }
    }),
    ("a byte is changed", |view, rng| {
        let written = fs::read(view.join("db")).unwrap();
        let written: Vec<usize> = (0..written.len()).filter(|at| written[*at] != 0).collect();
        let (at, byte) = (
            written[rng.below(written.len() as u64) as usize],
            rng.draw() as u8,
        );
        overwrite(&view.join("db"), at, 1, || byte);
    }),
    ("it is empty", |view, _| {
        fs::write(view.join("db"), b"").unwrap()
    }),
    ("its settings are random", |view, rng| {
        overwrite(&view.join("conf"), 0, usize::MAX, || rng.draw() as u8);
    }),
    ("its snapshots are random", |view, rng| {
        for file in files(view)
            .into_iter()
            .filter(|file| file.to_string_lossy().contains("snap."))
        {
            overwrite(&file, 0, usize::MAX, || rng.draw() as u8);
        }
    }),
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).collect()
}

fn overwrite(file: &Path, from: usize, count: usize, mut byte: impl FnMut() -> u8) {
    let mut bytes = fs::read(file).unwrap();
    bytes
        .iter_mut()
        .skip(from)
        .take(count)
        .for_each(|old| *old = byte());
    fs::write(file, bytes).unwrap();
}

pub async fn a_damaged_view_is_built_anew(backend: Backend) {
    const SECRETS: usize = 60;
    let mut wallet = Wallet::serve(backend).await;
    write(&wallet.node, "kept", SECRETS).await;
    let rounds = if tools::full() { 20 } else { 2 };
    for round in 0..rounds {
        for (damage, inflict) in DAMAGES {
            let what = format!("{damage}, round {round}");
            wallet.node.stop().await.unwrap();
            let mut rng = Rng::new(tools::seed(), &format!("{backend:?} {what}"));
            inflict(&wallet.view(), &mut rng);
            wallet
                .node
                .restart()
                .await
                .unwrap_or_else(|error| panic!("{what}: {error:#}"));
            for number in 0..SECRETS {
                let path = format!("/v1/secret/data/kept/{number}");
                let read = wallet.node.root("GET", &path, ()).await;
                assert_eq!(read.status, 200, "{what}: {path}: {}", read.text());
                assert_eq!(read.json()["data"]["data"]["k"], number, "{what}");
            }
            let state = wallet.state().await;
            assert_eq!(folded(&wallet, &state).await, state, "{what}");
        }
    }
    assert!(
        wallet.node.log().contains("rebuilding the view"),
        "no damage was met"
    );
    wallet.node.stop().await.unwrap();
    wallet.assert_sound().await;
}

/// What the log comes to at this place, without any view.
async fn folded(wallet: &Wallet, state: &State) -> State {
    let at = state.sequence.to_string();
    let told = wallet
        .replay(&["digest", "--at", &at])
        .await
        .unwrap()
        .success()
        .unwrap();
    let (sequence, digest) = told.stdout.trim().split_once(' ').unwrap();
    State {
        sequence: sequence.parse().unwrap(),
        digest: digest.to_owned(),
    }
}
