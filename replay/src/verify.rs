//! Whether log, key store and view are what a wallet's nodes make: every check there is.

mod compare;
mod keys;
mod summary;

use std::{fs, io, sync::Arc, time::Duration};

use billfold_core::{
    id::Seq,
    proof::{Checkpoint, KeyName, Note},
    state::Digest,
};
use serde::Serialize;
use tokio::time::Instant;

pub use compare::ViewState;
pub use summary::{KeyCounts, Payloads, Summary, Versions};

use self::{compare::Comparison, keys::Keys};
use crate::{Check, Error, Finding, Source, Walk, integrity, report::as_text, source::EVERYTHING};

/// How many findings are told one by one.
const TOLD: usize = 200;
/// How long what was kept of a log may be ahead of what is read of it, and when it is looked at again.
const SEEN_WITHIN: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(50);

/// What a verification came to. Its JSON has these names.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether nothing is wrong.
    pub sound: bool,
    /// The wallet.
    pub wallet: String,
    /// The last decided commit that was folded.
    pub sequence: Seq,
    /// The digest there.
    #[serde(serialize_with = "as_text")]
    pub digest: Digest,
    /// Whether the log was read to its end: not where a commit is missing or does not follow.
    pub complete: bool,
    /// How much there is. Where the log was not read to its end, what comes of the state is 0.
    pub summary: Summary,
    /// The node's view.
    pub view: ViewState,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// How much more is wrong.
    pub more_findings: usize,
}

/// What is wrong, as much of it as is told.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    told: Vec<Finding>,
    more: usize,
}

impl Findings {
    pub(crate) fn into_parts(self) -> (Vec<Finding>, usize) {
        (self.told, self.more)
    }

    pub(crate) fn push(&mut self, finding: Finding) {
        if self.told.len() < TOLD {
            self.told.push(finding);
        } else {
            self.more += 1;
        }
    }

    fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        findings.into_iter().for_each(|finding| self.push(finding));
    }
}

/// Reads the whole log as it is now and checks everything. `progress` is told each sequence and
/// where the log ends.
///
/// # Errors
/// When the log, the key store or a temporary folder cannot be had. What is wrong with the log is
/// no error here but in the report.
pub async fn verify(
    source: &Source,
    progress: &mut (dyn FnMut(Seq, Seq) + Send),
) -> Result<Report, Error> {
    if source.granted.is_some() {
        let told = "verify tries every key of the wallet: an auditor's key opens facts alone";
        return Err(Error::Usage(told.to_owned()));
    }
    // The view first: the log only grows, so one that is looked at later reaches as far.
    let mut view = Comparison::of(source.view.as_deref(), &source.custody)?;
    let mut findings = Findings::default();
    let mut summary = Summary::default();
    let kept = kept(source, &mut findings)?;
    let end = source.head().await?;
    let mut walk = match Walk::start(source, end).await {
        // A backend may see damage before it gives anything.
        Err(Error::Broken(finding)) => {
            findings.push(finding);
            return Ok(report(source, None, summary, view, findings));
        }
        other => other?,
    };
    let mut keys = Keys::new(Arc::clone(&source.custody));
    let mut at = Progress { end, progress };
    let gone_over = go_over(
        &mut walk,
        &mut keys,
        &mut summary,
        &mut view,
        &mut findings,
        &mut at,
    );
    let complete = match gone_over.await {
        Err(Error::Broken(finding)) => {
            findings.push(finding);
            findings.extend(keys.damaged());
            false
        }
        other => {
            other?;
            true
        }
    };
    if complete {
        attested(source, summary.checkpoints, kept, &mut findings).await?;
        view.finish(end, &mut findings);
        walk.write()?;
        summary.finish(&walk)?;
        match keys.finish(source, &mut walk, &mut findings).await {
            Ok(unswept) => summary.keys.pages_to_be_swept = unswept as u64,
            Err(Error::Broken(finding)) => findings.push(finding),
            Err(other) => return Err(other),
        }
    }
    let folded = Some((&walk, complete));
    Ok(report(source, folded, summary, view, findings))
}

/// The checkpoint that the node keeps beside its view, if it is of this log: what it attests was in the
/// log before it was kept.
fn kept(source: &Source, findings: &mut Findings) -> Result<Option<Note>, Error> {
    let Some(file) = &source.kept else {
        return Ok(None);
    };
    let bytes = match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|error| {
            Error::Machine(format!("{} cannot be read: {error}", file.display()))
        })?,
    };
    let note = Note::parse(&bytes).ok();
    let origin = KeyName::origin(source.wallet(), EVERYTHING.generation());
    match note.and_then(|note| Some((Checkpoint::parse(note.text()).ok()?, note))) {
        Some((checkpoint, note)) => Ok((checkpoint.origin == origin).then_some(note)),
        None => {
            let what = "what the node kept beside its view as a checkpoint is none";
            findings.push(Finding::new(Check::Checkpoint, None, what));
            Ok(None)
        }
    }
}

/// Waits until the log that is read has what was attested of it: beside its owner new commits come to
/// be seen a moment later than they are kept.
async fn seen(source: &Source, note: &Note) -> Result<(), Error> {
    let Ok(checkpoint) = Checkpoint::parse(note.text()) else {
        return Ok(());
    };
    let deadline = Instant::now() + SEEN_WITHIN;
    while source.head().await?.0 < checkpoint.size && Instant::now() < deadline {
        tokio::time::sleep(AGAIN).await;
    }
    Ok(())
}

/// Holds the log to its own checkpoints, and to the one that was kept. The chains were gone over already.
async fn attested(
    source: &Source,
    checkpoints: u64,
    kept: Option<Note>,
    findings: &mut Findings,
) -> Result<(), Error> {
    let signer = source
        .custody
        .checkpoint_signer(EVERYTHING.generation(), None);
    let Some(signer) = signer.filter(|_| checkpoints > 0 || kept.is_some()) else {
        return Ok(());
    };
    if let Some(note) = &kept {
        seen(source, note).await?;
    }
    let told = &mut |_, _| ();
    let report =
        integrity::verify(&source.log, &[signer.verifier()], kept.as_slice(), told).await?;
    let about = |finding: &Finding| matches!(finding.check, Check::Checkpoint | Check::Sequence);
    findings.extend(report.findings.into_iter().filter(about));
    Ok(())
}

struct Progress<'a> {
    end: Seq,
    progress: &'a mut (dyn FnMut(Seq, Seq) + Send),
}

async fn go_over(
    walk: &mut Walk,
    keys: &mut Keys,
    summary: &mut Summary,
    view: &mut Comparison,
    findings: &mut Findings,
    at: &mut Progress<'_>,
) -> Result<(), Error> {
    while let Some(opened) = walk.next().await? {
        keys.look(&opened).await?;
        summary.add(walk, &opened).await?;
        walk.fold(&opened).await?;
        keys.check(walk, &opened, findings).await?;
        view.at(walk, &opened, findings);
        (at.progress)(opened.seq, at.end);
    }
    Ok(())
}

fn report(
    source: &Source,
    folded: Option<(&Walk, bool)>,
    summary: Summary,
    view: Comparison,
    findings: Findings,
) -> Report {
    Report {
        sound: findings.told.is_empty(),
        wallet: source.custody.wallet().to_string(),
        sequence: folded.map_or(Seq::ZERO, |(walk, _)| walk.head().seq),
        digest: folded.map_or_else(Digest::default, |(walk, _)| walk.state().digest()),
        complete: folded.is_some_and(|(_, complete)| complete),
        summary,
        view: view.state,
        findings: findings.told,
        more_findings: findings.more,
    }
}
