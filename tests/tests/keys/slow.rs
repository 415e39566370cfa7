//! A node that is behind the others must not undo what they did.

use std::sync::Arc;

use billfold_core::{
    command::{Action, NewKek},
    event::Actor,
    id::PageId,
    keys::{keyring::KekVersion, page::Page},
};
use billfold_projector::Keychain;
use billfold_streams::{
    keys::Slot,
    rewrapper::Rewrapper,
    sweeper::{Ledger as _, Sweeper},
};
use billfold_tests::wallet::{Backend, within_reason};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::node::{Node, Setup};

/// A node that did not hear of a rotation yet, and meets a page that another one rewrapped, leaves it
/// under the version that it is under: the one before may be retired by then.
pub async fn inv06_a_slow_node_wraps_nothing_under_an_older_version(backend: Backend) {
    let folder = TempDir::new().unwrap();
    let (setup, _nats) = super::damaged::setup_on(backend, &folder).await;
    let node = setup.create().await;
    let mount = node.mount("secret/");
    node.put(mount, "stays", None, b"value").await.unwrap();
    let slow = setup.custody().await;
    let sweeping = node.sweep();
    let rewrapping = rotate(&node).await;
    let used = rewrapped(&node, &setup).await;
    assert_eq!(slow.current_kek(), 1);
    let behind = Sweeper::new(
        Arc::clone(&slow),
        Arc::clone(&node.keychain),
        node.committer.clone(),
    );
    behind.close_abandoned().await.unwrap();
    for page in used {
        assert_eq!(version_of(&setup, page).await, Some(2), "{page}");
    }
    rewrapping.abort();
    sweeping.abort();
}

/// Whatever the log says: what a page of the key store is under is not destroyed.
pub async fn inv06_no_version_is_destroyed_that_a_page_is_under(backend: Backend) {
    let folder = TempDir::new().unwrap();
    let (setup, _nats) = super::damaged::setup_on(backend, &folder).await;
    let node = setup.create().await;
    let mount = node.mount("secret/");
    node.put(mount, "stays", None, b"value").await.unwrap();
    let sweeping = node.sweep();
    let rewrapping = rotate(&node).await;
    let used = rewrapped(&node, &setup).await;
    rewrapping.abort();
    let _ = rewrapping.await;
    // As an older copy of the key store has them.
    for page in &used {
        let (open, revision) = node.custody.fetch(*page).await.unwrap().unwrap();
        let older = open.keeping(|_| true).under(1);
        node.custody.replace_page(&older, revision).await.unwrap();
    }
    let retire = Action::RetireKeks(1);
    node.order(None, Actor::System, retire).await.unwrap();
    let rewrapping = rewrap(&node);
    within_reason(async {
        while !is_destroyed(&node) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    for page in used {
        assert_eq!(version_of(&setup, page).await, Some(2), "{page}");
    }
    rewrapping.abort();
    sweeping.abort();
}

fn is_destroyed(node: &Node) -> bool {
    let wallet = node.keychain.wallet().unwrap().unwrap();
    wallet.kek(1).unwrap().destroyed.is_some()
}

fn rewrap(node: &Node) -> JoinHandle<()> {
    let sweeper: Sweeper<Keychain> = node.sweeper();
    tokio::spawn(Rewrapper::new(Arc::new(sweeper), None).run())
}

async fn rotate(node: &Node) -> JoinHandle<()> {
    let (new, _): (NewKek, bool) = node.custody.make_next_kek().await.unwrap();
    let rotated = node.order(None, Actor::System, Action::RotateKek(new));
    node.keychain_at(rotated.await.unwrap().seq).await;
    rewrap(node)
}

/// Waits until the log says that nothing is under the first version; the pages that count then.
async fn rewrapped(node: &Node, setup: &Setup) -> Vec<PageId> {
    let mut used = Vec::new();
    within_reason(async {
        loop {
            let wallet = node.keychain.wallet().unwrap().unwrap();
            if wallet.kek(1).unwrap().pages == 0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        for page in setup.keys.pages().await.unwrap() {
            let using = node.keychain.page(&page).unwrap();
            if using.closed && using.counts() {
                used.push(page);
            }
        }
    })
    .await;
    assert!(!used.is_empty());
    used
}

async fn version_of(setup: &Setup, page: PageId) -> Option<KekVersion> {
    let stored = setup.keys.read(Slot::Page(page)).await.unwrap();
    stored.map(|stored| Page::wrapped_under(&stored.bytes).unwrap())
}
