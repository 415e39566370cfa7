//! Judging a request by the state at its place in the log (invariant 3).
//!
//! Serving nodes, auditing nodes and replays call this same function with the same arguments,
//! so what the record says was answered is what was answered.

use crate::{
    Millis,
    access::{self, Need, Permission},
    event::{
        Fact,
        v1::{Operation, ResolutionRequested},
    },
    policy::ROOT,
    state::{Record, Source, State},
};

/// What a request is to be answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Refused: no policy permits it.
    Denied,
    /// Permitted; there is no such secret, mount or version.
    Absent,
    /// Permitted: this version of the record.
    Version {
        /// The record as it was at that place.
        record: Box<Record>,
        /// Which version.
        number: u32,
        /// Whether its secret may be told: it is neither deleted nor destroyed.
        readable: bool,
    },
    /// Permitted: what is known about the record.
    Metadata(Box<Record>),
    /// Permitted: whatever the operation lists.
    Listing,
    /// Nobody can tell any more whether it was permitted: what it named is erased.
    Unknown,
}

impl Verdict {
    /// In one word, for listings.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Absent => "absent",
            Self::Version { readable: true, .. } => "permitted",
            Self::Version {
                readable: false, ..
            } => "deleted",
            Self::Metadata(_) | Self::Listing => "permitted",
            Self::Unknown => "unknown",
        }
    }
}

/// The time of a request's place in the log: that of its own commit, or of the last `decided` one
/// before it if that is later. A node's clock may be behind another's, and what one deleted is gone
/// for the other, too.
#[must_use]
pub fn time_of(asked: Millis, decided: Millis) -> Millis {
    asked.max(decided)
}

/// A verdict, and the policies that decided whether the request was permitted at all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ruling {
    /// What the request is to be answered.
    pub verdict: Verdict,
    /// The policies that decided.
    pub policies: Vec<String>,
    /// How many names a listing may show at most.
    pub page: Option<u32>,
}

/// The ruling on a request, given the time ([`time_of`]) and the state at its place, and what its
/// actor's policies must permit. None knows that any more when the names in it are erased: then only
/// requests of root, and of tokens that did not stand, have a verdict.
///
/// # Errors
/// When the state cannot be read.
pub fn judge<S: Source>(
    state: &State<S>,
    time: Millis,
    fact: &Fact,
    request: &ResolutionRequested,
    need: Option<&Need>,
) -> Result<Ruling, S::Error> {
    let plain = |verdict| Ruling {
        verdict,
        policies: Vec::new(),
        page: None,
    };
    if request.operation == Operation::Refused {
        return Ok(plain(Verdict::Denied));
    }
    let Some(names) = access::policies_of(state, &fact.actor, time)? else {
        return Ok(plain(Verdict::Denied));
    };
    let permission = match need {
        _ if names.iter().any(|name| name == ROOT) => Permission {
            permitted: true,
            policies: vec![ROOT.to_owned()],
            page: None,
        },
        Some(need) => access::permission(state, &fact.actor, time, need)?,
        None => return Ok(plain(Verdict::Unknown)),
    };
    let verdict = if permission.permitted {
        permitted(state, time, request)?
    } else {
        Verdict::Denied
    };
    Ok(Ruling {
        verdict,
        policies: permission.policies,
        page: permission.page,
    })
}

fn permitted<S: Source>(
    state: &State<S>,
    time: Millis,
    request: &ResolutionRequested,
) -> Result<Verdict, S::Error> {
    Ok(match request.operation {
        Operation::ReadData
        | Operation::PatchData
        | Operation::ReadSubkeys
        | Operation::RestoreData
        | Operation::ReadMetadata
        | Operation::PatchMetadata => {
            let record = match request.record {
                // What a disabled mount left behind is out of reach.
                Some(id) => match state.record(&id)? {
                    Some(record) if state.mount(&record.mount)?.is_some() => Some(record),
                    _ => None,
                },
                None => None,
            };
            match (record, request.operation) {
                (None, _) => Verdict::Absent,
                (Some(record), Operation::ReadMetadata | Operation::PatchMetadata) => {
                    Verdict::Metadata(Box::new(record))
                }
                // What is deleted can be brought back, and so it can be restored.
                (Some(record), Operation::RestoreData) => version(record, request.version, None),
                (Some(record), _) => version(record, request.version, Some(time)),
            }
        }
        Operation::Refused => Verdict::Denied,
        Operation::List | Operation::Scan | Operation::ListDetails | Operation::ScanDetails => {
            match request.mount {
                Some(mount) if state.mount(&mount)?.is_some() => Verdict::Listing,
                _ => Verdict::Absent,
            }
        }
        Operation::ListCredentials
        | Operation::ReadMounts
        | Operation::ReadAudit
        | Operation::ReadSettings
        | Operation::ReadSystem
        | Operation::ListSystem
        | Operation::AskSystem
        | Operation::ReadCubbyhole
        | Operation::ListCubbyhole => Verdict::Listing,
    })
}

/// The version of a record that was asked for, which is told unless it is destroyed, or deleted at the
/// given time.
fn version(record: Record, selected: Option<u32>, time: Option<Millis>) -> Verdict {
    match record.version(selected.unwrap_or(0)) {
        None => Verdict::Absent,
        Some(version) => {
            let is_deleted = time.is_some_and(|time| version.is_deleted(time));
            let readable = !version.destroyed && !is_deleted;
            let number = version.number;
            Verdict::Version {
                record: Box::new(record),
                number,
                readable,
            }
        }
    }
}
