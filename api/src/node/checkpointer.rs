//! Makes checkpoints of the log, and keeps the newest outside it.
//!
//! Every node that audits does this. Each checkpoint names the last commit on its subject, so there
//! is one of each size: a node that comes second takes that of the first.

use std::{sync::Arc, time::Duration};

use billfold_core::{
    Millis,
    commit::{self, CommitHash, Header},
    id::Seq,
    proof::{Checkpoint, Signer, Statement, history, statement::KeyChange},
    subject::{Generation, Subject},
};
use billfold_projector::{
    Keychain, Tree,
    tree::{self, Held, Kept, Status},
};
use billfold_streams::{
    EventLog,
    clock::{Clock, Guard},
    custody,
    log::{self, Filter},
    settle::{SettleError, append_settled},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

/// How long to wait after something failed.
const PAUSE: Duration = Duration::from_secs(1);

/// When a checkpoint is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Often {
    /// So many messages behind the last one.
    pub(crate) commits: u64,
    /// So long after there was something behind the last one.
    pub(crate) seconds: u64,
}

/// Why nothing was stated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another node stated something first.
    #[error("another node was faster")]
    Conflict,
    /// The keys' word.
    #[error(transparent)]
    Custody(#[from] custody::Error),
    /// The clock's or the log's word.
    #[error("{0}")]
    Unavailable(String),
    /// What was stated cannot be written down. This is a bug.
    #[error("the statement cannot be signed")]
    Unsigned,
    /// What is to be stated does not follow from what the log states. No reader would take it.
    #[error("the statement does not follow from those before it: {0}")]
    Untrue(#[from] history::Fault),
}

/// States checkpoints and changes of their key.
#[derive(Debug)]
pub(crate) struct Notary {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) generation: Generation,
    pub(crate) keychain: Arc<Keychain>,
    pub(crate) tree: Arc<Tree>,
    guard: Guard,
    /// Whether the log was held to the tree since the start.
    compared: watch::Sender<bool>,
}

impl Notary {
    pub(crate) fn new(
        log: Arc<dyn EventLog>,
        generation: Generation,
        keychain: Arc<Keychain>,
        tree: Arc<Tree>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            log,
            generation,
            keychain,
            tree,
            guard: Guard::new(clock),
            compared: watch::Sender::new(false),
        }
    }

    /// Holds the whole log to what the tree had at the start. Nothing is stated before that is done.
    ///
    /// # Errors
    /// When the log is another one, or cannot be read.
    async fn compare(&self) -> Result<(), tree::Error> {
        self.tree.compare_all(&*self.log, self.generation).await?;
        self.compared.send_replace(true);
        Ok(())
    }

    async fn is_compared(&self) {
        // The sender lives as long as this does.
        let _ = self.compared.subscribe().wait_for(|done| *done).await;
    }

    /// Makes a checkpoint of what the tree has, and waits until the tree has it, too.
    async fn attest(&self) -> Result<(), Error> {
        self.is_compared().await;
        let status = self.tree.status();
        let key = status.history().key();
        let custody = self.keychain.custody();
        let signer = match custody.checkpoint_signer(self.generation, key) {
            Some(signer) => signer,
            None => {
                custody.reload().await?;
                match custody.checkpoint_signer(self.generation, key) {
                    Some(signer) => signer,
                    None => return Err(self.other_key(&status).await),
                }
            }
        };
        let mut statements = Vec::new();
        if key.is_none() {
            statements.push(key_change(&signer, &signer)?);
        }
        statements.push(self.checkpoint(&status, &signer)?);
        let seq = self.state(&status, &statements).await?;
        self.tree.read_up_to(seq).await;
        Ok(())
    }

    fn checkpoint(&self, status: &Status, signer: &Signer) -> Result<Statement, Error> {
        let checkpoint = Checkpoint {
            origin: self.tree.origin().clone(),
            size: status.size(),
            root: status.root(),
        };
        let note = checkpoint.sign(signer).ok_or(Error::Unsigned)?;
        Ok(Statement::Checkpoint(note.to_string()))
    }

    /// Lets another key sign from here on; gives that key, and where the log says so. The new key
    /// attests all that is before it at once: what the old one could sign again later is worth nothing
    /// to whoever knows the new one.
    pub(crate) async fn change_key(&self) -> Result<(String, Seq), Error> {
        self.is_compared().await;
        let custody = self.keychain.custody();
        let status = self.tree.status();
        let Some(key) = status.history().key() else {
            // Before the first checkpoint nothing names the key that is to be changed.
            self.attest().await?;
            return Err(Error::Conflict);
        };
        let signers = custody.checkpoint_signers(self.generation, key).await;
        let (now, next) = match signers {
            Err(custody::Error::OtherCheckpointKey) => return Err(self.other_key(&status).await),
            other => other?,
        };
        let statements = [key_change(&now, &next)?, self.checkpoint(&status, &next)?];
        let seq = self.state(&status, &statements).await?;
        self.tree.read_up_to(seq).await;
        // The stored keys follow; if not now, then before the next change.
        if let Err(error) = custody
            .checkpoint_signers(self.generation, &next.verifier())
            .await
        {
            tracing::warn!(%error, "the stored checkpoint key follows later");
        }
        Ok((next.verifier().to_string(), seq))
    }

    /// The key that the tree knows is not among the wallet's: the tree may not have read of a change
    /// yet. If it has read everything, somebody else wrote that key into the log.
    async fn other_key(&self, status: &Status) -> Error {
        let filter = Filter::Checkpoints(self.generation);
        match self.log.head(filter).await {
            Ok(end) if end > status.head().seq => Error::Conflict,
            Ok(_) => custody::Error::OtherCheckpointKey.into(),
            Err(error) => Error::Unavailable(error.to_string()),
        }
    }

    /// The key that signs checkpoints now, as others check it.
    pub(crate) fn key(&self) -> Result<String, Error> {
        let status = self.tree.status();
        if let Some(key) = status.history().key() {
            return Ok(key.to_string());
        }
        let signer = self
            .keychain
            .custody()
            .checkpoint_signer(self.generation, None);
        let signer = signer.ok_or(custody::Error::OtherCheckpointKey)?;
        Ok(signer.verifier().to_string())
    }

    async fn state(&self, status: &Status, statements: &[Statement]) -> Result<Seq, Error> {
        let head = status.head();
        let (mut history, origin) = (status.history().clone(), self.tree.origin());
        // It will stand there, or behind that.
        let place = Seq(status.size()).next();
        for statement in statements {
            history.follow(origin, place, statement, |_| {
                Ok::<_, history::Fault>(status.root())
            })?;
        }
        let time: Millis = self
            .guard
            .time(&*self.log, head.time)
            .await
            .map_err(|off| Error::Unavailable(off.to_string()))?;
        let custody = self.keychain.custody();
        let header = Header {
            wallet: custody.wallet(),
            subject: Subject::Checkpoint(self.generation),
            previous: head.hash,
            writer: custody.process(),
            time,
            fact_keys: Vec::new(),
        };
        let bytes = commit::encode_statements(&header, statements);
        debug_assert_ne!(CommitHash::of(&bytes), head.hash);
        let sent = append_settled(&*self.log, &header.subject, head.seq, bytes, |why| {
            tracing::warn!(
                why,
                "the outcome of a checkpoint is not known yet; sending it again"
            );
        });
        sent.await.map_err(|error| match error {
            SettleError::Conflict => Error::Conflict,
            other => Error::Unavailable(other.to_string()),
        })
    }
}

fn key_change(old: &Signer, new: &Signer) -> Result<Statement, Error> {
    let note = KeyChange::sign(old, new).ok_or(Error::Unsigned)?;
    Ok(Statement::KeyChange(note.to_string()))
}

/// Makes a checkpoint whenever one is due.
pub(crate) async fn keep_attested(notary: Arc<Notary>, often: Often) {
    while let Err(error) = notary.compare().await {
        match error {
            tree::Error::Evidence(_)
            | tree::Error::Broken(_)
            | tree::Error::Log(log::Error::Damaged { .. }) => {
                return notary.keychain.stop(error.to_string());
            }
            error => tracing::warn!(%error, "the log cannot be held to the tree; trying again"),
        }
        sleep(PAUSE).await;
    }
    let mut status = notary.tree.watch();
    loop {
        if until_due(&mut status, often).await.is_none() {
            return;
        }
        let head = status.borrow().head();
        match notary.attest().await {
            Ok(()) => metrics::counter!("billfold_checkpoints_total").increment(1),
            // That of the other node comes with the next messages.
            Err(Error::Conflict) => {
                let moved = |status: &Status| status.head().seq > head.seq;
                if status.wait_for(moved).await.is_err() {
                    return;
                }
            }
            Err(Error::Custody(error @ custody::Error::OtherCheckpointKey)) => {
                return notary.keychain.stop(error.to_string());
            }
            Err(error) => {
                tracing::warn!(%error, "a checkpoint could not be made; trying again");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn until_due(status: &mut watch::Receiver<Status>, often: Often) -> Option<()> {
    let is_behind = |status: &Status| status.is_behind();
    status.wait_for(is_behind).await.ok()?;
    let due_at = Instant::now() + Duration::from_secs(often.seconds);
    loop {
        let now = status.borrow_and_update().clone();
        if !now.is_behind() {
            // Another node made one.
            status.wait_for(is_behind).await.ok()?;
            return Box::pin(until_due(status, often)).await;
        }
        if now.size() - now.history().size() >= often.commits {
            return Some(());
        }
        tokio::select! {
            () = sleep_until(due_at) => return Some(()),
            changed = status.changed() => changed.ok()?,
        }
    }
}

/// Holds the log to the checkpoints that are kept outside it, as far as the tree can tell, and says
/// which it cannot tell yet. A log that is shorter than one of them is refused at once.
///
/// # Errors
/// When the log is shorter or another one, or what is kept is no checkpoint of it.
pub(crate) async fn check_kept(
    kept: &[Kept],
    tree: &Tree,
    log: &dyn EventLog,
    generation: Generation,
) -> Result<Vec<Held>, tree::Error> {
    let mut later = Vec::new();
    for place in kept {
        let path = place.path().display();
        let told = |error: &dyn std::fmt::Display| format!("{path}: {error}");
        let held = place.read(tree.origin());
        let Some(held) = held.map_err(|error| tree::Error::Evidence(told(&error)))? else {
            continue;
        };
        let size = held.checkpoint.size;
        let end = log.head(Filter::All(generation)).await?;
        if end.0 < size {
            return Err(tree::Error::Evidence(format!(
                "the checkpoint in {path} is of {size} messages, the log ends at sequence {end}"
            )));
        }
        if !tree.holds(&held)? {
            later.push(held);
        }
    }
    Ok(later)
}

/// Keeps the newest checkpoint outside the log, and holds the log to those that were kept before.
pub(crate) async fn keep_kept(
    kept: Vec<Kept>,
    mut later: Vec<Held>,
    tree: Arc<Tree>,
    keychain: Arc<Keychain>,
) {
    let mut status = tree.watch();
    let mut written = 0;
    loop {
        let now = status.borrow_and_update().clone();
        let (due, rest) = later
            .into_iter()
            .partition(|held: &Held| held.checkpoint.size <= now.size());
        later = rest;
        for held in due {
            match tree.holds(&held) {
                Ok(_) => {}
                Err(error @ tree::Error::Evidence(_)) => return keychain.stop(error.to_string()),
                Err(error) => {
                    tracing::error!(%error, "a checkpoint that is kept cannot be compared now");
                    later.push(held);
                }
            }
        }
        // While it is behind one that is kept, it has nothing newer.
        if later.is_empty()
            && let Some(newest) = now.history().newest()
            && newest.checkpoint.size > written
        {
            written = newest.checkpoint.size;
            set_gauge(written);
            let held = Held {
                checkpoint: newest.checkpoint.clone(),
                note: newest.note.clone(),
            };
            keep(&kept, held).await;
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "gauges are floats; 2^53 commits are far away"
)]
fn set_gauge(size: u64) {
    metrics::gauge!("billfold_checkpoint_size").set(size as f64);
}

async fn keep(kept: &[Kept], held: Held) {
    let kept = kept.to_vec();
    let written = tokio::task::spawn_blocking(move || {
        for place in &kept {
            if let Err(error) = place.write(&held) {
                metrics::counter!("billfold_checkpoint_failures_total").increment(1);
                let path = place.path().display();
                tracing::error!(%error, %path, "a checkpoint could not be kept there");
            }
        }
    });
    if let Err(error) = written.await {
        tracing::error!(%error, "checkpoints could not be kept");
    }
}
