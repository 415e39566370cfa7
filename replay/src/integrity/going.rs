//! What is known of a log at a place that was come to, held against what each message says.

use std::collections::{BTreeMap, HashMap};

use billfold_core::{
    Millis,
    commit::{CommitHash, Header},
    id::{Seq, WalletId},
    proof::{
        Checkpoint, Frontier, Hash, History, KeyName, Note, Statement, VerifierKey, checkpoint,
        history,
    },
    subject::{Generation, Subject},
};

use super::{Report, read::Read};
use crate::{Check, Finding, verify::Findings};

/// The last commit of a subject.
#[derive(Clone, Copy, Default)]
struct Last {
    seq: Seq,
    hash: CommitHash,
    time: Millis,
}

/// A checkpoint that was held outside the log.
pub(super) struct Outside<'a> {
    note: &'a Note,
    pub(super) checkpoint: Checkpoint,
}

/// What is known at a place.
pub(super) struct Going {
    origin: KeyName,
    pub(super) wallet: WalletId,
    pub(super) generation: Generation,
    frontier: Frontier,
    history: History,
    heads: HashMap<Subject, Last>,
    /// The roots of the sizes that something is said about, once they were passed.
    roots: BTreeMap<u64, Option<Hash>>,
    keys: Vec<VerifierKey>,
    /// Which of the keys signed the newest checkpoint.
    signed_by: Option<usize>,
    checkpoints: u64,
    pub(super) last: Seq,
    forked: bool,
    findings: Findings,
}

impl Going {
    pub(super) fn new(origin: KeyName, wallet: WalletId, generation: Generation) -> Self {
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

    pub(super) fn outside<'a>(&mut self, note: &'a Note) -> Option<Outside<'a>> {
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
    pub(super) fn take(&mut self, read: Read) -> Result<(), Finding> {
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

    /// Takes up something that is wrong.
    pub(super) fn found(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Keeps the roots of these sizes, once they are passed.
    pub(super) fn keep_roots(&mut self, sizes: impl Iterator<Item = u64>) {
        self.roots.extend(sizes.map(|size| (size, None)));
        self.keep_root();
    }

    fn keep_root(&mut self) {
        if let Some(root) = self.roots.get_mut(&self.frontier.size()) {
            *root = Some(self.frontier.root());
        }
    }

    pub(super) fn finish(&mut self, keys: &[VerifierKey], held: &[Outside<'_>], complete: bool) {
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

    pub(super) fn report(self, held: &[Outside<'_>], complete: bool) -> Report {
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
