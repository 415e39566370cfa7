//! Rewrapping and unsealing a wallet of many keys, and what readers notice of it.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use billfold::{
    config::Settings,
    node::{self, Backend, Node},
    seal::NewShares,
    wallet::Wallet,
};
use billfold_core::state::key_status::KeyStatus;
use billfold_streams::{
    clock::{Clock as _, System},
    custody::Custody,
    entropy::Os,
    sweeper::Ledger as _,
};
use billfold_tests::{bench::Rate, tools};

use super::{
    load::{Silent, TOKEN, caller, reads, settings, writes},
    rebuild::{Filling, fill},
};

/// How many readers there are meanwhile.
pub(crate) const READERS: usize = 8;
/// How many pages are rewrapped in a second where that is bounded: as a node does without being told.
const PACE: u32 = 50;

/// What was measured.
pub(crate) struct Measured {
    pub(crate) keys: u64,
    pub(crate) secrets: u64,
    pub(crate) pages: u64,
    pub(crate) rewrapped: Duration,
    pub(crate) pace: u32,
    pub(crate) throttled: Duration,
    pub(crate) before: Rate,
    pub(crate) meanwhile: Rate,
    pub(crate) unsealed: Duration,
    /// Opening a view of nothing takes so long.
    pub(crate) unsealed_empty: Duration,
}

pub(crate) async fn measure(url: &str, secrets: u64, time: Duration) -> Measured {
    let dir = tempfile::tempdir().unwrap();
    let unbounded = Settings {
        rewrap_pages_per_second: 0,
        ..settings(dir.path(), Some(url))
    };
    let backend = Backend::open(&unbounded, true).await.unwrap();
    let shares = NewShares::Recovery(None);
    node::create(&unbounded, &backend, TOKEN, shares, Box::new(Silent))
        .await
        .unwrap();
    let (unsealed_empty, started) = start(&unbounded, &backend).await;
    started.stop().await;
    fill_with(url, &backend, dir.path(), secrets).await;

    // The first start builds the view, and sweeps what the filler left.
    let (_, started) = start(&unbounded, &backend).await;
    until_swept(&started).await;
    started.stop().await;
    let (unsealed, started) = start(&unbounded, &backend).await;
    let KeyCount { keys, pages } = count(&started);
    let rewrapped = rotate(started.wallet()).await;
    started.stop().await;

    let bounded = Settings {
        rewrap_pages_per_second: PACE,
        ..unbounded
    };
    let (_, started) = start(&bounded, &backend).await;
    let wallet = Arc::clone(started.wallet());
    let (mount, _) = wallet.mount_of("secret/x").await.unwrap().unwrap();
    writes(&wallet, &mount, READERS, Duration::from_secs(1)).await;
    let before = reads(&wallet, &mount, READERS, time).await;
    let rewrapping = {
        let wallet = Arc::clone(&wallet);
        tokio::spawn(async move { rotate(&wallet).await })
    };
    let meanwhile = reads(&wallet, &mount, READERS, time).await;
    let throttled = rewrapping.await.unwrap();
    drop(wallet);
    started.stop().await;
    Measured {
        keys,
        secrets,
        pages,
        rewrapped,
        pace: PACE,
        throttled,
        before,
        meanwhile,
        unsealed,
        unsealed_empty,
    }
}

async fn start(settings: &Settings, backend: &Backend) -> (Duration, Node) {
    let began = Instant::now();
    let started = Node::open(settings, backend, Box::new(Silent)).await;
    (began.elapsed(), started.unwrap())
}

/// Each secret once: a key for what it says, and one for its names.
async fn fill_with(url: &str, backend: &Backend, dir: &Path, secrets: u64) {
    let key = settings(dir, Some(url)).dev_key();
    let manager = billfold_upstreams::DevFile::open(&key, false, &mut Os::new()).unwrap();
    let process = billfold_core::id::ProcessId::from_bytes(tools::random());
    let custody = Custody::open(backend.keys(), &manager, process);
    let filling = Filling {
        events: secrets,
        singles: 0,
        secrets,
        // The node that writes after this must not find the log ahead of its clock.
        from: System.now(),
    };
    fill(url, backend, &custody.await.unwrap(), filling).await;
    eprintln!("the wallet has {secrets} secrets");
}

/// Waits until every page that the filler left is closed, and nothing in them is unused.
async fn until_swept(node: &Node) {
    let keychain = node.keychain();
    let store = keychain.custody().store();
    loop {
        let mut open = 0;
        for page in store.pages().await.unwrap() {
            open += usize::from(!keychain.page(&page).unwrap().closed);
        }
        // Its own pool stays open.
        if open <= 4 {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

struct KeyCount {
    keys: u64,
    pages: u64,
}

fn count(node: &Node) -> KeyCount {
    let wallet = node.keychain().view().wallet().unwrap().unwrap();
    KeyCount {
        keys: wallet.keks.iter().map(|kek| kek.live).sum(),
        pages: wallet.keks.iter().map(|kek| kek.pages).sum(),
    }
}

/// Rotates, and waits until no key is under an older version.
async fn rotate(wallet: &Wallet) -> Duration {
    let began = Instant::now();
    let path = "sys/rotate/keyring";
    wallet
        .rotate_kek(&caller(wallet), path, false)
        .await
        .unwrap();
    loop {
        let found = wallet.keychain().view().wallet().unwrap().unwrap();
        if KeyStatus::of(&found).rewrap.keys == 0 {
            return began.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
