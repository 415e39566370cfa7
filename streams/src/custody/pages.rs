//! The pages that are open on a node: so many, and wiped as soon as they are let go.
//!
//! Caches at hand free what they drop when it suits them. Here a page that is forgotten, pushed out
//! or left behind when the wallet is sealed is freed at once.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use billfold_core::{id::PageId, keys::page::Page};

/// How many parts there are, each with a lock of its own.
const PARTS: usize = 16;
/// How many pages a part keeps: 8 KiB each.
const PER_PART: usize = 256;

/// Open pages, the least recently used leaving first.
#[derive(Default)]
pub(super) struct Pages {
    parts: [RwLock<HashMap<PageId, Held>>; PARTS],
    clock: AtomicU64,
}

struct Held {
    page: Arc<Page>,
    used: AtomicU64,
}

impl Pages {
    pub(super) fn get(&self, id: &PageId) -> Option<Arc<Page>> {
        let part = self.part(id).read().unwrap_or_else(PoisonError::into_inner);
        let held = part.get(id)?;
        held.used.store(self.tick(), Ordering::Relaxed);
        Some(Arc::clone(&held.page))
    }

    pub(super) fn insert(&self, id: PageId, page: Arc<Page>) {
        let used = AtomicU64::new(self.tick());
        let mut part = self
            .part(&id)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if part.len() >= PER_PART && !part.contains_key(&id) {
            let oldest = part
                .iter()
                .min_by_key(|(_, held)| held.used.load(Ordering::Relaxed));
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                part.remove(&oldest);
            }
        }
        part.insert(id, Held { page, used });
    }

    pub(super) fn forget(&self, id: &PageId) {
        self.part(id)
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
    }

    pub(super) fn count(&self) -> usize {
        let part = |part: &RwLock<HashMap<_, _>>| {
            part.read().unwrap_or_else(PoisonError::into_inner).len()
        };
        self.parts.iter().map(part).sum()
    }

    #[allow(
        clippy::indexing_slicing,
        reason = "an id has sixteen bytes, and the rest of a division by PARTS is less than PARTS"
    )]
    fn part(&self, id: &PageId) -> &RwLock<HashMap<PageId, Held>> {
        // Page ids are random.
        &self.parts[usize::from(id.as_bytes()[0]) % PARTS]
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use billfold_core::{Millis, id::ProcessId, test_entropy::Counter};

    use super::*;

    fn page(number: u16) -> (PageId, Arc<Page>) {
        let mut bytes = [0; 16];
        bytes[14..].copy_from_slice(&number.to_be_bytes());
        let id = PageId::from_bytes(bytes);
        let owner = ProcessId::from_bytes([1; 16]);
        let page = Page::generate(id, owner, Millis(0), 1, &mut Counter::new(1));
        (id, Arc::new(page))
    }

    #[test]
    fn what_leaves_is_freed_at_once() {
        let pages = Pages::default();
        let (first, page_of_first) = page(0);
        let weak = Arc::downgrade(&page_of_first);
        pages.insert(first, page_of_first);
        pages.forget(&first);
        assert!(weak.upgrade().is_none() && pages.get(&first).is_none());
        let (second, page_of_second) = page(1);
        let weak = Arc::downgrade(&page_of_second);
        pages.insert(second, page_of_second);
        drop(pages);
        assert!(weak.upgrade().is_none());
    }

    #[test]
    fn the_least_recently_used_page_leaves_first() {
        let pages = Pages::default();
        let (first, page_of_first) = page(0);
        pages.insert(first, page_of_first);
        for number in 1..=255 {
            let (id, page) = page(number);
            pages.insert(id, page);
            assert!(pages.get(&first).is_some());
        }
        assert_eq!(pages.count(), 256);
        let (next, page_of_next) = page(256);
        pages.insert(next, page_of_next);
        assert_eq!(pages.count(), 256);
        assert!(pages.get(&first).is_some() && pages.get(&next).is_some());
        assert!(pages.get(&page(1).0).is_none());
    }
}
