//! Whether the key store holds the keys that the fold holds live, and none that the log destroyed.
//!
//! Each key is tried when the event comes by that begins to use it, with the ciphertext at hand. A
//! key that fails then may be given up later in the log, so failures gather as two bits a key, and
//! only those that the fold still holds live at the end count. Another reading of the log then says
//! where they belong; a healthy wallet never needs it.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use billfold_core::{
    event::Event,
    id::{PageId, Seq},
    keys::page::{KeyRef, Page, Slots},
    names::request_names_place,
};
use billfold_projector::chain::Opened;
use billfold_streams::{
    custody::{self, Custody},
    keys::Slot,
};

use super::Findings;

use crate::{
    Check, Error, Finding, Source, Walk,
    uses::{Use, given_up, used},
    walk::Reader,
};

/// How many pages are kept open: keys are drawn page by page, from a few pages of each process.
const OPEN_PAGES: usize = 64;

/// What became of trying the keys of a page.
#[derive(Debug, Default, Clone, Copy)]
struct Failed {
    missing: Slots,
    unopened: Slots,
}

impl Failed {
    fn forgive(&mut self, slot: u8) {
        self.missing.remove(slot);
        self.unopened.remove(slot);
    }
}

#[derive(Debug)]
enum Held {
    Page(Arc<Page>),
    Nothing,
    Damaged,
}

/// The check of the keys, while the log goes by.
#[derive(Debug)]
pub(super) struct Keys {
    custody: Arc<Custody>,
    open: VecDeque<(PageId, Held)>,
    failed: HashMap<PageId, Failed>,
    /// Pages that do not open at all.
    damaged: Vec<PageId>,
    /// Where the log says that each page came under its KEK version, if it was rewrapped.
    rewrapped: HashMap<PageId, Seq>,
}

impl Keys {
    pub(super) fn new(custody: Arc<Custody>) -> Self {
        Self {
            custody,
            open: VecDeque::new(),
            failed: HashMap::new(),
            damaged: Vec::new(),
            rewrapped: HashMap::new(),
        }
    }

    /// Opens the pages that a commit needs, so that it is known which does not open if the fold
    /// stumbles over it.
    pub(super) async fn look(&mut self, opened: &Opened) -> Result<(), Error> {
        for used in opened.entries.iter().flat_map(used) {
            self.page(used.key.page).await?;
        }
        Ok(())
    }

    /// Tries the keys that a commit begins to use; it was folded already.
    pub(super) async fn check(
        &mut self,
        walk: &Walk,
        opened: &Opened,
        findings: &mut Findings,
    ) -> Result<(), Error> {
        let keys = self.custody.keys();
        for entry in &opened.entries {
            if let Event::KeysRewrapped(event) = &entry.fact.event {
                let pages = event.pages.iter();
                self.rewrapped.extend(pages.map(|page| (*page, opened.seq)));
            }
            for used in used(entry) {
                self.try_key(walk, &used).await?;
            }
            if let (Event::ResolutionRequested(asked), Some(sealed)) =
                (&entry.fact.event, &entry.names)
            {
                let opens = opened.header.fact_keys.iter().any(|id| {
                    let place = request_names_place(self.custody.wallet(), *id, asked.request);
                    let epoch = keys.epoch(id);
                    epoch.is_some_and(|epoch| epoch.request_names.open(&place, sealed).is_ok())
                });
                if !opens {
                    let what = format!("what request {} named does not open", asked.request);
                    findings.push(Finding::new(Check::Key, opened.seq, what));
                }
            }
        }
        Ok(())
    }

    async fn try_key(&mut self, walk: &Walk, used: &Use) -> Result<(), Error> {
        let KeyRef { page, slot } = used.key;
        let place = used
            .owner
            .place(used.key, self.custody.wallet(), walk.state())?;
        let Some((content, place)) = place else {
            return Ok(());
        };
        let dek = match self.page(page).await? {
            Held::Page(page) => page.key(slot),
            Held::Nothing | Held::Damaged => None,
        };
        match dek.map(|dek| dek.open(content, &place, &used.sealed)) {
            Some(Ok(_)) => {}
            Some(Err(_)) => self.failed.entry(page).or_default().unopened.insert(slot),
            None => self.failed.entry(page).or_default().missing.insert(slot),
        }
        Ok(())
    }

    async fn page(&mut self, id: PageId) -> Result<&Held, Error> {
        let at = self.open.iter().position(|(open, _)| *open == id);
        let entry = match at.and_then(|at| self.open.remove(at)) {
            Some(entry) => entry,
            None => (id, self.fetch(id).await?),
        };
        self.open.truncate(OPEN_PAGES - 1);
        self.open.push_front(entry);
        Ok(self.open.front().map_or(&Held::Nothing, |(_, held)| held))
    }

    async fn fetch(&mut self, id: PageId) -> Result<Held, Error> {
        match self.custody.fetch(id).await {
            Ok(Some((page, _))) => Ok(Held::Page(page)),
            Ok(None) => Ok(Held::Nothing),
            Err(custody::Error::Keys(_)) => {
                if !self.damaged.contains(&id) {
                    self.damaged.push(id);
                }
                Ok(Held::Damaged)
            }
            Err(other) => Err(other.into()),
        }
    }

    /// What is wrong with the keys, now that the whole log went by and the temporary view is there.
    pub(super) async fn finish(
        mut self,
        source: &Source,
        walk: &mut Walk,
        findings: &mut Findings,
    ) -> Result<usize, Error> {
        let mut suspects = HashMap::new();
        for (page, failed) in std::mem::take(&mut self.failed) {
            let live = walk.state().page(&page)?.live;
            let mut left = failed;
            for slot in (0..=u8::MAX).filter(|slot| !live.has(*slot)) {
                left.forgive(slot);
            }
            if !(left.missing.is_empty() && left.unopened.is_empty()) {
                suspects.insert(page, left);
            }
        }
        if !suspects.is_empty() {
            forgive_later(source, walk, &mut suspects).await?;
        }
        let (undead, unswept) = self.undead(walk).await?;
        self.put_back(walk, findings).await?;
        locate(source, walk.last(), &suspects, &undead, findings).await?;
        findings.extend(self.damaged());
        Ok(unswept)
    }

    /// The pages that do not open, as far as they were needed.
    pub(super) fn damaged(&self) -> impl Iterator<Item = Finding> + '_ {
        let what = |page| format!("key page {page} does not open");
        let pages = self.damaged.iter();
        pages.map(move |page| Finding::new(Check::Key, None, what(page)))
    }

    /// The pages that are under an older KEK version than the log says: someone put an older writing
    /// back.
    async fn put_back(&self, walk: &Walk, findings: &mut Findings) -> Result<(), Error> {
        for page in walk.view().pages() {
            let (id, using) = page?;
            if !using.counts() {
                continue;
            }
            let Some(stored) = self.custody.store().read(Slot::Page(id)).await? else {
                continue;
            };
            // What does not open is reported elsewhere.
            let Ok(found) = Page::wrapped_under(&stored.bytes) else {
                continue;
            };
            if found < using.kek {
                let what = format!(
                    "key page {id} is under KEK version {found}, but the log says that it came \
                     under {}: an older writing was put back",
                    using.kek
                );
                let at = self.rewrapped.get(&id).copied();
                findings.push(Finding::new(Check::Key, at, what));
            }
        }
        Ok(())
    }

    /// The keys that the log destroyed and the key store still has; and how many pages have older
    /// writings that are still to be removed.
    async fn undead(&self, walk: &Walk) -> Result<(HashMap<PageId, Slots>, usize), Error> {
        let (mut undead, mut unswept) = (HashMap::new(), 0);
        for page in walk.view().pages() {
            let (id, using) = page?;
            if using.gone.is_empty() {
                continue;
            }
            let there = match self.custody.fetch(id).await {
                Ok(Some((page, _))) => page.slots(),
                // A page that does not open was reported if it holds a live key.
                Ok(None) | Err(custody::Error::Keys(_)) => Slots::default(),
                Err(other) => return Err(other.into()),
            };
            let back: Slots = using.gone.iter().filter(|slot| there.has(*slot)).collect();
            if !back.is_empty() {
                undead.insert(id, back);
            }
            if self.custody.store().writings(Slot::Page(id)).await? > 1 {
                unswept += 1;
            }
        }
        Ok((undead, unswept))
    }
}

/// Beside a running wallet a key may have been given up and destroyed after the place where the
/// walk ended. Its event came before that: it is in the log by now.
async fn forgive_later(
    source: &Source,
    walk: &mut Walk,
    suspects: &mut HashMap<PageId, Failed>,
) -> Result<(), Error> {
    walk.extend(source.head().await?);
    while let Some(opened) = walk.next().await? {
        for entry in &opened.entries {
            for key in given_up(&entry.fact.event, walk.state())? {
                if let Some(failed) = suspects.get_mut(&key.page) {
                    failed.forgive(key.slot);
                }
            }
        }
    }
    Ok(())
}

/// Reads the log once more for the places of what is wrong.
async fn locate(
    source: &Source,
    end: Seq,
    suspects: &HashMap<PageId, Failed>,
    undead: &HashMap<PageId, Slots>,
    findings: &mut Findings,
) -> Result<(), Error> {
    let left = |failed: &Failed| failed.missing.len() + failed.unopened.len();
    let mut left =
        suspects.values().map(left).sum::<usize>() + undead.values().map(Slots::len).sum::<usize>();
    let mut reader = Reader::start(source).await?;
    let mut at = Seq::ZERO;
    while left > 0 && at < end {
        let opened = reader.next().await??;
        at = opened.seq;
        for entry in &opened.entries {
            let mut found = Vec::new();
            for used in used(entry) {
                if let Some(failed) = suspects.get(&used.key.page) {
                    found.extend(lost(at, &used, failed));
                }
            }
            if let Event::KeysDestroyed(event) = &entry.fact.event {
                let is_back = |key: &&KeyRef| {
                    let slots = undead.get(&key.page);
                    slots.is_some_and(|slots| slots.has(key.slot))
                };
                found.extend(event.keys.iter().filter(is_back).map(|key| {
                    let what = format!("key {key} was destroyed here, but the key store has it");
                    Finding::new(Check::Erasure, at, what)
                }));
            }
            left = left.saturating_sub(found.len());
            findings.extend(found);
        }
    }
    Ok(())
}

fn lost(at: Seq, used: &Use, failed: &Failed) -> Option<Finding> {
    let Use { key, owner, .. } = used;
    let what = if failed.missing.has(key.slot) {
        format!("{owner} cannot be read: its key {key} is live, but the key store does not have it")
    } else if failed.unopened.has(key.slot) {
        format!("{owner} does not open with its key {key}")
    } else {
        return None;
    };
    Some(Finding::new(Check::Key, at, what))
}
