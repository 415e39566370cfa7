//! The keychain of a serving node: a view that follows the log, and answers requests at their place
//! in it.

mod desk;
mod epoch;
mod follow;
mod gathering;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use billfold_core::{
    Millis,
    commit::CommitHash,
    event::v1::RequestsRefused,
    id::{PageId, Seq},
    state::{Key, PageUse, Source as _, Value, Wallet},
    subject::{Generation, Subject},
};
use billfold_streams::{
    EventLog,
    custody::{self, Custody},
    log::{self, Filter},
    replica::{Head, Replica, Stopped},
    sweeper::Ledger,
};
use futures::StreamExt as _;
use tokio::sync::{Notify, watch};

pub use desk::{Ask, Desk, Judged, Material, Outcome, Ticket};

use crate::{
    chain::{self, Broken},
    fold::{self, Touched},
    store,
    view::{self, Shared, View},
};

/// Told how far a view has come while it catches up.
pub trait Progress: Send + Sync + 'static {
    /// It is at `done`; the log ended at `total` when it began.
    fn at(&self, done: Seq, total: Seq);
    /// It has caught up, after this many commits.
    fn caught_up(&self, commits: u64);
}

/// What a keychain works with.
pub struct Parts {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// The generation of the log.
    pub generation: Generation,
    /// The wallet's keys.
    pub custody: Arc<Custody>,
    /// The folder of the view.
    pub dir: PathBuf,
    /// What the view may keep in memory, in bytes.
    pub cache_bytes: u64,
    /// Whom to tell while it catches up.
    pub progress: Box<dyn Progress>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parts({})", self.dir.display())
    }
}

/// Why a keychain did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The view is of a log that is longer than this one, or another: evidence, so it is kept.
    #[error(
        "the view in {dir} was made from another log than this one: {what}. The log was rolled \
         back or altered. The view is kept as evidence and this node serves nothing"
    )]
    Evidence {
        /// The view's folder.
        dir: PathBuf,
        /// What does not agree.
        what: String,
    },
    /// The view's fault.
    #[error(transparent)]
    View(#[from] view::Error),
    /// The log's fault: it cannot be reached.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// The log's fault: what is in it.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The key store's fault.
    #[error(transparent)]
    Custody(#[from] custody::Error),
    /// The file system's fault.
    #[error("the view's folder cannot be written: {0}")]
    Folder(#[from] std::io::Error),
}

impl From<fold::Error> for Error {
    fn from(error: fold::Error) -> Self {
        match error {
            fold::Error::Broken(error) => Self::Broken(error),
            fold::Error::View(error) => Self::View(error),
            fold::Error::Custody(error) => Self::Custody(error),
        }
    }
}

/// How far a keychain is.
#[derive(Debug, Clone, Default)]
struct Status {
    head: Head,
    stopped: Option<Stopped>,
    /// Whether the log sealed the wallet since this began to follow it.
    sealed: bool,
}

/// A view that follows the log.
#[derive(Debug)]
pub struct Keychain {
    log: Arc<dyn EventLog>,
    generation: Generation,
    view: Arc<View>,
    custody: Arc<Custody>,
    desk: Desk,
    status: watch::Sender<Status>,
    touched: Mutex<BTreeSet<PageId>>,
    touch: Notify,
    retired: Notify,
    /// Refusals whose record came behind the end of its epoch.
    voided: Mutex<Vec<RequestsRefused>>,
    void: Notify,
}

impl Keychain {
    /// Opens the view, rebuilds it if it does not open, catches up with the log, and follows it from
    /// then on in a task of its own, which ends when the log is broken or the keychain is stopped.
    ///
    /// # Errors
    /// When the log is broken, cannot be reached, or is another than the view's.
    pub async fn start(parts: Parts) -> Result<(Arc<Self>, tokio::task::JoinHandle<()>), Error> {
        let view = Arc::new(open_view(&parts).await?);
        check_against_log(&parts, &view).await?;
        let keychain = Arc::new(Self {
            log: Arc::clone(&parts.log),
            generation: parts.generation,
            custody: Arc::clone(&parts.custody),
            desk: Desk::default(),
            status: watch::Sender::new(Status {
                head: view.head(),
                stopped: None,
                sealed: false,
            }),
            touched: Mutex::new(view.pages_with_dying_keys()?.into_iter().collect()),
            touch: Notify::new(),
            retired: Notify::new(),
            voided: Mutex::default(),
            void: Notify::new(),
            view,
        });
        keychain.touch.notify_one();
        let follower = follow::Follower::new(Arc::clone(&keychain), &parts)?;
        let follower = follower.catch_up(&*parts.progress).await?;
        let task = tokio::spawn(follower.run());
        Ok((keychain, task))
    }

    /// The view.
    #[must_use]
    pub const fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// The wallet's keys.
    #[must_use]
    pub const fn custody(&self) -> &Arc<Custody> {
        &self.custody
    }

    /// The time of the commit of this sequence, on any subject; none when the log ends before it.
    ///
    /// # Errors
    /// When the log cannot be reached, or has no sound commit there.
    pub async fn time_of(&self, seq: Seq) -> Result<Option<Millis>, Error> {
        let all = Filter::All(self.generation);
        if seq == Seq::ZERO || seq > self.log.head(all).await? {
            return Ok(None);
        }
        let mut from_there = self.log.read(all, Seq(seq.0 - 1)).await?;
        let Some(message) = from_there.next().await else {
            return Ok(None);
        };
        let opened = chain::open(&self.custody, &message?)?;
        Ok((opened.seq == seq).then_some(opened.header.time))
    }

    /// Where requests wait for their place in the log.
    #[must_use]
    pub const fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Why it stopped, if it did.
    #[must_use]
    pub fn stopped(&self) -> Option<Stopped> {
        self.status.borrow().stopped.clone()
    }

    /// Waits until it has stopped.
    pub async fn until_stopped(&self) -> Stopped {
        let mut status = self.status.subscribe();
        match status.wait_for(|status| status.stopped.is_some()).await {
            Ok(status) => status.stopped.clone(),
            Err(_) => None,
        }
        .unwrap_or_else(|| Stopped("the view is gone".to_owned()))
    }

    /// Waits until the log seals the wallet.
    pub async fn until_sealed(&self) {
        let mut status = self.status.subscribe();
        if status.wait_for(|status| status.sealed).await.is_err() {
            std::future::pending().await
        }
    }

    /// The log sealed the wallet.
    fn seal(&self) {
        self.status.send_modify(|status| status.sealed = true);
    }

    fn advance(&self, head: Head) {
        self.status.send_modify(|status| status.head = head);
    }

    /// Stops for good: something in the log cannot be vouched for. Requests that wait get no answer.
    pub fn stop(&self, why: String) {
        self.status
            .send_modify(|status| status.stopped = Some(Stopped(why.clone())));
        self.desk.close();
    }

    /// Waits for refusals of this process whose record is void: they have to be counted again.
    pub async fn voided(&self) -> Vec<RequestsRefused> {
        loop {
            let voided = {
                let mut voided = self.voided.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::take(&mut *voided)
            };
            if !voided.is_empty() {
                return voided;
            }
            self.void.notified().await;
        }
    }

    /// Refusals of this process were recorded behind the end of their epoch.
    fn count_again(&self, refused: RequestsRefused) {
        let mut voided = self.voided.lock().unwrap_or_else(PoisonError::into_inner);
        voided.push(refused);
        self.void.notify_one();
    }

    fn touch(&self, Touched { pages, retired }: Touched) {
        if retired {
            self.retired.notify_one();
        }
        if !pages.is_empty() {
            self.touched
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(pages);
            self.touch.notify_one();
        }
    }
}

#[async_trait]
impl Replica for Keychain {
    type Source = Shared;

    fn source(&self) -> Shared {
        Shared(Arc::clone(&self.view))
    }

    /// The last commit whose keys this node has taken over too: the view may be further.
    fn head(&self) -> Head {
        self.status.borrow().head
    }

    async fn caught_up(&self, seq: Seq) -> Result<(), Stopped> {
        let mut status = self.status.subscribe();
        let reached = |status: &Status| status.head.seq >= seq || status.stopped.is_some();
        match status.wait_for(reached).await {
            Ok(status) if status.head.seq >= seq => Ok(()),
            Ok(status) => Err(status.stopped.clone()),
            Err(_) => Err(None),
        }
        .map_err(|stopped| stopped.unwrap_or_else(|| Stopped("the view is gone".to_owned())))
    }
}

impl Ledger for Keychain {
    fn page(&self, id: &PageId) -> Result<PageUse, String> {
        match self.view.get(&Key::Page(*id)) {
            Ok(Some(Value::Page(page))) => Ok(page),
            Ok(_) => Ok(PageUse::default()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn take_touched(&self) -> Vec<PageId> {
        let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *touched).into_iter().collect()
    }

    async fn touched(&self) {
        self.touch.notified().await;
    }

    fn wallet(&self) -> Result<Option<Wallet>, String> {
        self.view.wallet().map_err(|error| error.to_string())
    }

    async fn retired(&self) {
        self.retired.notified().await;
    }
}

async fn open_view(parts: &Parts) -> Result<View, Error> {
    let cache_bytes = parts.cache_bytes;
    let open = move |dir: &Path, custody: &Custody| View::open(dir, custody, cache_bytes);
    store::open_or_rebuild("the view", &parts.dir, &parts.custody, open).await
}

/// A view ahead of the log, or with another commit at its place, shows that the log was changed
/// under it.
async fn check_against_log(parts: &Parts, view: &View) -> Result<(), Error> {
    let head = view.head();
    if head.seq == Seq::ZERO {
        return Ok(());
    }
    let subject = Subject::Decided(parts.generation);
    let evidence = |what: String| {
        Err(Error::Evidence {
            dir: parts.dir.clone(),
            what,
        })
    };
    let end = parts.log.head(Filter::Decided(parts.generation)).await?;
    if end < head.seq {
        return evidence(format!(
            "the view has applied sequence {}, the log ends at {end}",
            head.seq
        ));
    }
    let there = parts.log.next_after(&subject, Seq(head.seq.0 - 1)).await?;
    match there {
        Some(message) if message.seq == head.seq => {
            let hash = CommitHash::of(&message.bytes);
            if hash == head.hash {
                return Ok(());
            }
            evidence(format!(
                "at sequence {} the view has commit {:?}, the log has {hash:?}",
                head.seq, head.hash
            ))
        }
        Some(message) => evidence(format!(
            "the view has applied sequence {}, where the log has none; its next is {}",
            head.seq, message.seq
        )),
        None => evidence(format!(
            "the view has applied sequence {}, the log has none",
            head.seq
        )),
    }
}
