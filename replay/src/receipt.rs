//! Receipts: one commit shown to somebody without keys, and what a receipt shows.

mod check;
mod elsewhere;

use std::{
    collections::{BTreeSet, HashMap},
    convert::Infallible,
};

use billfold_core::{
    commit::{Entry, Sealed},
    event::Event,
    id::Seq,
    keys::{Content, wallet::Epoch},
    proof::{
        Checkpoint, Frontier, Hash, KeyName, Note, Receipt, Statement,
        leaf::Leaves,
        path::{self, Hashes},
        receipt::Disclosed,
    },
    seal::CiphertextKey,
    subject::Generation,
};
use billfold_streams::log::{Filter, Message};

use crate::{
    Check, Error, Finding, Source, Walk,
    source::EVERYTHING,
    tail::Bounded,
    uses::{Owner, used},
};

pub use self::{
    check::{Shown, check},
    elsewhere::{Elsewhere, elsewhere},
};

/// The one that is replayed.
const GENERATION: Generation = Generation::FIRST;

/// What of a commit is to be shown.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The events, counted from 0; all of them when there are none.
    pub events: Vec<usize>,
    /// Whether names are shown, where their keys are there.
    pub names: bool,
    /// The checkpoint that it is to be proven against, which others may have cosigned; the log's
    /// newest when there is none.
    pub checkpoint: Option<Note>,
}

/// Makes a receipt of the commit at this place. `progress` is told each sequence and the last one.
///
/// # Errors
/// When no checkpoint attests the commit, the log is not the one that the checkpoint attests, the
/// commit is void, or the keys of what is to be shown are not there.
pub async fn prove(
    source: &Source,
    seq: Seq,
    wanted: &Wanted,
    progress: &mut (dyn FnMut(Seq, Seq) + Send),
) -> Result<Receipt, Error> {
    let note = match &wanted.checkpoint {
        Some(note) => Some(note.clone()),
        None => newest_note(source).await?,
    };
    let note = note.ok_or_else(|| Error::Usage("the log has no checkpoint yet".to_owned()))?;
    let checkpoint = Checkpoint::parse(note.text());
    let checkpoint = checkpoint.map_err(|error| Error::Usage(error.to_string()))?;
    if checkpoint.origin != KeyName::origin(source.wallet(), GENERATION) {
        return Err(Error::Usage("the checkpoint is of another log".to_owned()));
    }
    if seq == Seq::ZERO || checkpoint.size < seq.0 {
        return Err(Error::Usage(format!(
            "the checkpoint attests the first {} sequences, and so not {seq}",
            checkpoint.size
        )));
    }
    let grown = grow(source, seq, &checkpoint, progress).await?;
    if grown.root != checkpoint.root {
        let what = format!(
            "the checkpoint of size {} has root {}, but the log has {}",
            checkpoint.size, checkpoint.root, grown.root
        );
        return Err(Finding::new(Check::Checkpoint, None, what).into());
    }
    let message = grown
        .message
        .ok_or_else(|| Error::Unreachable(format!("the log gives nothing at sequence {seq}")))?;
    // What was decided is never void.
    if !message.subject.is_decided() {
        require_valid(source, seq).await?;
    }
    Ok(Receipt {
        seq,
        subject: message.subject,
        disclosed: disclose(source, &message, wanted).await?,
        message: message.bytes,
        path: grown.path,
        checkpoint: note,
    })
}

/// Refuses what came behind the end of its epoch: nobody answered it, and whoever was granted that epoch
/// could have written it. Where not all is open before it, that cannot be told.
async fn require_valid(source: &Source, seq: Seq) -> Result<(), Error> {
    if source.first_closed().is_some_and(|closed| closed <= seq) {
        return Ok(());
    }
    let mut walk = Walk::start(source, seq).await?;
    // Which epoch is the current one stands in the commits: no state is needed.
    while walk.next().await?.is_some() {}
    match walk.is_void() {
        true => Err(Error::Usage(format!(
            "the commit at sequence {seq} is void: it came behind the end of its epoch"
        ))),
        false => Ok(()),
    }
}

async fn newest_note(source: &Source) -> Result<Option<Note>, Error> {
    let (log, filter) = (&source.log, Filter::Checkpoints(GENERATION));
    let (mut newest, mut last, end) = (None, Seq::ZERO, log.head(filter).await?);
    if end == Seq::ZERO {
        return Ok(None);
    }
    let mut tail = Bounded::read(log, filter, Seq::ZERO, source.patience).await?;
    while last < end {
        let message = tail.next().await?;
        last = message.seq;
        let sealed = Sealed::parse(&message.bytes);
        let sealed =
            sealed.map_err(|error| Finding::new(Check::Commit, last, error.to_string()))?;
        for statement in sealed.statements() {
            if let Statement::Checkpoint(note) = statement {
                newest = Note::parse(note.as_bytes()).ok();
            }
        }
    }
    Ok(newest)
}

/// What the log grew to.
struct Grown {
    root: Hash,
    path: Vec<Hash>,
    message: Option<Message>,
}

async fn grow(
    source: &Source,
    seq: Seq,
    checkpoint: &Checkpoint,
    progress: &mut (dyn FnMut(Seq, Seq) + Send),
) -> Result<Grown, Error> {
    let (index, size) = (seq.0 - 1, checkpoint.size);
    let mut wanted = Subtrees::of_proof(index, size);
    let leaves = Leaves::of(source.wallet(), GENERATION);
    let (mut frontier, mut message) = (Frontier::default(), None);
    let end = source.head().await?;
    if end.0 < size {
        let what = format!(
            "it is missing: the log ends at sequence {end}, but the checkpoint attests {size}"
        );
        return Err(Finding::new(Check::Sequence, end.next(), what).into());
    }
    let mut tail = Bounded::read(&source.log, EVERYTHING, Seq::ZERO, source.patience).await?;
    while frontier.size() < size {
        let next = tail.next().await?;
        let expected = Seq(frontier.size() + 1);
        if next.seq != expected {
            let what = format!("it is missing: sequence {} comes in its place", next.seq);
            return Err(Finding::new(Check::Sequence, expected, what).into());
        }
        let at = frontier.size();
        frontier.append(
            leaves.hash(next.seq, &next.subject, &next.bytes),
            |level, hash| wanted.completed(level, at >> level, hash),
        );
        if next.seq == seq {
            message = Some(next);
        }
        progress(Seq(frontier.size()), Seq(size));
    }
    let Ok(path) = path::inclusion(&wanted, index, size);
    Ok(Grown {
        root: frontier.root(),
        path,
        message,
    })
}

/// The perfect subtrees that a proof is made of: first which, then their roots.
#[derive(Default)]
struct Subtrees(HashMap<(u32, u64), Hash>);

impl Subtrees {
    fn of_proof(index: u64, size: u64) -> Self {
        struct Asked(std::cell::RefCell<HashMap<(u32, u64), Hash>>);
        impl Hashes for Asked {
            type Error = Infallible;

            fn subtree(&self, level: u32, index: u64) -> Result<Hash, Infallible> {
                self.0.borrow_mut().insert((level, index), Hash::default());
                Ok(Hash::default())
            }
        }
        let asked = Asked(std::cell::RefCell::default());
        let Ok(_) = path::inclusion(&asked, index, size);
        Self(asked.0.into_inner())
    }

    fn completed(&mut self, level: u32, index: u64, root: Hash) {
        if let Some(wanted) = self.0.get_mut(&(level, index)) {
            *wanted = root;
        }
    }
}

impl Hashes for Subtrees {
    type Error = Infallible;

    fn subtree(&self, level: u32, index: u64) -> Result<Hash, Infallible> {
        Ok(self.0.get(&(level, index)).copied().unwrap_or_default())
    }
}

async fn disclose(
    source: &Source,
    message: &Message,
    wanted: &Wanted,
) -> Result<Vec<Disclosed>, Error> {
    let wrong = |error: billfold_core::commit::Error| {
        Error::from(Finding::new(Check::Commit, message.seq, error.to_string()))
    };
    let sealed = Sealed::parse(&message.bytes).map_err(wrong)?;
    let events: Vec<usize> = match wanted.events.as_slice() {
        [] => (0..sealed.len()).collect(),
        some => BTreeSet::from_iter(some.iter().copied())
            .into_iter()
            .collect(),
    };
    let keys = source.custody.keys();
    let mut disclosed = Vec::new();
    for event in events {
        if event >= sealed.len() {
            return Err(Error::Usage(format!(
                "the commit at sequence {} has {} events, counted from 0: there is no {event}",
                message.seq,
                sealed.len()
            )));
        }
        let mut epochs = sealed.header.fact_keys.iter();
        let found = epochs.find_map(|id| {
            let epoch = keys.epoch(id)?;
            let fact = sealed.disclose(event, epoch).ok()?;
            Some((epoch, fact))
        });
        let (epoch, fact) = found.ok_or_else(|| {
            Error::Unreachable(format!(
                "the key of event {event} at sequence {} is not there",
                message.seq
            ))
        })?;
        let (entry, _) = sealed.open_disclosed(event, &fact).map_err(wrong)?;
        let names = match wanted.names {
            true => names(source, epoch, &entry).await?,
            false => None,
        };
        disclosed.push(Disclosed { event, fact, names });
    }
    Ok(disclosed)
}

/// What opens the names beside an event; none where there are none, or their key is gone.
async fn names(
    source: &Source,
    epoch: &Epoch,
    entry: &Entry,
) -> Result<Option<CiphertextKey>, Error> {
    let Some(sealed) = &entry.names else {
        return Ok(None);
    };
    if let Event::ResolutionRequested(_) = &entry.fact.event {
        return Ok(epoch.request_names.disclose(sealed).ok());
    }
    let is_of_names = |owner: &Owner| match owner {
        Owner::RootToken | Owner::TokenMac(_) | Owner::Payload(..) => false,
        // The event does not say which version they are sealed for.
        Owner::Names(_, version) => version.is_some(),
        Owner::Cubbyhole(_, _, content) => *content == Content::Names,
        Owner::TokenNames(_) | Owner::Mount(_) | Owner::Erasure(_) | Owner::Hold(_) => true,
    };
    let mut uses = used(entry).into_iter();
    let Some(used) = uses.find(|used| is_of_names(&used.owner)) else {
        return Ok(None);
    };
    let dek = source.custody.dek(used.key).await?;
    Ok(dek.and_then(|dek| dek.disclose(sealed).ok()))
}
