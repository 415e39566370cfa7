//! The audit index: who did what to which record when, found without reading the whole log.
//!
//! A projector of its own with its own position: no answer waits for it, and it can be deleted like
//! any view. It reads every subject, and so checks every chain.

mod index;
mod query;

use std::{path::Path, sync::Arc, time::Duration};

use billfold_core::{id::Seq, subject::Generation};
use billfold_streams::{
    EventLog,
    custody::Custody,
    log::{self, Filter},
};
use futures::StreamExt as _;

pub use index::Index;
pub use query::{By, Query, Row};

use crate::{
    chain::{Broken, Chains, Opened, open_all},
    tree::{self, Tree},
    view,
};

/// How many messages are taken at once.
const CHUNK: usize = 1024;
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

/// Opens the index in this folder; one that does not open is made anew.
///
/// # Errors
/// When the folder is in use or cannot be written.
pub fn open(dir: &Path, custody: &Custody, cache_bytes: u64) -> Result<Arc<Index>, Error> {
    match Index::open(dir, custody, cache_bytes) {
        Err(view::Error::Unusable(why)) => {
            tracing::warn!(why, dir = %dir.display(), "rebuilding the audit index from the log");
            view::View::remove(dir)?;
            Ok(Arc::new(Index::open(dir, custody, cache_bytes)?))
        }
        other => Ok(Arc::new(other?)),
    }
}

/// Follows the log for an index and the tree, until the log is broken.
///
/// # Errors
/// With what it met; it never returns without one.
pub async fn follow(
    mut index: Arc<Index>,
    tree: Arc<Tree>,
    log: Arc<dyn EventLog>,
    generation: Generation,
    custody: Arc<Custody>,
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
        for opened in &opened {
            // The next position follows the last: a generation has no gaps.
            if opened.seq != chains.last().next() {
                return Err(Broken::gap(opened, chains.last()).into());
            }
            chains.follow(opened)?;
        }
        (index, chains) = add(index, opened, chains).await?;
        tree.add_apart(messages).await?;
        let _ = tokio::time::timeout(GATHER, index.wanted()).await;
    }
}

/// Adds commits on a thread of their own: a large batch must not hold up who waits for an answer.
async fn add(
    index: Arc<Index>,
    opened: Vec<Opened>,
    chains: Chains,
) -> Result<(Arc<Index>, Chains), view::Error> {
    let adding = tokio::task::spawn_blocking(move || {
        index.add(&opened, &chains)?;
        Ok((index, chains))
    });
    // A panic in there is a bug: it goes on in the task that waits.
    adding
        .await
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
