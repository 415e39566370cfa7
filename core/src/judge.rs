//! Judging a request by the state at its place in the log (invariant 3).
//!
//! Serving nodes, auditing nodes and replays call this same function with the same two arguments,
//! so what the record says was answered is what was answered.

use crate::{
    Millis,
    event::{
        Actor, Fact,
        v1::{Operation, ResolutionRequested},
    },
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

/// The verdict on a request, given the time ([`time_of`]) and the state at its place.
///
/// # Errors
/// When the state cannot be read.
pub fn judge<S: Source>(
    state: &State<S>,
    time: Millis,
    fact: &Fact,
    request: &ResolutionRequested,
) -> Result<Verdict, S::Error> {
    let root = state
        .wallet()?
        .map(|wallet| (wallet.root, wallet.root_token));
    let permitted = match fact.actor {
        Actor::Principal(principal, token) => root == Some((principal, token)),
        Actor::System | Actor::Anonymous => false,
    };
    if !permitted {
        return Ok(Verdict::Denied);
    }
    Ok(match request.operation {
        Operation::ReadData | Operation::ReadMetadata => {
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
                (Some(record), Operation::ReadMetadata) => Verdict::Metadata(Box::new(record)),
                (Some(record), _) => version(record, request.version, time),
            }
        }
        Operation::List | Operation::Scan => match request.mount {
            Some(mount) if state.mount(&mount)?.is_some() => Verdict::Listing,
            _ => Verdict::Absent,
        },
        Operation::ListCredentials | Operation::ReadMounts | Operation::ReadAudit => {
            Verdict::Listing
        }
    })
}

fn version(record: Record, selected: Option<u32>, time: Millis) -> Verdict {
    match record.version(selected.unwrap_or(0)) {
        None => Verdict::Absent,
        Some(version) => {
            let readable = !version.destroyed && !version.is_deleted(time);
            let number = version.number;
            Verdict::Version {
                record: Box::new(record),
                number,
                readable,
            }
        }
    }
}
