//! Pages that another node closes while their owner lives and draws from them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use billfold_core::keys::page::SLOTS;
use billfold_tests::{nats::NatsServer, tools};
use tempfile::TempDir;

use super::{
    node::{Node, Setup, put},
    wallet::Inside,
};

/// Waits until the sweepers have done their work.
async fn until_swept(setup: &Setup) -> Inside {
    let deadline = std::time::Instant::now() + super::node::PATIENCE;
    loop {
        let inside = Inside::of(setup).await;
        match inside.finished(2) {
            Ok(()) => return inside,
            Err(why) => assert!(std::time::Instant::now() < deadline, "{why}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn assert_readable(node: &Node, count: usize) {
    let mount = node.mount("secret/");
    for number in 0..count {
        let id = node.custody.keys().id.record(mount, &number.to_string());
        let stored = node.keychain.view().stored_record(&id).unwrap().unwrap();
        for key in [stored.record.names.key, stored.record.versions[0].key] {
            let dek = node.custody.dek(key).await.unwrap();
            assert!(dek.is_some(), "secret {number} lost key {key}");
        }
    }
}

async fn an_owner_goes_on_when_its_pages_are_closed(owner_at: Setup, other_at: Setup) {
    let owner = Arc::new(owner_at.create().await);
    let mount = owner.mount("secret/");
    let other = other_at.start().await;
    let sweeping = [&*owner, &other].map(Node::sweep);
    let goes_on = Arc::new(AtomicBool::new(true));
    let writing = {
        let (owner, goes_on) = (owner.clone(), goes_on.clone());
        tokio::spawn(async move {
            let mut count = 0;
            // More than the pages that are there, so that some are closed before their first use.
            while goes_on.load(Ordering::SeqCst) || count < 3 * SLOTS {
                let path = count.to_string();
                let done = owner.put(mount, &path, None, b"x").await.unwrap();
                assert_eq!(done.done.versions, [1]);
                count += 1;
            }
            count
        })
    };
    for _ in 0..if tools::full() { 40 } else { 5 } {
        let closed = other.sweeper().close_abandoned().await;
        assert!(closed.is_ok(), "{closed:?}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    goes_on.store(false, Ordering::SeqCst);
    let count = writing.await.unwrap();
    let inside = until_swept(&owner_at).await;
    inside.assert_whole();
    let closed = inside.pages.values().filter(|page| page.using.closed);
    let closed: Vec<_> = closed.collect();
    assert!(!closed.is_empty());
    for page in closed {
        assert_eq!(page.slots, page.using.live, "only what is in use is left");
    }
    other.keychain_at(owner.keychain.view().head().seq).await;
    assert_readable(&owner, count).await;
    assert_readable(&other, count).await;
    println!("{count} secrets");
    sweeping.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_goes_on_when_its_pages_are_closed_on_the_embedded_store() {
    let dir = TempDir::new().unwrap();
    let setup = Setup::embedded(&dir.path().join("data"), &dir.path().join("wallet.key"));
    an_owner_goes_on_when_its_pages_are_closed(setup.clone(), setup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_goes_on_when_its_pages_are_closed_on_jetstream() {
    let (nats, dir) = (NatsServer::start(), TempDir::new().unwrap());
    let key_file = dir.path().join("wallet.key");
    let owner = Setup::jetstream(&nats.url(), &key_file).await;
    let other = Setup::jetstream(&nats.url(), &key_file).await;
    an_owner_goes_on_when_its_pages_are_closed(owner, other).await;
}

/// What a page held is not in memory either, once it was destroyed.
#[tokio::test(flavor = "multi_thread")]
async fn inv07_a_destroyed_key_is_not_given_out_again() {
    let dir = TempDir::new().unwrap();
    let setup = Setup::embedded(&dir.path().join("data"), &dir.path().join("wallet.key"));
    let node = setup.create().await;
    let other = setup.start().await;
    let mount = node.mount("secret/");
    let sweeping = node.sweep();
    for round in 0..20 {
        let path = format!("s{round}");
        let done = node.put(mount, &path, None, b"x").await.unwrap();
        let id = node.custody.keys().id.record(mount, &path);
        node.keychain_at(done.seq).await;
        other.keychain_at(done.seq).await;
        let stored = node.keychain.view().stored_record(&id).unwrap().unwrap();
        let key = stored.record.versions[0].key;
        for node in [&node, &other] {
            assert!(node.custody.dek(key).await.unwrap().is_some());
        }
        let change = node.change(mount, &path, billfold_core::command::What::DeleteMetadata);
        let action = billfold_core::command::Action::Change(vec![change]);
        node.order(None, node.root(), action).await.unwrap();
        let deadline = std::time::Instant::now() + super::node::PATIENCE;
        loop {
            let (here, there) = (node.custody.dek(key).await, other.custody.dek(key).await);
            if here.unwrap().is_none() && there.unwrap().is_none() {
                break;
            }
            assert!(
                std::time::Instant::now() < deadline,
                "{key} is still given out"
            );
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    // The payload of a secret that stays opens all the same.
    let change = node.change(mount, "stays", put("stays", None, b"y"));
    let action = billfold_core::command::Action::Change(vec![change]);
    let done = node.order(None, node.root(), action).await.unwrap();
    other.keychain_at(done.seq).await;
    let id = other.custody.keys().id.record(mount, "stays");
    let judged = other.ask(id).await.unwrap();
    assert_eq!(judged.verdict.name(), "permitted");
    sweeping.abort();
}
