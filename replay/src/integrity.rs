//! Whether a log is the one that its checkpoints attest, by public keys alone: sequences, chains, the
//! tree, and every checkpoint. No fact is opened.

mod going;
mod read;

use std::sync::Arc;

use billfold_core::{
    id::{Seq, WalletId},
    proof::{Hash, KeyName, Note, VerifierKey, history::Attested},
};
use billfold_streams::EventLog;
use serde::Serialize;

use self::{
    going::{Going, Outside},
    read::{go_over, wallet_of},
};
use crate::{Check, Error, Finding, report::as_text};

/// What a log came to. Its JSON has these names.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether nothing is wrong.
    pub sound: bool,
    /// The origin of its checkpoints.
    #[serde(serialize_with = "as_text")]
    pub origin: KeyName,
    /// How many messages were read.
    pub size: u64,
    /// The root over them.
    #[serde(serialize_with = "as_text")]
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
    if let Some(other) = wallet_of(log, generation).await?
        && other != wallet
    {
        return Ok(of_another(origin, wallet, other));
    }
    let mut going = Going::new(origin, wallet, generation);
    let held: Vec<Outside<'_>> = held.iter().filter_map(|note| going.outside(note)).collect();
    let complete = match go_over(log, &mut going, &held, progress).await {
        Ok(()) => true,
        Err(Error::Broken(finding)) => {
            going.found(finding);
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

/// What is told of a log that a key was given for which is another wallet's.
fn of_another(origin: KeyName, wallet: WalletId, other: WalletId) -> Report {
    let what = format!(
        "the checkpoint key is that of wallet {wallet}, and the log is that of wallet {other}"
    );
    Report {
        sound: false,
        origin,
        size: 0,
        root: Hash::default(),
        complete: false,
        keys: Vec::new(),
        checkpoints: 0,
        attested: 0,
        not_attested: 0,
        held: None,
        findings: vec![Finding::new(Check::Checkpoint, None, what)],
        more_findings: 0,
        newest: None,
        forked: false,
    }
}
