//! What an auditor's key opens of a log: the epochs and names that were granted to it, found by going
//! over the commits with no other key.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::Write as _,
    path::Path,
    sync::Arc,
    time::Duration,
};

use billfold_core::{
    commit::{CommitHash, Sealed},
    event::Event,
    grant::{Address, AuditorKey, AuditorSecret, NameTable, epochs_of},
    id::{FactKeyId, MountId, RecordId, Seq, TokenId, WalletId},
    keys::wallet::Epoch,
    proof::{KeyName, Note, Statement, VerifierKey, statement::KeyChange},
    subject::Subject,
};
use billfold_streams::{
    EventLog,
    custody::Custody,
    entropy::Os,
    log::{Filter, Message},
};

use crate::{Check, Error, Finding, integrity, source::EVERYTHING, tail::Bounded};

/// Makes an auditor's key in a file that only its owner reads, and returns the public one.
///
/// # Errors
/// When there is such a file, or it cannot be written.
pub fn make_key(file: &Path) -> Result<AuditorKey, Error> {
    let failed = |error: std::io::Error| Error::unmade("--out", file, &error);
    let secret = AuditorSecret::generate(&mut Os::new());
    let public = secret.public();
    let public = public.map_err(|error| Error::Machine(error.to_string()))?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = options.open(file).map_err(failed)?;
    out.write_all(secret.danger_text().as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.sync_all())
        .map_err(failed)?;
    Ok(public)
}

pub(crate) fn read_key(file: &Path) -> Result<AuditorSecret, Error> {
    let option = "--auditor-key";
    let text = fs::read_to_string(file).map_err(|error| Error::unread(option, file, &error))?;
    let text = zeroize::Zeroizing::new(text);
    AuditorSecret::parse(&text).map_err(|error| Error::unfit(option, file, &error))
}

/// What was granted besides the keys of epochs, and what was not.
#[derive(Debug, Default)]
pub(crate) struct Granted {
    records: HashMap<RecordId, (MountId, String)>,
    /// By the mount, and what facts call its path: a mount may have moved.
    mounts: HashMap<MountId, HashMap<RecordId, String>>,
    tokens: HashMap<TokenId, String>,
    /// The sequences whose facts the key does not open, as spans from first to last.
    closed: Vec<(Seq, Seq)>,
}

impl Granted {
    /// The mount that a record is in, and its path below.
    pub(crate) fn record(&self, record: RecordId) -> Option<&(MountId, String)> {
        self.records.get(&record)
    }

    pub(crate) fn path(&self, record: RecordId) -> Option<&String> {
        self.record(record).map(|(_, path)| path)
    }

    /// The path of a mount that facts call so.
    pub(crate) fn mount_path(&self, mount: MountId, blinded: &RecordId) -> Option<&String> {
        self.mounts.get(&mount)?.get(blinded)
    }

    /// The path of a mount where it is not known what facts call it; none if it had several.
    pub(crate) fn only_path(&self, mount: MountId) -> Option<&String> {
        let mut paths = self.mounts.get(&mount)?.values();
        paths.next().filter(|_| paths.next().is_none())
    }

    pub(crate) fn token(&self, token: TokenId) -> Option<&String> {
        self.tokens.get(&token)
    }

    pub(crate) fn closed(&self) -> &[(Seq, Seq)] {
        &self.closed
    }

    /// The first sequence that is closed: from there on nobody with this key knows the state.
    pub(crate) fn first_closed(&self) -> Option<Seq> {
        self.closed.first().map(|(first, _)| *first)
    }

    fn name(&mut self, table: NameTable) {
        for (mount, blinded, path) in table.mounts {
            self.mounts.entry(mount).or_default().insert(blinded, path);
        }
        self.tokens.extend(table.tokens);
        let records = table.records.into_iter();
        self.records
            .extend(records.map(|(record, mount, path)| (record, (mount, path))));
    }
}

/// Goes over the log and takes up what was granted to this key: as far as the log's own checkpoints
/// attest it, for anybody can seal something to a public key. Whose checkpoints they are is for
/// `verify --checkpoint-key` to say.
///
/// # Errors
/// When nothing was, when the log is not what its checkpoints attest, or when it cannot be reached.
pub(crate) async fn take_up(
    log: &Arc<dyn EventLog>,
    secret: &AuditorSecret,
    patience: Duration,
) -> Result<(Arc<Custody>, Granted), Error> {
    let public = secret.public();
    let public = public.map_err(|error| Error::Unreachable(error.to_string()))?;
    let attested = attested(log, patience).await?;
    let end = log.head(EVERYTHING).await?;
    let mut frames = Frames::default();
    let mut tail = Bounded::read(log, EVERYTHING, Seq::ZERO, patience).await?;
    while frames.last < end {
        let message = tail.next().await?;
        let commit = frames.follow(&message)?;
        if !message.subject.is_decided() {
            continue;
        }
        let wallet = commit.header.wallet;
        let payloads = commit.ciphertexts().filter_map(|event| event.payload);
        for payload in payloads {
            match Address::open(secret, &public, wallet, payload) {
                None => {}
                Some(_) if message.seq > attested => frames.waits_at(message.seq),
                Some(Ok((address, plain))) => {
                    let taken = frames.take(address, plain.expose());
                    taken.ok_or_else(|| wrong(message.seq, "a grant is not what it should be"))?;
                }
                Some(Err(error)) => {
                    let what = format!("a grant to this key does not open: {error}");
                    return Err(wrong(message.seq, &what).into());
                }
            }
        }
    }
    frames.finish()
}

/// How far the log's own checkpoints speak for it.
async fn attested(log: &Arc<dyn EventLog>, patience: Duration) -> Result<Seq, Error> {
    let checkpoints = Filter::Checkpoints(EVERYTHING.generation());
    if log.head(checkpoints).await? == Seq::ZERO {
        return Ok(Seq::ZERO);
    }
    let mut tail = Bounded::read(log, checkpoints, Seq::ZERO, patience).await?;
    let first = tail.next().await?;
    let key = first_key(&first).ok_or_else(|| wrong(first.seq, "it names no checkpoint key"))?;
    let report = integrity::verify(log, &[key], &[], &mut |_, _| ()).await?;
    match report.findings.into_iter().next() {
        Some(finding) => Err(finding.into()),
        None => Ok(Seq(report.attested)),
    }
}

fn first_key(first: &Message) -> Option<VerifierKey> {
    let sealed = Sealed::parse(&first.bytes).ok()?;
    let origin = KeyName::origin(sealed.header.wallet, first.subject.generation());
    let Statement::KeyChange(note) = sealed.statements().first()? else {
        return None;
    };
    let note = Note::parse(note.as_bytes()).ok()?;
    Some(KeyChange::verified(&note, &origin).ok()?.new)
}

/// What the frames of the commits tell so far.
#[derive(Default)]
struct Frames {
    last: Seq,
    wallet: Option<WalletId>,
    heads: HashMap<Subject, CommitHash>,
    /// Under which keys the commits are, as spans.
    spans: Vec<(Seq, Seq, Vec<FactKeyId>)>,
    epochs: BTreeMap<FactKeyId, Epoch>,
    granted: Granted,
    /// The first that is sealed to the key and that no checkpoint attests yet.
    waiting: Option<Seq>,
}

impl Frames {
    fn follow(&mut self, message: &Message) -> Result<Sealed, Error> {
        let seq = message.seq;
        let expected = self.last.next();
        if seq != expected {
            let what = format!("it is missing: sequence {seq} follows {}", self.last);
            return Err(Finding::new(Check::Sequence, expected, what).into());
        }
        let commit = Sealed::parse(&message.bytes);
        let commit = commit.map_err(|error| wrong(seq, &error.to_string()))?;
        let header = &commit.header;
        if header.subject != message.subject {
            return Err(wrong(seq, "the commit was written for another subject").into());
        }
        if *self.wallet.get_or_insert(header.wallet) != header.wallet {
            return Err(wrong(seq, "the commit is of another wallet").into());
        }
        let head = self.heads.entry(header.subject).or_insert(CommitHash::NONE);
        if header.previous != *head {
            return Err(wrong(seq, "the commit does not follow the one before it").into());
        }
        *head = CommitHash::of(&message.bytes);
        match self.spans.last_mut() {
            // A checkpoint is in the clear, and interrupts nothing.
            Some((_, last, keys)) if header.fact_keys.is_empty() || *keys == header.fact_keys => {
                *last = seq;
            }
            _ => self.spans.push((seq, seq, header.fact_keys.clone())),
        }
        self.last = seq;
        Ok(commit)
    }

    fn waits_at(&mut self, seq: Seq) {
        self.waiting.get_or_insert(seq);
    }

    /// Takes a part of a grant; none when it is not what it should be, or gives another key to an
    /// epoch than a part before it.
    fn take(&mut self, address: Address, plain: &[u8]) -> Option<()> {
        match address.kind {
            Event::EPOCHS_GRANTED => {
                for epoch in epochs_of(plain)? {
                    match self.epochs.get(&epoch.id) {
                        Some(known) if !known.is_same(&epoch) => return None,
                        Some(_) => {}
                        None => drop(self.epochs.insert(epoch.id, epoch)),
                    }
                }
            }
            Event::NAMES_GRANTED => self.granted.name(NameTable::decode(plain).ok()?),
            _ => return None,
        }
        Some(())
    }

    fn finish(mut self) -> Result<(Arc<Custody>, Granted), Error> {
        for (first, last, keys) in &self.spans {
            if keys.iter().all(|key| self.epochs.contains_key(key)) {
                continue;
            }
            match self.granted.closed.last_mut() {
                Some((_, end)) if end.next() == *first => *end = *last,
                _ => self.granted.closed.push((*first, *last)),
            }
        }
        let waiting = self.waiting;
        let nothing = || {
            Error::Unreachable(match waiting {
                Some(seq) => format!(
                    "what is sealed to this auditor's key at sequence {seq} is attested by no checkpoint \
                     yet: it counts once one does, a minute later at most"
                ),
                None => "nothing in this log is granted to this auditor's key, as far as its checkpoints \
                         attest it. A new grant has nothing in it before one of its epochs has ended, at \
                         midnight UTC or by `billfold rotate`, and shows nothing of itself until then; \
                         with --live it has the epoch that goes on"
                    .to_owned(),
            })
        };
        let wallet = self.wallet.ok_or_else(nothing)?;
        let mut epochs: Vec<_> = self.epochs.into_values().collect();
        epochs.sort_unstable_by_key(|epoch| epoch.number);
        let custody = Custody::of_auditor(wallet, epochs).ok_or_else(nothing)?;
        Ok((Arc::new(custody), self.granted))
    }
}

fn wrong(seq: Seq, what: &str) -> Finding {
    Finding::new(Check::Commit, seq, what)
}
