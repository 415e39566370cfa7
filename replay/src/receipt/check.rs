//! Checks a receipt by public keys alone, and tells what it shows.

use std::collections::BTreeSet;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use billfold_core::{
    commit::CommitHash,
    proof::{Note, Receipt, VerifierKey, receipt::ShownNames},
};
use billfold_projector::chain::Opened;
use serde::Serialize;

use crate::{
    Check, Error, Finding,
    log::{Line, Name},
};

/// What a receipt shows, as it is told. Its JSON has these names.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// The origin of the checkpoint that vouches for it.
    pub origin: String,
    /// How many sequences that checkpoint attests.
    pub attested: u64,
    /// How many known witnesses cosigned it.
    pub witnesses: usize,
    /// How many events the commit holds.
    pub events: usize,
    /// Whether it is void: never what was decided. Of what was asked a receipt does not show it; that
    /// takes the log.
    pub void: Option<bool>,
    /// Those that are shown, as `log` tells them; there is no verdict, which the log alone gives.
    pub shown: Vec<Line>,
}

/// Checks a receipt by public keys alone, and tells what it shows. Each of `witnesses` has to have
/// cosigned its checkpoint.
///
/// # Errors
/// When anything of it is not so.
pub fn check(bytes: &[u8], key: &VerifierKey, witnesses: &[VerifierKey]) -> Result<Shown, Error> {
    use billfold_core::proof::receipt;
    let refused = |error: &dyn std::fmt::Display| {
        Error::from(Finding::new(Check::Receipt, None, error.to_string()))
    };
    let receipt = Receipt::parse(bytes).map_err(|error| match error {
        receipt::Error::Format(_) => Error::Usage(error.to_string()),
        other => refused(&other),
    })?;
    let signers = signers(&receipt.checkpoint);
    let shown = receipt
        .verified(key)
        .map_err(|error| match is_of(&receipt.checkpoint, key) {
            true => refused(&error),
            false => refused(&other_key(key, &signers)),
        })?;
    let distinct: BTreeSet<String> = witnesses.iter().map(ToString::to_string).collect();
    if distinct.len() < witnesses.len() {
        return Err(Error::Usage("each witness is given once".to_owned()));
    }
    for witness in witnesses {
        let cosigned = receipt.checkpoint.verify(witness);
        cosigned.map_err(|error| {
            refused(&format_args!(
                "the checkpoint by {}: {error}",
                witness.name()
            ))
        })?;
    }
    let commit = Opened {
        seq: receipt.seq,
        hash: CommitHash::of(&receipt.message),
        header: shown.header,
        entries: Vec::new(),
        statements: Vec::new(),
    };
    let is_decided = receipt.subject.is_decided();
    let lines = shown.entries.into_iter().map(|event| {
        let mut line = Line::new(&commit, event.index, &event.entry);
        if let Some(names) = event.names {
            add(&mut line, names);
        }
        line
    });
    Ok(Shown {
        origin: shown.checkpoint.origin.to_string(),
        attested: shown.checkpoint.size,
        witnesses: witnesses.len(),
        events: shown.events,
        void: is_decided.then_some(false),
        shown: lines.collect(),
    })
}

fn is_of(note: &Note, key: &VerifierKey) -> bool {
    note.signatures().iter().any(|made| made.is_of(key))
}

/// The keys of the log that signed a checkpoint, as they are told: NAME+ID. Witnesses have other names.
fn signers(note: &Note) -> Vec<String> {
    let origin = note.text().lines().next().unwrap_or_default();
    let told = note.signatures().iter().filter_map(|made| {
        let line = made.to_string();
        let mut parts = line.split_whitespace().skip(1);
        let (name, bytes) = (parts.next()?, BASE64_STANDARD.decode(parts.next()?).ok()?);
        let id = u32::from_be_bytes(*bytes.first_chunk()?);
        (name == origin).then(|| format!("{name}+{id:08x}"))
    });
    told.collect()
}

fn other_key(key: &VerifierKey, signers: &[String]) -> String {
    let given = u32::from_be_bytes(key.id());
    format!(
        "its checkpoint is signed by {}, and not by the key that was given, {}+{given:08x}. If the log's \
         checkpoint key was changed, a receipt goes with the key that signed then: `verify \
         --checkpoint-key` lists all of them in their order",
        match signers {
            [] => "no key of a log".to_owned(),
            some => some.join(", "),
        },
        key.name()
    )
}

fn add(line: &mut Line, names: ShownNames) {
    match names {
        ShownNames::Record(names) => line.path = Some(Name::Open(names.path)),
        ShownNames::Mount(names) => line.mount_path = Some(Name::Open(names.path)),
        ShownNames::Cubbyhole(names) => line.path = Some(Name::Open(names.path)),
        ShownNames::Request(names) => {
            line.path = names.path.map(Name::Open);
            line.client = Some(names.client);
            line.execution = names.execution;
        }
        ShownNames::Erasure(names) => line.reason = Some(Name::Open(names.reason)),
        ShownNames::Hold(names) => {
            line.path = Some(Name::Open(names.path));
            line.reason = Some(Name::Open(names.reason));
        }
        _ => {}
    }
}
