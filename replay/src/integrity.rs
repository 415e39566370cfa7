//! Whether a log is the one that its checkpoints attest, by public keys alone: sequences, chains, the
//! tree, and every checkpoint. No fact is opened.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use billfold_core::{
    Millis,
    commit::{CommitHash, Header, Sealed},
    id::{Seq, WalletId},
    proof::{
        Checkpoint, Frontier, Hash, History, KeyName, Note, Statement, VerifierKey, checkpoint,
        history::{self, Attested},
        leaf::Leaves,
    },
    subject::{Generation, Subject},
};
use billfold_streams::{
    EventLog,
    log::{self, Filter, Message},
};
use futures::StreamExt as _;
use serde::{Serialize, Serializer};

use crate::{Check, Error, Finding, verify::Findings};

/// How many messages are hashed at once, and how many times side by side.
const CHUNK: usize = 1024;
/// How long a log may give nothing although it has more.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a log came to. Its JSON has these names.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether nothing is wrong.
    pub sound: bool,
    /// The origin of its checkpoints.
    #[serde(serialize_with = "text")]
    pub origin: KeyName,
    /// How many messages were read.
    pub size: u64,
    /// The root over them.
    #[serde(serialize_with = "text")]
    pub root: Hash,
    /// Whether it was read to its end.
    pub complete: bool,
    /// The keys that signed checkpoints, in the order of the log.
    pub keys: Vec<String>,
    /// How many checkpoints it has.
    pub checkpoints: u64,
    /// How many messages the newest one attests.
    pub attested: u64,
    /// How many stand behind that: nothing outside the log speaks for them yet.
    pub not_attested: u64,
    /// How many messages the checkpoint attests that was held against it.
    pub held: Option<u64>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// How much more is wrong.
    pub more_findings: usize,
    /// The newest checkpoint.
    #[serde(skip)]
    pub newest: Option<Attested>,
    /// Whether the log is another one than a checkpoint attests that was held against it.
    #[serde(skip)]
    pub forked: bool,
}

fn text<T: std::fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Reads the whole log as it is now, and holds it to its own checkpoints and to those held outside.
/// One of `keys` must be among those that the log says sign its checkpoints. `progress` is told each
/// sequence and where the log ends.
///
/// # Errors
/// When the log cannot be had, or the key is of no wallet. What is wrong with the log is no error
/// here but in the report.
pub async fn verify(
    log: &Arc<dyn EventLog>,
    keys: &[VerifierKey],
    held: &[Note],
    progress: &mut (dyn FnMut(Seq, Seq) + Send),
) -> Result<Report, Error> {
    let origin = origin_of(keys)?;
    let (wallet, generation) = origin
        .log()
        .ok_or_else(|| Error::Usage("the key is not one of a wallet's checkpoints".to_owned()))?;
    let mut going = Going::new(origin, wallet, generation);
    let held: Vec<Outside<'_>> = held.iter().filter_map(|note| going.outside(note)).collect();
    let complete = match go_over(log, &mut going, &held, progress).await {
        Ok(()) => true,
        Err(Error::Broken(finding)) => {
            going.findings.push(finding);
            false
        }
        Err(other) => return Err(other),
    };
    going.finish(keys, &held, complete);
    Ok(going.report(&held, complete))
}

fn origin_of(keys: &[VerifierKey]) -> Result<KeyName, Error> {
    let first = keys.first().map(VerifierKey::name);
    let first = first.ok_or_else(|| Error::Usage("which key signs the checkpoints?".to_owned()))?;
    match keys.iter().all(|key| key.name() == first) {
        true => Ok(first.clone()),
        false => Err(Error::Usage("the keys are of several logs".to_owned())),
    }
}

async fn go_over(
    log: &Arc<dyn EventLog>,
    going: &mut Going,
    held: &[Outside<'_>],
    progress: &mut (dyn FnMut(Seq, Seq) + Send),
) -> Result<(), Error> {
    let all = Filter::All(going.generation);
    let end = log.head(all).await?;
    for size in held.iter().map(|held| held.checkpoint.size) {
        going.roots.insert(size, None);
    }
    for size in attested_sizes(log, going.generation).await? {
        going.roots.insert(size, None);
    }
    going.keep_root();
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
    let short = |why: &str| Error::Unreachable(format!("the log {why} before its end"));
    while going.last < end {
        let chunk = tokio::time::timeout(PATIENCE, chunks.next()).await;
        let chunk = chunk.map_err(|_| short("gives nothing more"))?;
        for read in chunk.ok_or_else(|| short("closed"))? {
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
    let mut tail = log.read(filter, Seq::ZERO).await?;
    let mut last = Seq::ZERO;
    while last < end {
        let message = tokio::time::timeout(PATIENCE, tail.next()).await;
        let gone = || Error::Unreachable("the log gives no more of its checkpoints".to_owned());
        let message = message.map_err(|_| gone())?.ok_or_else(gone)??;
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
struct Read {
    seq: Seq,
    subject: Subject,
    leaf: Hash,
    hash: CommitHash,
    frame: Result<(Header, Vec<Statement>), String>,
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

/// The last commit of a subject.
#[derive(Clone, Copy, Default)]
struct Last {
    seq: Seq,
    hash: CommitHash,
    time: Millis,
}

/// A checkpoint that was held outside the log.
struct Outside<'a> {
    note: &'a Note,
    checkpoint: Checkpoint,
}

struct Going {
    origin: KeyName,
    wallet: WalletId,
    generation: Generation,
    frontier: Frontier,
    history: History,
    heads: HashMap<Subject, Last>,
    /// The roots of the sizes that something is said about, once they were passed.
    roots: BTreeMap<u64, Option<Hash>>,
    keys: Vec<VerifierKey>,
    /// Which of the keys signed the newest checkpoint.
    signed_by: Option<usize>,
    checkpoints: u64,
    last: Seq,
    forked: bool,
    findings: Findings,
}

impl Going {
    fn new(origin: KeyName, wallet: WalletId, generation: Generation) -> Self {
        Self {
            origin,
            wallet,
            generation,
            frontier: Frontier::default(),
            history: History::default(),
            heads: HashMap::new(),
            roots: BTreeMap::new(),
            keys: Vec::new(),
            signed_by: None,
            checkpoints: 0,
            last: Seq::ZERO,
            forked: false,
            findings: Findings::default(),
        }
    }

    fn wrong(&mut self, check: Check, seq: impl Into<Option<Seq>>, what: impl Into<String>) {
        self.findings.push(Finding::new(check, seq, what));
    }

    fn outside<'a>(&mut self, note: &'a Note) -> Option<Outside<'a>> {
        match Checkpoint::parse(note.text()) {
            Ok(checkpoint) if checkpoint.origin == self.origin => {
                Some(Outside { note, checkpoint })
            }
            Ok(_) => {
                let what = "the checkpoint that was held is of another log than the key";
                self.wrong(Check::Checkpoint, None, what);
                None
            }
            Err(error) => {
                let what = format!("what was held outside: {error}");
                self.wrong(Check::Checkpoint, None, what);
                None
            }
        }
    }

    /// Takes the next message. What is wrong with it is told, and it is gone on with: only where one
    /// is missing nothing more can be said.
    fn take(&mut self, read: Read) -> Result<(), Finding> {
        let (seq, expected) = (read.seq, self.last.next());
        if seq != expected {
            let what = format!("it is missing: sequence {seq} follows {}", self.last);
            return Err(Finding::new(Check::Sequence, expected, what));
        }
        match &read.frame {
            Ok((header, statements)) => {
                self.check(&read, header);
                self.follow(seq, statements);
            }
            Err(error) => self.wrong(Check::Commit, seq, format!("on {}: {error}", read.subject)),
        }
        let last = Last {
            seq,
            hash: read.hash,
            time: read
                .frame
                .as_ref()
                .map_or(Millis(0), |(header, _)| header.time),
        };
        self.heads.insert(read.subject, last);
        self.frontier.append(read.leaf, |_, _| ());
        self.last = seq;
        self.keep_root();
        Ok(())
    }

    fn check(&mut self, read: &Read, header: &Header) {
        let (seq, subject) = (read.seq, read.subject);
        let mut wrong = Vec::new();
        if header.subject != subject {
            wrong.push(format!("the commit was written for {}", header.subject));
        }
        if header.wallet != self.wallet {
            wrong.push(format!("the commit is of wallet {}", header.wallet));
        }
        let before = self.heads.get(&subject).copied().unwrap_or_default();
        if header.previous != before.hash {
            wrong.push(match before.seq {
                Seq::ZERO => {
                    "the chain is broken: it follows a commit that is not there".to_owned()
                }
                before => format!(
                    "the chain is broken: the commit before it, at sequence {before}, is not the \
                     one that it names; that one was changed or replaced, or some between them are \
                     missing"
                ),
            });
        }
        if header.time < before.time {
            wrong.push("the commit's time is before that of the one it follows".to_owned());
        }
        if matches!(subject, Subject::Observed(_, process) if process != header.writer) {
            wrong.push("another process wrote it than the one whose subject it is".to_owned());
        }
        for what in wrong {
            self.wrong(Check::Commit, seq, format!("on {subject}: {what}"));
        }
    }

    fn follow(&mut self, seq: Seq, statements: &[Statement]) {
        for statement in statements {
            let before = self.history.size();
            let roots = &self.roots;
            let root = |size| {
                let known = roots.get(&size).copied().flatten();
                known.ok_or(Refused::Unforeseen)
            };
            match self.history.follow(&self.origin, seq, statement, root) {
                Ok(()) if matches!(statement, Statement::Checkpoint(_)) => {
                    self.signed_by = self.keys.len().checked_sub(1);
                }
                Ok(()) => {}
                Err(Refused::Unforeseen) => {
                    let what = "the log has another checkpoint here than it told before";
                    self.wrong(Check::Checkpoint, seq, what);
                }
                Err(Refused::Fault(fault @ history::Fault::Root { size, .. })) => {
                    let what = format!(
                        "{fault}: among sequences {} to {size} something was changed, removed or \
                         put in",
                        before + 1
                    );
                    self.wrong(Check::Checkpoint, seq, what);
                }
                Err(Refused::Fault(fault)) => {
                    self.wrong(Check::Checkpoint, seq, fault.to_string());
                }
            }
            match statement {
                Statement::Checkpoint(_) => self.checkpoints += 1,
                Statement::KeyChange(_) => {
                    let key = self.history.key();
                    if let Some(key) = key.filter(|key| self.keys.last() != Some(key)) {
                        self.keys.push(key.clone());
                    }
                }
            }
        }
    }

    fn keep_root(&mut self) {
        if let Some(root) = self.roots.get_mut(&self.frontier.size()) {
            *root = Some(self.frontier.root());
        }
    }

    fn finish(&mut self, keys: &[VerifierKey], held: &[Outside<'_>], complete: bool) {
        // A key that gave way may be known to others: what it signs speaks only for what the next one
        // signed, too.
        let places = keys
            .iter()
            .filter_map(|key| self.keys.iter().position(|known| known == key));
        let what = match (self.signed_by, places.min()) {
            (None, _) if self.checkpoints > 0 => Some("none of its checkpoints holds"),
            (None, _) => Some("there is no checkpoint: nothing outside the log speaks for it"),
            (_, None) => Some("its checkpoints are not signed by the key that was given"),
            (Some(signed_by), Some(place)) if signed_by < place => {
                Some("the key that was given signed no checkpoint of it, nor did one after that")
            }
            _ => None,
        };
        if let Some(what) = what {
            self.wrong(Check::Checkpoint, None, what);
        }
        for outside in held {
            self.hold(outside, keys, complete);
        }
    }

    fn hold(&mut self, outside: &Outside<'_>, keys: &[VerifierKey], complete: bool) {
        let Checkpoint { size, root, .. } = outside.checkpoint;
        let mut known = self.keys.iter().chain(keys);
        let signed = known.any(|key| Checkpoint::verified(outside.note, key).is_ok());
        if !signed {
            let fault = checkpoint::Error::from(billfold_core::proof::note::Error::Unsigned);
            let what = format!("what was held outside: {fault}");
            return self.wrong(Check::Checkpoint, None, what);
        }
        match self.roots.get(&size).copied().flatten() {
            Some(found) if found == root => {}
            Some(found) => {
                let what = format!(
                    "the checkpoint that was held says that the first {size} messages have root \
                     {root}, but they have {found}: this is another log than the one that was \
                     attested"
                );
                self.forked = true;
                self.wrong(Check::Checkpoint, Seq(size), what);
            }
            None if complete => {
                let what = format!(
                    "it is missing: the log ends at sequence {}, but the checkpoint that was held \
                     attests {size}",
                    self.last
                );
                self.wrong(Check::Sequence, self.last.next(), what);
            }
            None => {}
        }
    }

    fn report(self, held: &[Outside<'_>], complete: bool) -> Report {
        let (size, attested) = (self.frontier.size(), self.history.size());
        let (findings, more_findings) = self.findings.into_parts();
        Report {
            sound: findings.is_empty(),
            origin: self.origin,
            size,
            root: self.frontier.root(),
            complete,
            keys: self.keys.iter().map(ToString::to_string).collect(),
            checkpoints: self.checkpoints,
            attested,
            not_attested: size - attested,
            held: held.iter().map(|held| held.checkpoint.size).max(),
            findings,
            more_findings,
            newest: self.history.newest().cloned(),
            forked: self.forked,
        }
    }
}

enum Refused {
    Fault(history::Fault),
    /// The size was not among those that the log told before.
    Unforeseen,
}

impl From<history::Fault> for Refused {
    fn from(fault: history::Fault) -> Self {
        Self::Fault(fault)
    }
}
