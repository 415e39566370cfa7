//! The audit index: who did what to which secret when, with what answer, found without reading the
//! whole log.
//!
//! A projector of its own with its own position: no answer waits for it, and it can be deleted like
//! any view. It reads every subject, and so checks every chain; it folds what was decided, and so
//! judges every request at its place, whichever node it came to.

mod index;
mod place;
mod postings;
mod query;
mod rule;
mod terms;

use std::{path::Path, sync::Arc, time::Duration};

use billfold_core::{id::Seq, subject::Generation};
use billfold_streams::{
    EventLog,
    custody::{self, Custody},
    log::{self, Filter},
};
use futures::StreamExt as _;

pub use index::{Added, Commit, Index, Told};
pub use place::{NotAPlace, Place};
pub use postings::Order;
pub use query::{Page, Query, REST, Row, STEPS};
pub use terms::{By, Outcome};

use self::rule::Ruler;
use crate::{
    aside::aside,
    chain::{Broken, Chains, Opened, open_all},
    fold, store,
    tree::{self, Tree},
    view::{self, View},
};

/// How many messages are taken at once.
const CHUNK: usize = 1024;
/// How many events are added at once, about.
const EVENTS: usize = 8192;
/// How long messages gather while nobody waits for the index: larger batches cost less.
const GATHER: Duration = Duration::from_millis(100);

/// Why the index stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log's fault: what is in it.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The log's fault: it cannot be reached.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// The key store's fault.
    #[error(transparent)]
    Custody(#[from] custody::Error),
    /// The index's fault.
    #[error(transparent)]
    Index(#[from] view::Error),
    /// The index is of a log that is longer than this one.
    #[error(
        "the audit index has read sequence {index}, the log ends at {log}: the log was rolled back"
    )]
    Evidence {
        /// How far the index is.
        index: Seq,
        /// Where the log ends.
        log: Seq,
    },
    /// The tree's word.
    #[error(transparent)]
    Tree(#[from] tree::Error),
    /// The file system's fault.
    #[error("the index's folder cannot be written: {0}")]
    Folder(#[from] std::io::Error),
}

impl From<fold::Error> for Error {
    fn from(error: fold::Error) -> Self {
        match error {
            fold::Error::Broken(error) => Self::Broken(error),
            fold::Error::View(error) => Self::Index(error),
            fold::Error::Custody(error) => Self::Custody(error),
        }
    }
}

/// Opens the index in this folder; one that does not open is made anew.
///
/// # Errors
/// When the folder is in use or cannot be written.
pub async fn open(
    dir: &Path,
    custody: &Arc<Custody>,
    cache_bytes: u64,
) -> Result<Arc<Index>, Error> {
    let open = store::open_or_rebuild("the audit index", dir, custody, move |dir, custody| {
        Index::open(dir, custody, cache_bytes)
    });
    open.await.map(Arc::new)
}

/// Follows the log for an index and the tree, until the log is broken. `now` is the keychain that the
/// node serves.
///
/// # Errors
/// With what it met; it never returns without one.
pub async fn follow(
    mut index: Arc<Index>,
    tree: Arc<Tree>,
    log: Arc<dyn EventLog>,
    generation: Generation,
    custody: Arc<Custody>,
    now: Arc<View>,
) -> Result<std::convert::Infallible, Error> {
    let filter = Filter::All(generation);
    let mut chains: Chains = index.chains()?;
    let end = log.head(filter).await?;
    if end < chains.last() {
        return Err(Error::Evidence {
            index: chains.last(),
            log: end,
        });
    }
    tree.catch_up(&*log, generation, chains.last()).await?;
    let ruler = Ruler::start(
        Arc::clone(&index),
        Arc::clone(&custody),
        now,
        &*log,
        generation,
    );
    let mut ruler = ruler.await?;
    let mut tail = log.read(filter, chains.last()).await?.ready_chunks(CHUNK);
    loop {
        let Some(messages) = tail.next().await else {
            return Err(log::Error::Unavailable("its tail ended".to_owned()).into());
        };
        let messages = messages.into_iter().collect::<Result<Vec<_>, _>>()?;
        let opened: Vec<Opened> = open_all(&custody, messages.clone())
            .await
            .into_iter()
            .collect::<Result<_, _>>()?;
        let (mut commits, mut events) = (Vec::new(), 0);
        for opened in opened {
            // The next position follows the last: a generation has no gaps.
            if opened.seq != chains.last().next() {
                return Err(Broken::gap(&opened, chains.last()).into());
            }
            let standing = chains.follow(&opened)?;
            events += opened.entries.len();
            commits.push(ruler.enter(opened, standing).await?);
            if events >= EVENTS {
                (index, chains) = add(index, std::mem::take(&mut commits), chains).await?;
                events = 0;
            }
        }
        if !commits.is_empty() {
            (index, chains) = add(index, commits, chains).await?;
        }
        tree.add_apart(messages).await?;
        if ruler.is_due() {
            ruler = aside(move || {
                ruler.write()?;
                Ok::<_, Error>(ruler)
            })
            .await?;
        }
        let _ = tokio::time::timeout(GATHER, index.wanted()).await;
    }
}

async fn add(
    index: Arc<Index>,
    commits: Vec<Commit>,
    chains: Chains,
) -> Result<(Arc<Index>, Chains), Error> {
    aside(move || {
        index.add(&commits, &chains)?;
        Ok((index, chains))
    })
    .await
}
