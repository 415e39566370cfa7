//! A witness: remembers the last checkpoint that it saw, and cosigns another only if that grew out of
//! it (`c2sp.org/tlog-witness`). So nobody can show two auditors two logs, or take one back, without
//! it being seen.

mod key;
mod memory;
mod served;
mod server;
mod submit;

use std::sync::Arc;

use billfold_core::proof::{
    Checkpoint, Hash, Note, VerifierKey, checkpoint, note::Signature, path::verify_consistency,
};
use billfold_streams::{
    EventLog,
    clock::{Clock as _, System},
};

pub use key::{WitnessKey, generate};
pub use memory::Memory;
pub use served::{Answer, Served, serve};
pub use server::Server;
pub use submit::{Remote, Reply};

use crate::{Error, integrity};
use billfold_core::id::Seq;

/// Why a witness does not sign.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The checkpoint is not signed by the log's key.
    #[error("the checkpoint is not taken: {0}")]
    Checkpoint(#[from] checkpoint::Error),
    /// It is of a smaller size than the last one.
    #[error("the log was rolled back: {}", both(.before, .now))]
    RolledBack {
        /// What was seen before.
        before: Note,
        /// What is shown now.
        now: Note,
    },
    /// It is of the same size and another root, or the log does not hold to the last one.
    #[error("the log was forked: {}", both(.before, .now))]
    Forked {
        /// What was seen before.
        before: Note,
        /// What is shown now.
        now: Note,
    },
    /// What is shown does not lead from the last one to it. That alone is no evidence: what does may be
    /// held back.
    #[error("the log was forked, or it is not shown how it grew: {}", both(.before, .now))]
    Unproven {
        /// What was seen before.
        before: Note,
        /// What is shown now.
        now: Note,
    },
    /// A key signed it that had given way to the next one before.
    #[error("a key signed it that the log does not sign with any more: {}", both(.before, .now))]
    OlderKey {
        /// What was seen before.
        before: Note,
        /// What is shown now.
        now: Note,
    },
    /// What is remembered was signed by none of the keys.
    #[error("what was signed before is of another log, or of a key that is not among those given")]
    OtherMemory,
    /// The log is not what its own checkpoints attest.
    #[error("the log is broken: {0}")]
    Broken(String),
}

/// Both notes are the evidence.
fn both(before: &Note, now: &Note) -> String {
    format!("this was signed\n\n{before}\nand now this is shown\n\n{now}")
}

/// What a witness was shown.
#[derive(Debug)]
pub struct Shown {
    /// The checkpoint.
    pub note: Note,
    /// What leads to it from the last one; none when the log itself was gone over.
    pub proof: Option<Vec<Hash>>,
}

/// Whether a checkpoint grew out of the last one; says what it is. The keys are in the order in which
/// each gave way to the next.
///
/// # Errors
/// When it did not, or the log's key did not sign it.
pub fn follows(
    last: Option<&Note>,
    shown: &Shown,
    keys: &[VerifierKey],
) -> Result<Checkpoint, Refusal> {
    let (now, key) = verified(&shown.note, keys)?;
    let Some(before) = last else { return Ok(now) };
    let evidence = || (before.clone(), shown.note.clone());
    let (was, key_before) = verified(before, keys).map_err(|_| Refusal::OtherMemory)?;
    if was.origin != now.origin {
        return Err(Refusal::OtherMemory);
    }
    if key < key_before {
        let (before, now) = evidence();
        return Err(Refusal::OlderKey { before, now });
    }
    if now.size < was.size {
        let (before, now) = evidence();
        return Err(Refusal::RolledBack { before, now });
    }
    if now.size == was.size {
        if now.root == was.root {
            return Ok(now);
        }
        let (before, now) = evidence();
        return Err(Refusal::Forked { before, now });
    }
    // Whoever went over the log found the root of the last one in it.
    let Some(proof) = &shown.proof else {
        return Ok(now);
    };
    let grew = verify_consistency(proof, was.size, was.root, now.size, now.root);
    grew.map(|()| now).map_err(|_| {
        let (before, now) = evidence();
        Refusal::Unproven { before, now }
    })
}

/// What a checkpoint says, and which of the keys signed it: the last of them that did.
fn verified(note: &Note, keys: &[VerifierKey]) -> Result<(Checkpoint, usize), checkpoint::Error> {
    let mut fault = checkpoint::Error::from(billfold_core::proof::note::Error::Unsigned);
    for (place, key) in keys.iter().enumerate().rev() {
        match Checkpoint::verified(note, key) {
            Ok(checkpoint) => return Ok((checkpoint, place)),
            Err(error) => fault = error,
        }
    }
    Err(fault)
}

/// Looks at what the log itself holds: its newest checkpoint, and whether all of it is sound and the
/// last checkpoint is in it. Gives the keys that sign it, too.
///
/// # Errors
/// When it is not, or the log cannot be had.
pub async fn from_log(
    log: &Arc<dyn EventLog>,
    key: &VerifierKey,
    last: Option<&Note>,
    progress: &mut (dyn FnMut(Seq, Seq) + Send),
) -> Result<Result<(Shown, Vec<VerifierKey>), Refusal>, Error> {
    let held: Vec<Note> = last.into_iter().cloned().collect();
    let report = integrity::verify(log, std::slice::from_ref(key), &held, progress).await?;
    if let Some(finding) = report.findings.first() {
        let what = finding.to_string();
        let Some((before, newest)) = last.zip(report.newest) else {
            return Ok(Err(Refusal::Broken(what)));
        };
        let (before, now) = (before.clone(), newest.note);
        return Ok(Err(match report.forked {
            true => Refusal::Forked { before, now },
            false if report.size < size_of(&before) => Refusal::RolledBack { before, now },
            false => Refusal::Broken(what),
        }));
    }
    let keys = report.keys.iter().filter_map(|key| key.parse().ok());
    let keys: Vec<VerifierKey> = keys.collect();
    let newest = report
        .newest
        .ok_or_else(|| Error::Unreachable("there is no checkpoint in the log yet".to_owned()))?;
    let shown = Shown {
        note: newest.note.only(&keys),
        proof: None,
    };
    Ok(Ok((shown, keys)))
}

/// How many messages a checkpoint attests.
pub(crate) fn size_of(note: &Note) -> u64 {
    Checkpoint::parse(note.text()).map_or(0, |checkpoint| checkpoint.size)
}

/// Signs a checkpoint, after it is remembered: a witness that forgets what it signed is none.
///
/// # Errors
/// When it cannot be remembered.
pub fn cosign(memory: &mut Memory, key: &WitnessKey, note: Note) -> Result<Note, Error> {
    memory.remember(&note)?;
    let signature: Signature = note.cosign(key.signer(), System.now().0 / 1000);
    Ok(note.with(signature))
}

#[cfg(test)]
mod tests;
