//! Invariant 2 at the door: `kill -9` of Billfold, and of its NATS server, while clients write and read.
//!
//! Each round has paths of its own. Clients write values that never repeat, and know of each whether it was
//! acknowledged, and as which version. After the crash every acknowledged write is there as that version, whole; one of
//! unknown outcome is there whole or not at all, and to repeat it by its command id makes one of it; and all answers
//! together are such as one register per path could have given. At the end the view is deleted, and what is built from
//! the log alone says the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

#[path = "crash/load.rs"]
mod load;

use std::time::Duration;

use billfold_tests::{
    tools::{self, Rng},
    wallet::{Backend, State, Wallet, within_reason},
};
use load::Load;
use tokio::time::{sleep, timeout};

/// After how many acknowledgements of a round the crash comes, at most.
const ENOUGH: u64 = 100;

#[tokio::test(flavor = "multi_thread")]
async fn inv02_kill_9_of_billfold_on_the_embedded_log() {
    within_reason(rounds(Backend::Embedded, "embedded", Victim::Billfold)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv02_kill_9_of_billfold_on_jetstream() {
    within_reason(rounds(Backend::JetStream, "jetstream", Victim::Billfold)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv02_kill_9_of_the_nats_server() {
    within_reason(rounds(Backend::JetStream, "nats-server", Victim::Nats)).await;
}

#[derive(Clone, Copy)]
enum Victim {
    Billfold,
    Nats,
}

async fn rounds(backend: Backend, name: &str, victim: Victim) {
    let mut wallet = Wallet::serve(backend).await;
    let rounds = if tools::full() { 50 } else { 10 };
    let mut loads = Vec::new();
    for round in 0..rounds {
        let name = format!("{name} {round}");
        let mut rng = Rng::new(tools::seed(), &name);
        let load = Load::start(&wallet, &name);
        load.acknowledged(1 + rng.below(ENOUGH)).await;
        match victim {
            Victim::Billfold => kill_billfold(&mut wallet, &load, &mut rng).await,
            Victim::Nats => kill_nats(&mut wallet, &load, &mut rng).await,
        }
        load.check(&wallet, "after the crash").await;
        load.repeat(&wallet).await;
        load.check(&wallet, "after the repeats").await;
        loads.push(load);
    }
    let (sent, unknown) = loads
        .iter()
        .map(Load::counts)
        .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    eprintln!("{name}: {rounds} rounds, {sent} writes, {unknown} of them cut off");

    rebuild(&mut wallet).await;
    for load in &loads {
        load.check(&wallet, "after the rebuild").await;
    }
    assert_eq!(wallet.node.stop().await.unwrap(), 0);
    wallet.assert_sound().await;
}

/// The clients see the end of their connections; then it comes up again, not always at the first attempt.
async fn kill_billfold(wallet: &mut Wallet, load: &Load, rng: &mut Rng) {
    wallet.node.kill9();
    load.stop().await;
    if rng.below(3) == 0 {
        let soon = Duration::from_millis(rng.below(200));
        let _ = timeout(soon, wallet.node.restart()).await;
        wallet.node.kill9();
    }
    wallet.node.restart().await.unwrap();
}

/// Billfold goes on running, and its clients go on asking.
async fn kill_nats(wallet: &mut Wallet, load: &Load, rng: &mut Rng) {
    let nats = wallet.nats.as_mut().expect("a server to kill");
    nats.kill();
    sleep(Duration::from_millis(rng.below(400))).await;
    nats.run();
    load.stop().await;
    load.is_served(wallet).await;
}

/// Deletes the view: at one place of the log, the one that is built anew has the same digest.
async fn rebuild(wallet: &mut Wallet) {
    let before = wallet.state().await;
    assert_eq!(wallet.node.stop().await.unwrap(), 0);
    wallet.delete_view();
    wallet.node.restart().await.unwrap();
    let after = wallet.state().await;
    assert!(
        after.sequence >= before.sequence,
        "{after:?} comes after {before:?}"
    );
    for state in [before, after] {
        let at = state.sequence.to_string();
        let folded = wallet
            .replay(&["digest", "--at", &at])
            .await
            .unwrap()
            .success()
            .unwrap();
        let mut words = folded.stdout.split_whitespace();
        let (sequence, digest) = (
            words.next().unwrap().parse().unwrap(),
            words.next().unwrap(),
        );
        assert_eq!(
            State {
                sequence,
                digest: digest.to_owned()
            },
            state
        );
    }
}
