//! A wallet that is served by a process, and looked at from outside with its own key file.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use billfold_core::{
    event::Event,
    id::{PageId, ProcessId, RecordId, Seq},
    keys::page::{KeyRef, Slots},
    state::{Digest, Key, Memory, PageUse, Source as _, Value},
};
use billfold_projector::chain::Opened;
use billfold_streams::{embedded::Embedded, keys::Slot};
use billfold_tests::{
    billfold::{Billfold, Builder},
    nats::NatsServer,
};
use tempfile::TempDir;
use tokio::time::sleep;

use super::{
    folding,
    node::{PATIENCE, Setup},
};

/// Where a wallet is, whoever serves it.
pub struct Wallet {
    pub builder: Builder,
    nats: Option<NatsServer>,
    data: PathBuf,
    key_file: PathBuf,
    _dir: TempDir,
}

impl Wallet {
    pub async fn new(on_nats: bool) -> Self {
        let dir = TempDir::new().unwrap();
        let (data, key_file) = (dir.path().join("data"), dir.path().join("wallet.key"));
        let nats = on_nats.then(NatsServer::start);
        let mut builder = Billfold::serve().data_dir(&data).key_file(&key_file);
        if let Some(nats) = &nats {
            builder = builder.nats(nats.url());
        }
        builder.init().await.unwrap().success().unwrap();
        Self {
            builder,
            nats,
            data,
            key_file,
            _dir: dir,
        }
    }

    /// To work on it while no process serves it.
    pub async fn setup(&self) -> Setup {
        match &self.nats {
            Some(nats) => Setup::jetstream(&nats.url(), &self.key_file).await,
            None => {
                self.until_free().await;
                Setup::embedded(&self.data, &self.key_file)
            }
        }
    }

    /// Waits until nobody owns the files: whoever was killed a moment ago may not be gone altogether,
    /// nor what this process had open.
    async fn until_free(&self) {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = Embedded::open(&self.data) {
            assert!(Instant::now() < deadline, "{error}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// To look at it while a process serves it.
    async fn beside(&self) -> Setup {
        match &self.nats {
            Some(_) => self.setup().await,
            None => Setup::embedded_reader(&self.data, &self.key_file),
        }
    }

    /// Closes and sweeps what earlier processes left, and leaves nothing open itself.
    pub async fn tidy(&self) {
        self.sweep_once().await;
        if self.nats.is_none() {
            self.until_free().await;
        }
    }

    async fn sweep_once(&self) {
        let mut setup = self.setup().await;
        setup.fills = false;
        let node = setup.start().await;
        let sweeping = node.sweep();
        let deadline = Instant::now() + PATIENCE;
        while let Err(why) = Inside::of(&setup).await.finished(0) {
            assert!(Instant::now() < deadline, "{why}");
            sleep(Duration::from_millis(20)).await;
        }
        sweeping.abort();
        let _ = sweeping.await;
    }

    /// Waits until a running process has done all there is to do, and tells what is there then.
    pub async fn until_finished(&self) -> Inside {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let inside = Inside::of(&self.beside().await).await;
            match inside.finished(1) {
                Ok(()) => return inside,
                Err(why) => assert!(Instant::now() < deadline, "{why}"),
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A page of the key store, and what the fold says of it.
#[derive(Debug)]
pub struct StoredPage {
    pub owner: ProcessId,
    pub slots: Slots,
    pub writings: usize,
    pub using: PageUse,
}

/// All that a wallet holds, as its log and its key store show it.
pub struct Inside {
    pub decided: Vec<Opened>,
    pub state: Memory,
    pub pages: BTreeMap<PageId, StoredPage>,
}

impl Inside {
    pub async fn of(setup: &Setup) -> Self {
        let custody = setup.custody().await;
        // The key store first: what the log says later can only be more.
        let mut stored = Vec::new();
        for id in setup.keys.pages().await.unwrap() {
            let Some((page, _)) = custody.fetch(id).await.unwrap() else {
                // Its last key was destroyed since it was listed.
                continue;
            };
            let writings = setup.keys.writings(Slot::Page(id)).await.unwrap();
            stored.push((id, page, writings));
        }
        let messages = folding::everything(&setup.log).await;
        let decided = folding::decided(&custody, &messages);
        let (state, _) = folding::in_memory(&decided);
        let pages = stored.into_iter().map(|(id, page, writings)| {
            let using = match state.get(&Key::Page(id)) {
                Ok(Some(Value::Page(using))) => using,
                _ => PageUse::default(),
            };
            let page = StoredPage {
                owner: page.owner,
                slots: page.slots(),
                writings,
                using,
            };
            (id, page)
        });
        Self {
            pages: pages.collect(),
            decided,
            state,
        }
    }

    /// Whether nothing is left to be done while at most so many processes run, or what is.
    pub fn finished(&self, running: usize) -> Result<(), String> {
        let mut owners = BTreeSet::new();
        for (id, page) in &self.pages {
            let StoredPage {
                owner,
                slots,
                writings,
                using,
            } = page;
            if !using.closed {
                owners.insert(*owner);
            }
            if let Some(slot) = slots.iter().find(|slot| !using.keeps(*slot)) {
                return Err(format!("page {id} holds key {slot}, which it should not"));
            }
            if *writings != 1 {
                return Err(format!("page {id} has {writings} writings"));
            }
            if !using.dying.is_empty() {
                return Err(format!("page {id} has unconfirmed keys {:?}", using.dying));
            }
        }
        if owners.len() > running {
            return Err(format!("pages of {} processes are open", owners.len()));
        }
        Ok(())
    }

    /// Nothing that should be readable is not, whatever else is still to be done.
    pub fn assert_whole(&self) {
        for (key, value) in self.state.entries() {
            let (Key::Page(id), Value::Page(using)) = (key, value) else {
                continue;
            };
            let stored = self.pages.get(id);
            for slot in using.live.iter() {
                let held = stored.is_some_and(|page| page.slots.has(slot));
                assert!(held, "page {id} lost key {slot}, which is in use");
            }
        }
    }

    /// Whether the key store holds a key.
    pub fn holds(&self, key: KeyRef) -> bool {
        let page = self.pages.get(&key.page);
        page.is_some_and(|page| page.slots.has(key.slot))
    }

    /// The keys that events say are destroyed.
    pub fn destroyed(&self) -> Vec<KeyRef> {
        let events = self.decided.iter().flat_map(|commit| &commit.entries);
        let destroyed = events.filter_map(|entry| match &entry.fact.event {
            Event::KeysDestroyed(event) => Some(event.keys.clone()),
            _ => None,
        });
        destroyed.flatten().collect()
    }

    /// The key of a version's payload, once it was written.
    pub fn key_of(&self, record: RecordId, version: u32) -> Option<KeyRef> {
        let events = self.decided.iter().flat_map(|commit| &commit.entries);
        let mut written = events.filter_map(|entry| match &entry.fact.event {
            Event::CredentialWritten(event) => Some(event),
            _ => None,
        });
        let found = written.find(|event| event.record == record && event.version == version);
        found.map(|event| event.payload.key)
    }

    /// The fold's digest at a sequence, made anew from the log as it is now.
    pub fn digest_at(&self, seq: u64) -> Digest {
        let until = self
            .decided
            .partition_point(|commit| commit.seq <= Seq(seq));
        folding::in_memory(&self.decided[..until]).1
    }
}
