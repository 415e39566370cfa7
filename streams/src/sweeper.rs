//! The sweeper: makes the key store agree with the fold.
//!
//! A page should hold what [`PageUse::keeps`] says: of an open page all but what was given up, of a
//! closed one only what is live, and that under the current KEK version. Destroying a key, sweeping
//! unused ones and rewrapping are the same work, and it is done the same way after a crash as before
//! one (invariants 6 and 7):
//!
//! 1. the event that asks for it is in the log (someone else's work),
//! 2. the page is written as it should be,
//! 3. every older writing of the page is deleted and read back as gone,
//! 4. the outcome event is committed.
//!
//! Any node does any of these steps; each looks first at what is already done.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use billfold_core::{
    command::{Action, Command},
    event::Actor,
    id::PageId,
    keys::{keyring::KekVersion, page::KeyRef},
    state::{PageUse, Wallet},
};
use futures::{Stream, StreamExt as _, stream};

use crate::{
    committer::{self, Handle},
    custody::{self, Custody},
    fault_point::fault_point,
    keys::{self, Slot},
};

/// How many keys or pages one outcome event names at most.
const OUTCOME: usize = 4096;

/// How many pages are worked on at once.
const AT_ONCE: usize = 16;

/// How long to wait before work that failed is tried again.
pub(crate) const RETRY: Duration = Duration::from_secs(2);

/// Where the sweeper learns what the fold says of the pages.
pub trait Ledger: Send + Sync + 'static {
    /// How a page is used, as far as the fold is applied. Unknown pages are open and unused.
    ///
    /// # Errors
    /// When the view cannot be read.
    fn page(&self, id: &PageId) -> Result<PageUse, String>;

    /// The wallet and its KEK versions, as far as the fold is applied.
    ///
    /// # Errors
    /// When the view cannot be read.
    fn wallet(&self) -> Result<Option<Wallet>, String>;

    /// The pages whose use changed in a way that concerns the key store, each once: keys given up,
    /// or the page closed. At the start these are all pages that still have keys to be destroyed.
    fn take_touched(&self) -> Vec<PageId>;

    /// Waits until there is something to take.
    fn touched(&self) -> impl Future<Output = ()> + Send;

    /// Waits until KEK versions are retired that are not destroyed yet.
    fn retired(&self) -> impl Future<Output = ()> + Send;
}

/// Why a page is not yet as it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key store's or the keys' fault.
    #[error(transparent)]
    Custody(#[from] custody::Error),
    /// The key store's fault.
    #[error(transparent)]
    Store(#[from] keys::Error),
    /// The log's fault.
    #[error(transparent)]
    Commit(#[from] committer::Error),
    /// The view's fault.
    #[error("the view cannot be read: {0}")]
    View(String),
    /// Pages are under KEK versions that are to be destroyed.
    #[error("{0} key pages are under retired KEK versions")]
    Under(usize),
}

impl Error {
    /// Whether another node was faster.
    pub(crate) const fn is_conflict(&self) -> bool {
        use keys::Error::Conflict;
        matches!(
            self,
            Self::Store(Conflict) | Self::Custody(custody::Error::Store(Conflict))
        )
    }
}

/// What is to be said of a page that is as it should be.
struct Swept {
    /// The keys that are now destroyed.
    destroyed: Vec<KeyRef>,
    /// The KEK version that it is under, if the fold does not know that yet.
    rewrapped: Option<KekVersion>,
}

/// Keeps the key store in step with the fold.
#[derive(Debug)]
pub struct Sweeper<L> {
    pub(crate) custody: Arc<Custody>,
    pub(crate) ledger: Arc<L>,
    committer: Handle,
}

impl<L: Ledger> Sweeper<L> {
    /// A sweeper over these.
    pub const fn new(custody: Arc<Custody>, ledger: Arc<L>, committer: Handle) -> Self {
        Self {
            custody,
            ledger,
            committer,
        }
    }

    /// Closes the pages that earlier processes left open, and follows the fold, for ever.
    pub async fn run(&self) {
        let mut closed = false;
        let mut left: Vec<PageId> = Vec::new();
        loop {
            if !closed {
                match self.close_abandoned().await {
                    Ok(unswept) => {
                        closed = true;
                        left.extend(unswept);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "abandoned key pages could not be closed; trying again");
                    }
                }
            }
            left.extend(self.ledger.take_touched());
            left.sort_unstable();
            left.dedup();
            left = self.sweep(left).await;
            if closed && left.is_empty() {
                self.ledger.touched().await;
            } else {
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    /// Closes every page that this process does not draw from, and sweeps those that were closed
    /// before; returns those that could not be swept.
    ///
    /// A page's owner may be alive on another node. That costs it a page of unused keys and no
    /// more: its next decision meets the closed page and draws from another.
    ///
    /// # Errors
    /// When the key store or the log cannot be reached.
    pub async fn close_abandoned(&self) -> Result<Vec<PageId>, Error> {
        let mut abandoned = Vec::new();
        let mut closed = Vec::new();
        for page in self.custody.store().pages().await? {
            if self.ledger.page(&page).map_err(Error::View)?.closed {
                closed.push(page);
                continue;
            }
            match self.custody.fetch(page).await {
                Ok(Some((open, _))) if open.owner != self.custody.process() => abandoned.push(page),
                Ok(_) => {}
                Err(error @ custody::Error::Store(_)) => return Err(error.into()),
                // One that does not open must not keep the others from being swept.
                Err(error) => tracing::error!(%page, %error, "a key page does not open"),
            }
        }
        for pages in abandoned.chunks(OUTCOME) {
            self.close(pages.to_vec()).await?;
        }
        // What was closed before may not have been swept before a crash.
        Ok(self.sweep(closed).await)
    }

    /// Closes pages: nothing is drawn from them any more.
    ///
    /// # Errors
    /// When the commit is not made.
    pub async fn close(&self, pages: Vec<PageId>) -> Result<(), Error> {
        self.system(Action::ClosePages(pages)).await?;
        fault_point("pages closed");
        Ok(())
    }

    /// Makes these pages what they should be; returns those that could not be.
    pub(crate) async fn sweep(&self, pages: Vec<PageId>) -> Vec<PageId> {
        self.sweep_stream(stream::iter(pages)).await
    }

    /// Makes these pages what they should be, each when the stream gives it; returns those that
    /// could not be.
    pub(crate) async fn sweep_stream(
        &self,
        pages: impl Stream<Item = PageId> + Send,
    ) -> Vec<PageId> {
        let swept = pages
            .map(|page| async move { (page, self.sweep_page(page).await) })
            .buffer_unordered(AT_ONCE);
        let swept: Vec<_> = swept.collect().await;
        let mut left = Vec::new();
        let mut destroyed = Vec::new();
        let mut rewrapped: BTreeMap<KekVersion, Vec<PageId>> = BTreeMap::new();
        for (page, swept) in swept {
            match swept {
                Ok(swept) => {
                    destroyed.extend(swept.destroyed.into_iter().map(|key| (page, key)));
                    if let Some(version) = swept.rewrapped {
                        rewrapped.entry(version).or_default().push(page);
                    }
                }
                Err(error) => {
                    if error.is_conflict() {
                        tracing::debug!(%page, "another node sweeps this key page");
                    } else {
                        tracing::warn!(%page, %error, "a key page could not be swept; trying again");
                    }
                    left.push(page);
                }
            }
        }
        for outcome in destroyed.chunks(OUTCOME) {
            let keys = outcome.iter().map(|(_, key)| *key).collect();
            if let Err(error) = self.system(Action::ConfirmDestroyed(keys)).await {
                tracing::warn!(%error, "destroyed keys could not be confirmed; trying again");
                left.extend(outcome.iter().map(|(page, _)| *page));
            } else {
                fault_point("destruction confirmed");
            }
        }
        for (version, pages) in rewrapped {
            for pages in pages.chunks(OUTCOME) {
                let action = Action::ConfirmRewrapped {
                    version,
                    pages: pages.to_vec(),
                };
                if let Err(error) = self.system(action).await {
                    tracing::warn!(%error, "rewrapped keys could not be confirmed; trying again");
                    left.extend_from_slice(pages);
                } else {
                    fault_point("rewrap confirmed");
                }
            }
        }
        left
    }

    /// Makes one page what it should be.
    async fn sweep_page(&self, id: PageId) -> Result<Swept, Error> {
        let using = self.ledger.page(&id).map_err(Error::View)?;
        let mut swept = Swept {
            destroyed: using
                .dying
                .iter()
                .map(|slot| KeyRef { page: id, slot })
                .collect(),
            rewrapped: None,
        };
        if !swept.destroyed.is_empty() {
            fault_point("keys given up");
        }
        self.custody.forget(&id);
        let (store, slot) = (self.custody.store(), Slot::Page(id));
        if using.closed && using.live.is_empty() {
            store.remove(slot).await?;
            fault_point("page removed");
            self.custody.forget(&id);
            return Ok(swept);
        }
        let Some((page, revision)) = self.custody.fetch(id).await? else {
            return Ok(swept);
        };
        // Whoever draws from an open page knows it under the version that it was made under.
        let kek = if using.closed {
            // The log may have gone on: another node may have wrapped it under a version that this
            // one is still to hear of, and those before may be retired by then.
            self.custody.current_kek().max(page.kek)
        } else {
            page.kek
        };
        if page.kek < using.kek {
            tracing::error!(page = %id, "an older writing of this key page was put back; it is written anew");
        }
        let kept = page.keeping(|slot| using.keeps(slot)).under(kek);
        let same_keys = kept.slots() == page.slots();
        let differs = !same_keys || kept.kek != page.kek;
        if differs {
            self.custody.replace_page(&kept, revision).await?;
            fault_point("page written");
        }
        if differs && same_keys {
            store.drop_rewrapped(slot, revision).await;
        }
        if differs || store.writings(slot).await? > 1 {
            store.erase_older(slot).await?;
            fault_point("older pages erased");
        }
        self.custody.forget(&id);
        if using.closed && using.counts() && using.kek < kek {
            swept.rewrapped = Some(kek);
        }
        Ok(swept)
    }

    pub(crate) async fn system(&self, action: Action) -> Result<(), Error> {
        let command = Command {
            id: None,
            actor: Actor::System,
            needs: Vec::new(),
            action,
        };
        self.committer.submit(command).await?;
        Ok(())
    }
}
