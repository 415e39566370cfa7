//! Reading the log without skipping anything (invariant 9).

use std::{collections::HashMap, sync::Arc, time::Duration};

use billfold_core::{
    commit::{self, CommitHash, Entry, Header, Sealed},
    event::Event,
    id::{FactKeyId, ProcessId, Seq, WalletId},
    proof::Statement,
    subject::Subject,
};
use billfold_streams::{
    custody::{self, Custody},
    log::Message,
    replica::Head,
};

/// A commit of the log, open.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Its position.
    pub seq: Seq,
    /// What stands before its events.
    pub header: Header,
    /// Its own hash.
    pub hash: CommitHash,
    /// Its events.
    pub entries: Vec<Entry>,
    /// What it states in the clear; none but commits on `checkpoint` do.
    pub statements: Vec<Statement>,
}

impl Opened {
    /// The head of its subject, now that it is there.
    #[must_use]
    pub const fn head(&self) -> Head {
        Head {
            seq: self.seq,
            hash: self.hash,
            time: self.header.time,
            writer: self.header.writer,
        }
    }
}

/// Something in the log that no node of this wallet wrote there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sequence {seq} on {subject}: {fault}")]
pub struct Broken {
    /// Where.
    pub seq: Seq,
    /// On which subject.
    pub subject: Subject,
    /// What is wrong there.
    pub fault: Fault,
}

impl Broken {
    /// Positions between `last` and this commit are missing.
    #[must_use]
    pub const fn gap(opened: &Opened, last: Seq) -> Self {
        Self {
            seq: opened.seq,
            subject: opened.header.subject,
            fault: Fault::Gap(last),
        }
    }
}

/// What is wrong with a commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It does not open, or is not understood.
    #[error(transparent)]
    Commit(#[from] commit::Error),
    /// It was written for another subject.
    #[error("the commit was written for {0}")]
    Subject(Subject),
    /// It was written for another wallet.
    #[error("the commit is of wallet {0}")]
    Wallet(WalletId),
    /// It does not follow the commit before it.
    #[error("the chain is broken: the commit follows {stated:?}, but {found:?} is before it")]
    Chain {
        /// What it says.
        stated: CommitHash,
        /// What is there.
        found: CommitHash,
    },
    /// It is older than the commit before it.
    #[error("the commit's time is before that of the one it follows")]
    Time,
    /// It stands at or before one that was read already.
    #[error("the position was read before")]
    Order,
    /// Positions before it are missing.
    #[error("positions are missing: the one before it is {0}")]
    Gap(Seq),
    /// Names in it are not what their key sealed.
    #[error("a record's names do not open, though their key is there")]
    Names,
    /// What it states does not follow from what was stated before, or from the log.
    #[error(transparent)]
    Statement(#[from] billfold_core::proof::history::Fault),
    /// It was decided, and is sealed under an epoch that is not the current one at its place.
    #[error("the commit is sealed under epoch {stated}, but {current} is the current one here")]
    Epoch {
        /// What it is sealed under.
        stated: FactKeyId,
        /// The epoch at its place.
        current: FactKeyId,
    },
    /// An event stands where none of its kind does.
    #[error("{event} does not belong on {subject}")]
    Misplaced {
        /// What it is.
        event: &'static str,
        /// Where it stands.
        subject: Subject,
    },
    /// It was written by another process than the one whose subject it stands on.
    #[error("process {writer} wrote on the subject of process {process}")]
    Writer {
        /// Who wrote it.
        writer: ProcessId,
        /// Whose subject it is.
        process: ProcessId,
    },
    /// Its events do not follow from the state.
    #[error(transparent)]
    State(#[from] billfold_core::state::Broken),
}

/// Opens one commit, without looking at its neighbours: this can be done for many at once.
///
/// # Errors
/// When it is not a commit of this wallet for its subject.
pub fn open(custody: &Custody, message: &Message) -> Result<Opened, Broken> {
    let broken = |fault: Fault| Broken {
        seq: message.seq,
        subject: message.subject,
        fault,
    };
    let sealed = Sealed::parse(&message.bytes).map_err(|error| broken(error.into()))?;
    if sealed.header.wallet != custody.wallet() {
        return Err(broken(Fault::Wallet(sealed.header.wallet)));
    }
    if sealed.header.subject != message.subject {
        return Err(broken(Fault::Subject(sealed.header.subject)));
    }
    let keys = custody.keys();
    let entries = sealed
        .open(|id| keys.epoch(id))
        .map_err(|error| broken(error.into()))?;
    let hash = CommitHash::of(&message.bytes);
    Ok(Opened {
        seq: message.seq,
        statements: sealed.statements().to_vec(),
        header: sealed.header,
        hash,
        entries,
    })
}

/// What a commit counts at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is what its node was asked, or what was decided.
    Valid,
    /// It is of a process's own subject and under an epoch that had been closed when it came. Nothing
    /// in it was answered.
    Void,
}

/// The heads of the subjects that were read so far, and the epoch that is the current one there.
#[derive(Debug, Default, Clone)]
pub struct Chains {
    heads: HashMap<Subject, Head>,
    last: Seq,
    epoch: Option<FactKeyId>,
}

impl Chains {
    /// Goes on from a head that was checked before.
    #[must_use]
    pub fn from_head(subject: Subject, head: Head) -> Self {
        Self {
            heads: HashMap::from([(subject, head)]),
            last: head.seq,
            epoch: None,
        }
    }

    /// Goes on from these heads, read up to `last`.
    #[must_use]
    pub fn from_heads(heads: impl IntoIterator<Item = (Subject, Head)>, last: Seq) -> Self {
        Self {
            heads: heads.into_iter().collect(),
            last,
            epoch: None,
        }
    }

    /// The same, where this epoch is the current one.
    #[must_use]
    pub fn with_epoch(self, epoch: Option<FactKeyId>) -> Self {
        Self { epoch, ..self }
    }

    /// The epoch that is the current one; none before the first.
    #[must_use]
    pub const fn epoch(&self) -> Option<FactKeyId> {
        self.epoch
    }

    /// The heads, by subject.
    pub fn heads(&self) -> impl Iterator<Item = (&Subject, &Head)> {
        self.heads.iter()
    }

    /// The last position that was read.
    #[must_use]
    pub const fn last(&self) -> Seq {
        self.last
    }

    /// Lets a commit join its chain, and says what it counts there.
    ///
    /// # Errors
    /// When it does not follow the one before it, or was decided under an epoch that was closed.
    pub fn follow(&mut self, opened: &Opened) -> Result<Standing, Broken> {
        let subject = opened.header.subject;
        let broken = |fault| {
            Err(Broken {
                seq: opened.seq,
                subject,
                fault,
            })
        };
        let head = self.heads.get(&subject).copied().unwrap_or_default();
        if opened.seq <= self.last {
            return broken(Fault::Order);
        }
        if opened.header.previous != head.hash {
            let stated = opened.header.previous;
            return broken(Fault::Chain {
                stated,
                found: head.hash,
            });
        }
        if opened.header.time < head.time {
            return broken(Fault::Time);
        }
        let stated = &opened.header.fact_keys;
        let other = self.epoch.and_then(|current| {
            let other = stated.iter().find(|stated| **stated != current)?;
            Some((*other, current))
        });
        let standing = match other {
            Some((stated, current)) if subject.is_decided() => {
                return broken(Fault::Epoch { stated, current });
            }
            Some(_) => Standing::Void,
            None => Standing::Valid,
        };
        // What is void is nobody's word: it may hold anything.
        if standing == Standing::Valid
            && let Err(fault) = belongs(opened)
        {
            return broken(fault);
        }
        if subject.is_decided() {
            let began = opened.entries.iter().filter_map(epoch_of).next_back();
            self.epoch = began.or(self.epoch);
        }
        self.heads.insert(subject, opened.head());
        self.last = opened.seq;
        Ok(standing)
    }
}

/// Requests stand under their process's own subject, and everything else under `decided`: the fold
/// leaves out what stands under another, so it would be lost unseen.
fn belongs(opened: &Opened) -> Result<(), Fault> {
    let subject = opened.header.subject;
    for entry in &opened.entries {
        let event = &entry.fact.event;
        let observed = match event {
            Event::ResolutionRequested(_) | Event::RequestsRefused(_) => true,
            Event::WalletCreated(_)
            | Event::KekCreated(_)
            | Event::EpochBegan(_)
            | Event::AuditorGranted(_)
            | Event::EpochsGranted(_)
            | Event::NamesGranted(_)
            | Event::GrantEnded(_)
            | Event::KeyPageClosed(_)
            | Event::KeysDestroyed(_)
            | Event::KeysRewrapped(_)
            | Event::GenerationReplaced(_)
            | Event::KeksRetired(_)
            | Event::KeksDestroyed(_)
            | Event::WalletSealed(_)
            | Event::RotationPolicySet(_)
            | Event::MountEnabled(_)
            | Event::MountTuned(_)
            | Event::MountDisabled(_)
            | Event::MountRenamed(_)
            | Event::TokenCreated(_)
            | Event::TokenRenewed(_)
            | Event::TokenUsed(_)
            | Event::TokensEnded(_)
            | Event::PolicyWritten(_)
            | Event::PolicyDeleted(_)
            | Event::CubbyholeWritten(_)
            | Event::CubbyholeDeleted(_)
            | Event::TokenRoleWritten(_)
            | Event::TokenRoleDeleted(_)
            | Event::ErasureOrdered(_)
            | Event::HoldPlaced(_)
            | Event::HoldLifted(_)
            | Event::CredentialWritten(_)
            | Event::VersionsDeleted(_)
            | Event::VersionsUndeleted(_)
            | Event::VersionsDestroyed(_)
            | Event::MetadataChanged(_)
            | Event::MetadataDeleted(_)
            | Event::PayloadResealed(_)
            | Event::NamesResealed(_) => false,
        };
        if observed == subject.is_decided() {
            let event = event.name();
            return Err(Fault::Misplaced { event, subject });
        }
    }
    match subject {
        Subject::Observed(_, process) if process != opened.header.writer => Err(Fault::Writer {
            writer: opened.header.writer,
            process,
        }),
        _ => Ok(()),
    }
}

/// The epoch that begins with this event.
fn epoch_of(entry: &Entry) -> Option<FactKeyId> {
    match &entry.fact.event {
        Event::KekCreated(event) => Some(event.fact_key),
        Event::EpochBegan(event) => Some(event.fact_key),
        _ => None,
    }
}

/// From how many on opening commits is worth another thread.
const WORTH_A_THREAD: usize = 16;
/// How long to wait before the key store is asked again.
const RETRY: Duration = Duration::from_millis(500);

/// Opens commits, many of them on another thread. The first of an epoch that began elsewhere makes
/// it read the wallet keys anew: while the key store is away, it waits rather than skip.
pub async fn open_all(
    custody: &Arc<Custody>,
    messages: Vec<Message>,
) -> Vec<Result<Opened, Broken>> {
    let messages = Arc::new(messages);
    let opened = open_once(custody, &messages).await;
    if !opened.iter().any(is_of_an_unknown_epoch) {
        return opened;
    }
    loop {
        match custody.reload().await {
            Ok(()) => return open_once(custody, &messages).await,
            Err(custody::Error::Store(error)) => {
                tracing::warn!(%error, "the key store is needed to go on; trying again");
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => {
                tracing::error!(%error, "the wallet keys cannot be read anew");
                return opened;
            }
        }
    }
}

const fn is_of_an_unknown_epoch(opened: &Result<Opened, Broken>) -> bool {
    matches!(
        opened,
        Err(Broken {
            fault: Fault::Commit(commit::Error::NoFactKey(_)),
            ..
        })
    )
}

async fn open_once(
    custody: &Arc<Custody>,
    messages: &Arc<Vec<Message>>,
) -> Vec<Result<Opened, Broken>> {
    let all = |custody: &Custody, messages: &[Message]| {
        let opened = messages.iter().map(|message| open(custody, message));
        opened.collect()
    };
    if messages.len() < WORTH_A_THREAD {
        return all(custody, messages);
    }
    let (custody, messages) = (Arc::clone(custody), Arc::clone(messages));
    let opened = tokio::task::spawn_blocking(move || all(&custody, &messages));
    // A panic in there is a bug: it goes on in the task that waits.
    opened
        .await
        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
