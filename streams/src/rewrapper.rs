//! The rewrapper: after a rotation, brings every page of the key store under the current KEK version,
//! and destroys the versions that were retired.
//!
//! It walks the whole key store, because pages that were made and never drawn from are in no event.
//! A walk changes nothing that is already right, so it is simply begun anew after a crash, and any
//! number of nodes may walk at once: each begins at another page, and what one has done the others
//! find done.

use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use billfold_core::{
    command::Action,
    id::PageId,
    keys::{keyring::KekVersion, page::Page},
    state::WalletKek,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};

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

/// Brings pages under the current KEK version.
#[derive(Debug)]
pub struct Rewrapper<L> {
    sweeper: Arc<Sweeper<L>>,
    /// How many pages are rewrapped in a second at most.
    pace: Option<NonZeroU32>,
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
    /// A rewrapper that rewraps so many pages in a second at most.
    pub const fn new(sweeper: Arc<Sweeper<L>>, pace: Option<NonZeroU32>) -> Self {
        Self { sweeper, pace }
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
        let began = Instant::now();
        let (mut left, mut rewrapped) = (0, 0);
        for batch in pages.chunks(self.batch()) {
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
            rewrapped += due.len();
            let pages = due.into_iter().map(|(page, _)| page).collect();
            left += self.sweeper.sweep(pages).await.len();
            self.keep_pace(began, rewrapped).await;
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
        let Some(stored) = self.custody().store().read(Slot::Page(page)).await? else {
            return Ok(None);
        };
        // One that cannot be read must not keep the others from being rewrapped: it is swept with
        // them, and told there.
        let version = Page::wrapped_under(&stored.bytes).ok();
        let recorded = version == Some(current) && !(using.closed && using.counts());
        Ok((!recorded).then_some((page, using.closed)))
    }

    /// Destroys the KEK versions that the log has retired, once no page is under them: the walk
    /// before has seen to that.
    async fn destroy_retired(&self) -> Result<(), Error> {
        let wallet = self.sweeper.ledger.wallet().map_err(Error::View)?;
        let keks = wallet.map(|wallet| wallet.keks).unwrap_or_default();
        let retired = |kek: &&WalletKek| kek.retired.is_some() && kek.destroyed.is_none();
        let Some(version) = keks.iter().rev().find(retired).map(|kek| kek.version) else {
            return Ok(());
        };
        self.custody().destroy_keks(version).await?;
        self.sweeper
            .system(Action::ConfirmKeksDestroyed(version))
            .await?;
        fault_point("KEK destruction confirmed");
        Ok(())
    }

    fn batch(&self) -> usize {
        let pace = self.pace.map_or(usize::MAX, |pace| pace.get() as usize);
        (pace / 4).clamp(1, BATCH)
    }

    /// Waits until so many pages may have been rewrapped since then.
    async fn keep_pace(&self, began: Instant, pages: usize) {
        let Some(pace) = self.pace else {
            return;
        };
        let pages = u32::try_from(pages).unwrap_or(u32::MAX);
        let due = Duration::from_secs(1) * pages / pace.get();
        tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
    }
}
