//! By what events are found: the terms of each, blinded.

use billfold_core::{
    event::{
        Actor, Event, Fact,
        v1::{Operation, ResolutionRequested},
    },
    id::{PrincipalId, RecordId, TokenId},
    judge::Verdict,
    keys::ViewKey,
};

/// What a request was answered, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was permitted.
    Permitted,
    /// It was refused.
    Denied,
    /// It was permitted, and there was nothing.
    Absent,
    /// It was permitted, and what was there is deleted or destroyed.
    Deleted,
    /// Nobody can tell any more: what it named is erased.
    Unknown,
    /// Nothing was answered: its record came behind the end of its epoch.
    Void,
}

impl Outcome {
    /// All of them, with their numbers in the index.
    const ALL: [(u8, Self); 6] = [
        (1, Self::Permitted),
        (2, Self::Denied),
        (3, Self::Absent),
        (4, Self::Deleted),
        (5, Self::Unknown),
        (6, Self::Void),
    ];

    /// That of a verdict.
    #[must_use]
    pub const fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Denied => Self::Denied,
            Verdict::Absent => Self::Absent,
            Verdict::Version {
                readable: false, ..
            } => Self::Deleted,
            Verdict::Version { readable: true, .. } | Verdict::Metadata(_) | Verdict::Listing => {
                Self::Permitted
            }
            Verdict::Unknown => Self::Unknown,
        }
    }

    /// Its name: that of its verdicts, or `void`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Permitted => "permitted",
            Self::Denied => "denied",
            Self::Absent => "absent",
            Self::Deleted => "deleted",
            Self::Unknown => "unknown",
            Self::Void => "void",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().map(|(_, outcome)| *outcome);
        all.find(|outcome| outcome.name() == name)
    }

    pub(super) fn code(self) -> u8 {
        let mut all = Self::ALL.iter();
        all.find(|(_, outcome)| *outcome == self)
            .map_or(0, |(code, _)| *code)
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|(known, _)| *known == code)
            .map(|(_, outcome)| *outcome)
    }
}

/// Something by which events are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// What concerns a record.
    Record(RecordId),
    /// What concerns records in a folder, or folders below it, by its blinded id
    /// ([`super::Index::folder`]).
    Folder([u8; 16]),
    /// What a principal did.
    Principal(PrincipalId),
    /// What was done by a token.
    Token(TokenId),
    /// What was done by a principal or token of this id.
    Worker([u8; 16]),
    /// What was asked for in an execution.
    Execution(String),
    /// Events of a kind, by its number.
    Event(u16),
    /// Requests for an operation.
    Operation(Operation),
    /// Requests that were answered so.
    Outcome(Outcome),
}

/// A blinded term.
pub(super) type Term = [u8; 16];

impl By {
    pub(super) fn term(&self, key: &ViewKey) -> Term {
        match self {
            Self::Record(id) => key.term("record", id.as_bytes()),
            Self::Folder(id) => key.term("folder", id),
            Self::Principal(id) => key.term("actor", id.as_bytes()),
            Self::Token(id) => key.term("actor", id.as_bytes()),
            Self::Worker(id) => key.term("actor", id),
            Self::Execution(name) => key.term("execution", name.as_bytes()),
            Self::Event(kind) => key.term("event", &kind.to_be_bytes()),
            Self::Operation(operation) => key.term("operation", operation.name().as_bytes()),
            Self::Outcome(outcome) => key.term("outcome", outcome.name().as_bytes()),
        }
    }

    /// What of an event itself tells that this finds it. Executions and folders are not told by it:
    /// they are left to the terms.
    pub(super) fn fits(&self, fact: &Fact, outcome: Option<Outcome>) -> bool {
        let actor = match fact.actor {
            Actor::Principal(principal, token) => Some((principal, token)),
            Actor::System | Actor::Anonymous => None,
        };
        match self {
            Self::Record(id) => fact.event.record() == Some(*id),
            Self::Principal(id) => actor.is_some_and(|(principal, _)| principal == *id),
            Self::Token(id) => actor.is_some_and(|(_, token)| token == *id),
            Self::Worker(id) => actor.is_some_and(|(principal, token)| {
                principal.as_bytes() == id || token.as_bytes() == id
            }),
            Self::Event(kind) => fact.event.kind() == *kind,
            Self::Operation(operation) => {
                asked(fact).is_some_and(|asked| asked.operation == *operation)
            }
            Self::Outcome(wanted) => outcome == Some(*wanted),
            Self::Folder(_) | Self::Execution(_) => true,
        }
    }
}

/// What an event is found by, besides what its fact says.
#[derive(Debug, Clone, Default)]
pub(super) struct Beside<'a> {
    pub(super) outcome: Option<Outcome>,
    pub(super) execution: Option<&'a str>,
    pub(super) folders: &'a [[u8; 16]],
}

/// The request that a fact is, if it is one.
pub(super) const fn asked(fact: &Fact) -> Option<&ResolutionRequested> {
    match &fact.event {
        Event::ResolutionRequested(asked) => Some(asked),
        _ => None,
    }
}

/// All that finds an event.
pub(super) fn of(fact: &Fact, beside: &Beside<'_>) -> Vec<By> {
    let mut terms = vec![By::Event(fact.event.kind())];
    terms.extend(fact.event.record().map(By::Record));
    if let Actor::Principal(principal, token) = fact.actor {
        terms.extend([By::Principal(principal), By::Token(token)]);
    }
    terms.extend(asked(fact).map(|asked| By::Operation(asked.operation)));
    terms.extend(beside.outcome.map(By::Outcome));
    terms.extend(beside.execution.map(|name| By::Execution(name.to_owned())));
    terms.extend(beside.folders.iter().map(|id| By::Folder(*id)));
    terms
}
