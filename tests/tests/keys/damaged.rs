//! A key page that is damaged, missing or put back: what is in it answers a precise error, everything
//! else works, and `verify` names it.

use billfold_core::id::PageId;
use billfold_streams::keys::{KeyStore, Revision, Slot};
use billfold_tests::{
    billfold::Billfold,
    nats::NatsServer,
    wallet::{Backend, Wallet},
};
use bytes::Bytes;
use serde_json::json;
use tempfile::TempDir;

use super::{node::Setup, rotate, until, until_free, until_rewrapped};

/// What happens to a page.
#[derive(Clone, Copy, Debug)]
enum Harm {
    BitFlipped,
    Missing,
    PutBack,
}

pub async fn what_is_not_in_a_damaged_page_works(backend: Backend) {
    for harm in [Harm::BitFlipped, Harm::Missing, Harm::PutBack] {
        harmed(backend, harm).await;
    }
}

async fn harmed(backend: Backend, harm: Harm) {
    let mut wallet = Wallet::serve(backend).await;
    // Each start draws from pages of its own.
    put(&wallet.node, "first").await;
    restart(&mut wallet).await;
    put(&wallet.node, "second").await;
    wallet.node.stop().await.unwrap();
    let (page, before) = {
        let setup = setup(&wallet).await;
        let page = page_of(&setup, "first").await;
        let stored = setup.keys.read(Slot::Page(page)).await.unwrap().unwrap();
        (page, stored.bytes)
    };
    restart(&mut wallet).await;
    rotate(&wallet.node).await;
    until_rewrapped(&wallet.node).await;
    wallet.node.stop().await.unwrap();
    {
        let setup = setup(&wallet).await;
        let slot = Slot::Page(page);
        let now = setup.keys.read(slot).await.unwrap().unwrap();
        match harm {
            Harm::Missing => setup.keys.remove(slot).await.unwrap(),
            Harm::PutBack => replace(&*setup.keys, slot, now.revision, before).await,
            Harm::BitFlipped => {
                let mut bytes = now.bytes.to_vec();
                *bytes.last_mut().unwrap() ^= 1;
                replace(&*setup.keys, slot, now.revision, bytes.into()).await;
            }
        }
    }
    // Before a node looks at it, and writes a page that was put back as it should be.
    let verified = wallet.replay(&["verify"]).await.unwrap();
    let named = verified.stdout.contains(&page.to_string());
    assert!(verified.code != 0 && named, "{harm:?}: {}", verified.stdout);
    if let Harm::PutBack = harm {
        // Where the log says that the page came under the version that it is not under.
        let listed = ["log", "--json", "--kind", "KeysRewrapped"];
        let listed = wallet.replay(&listed).await.unwrap().success().unwrap();
        let rewrapped = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let mut places = listed
            .stdout
            .lines()
            .map(|line| rewrapped(line)["sequence"].clone());
        let told = |seq| format!("sequence {seq}: key page {page} is under KEK version 1");
        let is_told = places.any(|seq| verified.stdout.contains(&told(seq)));
        assert!(is_told, "{}", verified.stdout);
    }
    restart(&mut wallet).await;
    let node = &wallet.node;
    let (first, second) = (get(node, "first").await, get(node, "second").await);
    assert_eq!(second.0, 200, "{harm:?}: {}", second.1);
    put(node, "third").await;
    assert_eq!(get(node, "third").await.0, 200);
    let told = match harm {
        Harm::BitFlipped => (500, "the key of this secret does not open"),
        Harm::Missing => (500, "the key of this secret is not in the key store"),
        // The KEK version of then is still there: nothing is lost.
        Harm::PutBack => (200, "first-value"),
    };
    assert_eq!(first.0, told.0, "{harm:?}: {}", first.1);
    assert!(first.1.contains(told.1), "{harm:?}: {}", first.1);
    // A view that is built anew knows all but the names that are in it.
    wallet.node.stop().await.unwrap();
    wallet.delete_view();
    restart(&mut wallet).await;
    let node = &wallet.node;
    assert_eq!(get(node, "first").await.0, told.0, "{harm:?}");
    for path in ["second", "third"] {
        assert_eq!(get(node, path).await.0, 200, "{harm:?}");
    }
    // What was exposed is sealed anew wherever that can be done.
    let compromised = json!({ "compromised": true });
    let rotated = node.root("POST", super::ROTATE, compromised).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text());
    until(node, "the others are held up", |status| {
        super::version(status, 3)["used"].as_u64().unwrap() >= 4
    })
    .await;
}

/// Whatever stands in the place of a page: the others come under the new KEK version.
pub async fn a_page_that_is_none_holds_no_other_up(backend: Backend) {
    let mut wallet = Wallet::serve(backend).await;
    put(&wallet.node, "first").await;
    restart(&mut wallet).await;
    put(&wallet.node, "second").await;
    wallet.node.stop().await.unwrap();
    {
        let setup = setup(&wallet).await;
        let slot = Slot::Page(page_of(&setup, "first").await);
        let now = setup.keys.read(slot).await.unwrap().unwrap();
        replace(
            &*setup.keys,
            slot,
            now.revision,
            Bytes::from_static(b"none"),
        )
        .await;
    }
    restart(&mut wallet).await;
    rotate(&wallet.node).await;
    // A payload and names.
    until(&wallet.node, "the second is held up", |status| {
        super::version(status, 2)["live"].as_u64().unwrap() >= 2
    })
    .await;
    assert_eq!(get(&wallet.node, "second").await.0, 200);
    assert_eq!(get(&wallet.node, "first").await.0, 500);
}

/// Starts the node again, once nothing else has its folder open.
async fn restart(wallet: &mut Wallet) {
    if wallet.node.pid().is_some() {
        wallet.node.stop().await.unwrap();
    }
    if wallet.nats.is_none() {
        until_free(wallet.node.data_dir()).await;
    }
    wallet.node.restart().await.unwrap();
}

/// What nodes in this process are made of, with their log and keys in a folder, or on a server.
pub async fn setup_on(backend: Backend, folder: &TempDir) -> (Setup, Option<NatsServer>) {
    let (data, key) = (folder.path().join("data"), folder.path().join("key"));
    match backend {
        Backend::Embedded => (Setup::embedded(&data, &key), None),
        Backend::JetStream => {
            let nats = NatsServer::start();
            (Setup::jetstream(&nats.url(), &key).await, Some(nats))
        }
    }
}

async fn setup(wallet: &Wallet) -> Setup {
    let (data, key) = (wallet.node.data_dir(), wallet.node.key_file());
    match &wallet.nats {
        None => {
            until_free(data).await;
            Setup::embedded(data, key)
        }
        Some(nats) => Setup::jetstream(&nats.url(), key).await,
    }
}

async fn page_of(setup: &Setup, path: &str) -> PageId {
    let inside = setup.start().await;
    let mount = inside.mount("secret/");
    let id = inside.custody.keys().id.record(mount, path);
    let stored = inside.keychain.view().stored_record(&id).unwrap().unwrap();
    stored.record.versions[0].key.page
}

async fn replace(keys: &dyn KeyStore, slot: Slot, expected: Revision, bytes: Bytes) {
    keys.write(slot, expected, bytes).await.unwrap();
    keys.erase_older(slot).await.unwrap();
}

async fn put(node: &Billfold, path: &str) {
    let body = json!({ "data": { "value": format!("{path}-value") } });
    let reply = node
        .root("POST", &format!("/v1/secret/data/{path}"), body)
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

async fn get(node: &Billfold, path: &str) -> (u16, String) {
    let reply = node
        .root("GET", &format!("/v1/secret/data/{path}"), ())
        .await;
    (reply.status, reply.text())
}
