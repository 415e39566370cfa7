//! The messages of a log, each worked out without its neighbours.

use std::sync::Arc;

use billfold_core::{
    commit::{CommitHash, Header, Sealed},
    id::{Seq, WalletId},
    proof::{Checkpoint, Hash, Note, Statement, leaf::Leaves},
    subject::{Generation, Subject},
};
use billfold_streams::{
    EventLog,
    log::{self, Filter, Message},
};
use futures::StreamExt as _;

use super::going::{Going, Outside};
use crate::{
    Error,
    tail::{Bounded, PATIENCE, within},
};

/// How many messages are hashed at once, and how many times side by side.
const CHUNK: usize = 1024;

/// The wallet that both the first and the last commit of a log are of, if they are of one.
pub(super) async fn wallet_of(
    log: &Arc<dyn EventLog>,
    generation: Generation,
) -> Result<Option<WalletId>, Error> {
    let all = Filter::All(generation);
    let end = log.head(all).await?;
    if end == Seq::ZERO {
        return Ok(None);
    }
    let mut wallets = Vec::new();
    for after in [Seq::ZERO, Seq(end.0 - 1)] {
        let message = match Bounded::read(log, all, after, PATIENCE).await {
            Ok(mut tail) => tail.next().await,
            Err(error) => Err(error),
        };
        wallets.push(match message {
            Ok(message) => Sealed::parse(&message.bytes).ok().map(|s| s.header.wallet),
            // It is told when the whole log is gone over.
            Err(Error::Broken(_)) => None,
            Err(other) => return Err(other),
        });
    }
    Ok(match wallets.as_slice() {
        [first, last] if first == last => *first,
        _ => None,
    })
}

/// Goes over the whole log as it is now.
pub(super) async fn go_over(
    log: &Arc<dyn EventLog>,
    going: &mut Going,
    held: &[Outside<'_>],
    progress: &mut (dyn FnMut(Seq, Seq) + Send),
) -> Result<(), Error> {
    let all = Filter::All(going.generation);
    let end = log.head(all).await?;
    let attested = attested_sizes(log, going.generation).await?;
    going.keep_roots(held.iter().map(|held| held.checkpoint.size).chain(attested));
    if end == Seq::ZERO {
        return Ok(());
    }
    let leaves = Leaves::of(going.wallet, going.generation);
    let at_once = std::thread::available_parallelism().map_or(2, usize::from) + 1;
    let chunks = log.read(all, Seq::ZERO).await?.ready_chunks(CHUNK);
    let mut chunks = chunks
        .map(|messages| {
            let leaves = leaves.clone();
            let reading = tokio::task::spawn_blocking(move || {
                let read = messages
                    .into_iter()
                    .map(|message| Read::of(&leaves, message));
                read.collect::<Vec<_>>()
            });
            // A panic in there is a bug: it goes on in the task that waits.
            async {
                reading
                    .await
                    .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
            }
        })
        .buffered(at_once);
    while going.last < end {
        for read in within(PATIENCE, chunks.next()).await? {
            going.take(read?)?;
            if going.last >= end {
                break;
            }
        }
        progress(going.last, end);
    }
    Ok(())
}

/// The sizes that the log's own checkpoints are about: their roots are kept when they are passed.
async fn attested_sizes(
    log: &Arc<dyn EventLog>,
    generation: Generation,
) -> Result<Vec<u64>, Error> {
    let filter = Filter::Checkpoints(generation);
    let (mut sizes, end) = (Vec::new(), log.head(filter).await?);
    if end == Seq::ZERO {
        return Ok(sizes);
    }
    let mut tail = Bounded::read(log, filter, Seq::ZERO, PATIENCE).await?;
    let mut last = Seq::ZERO;
    while last < end {
        let message = tail.next().await?;
        last = message.seq;
        // What is wrong with it is told when the whole log is gone over.
        let sealed = Sealed::parse(&message.bytes).ok();
        for statement in sealed.iter().flat_map(|sealed| sealed.statements()) {
            if let Statement::Checkpoint(note) = statement
                && let Ok(note) = Note::parse(note.as_bytes())
                && let Ok(checkpoint) = Checkpoint::parse(note.text())
            {
                sizes.push(checkpoint.size);
            }
        }
    }
    Ok(sizes)
}

/// A message with what can be worked out without its neighbours.
pub(super) struct Read {
    pub(super) seq: Seq,
    pub(super) subject: Subject,
    pub(super) leaf: Hash,
    pub(super) hash: CommitHash,
    pub(super) frame: Result<(Header, Vec<Statement>), String>,
}

impl Read {
    fn of(leaves: &Leaves, message: Result<Message, log::Error>) -> Result<Self, log::Error> {
        let message = message?;
        let frame = match Sealed::parse(&message.bytes) {
            Ok(sealed) => Ok((sealed.header.clone(), sealed.statements().to_vec())),
            Err(error) => Err(error.to_string()),
        };
        Ok(Self {
            seq: message.seq,
            subject: message.subject,
            leaf: leaves.hash(message.seq, &message.subject, &message.bytes),
            hash: CommitHash::of(&message.bytes),
            frame,
        })
    }
}
