//! The rewrapper: after a rotation, brings every page of the key store under the current KEK version,
//! and destroys the versions that were retired.
//!
//! It walks the whole key store, because pages that were made and never drawn from are in no event.
//! A walk changes nothing that is already right, so it is simply begun anew after a crash, and any
//! number of nodes may walk at once: each begins at another page, and what one has done the others
//! find done.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use billfold_core::{
    command::Action,
    id::PageId,
    keys::{keyring::KekVersion, page::Page},
    state::WalletKek,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::{
    sync::Mutex,
    time::{Interval, MissedTickBehavior},
};

use crate::{
    custody::Custody,
    fault_point::fault_point,
    keys::Slot,
    sweeper::{Error, Ledger, RETRY, Sweeper},
};

/// How many pages are looked at, and rewrapped, before an event says so.
const BATCH: usize = 512;

/// How many pages are looked at at once.
const AT_ONCE: usize = 32;

/// How often an event says what was rewrapped, where that is bounded.
const EVENTS_PER_SECOND: u32 = 4;

/// Brings pages under the current KEK version.
#[derive(Debug)]
pub struct Rewrapper<L> {
    sweeper: Arc<Sweeper<L>>,
    /// How many pages are looked at before an event says what was rewrapped.
    batch: usize,
    /// When the next page may be rewrapped, where that is bounded.
    turns: Option<Mutex<Interval>>,
}

/// What a walk left to be done.
#[derive(Debug, PartialEq, Eq)]
enum Walked {
    /// Nothing.
    Done,
    /// So many pages.
    Left(usize),
    /// Everything: another version is current.
    Rotated,
}

impl<L: Ledger> Rewrapper<L> {
    /// A rewrapper that rewraps so many pages in a second at most, one by one: readers would notice
    /// bursts.
    pub fn new(sweeper: Arc<Sweeper<L>>, pace: Option<NonZeroU32>) -> Self {
        let events = |pace: NonZeroU32| (pace.get() / EVENTS_PER_SECOND) as usize;
        let turns = |pace: NonZeroU32| {
            let apart = Duration::from_secs(1) / pace.get();
            let mut turns = tokio::time::interval(apart.max(Duration::from_micros(1)));
            turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
            Mutex::new(turns)
        };
        Self {
            sweeper,
            batch: pace.map_or(BATCH, |pace| events(pace).clamp(1, BATCH)),
            turns: pace.map(turns),
        }
    }

    /// Follows the rotations, for ever.
    pub async fn run(self) {
        loop {
            let current = self.custody().current_kek();
            match self.walk(current).await {
                Ok(Walked::Done) => match self.destroy_retired().await {
                    Ok(()) => self.until_due(current).await,
                    Err(error) => {
                        tracing::warn!(%error, "retired KEK versions are not destroyed yet; trying again");
                        tokio::time::sleep(RETRY).await;
                    }
                },
                Ok(Walked::Rotated) => {}
                Ok(Walked::Left(pages)) => {
                    tracing::info!(pages, "key pages are left to be rewrapped");
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "keys could not be rewrapped; trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    fn custody(&self) -> &Arc<Custody> {
        &self.sweeper.custody
    }

    /// Waits for a rotation or a retirement.
    async fn until_due(&self, current: KekVersion) {
        tokio::select! {
            () = self.custody().rotated(current) => {}
            () = self.sweeper.ledger.retired() => {}
        }
    }

    /// Rewraps what is not under the current version.
    async fn walk(&self, current: KekVersion) -> Result<Walked, Error> {
        let store = self.custody().store();
        for slot in [Slot::Keyring, Slot::Wallet] {
            if store.writings(slot).await? > 1 {
                store.erase_older(slot).await?;
                fault_point("older keyrings erased");
            }
        }
        let mut pages = store.pages().await?;
        pages.sort_unstable();
        // Each process begins at another place.
        let mine = PageId::from_bytes(*self.custody().process().as_bytes());
        let (Ok(at) | Err(at)) = pages.binary_search(&mine);
        pages.rotate_left(at);
        let mut left = 0;
        for batch in pages.chunks(self.batch) {
            let due: Vec<Option<(PageId, bool)>> = stream::iter(batch.to_vec())
                .map(|page| self.is_due(page, current))
                .buffered(AT_ONCE)
                .try_collect()
                .await?;
            let due: Vec<(PageId, bool)> = due.into_iter().flatten().collect();
            let open = due.iter().filter(|(_, closed)| !closed);
            let open: Vec<PageId> = open.map(|(page, _)| *page).collect();
            if !open.is_empty() {
                self.sweeper.close(open).await?;
            }
            let pages = stream::iter(due).then(|(page, _)| self.turn(page)).boxed();
            left += self.sweeper.sweep_stream(pages).await.len();
            if self.custody().current_kek() != current {
                return Ok(Walked::Rotated);
            }
        }
        Ok(if left == 0 {
            Walked::Done
        } else {
            Walked::Left(left)
        })
    }

    /// The page and whether it is closed, if it is to be rewrapped.
    async fn is_due(
        &self,
        page: PageId,
        current: KekVersion,
    ) -> Result<Option<(PageId, bool)>, Error> {
        let using = self.sweeper.ledger.page(&page).map_err(Error::View)?;
        if using.kek == current {
            return Ok(None);
        }
        if using.kek != 0 {
            return Ok(Some((page, using.closed)));
        }
        let Some(stored) = self.custody().store().read(Slot::Page(page)).await? else {
            return Ok(None);
        };
        // Nothing was drawn from it, so nothing is to be said of it. One that cannot be read must not
        // keep the others from being rewrapped: it is swept with them, and told there.
        let version = Page::wrapped_under(&stored.bytes).ok();
        Ok((version != Some(current)).then_some((page, using.closed)))
    }

    /// Destroys the KEK versions that the log has retired, once no page is under them.
    async fn destroy_retired(&self) -> Result<(), Error> {
        let Some(wallet) = self.sweeper.ledger.wallet().map_err(Error::View)? else {
            return Ok(());
        };
        let newest = |found: fn(&&WalletKek) -> bool| {
            let kek = wallet.keks.iter().rev().find(found);
            kek.map(|kek| kek.version)
        };
        // What another node destroyed is not kept in memory, either.
        if newest(|kek| kek.destroyed.is_some()) >= Some(self.custody().oldest_kek()) {
            self.custody().reload().await?;
        }
        let retired = newest(|kek| kek.retired.is_some() && kek.destroyed.is_none());
        let Some(version) = retired else {
            return Ok(());
        };
        self.clear(version).await?;
        let generation = wallet.generations.last().map_or(0, |last| last.number);
        self.custody().destroy_keks(version, generation).await?;
        self.sweeper
            .system(Action::ConfirmKeksDestroyed(version))
            .await?;
        fault_point("KEK destruction confirmed");
        Ok(())
    }

    /// Sees that no page is under this KEK version or one before. By the log none is that anything
    /// refers to; but what is destroyed with a KEK version is gone, so the key store is asked as well.
    async fn clear(&self, version: KekVersion) -> Result<(), Error> {
        let under = self.under(version).await?;
        if under.is_empty() {
            return Ok(());
        }
        self.sweeper.close(under.clone()).await?;
        self.sweeper.sweep(under).await;
        let mut left = 0;
        for page in self.under(version).await? {
            // What does not open even now is lost already.
            left += usize::from(matches!(self.custody().fetch(page).await, Ok(Some(_))));
        }
        match left {
            0 => Ok(()),
            left => Err(Error::Under(left)),
        }
    }

    /// The pages that say of themselves that they are under this KEK version or one before.
    async fn under(&self, version: KekVersion) -> Result<Vec<PageId>, Error> {
        let store = self.custody().store();
        let pages = store.pages().await?;
        let found = stream::iter(pages)
            .map(|page| async move {
                let stored = store.read(Slot::Page(page)).await?;
                let under = stored.and_then(|stored| Page::wrapped_under(&stored.bytes).ok());
                Ok::<_, Error>((page, under))
            })
            .buffer_unordered(AT_ONCE);
        let found: Vec<_> = found.try_collect().await?;
        let under = found
            .into_iter()
            .filter(|(_, kek)| kek.is_some_and(|kek| kek <= version));
        Ok(under.map(|(page, _)| page).collect())
    }

    /// Waits until this page's turn comes.
    async fn turn(&self, page: PageId) -> PageId {
        if let Some(turns) = &self.turns {
            turns.lock().await.tick().await;
        }
        page
    }
}
