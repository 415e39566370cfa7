//! DEKs made and stored ahead, so that a write costs one append and nothing else.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use billfold_core::{
    decide::{Drawn, Supply},
    keys::{
        keyring::KekVersion,
        page::{KeyRef, Page, SLOTS},
    },
};
use tokio::sync::Notify;

use crate::{clock::Clock, custody::Custody};

/// How many pages are kept ready at first, and at most when writers keep running dry.
const READY: usize = 2;
const READY_AT_MOST: usize = 16;

/// How long to wait after the key store refused a page.
const PAUSE: Duration = Duration::from_millis(200);

/// The DEKs that this process draws from.
#[derive(Debug)]
pub struct Pool {
    custody: Arc<Custody>,
    clock: Arc<dyn Clock>,
    shelf: Mutex<Shelf>,
    drawn: Notify,
    filled: Notify,
}

#[derive(Debug)]
struct Shelf {
    pages: VecDeque<(Arc<Page>, usize)>,
    wanted: usize,
}

impl Shelf {
    /// Drops what was made before a rotation: it is not drawn from any more.
    fn keep_under(&mut self, kek: KekVersion) {
        self.pages.retain(|(page, _)| page.kek == kek);
    }

    fn keys(&self) -> usize {
        self.pages.iter().map(|(_, next)| SLOTS - next).sum()
    }
}

impl Pool {
    /// A pool with nothing in it; [`Pool::run`] fills it.
    #[must_use]
    pub fn new(custody: Arc<Custody>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            custody,
            clock,
            shelf: Mutex::new(Shelf {
                pages: VecDeque::new(),
                wanted: READY,
            }),
            drawn: Notify::new(),
            filled: Notify::new(),
        })
    }

    /// Keeps the pool filled, for ever.
    pub async fn run(self: Arc<Self>) {
        loop {
            let current = self.custody.current_kek();
            let missing = self.missing();
            if missing == 0 {
                tokio::select! {
                    () = self.drawn.notified() => {}
                    () = self.custody.rotated(current) => {}
                }
                continue;
            }
            let pages = (0..missing).map(|_| self.custody.make_page(self.clock.now()));
            let mut refused = false;
            for made in futures::future::join_all(pages).await {
                match made {
                    Ok(page) => self.shelf().pages.push_back((page, 0)),
                    Err(error) => {
                        tracing::warn!(%error, "a key page could not be stored");
                        refused = true;
                    }
                }
            }
            self.filled.notify_waiters();
            if refused {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Waits until there is a key to draw.
    pub async fn wait(&self) {
        loop {
            let filled = self.filled.notified();
            if self.shelf().keys() > 0 {
                return;
            }
            self.drawn.notify_one();
            filled.await;
        }
    }

    /// The pages that it draws from.
    #[must_use]
    pub fn pages(&self) -> Vec<billfold_core::id::PageId> {
        self.shelf().pages.iter().map(|(page, _)| page.id).collect()
    }

    /// How many keys are ready.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.shelf().keys()
    }

    fn missing(&self) -> usize {
        let mut shelf = self.shelf();
        shelf.keep_under(self.custody.current_kek());
        let whole = shelf.keys().div_ceil(SLOTS);
        // Refilled from the half: pages are then made a few at a time, side by side.
        if whole > shelf.wanted / 2 {
            0
        } else {
            shelf.wanted - whole
        }
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Draws from a pool, as `decide` wants it.
#[derive(Debug)]
pub struct Drawing<'a>(pub &'a Pool);

impl Supply for Drawing<'_> {
    fn draw(&mut self) -> Option<Drawn> {
        let current = self.0.custody.current_kek();
        let mut shelf = self.0.shelf();
        shelf.keep_under(current);
        let drawn = loop {
            let Some((page, next)) = shelf.pages.front_mut() else {
                break None;
            };
            let (slot, page_id, kek) = (u8::try_from(*next).ok(), page.id, page.kek);
            *next += 1;
            match slot.and_then(|slot| Some((slot, page.key(slot)?))) {
                Some((slot, dek)) => {
                    let key = KeyRef {
                        page: page_id,
                        slot,
                    };
                    break Some(Drawn { key, dek, kek });
                }
                None => drop(shelf.pages.pop_front()),
            }
        };
        if drawn.is_none() {
            shelf.wanted = (shelf.wanted * 2).min(READY_AT_MOST);
        }
        if shelf.keys() <= SLOTS * shelf.wanted / 2 {
            self.0.drawn.notify_one();
        }
        drawn
    }
}
