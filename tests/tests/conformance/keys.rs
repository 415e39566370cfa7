//! The key store.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use billfold_streams::keys::{Error, Revision, Slot};

use crate::fixture::{Fixture, OnNats, page, unique, within};

pub async fn a_slot_is_written_by_who_saw_its_last_writing<F: Fixture>() {
    let fixture = F::new().await;
    let keys = fixture.keys();
    for slot in [Slot::Keyring, Slot::Wallet, Slot::Page(page())] {
        assert_eq!(keys.read(slot).await.unwrap(), None);
        let (one, two) = (unique(300), unique(300));
        let first = keys.write(slot, Revision::NONE, one.clone()).await.unwrap();
        assert!(first > Revision::NONE);
        let again = keys.write(slot, Revision::NONE, two.clone()).await;
        assert!(matches!(again, Err(Error::Conflict)), "{again:?}");
        assert_eq!(keys.read(slot).await.unwrap().unwrap().bytes, one);
        let second = keys.write(slot, first, two.clone()).await.unwrap();
        assert!(second > first);
        let stale = keys.write(slot, first, unique(300)).await;
        assert!(matches!(stale, Err(Error::Conflict)), "{stale:?}");
        let stored = keys.read(slot).await.unwrap().unwrap();
        assert_eq!((stored.revision, stored.bytes), (second, two));
        assert_eq!(keys.writings(slot).await.unwrap(), 2);
    }
}

pub async fn racing_writings_never_both_win<F: Fixture>() {
    let fixture = F::new().await;
    let slot = Slot::Page(page());
    let mut last = Revision::NONE;
    for _ in 0..20 {
        let mut racers = tokio::task::JoinSet::new();
        for _ in 0..3 {
            let keys = fixture.another().await.1;
            racers.spawn(async move {
                let bytes = unique(100);
                (keys.write(slot, last, bytes.clone()).await, bytes)
            });
        }
        let mut winner = None;
        for (result, bytes) in within(racers.join_all()).await {
            match result {
                Ok(revision) => assert!(winner.replace((revision, bytes)).is_none()),
                Err(Error::Conflict) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        let (revision, bytes) = winner.expect("one wins");
        let stored = fixture.keys().read(slot).await.unwrap().unwrap();
        assert_eq!((stored.revision, stored.bytes), (revision, bytes));
        last = revision;
    }
}

pub async fn erased_writings_are_gone<F: Fixture>() {
    let mut fixture = F::new().await;
    let keys = fixture.keys();
    let (slot, other) = (Slot::Page(page()), Slot::Page(page()));
    assert_eq!(keys.erase_older(slot).await.unwrap(), 0);
    let mut last = [Revision::NONE; 2];
    let mut current = None;
    for _ in 0..5 {
        let bytes = unique(200);
        last[0] = keys.write(slot, last[0], bytes.clone()).await.unwrap();
        last[1] = keys.write(other, last[1], unique(200)).await.unwrap();
        current = Some(bytes);
    }
    assert_eq!(keys.erase_older(slot).await.unwrap(), 4);
    assert_eq!(keys.erase_older(slot).await.unwrap(), 0);
    drop(keys);
    fixture.restart(Duration::ZERO).await;
    let keys = fixture.keys();
    within(async {
        while keys.read(slot).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(keys.writings(slot).await.unwrap(), 1);
    assert_eq!(
        keys.writings(other).await.unwrap(),
        5,
        "other slots keep theirs"
    );
    let stored = keys.read(slot).await.unwrap().unwrap();
    assert_eq!((stored.revision, Some(stored.bytes)), (last[0], current));
    // The last writing's number still counts.
    let stale = keys.write(slot, Revision::NONE, unique(10)).await;
    assert!(matches!(stale, Err(Error::Conflict)), "{stale:?}");
    let next = keys.write(slot, last[0], unique(10)).await.unwrap();
    assert!(next > last[0]);
}

pub async fn pages_are_listed<F: Fixture>() {
    let fixture = F::new().await;
    let keys = fixture.keys();
    assert_eq!(keys.pages().await.unwrap(), []);
    let pages: BTreeSet<_> = (0..20).map(|_| page()).collect();
    for slot in [Slot::Keyring, Slot::Wallet] {
        keys.write(slot, Revision::NONE, unique(50)).await.unwrap();
    }
    for page in &pages {
        let first = keys
            .write(Slot::Page(*page), Revision::NONE, unique(50))
            .await
            .unwrap();
        keys.write(Slot::Page(*page), first, unique(50))
            .await
            .unwrap();
    }
    let listed = keys.pages().await.unwrap();
    assert_eq!(listed.len(), pages.len(), "each once");
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), pages);
}

pub async fn slots_outlive_a_crash<F: Fixture>() {
    let mut fixture = F::new().await;
    let mut written = Vec::new();
    for slot in [
        Slot::Keyring,
        Slot::Wallet,
        Slot::Page(page()),
        Slot::Page(page()),
    ] {
        let bytes = unique(500);
        let first = fixture
            .keys()
            .write(slot, Revision::NONE, unique(10))
            .await
            .unwrap();
        let revision = fixture
            .keys()
            .write(slot, first, bytes.clone())
            .await
            .unwrap();
        written.push((slot, revision, bytes));
    }
    fixture.restart(Duration::ZERO).await;
    let keys = fixture.keys();
    for (slot, revision, bytes) in written {
        let stored = within(async {
            loop {
                if let Ok(stored) = keys.read(slot).await {
                    break stored.unwrap();
                }
            }
        })
        .await;
        assert_eq!((stored.revision, stored.bytes), (revision, bytes));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_server_overwrites_what_is_erased() {
    let mut fixture = OnNats::new().await;
    let keys = fixture.keys();
    let slot = Slot::Page(page());
    let (old, new) = (unique(64), unique(64));
    let first = keys.write(slot, Revision::NONE, old.clone()).await.unwrap();
    keys.write(slot, first, new.clone()).await.unwrap();
    assert!(
        on_disk(fixture.server.store(), &old),
        "this test can find it"
    );
    keys.erase_older(slot).await.unwrap();
    fixture.server.stop();
    assert!(on_disk(fixture.server.store(), &new));
    assert!(
        !on_disk(fixture.server.store(), &old),
        "its bytes are still on the disk"
    );
}

fn on_disk(path: &Path, needle: &[u8]) -> bool {
    // The first 16 bytes are what makes them unique.
    let needle = &needle[..16];
    if path.is_dir() {
        return fs::read_dir(path)
            .unwrap()
            .any(|entry| on_disk(&entry.unwrap().path(), needle));
    }
    fs::read(path)
        .unwrap()
        .windows(needle.len())
        .any(|window| window == needle)
}
