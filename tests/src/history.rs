//! A judge of histories: was every answer one that a single register per key could have given?
//!
//! Each key is a register with versions: a write makes the next version, from 1, and learns its number; a read returns
//! the newest version and its value, or that there is none. All values written to a key differ. Because the versions
//! say in which order the writes took effect, no search is needed: a history is linearizable exactly when versions are
//! whole and unique, every read saw a value that was written under that number, and nothing that ended before something
//! else began comes after it in the order
//!
//! > reads of nothing, write 1, reads of 1, write 2, reads of 2, …
//!
//! A write whose outcome nobody knows may have taken effect at any time after it began, or never. Deletions are outside
//! the model: a test that checks histories only writes and reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Mutex, MutexGuard},
};

/// Records operations as they happen. Many tasks share one.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Log>);

/// What was recorded, and a clock that ticks with each beginning and each end.
#[derive(Debug, Default)]
struct Log {
    now: u64,
    operations: Vec<Operation>,
}

/// An operation that has begun. Dropped without an outcome, the outcome stays unknown.
#[derive(Debug)]
#[must_use = "an operation has an outcome, even if that is an unknown one"]
pub struct Begun(usize);

impl Recorder {
    /// Nothing recorded yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A write is about to be sent. No two writes of one key may have the same value.
    pub fn begin_write(&self, key: &str, value: &str) -> Begun {
        self.begin(key, Kind::Write(value.to_owned()))
    }

    /// A read is about to be sent.
    pub fn begin_read(&self, key: &str) -> Begun {
        self.begin(key, Kind::Read)
    }

    /// The write was acknowledged as this version.
    pub fn wrote(&self, begun: Begun, version: u64) {
        self.end(begun, Outcome::Wrote(version));
    }

    /// The write was refused for good: it must never be seen.
    pub fn refused(&self, begun: Begun) {
        self.end(begun, Outcome::Refused);
    }

    /// The read returned this version and value.
    pub fn saw(&self, begun: Begun, version: u64, value: &str) {
        self.end(begun, Outcome::Saw(version, value.to_owned()));
    }

    /// The read returned that there is nothing.
    pub fn saw_nothing(&self, begun: Begun) {
        self.end(begun, Outcome::SawNothing);
    }

    /// Nobody knows what came of it: the connection broke, the server died, no answer came in time.
    pub fn unknown(&self, _: Begun) {}

    /// How many operations were recorded, and how many of them have an outcome.
    pub fn counts(&self) -> (usize, usize) {
        let log = self.log();
        let settled = log
            .operations
            .iter()
            .filter(|one| one.outcome != Outcome::Unknown)
            .count();
        (log.operations.len(), settled)
    }

    /// Whether all that was recorded until now is linearizable, key by key.
    pub fn check(&self) -> Result<(), Violation> {
        let log = self.log();
        let mut keys: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
        for operation in &log.operations {
            keys.entry(&operation.key).or_default().push(operation);
        }
        keys.into_iter().try_for_each(|(key, operations)| {
            check_key(&operations).map_err(|fault| Violation {
                key: key.to_owned(),
                fault,
            })
        })
    }

    /// As [`Recorder::check`], but panics, with the whole history of the key in question.
    pub fn assert_linearizable(&self) {
        if let Err(violation) = self.check() {
            let log = self.log();
            let of_key = log.operations.iter().filter(|one| one.key == violation.key);
            let lines: Vec<String> = of_key.map(ToString::to_string).collect();
            panic!("{violation}\n{}", lines.join("\n"));
        }
    }

    // The first tick comes before the request leaves and the second after its answer came: an operation seems longer
    // than it was, never shorter, so that no order is claimed that did not hold.
    fn begin(&self, key: &str, kind: Kind) -> Begun {
        let mut log = self.log();
        log.now += 1;
        let (begun, ended) = (log.now, u64::MAX);
        let (key, outcome) = (key.to_owned(), Outcome::Unknown);
        log.operations.push(Operation {
            key,
            kind,
            begun,
            ended,
            outcome,
        });
        Begun(log.operations.len() - 1)
    }

    fn end(&self, begun: Begun, outcome: Outcome) {
        let mut log = self.log();
        log.now += 1;
        let ended = log.now;
        let operation = &mut log.operations[begun.0];
        operation.ended = ended;
        operation.outcome = outcome;
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.lock().expect("nothing panics while it records")
    }
}

/// A history that no register could have had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The key.
    pub key: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The test itself is wrong: two writes have this value.
    ValueWrittenTwice(String),
    /// Two writes were acknowledged as this version, or it had two values.
    VersionTwice(u64),
    /// This value was seen under two versions, or under another than its write was told.
    ValueMoved(String),
    /// This value was read and never written.
    NeverWritten(String),
    /// This value was read though its write had been refused.
    RefusedButSeen(String),
    /// No write can have made this version, though it or a later one was seen.
    Gap(u64),
    /// The first ended before the second began, and yet comes after it.
    OutOfOrder(String, String),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}: ", self.key)?;
        match &self.fault {
            Fault::ValueWrittenTwice(value) => write!(f, "the test wrote {value} twice"),
            Fault::VersionTwice(version) => write!(f, "version {version} was made twice"),
            Fault::ValueMoved(value) => write!(f, "value {value} stands under two versions"),
            Fault::NeverWritten(value) => write!(f, "value {value} was read and never written"),
            Fault::RefusedButSeen(value) => write!(f, "value {value} was refused and yet read"),
            Fault::Gap(version) => write!(f, "no write can have made version {version}"),
            Fault::OutOfOrder(first, second) => {
                write!(
                    f,
                    "this ended:\n  {first}\nbefore this began, and yet comes after it:\n  {second}"
                )
            }
        }
    }
}

impl std::error::Error for Violation {}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Write(String),
    Read,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Unknown,
    Refused,
    Wrote(u64),
    Saw(u64, String),
    SawNothing,
}

#[derive(Debug, Clone)]
struct Operation {
    key: String,
    kind: Kind,
    begun: u64,
    /// `u64::MAX` while the outcome is unknown.
    ended: u64,
    outcome: Outcome,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ended {
            u64::MAX => write!(f, "{:>6} …       ", self.begun)?,
            ended => write!(f, "{:>6} … {ended:>6}", self.begun)?,
        }
        match &self.kind {
            Kind::Write(value) => write!(f, "  write {value}")?,
            Kind::Read => write!(f, "  read")?,
        }
        match &self.outcome {
            Outcome::Unknown => write!(f, ": unknown"),
            Outcome::Refused => write!(f, ": refused"),
            Outcome::Wrote(version) => write!(f, ": version {version}"),
            Outcome::Saw(version, value) => write!(f, ": version {version}, {value}"),
            Outcome::SawNothing => write!(f, ": nothing"),
        }
    }
}

fn check_key(operations: &[&Operation]) -> Result<(), Fault> {
    let writes = writes_by_value(operations)?;
    let versions = versions(operations, &writes)?;

    // Where each operation stands in the order: version 1's write at 2, its reads at 3, …
    let mut ranked: Vec<(u64, &Operation)> = Vec::new();
    for &operation in operations {
        match &operation.outcome {
            Outcome::SawNothing => ranked.push((1, operation)),
            Outcome::Saw(version, _) => ranked.push((2 * version + 1, operation)),
            Outcome::Wrote(_) | Outcome::Unknown | Outcome::Refused => {}
        }
    }
    ranked.extend(
        versions
            .iter()
            .map(|(version, value)| (2 * version, writes[value])),
    );
    ranked.sort_by_key(|(rank, operation)| (*rank, operation.begun));

    check_order(&ranked)?;
    check_gaps(&ranked, &versions, &writes)
}

fn writes_by_value<'a>(
    operations: &[&'a Operation],
) -> Result<BTreeMap<&'a str, &'a Operation>, Fault> {
    let mut writes = BTreeMap::new();
    for &operation in operations {
        if let Kind::Write(value) = &operation.kind
            && writes.insert(value.as_str(), operation).is_some()
        {
            return Err(Fault::ValueWrittenTwice(value.clone()));
        }
    }
    Ok(writes)
}

/// Which value each version holds, as far as an acknowledgement or a read told.
fn versions<'a>(
    operations: &[&'a Operation],
    writes: &BTreeMap<&'a str, &'a Operation>,
) -> Result<BTreeMap<u64, &'a str>, Fault> {
    let (mut by_version, mut by_value) = (BTreeMap::new(), BTreeMap::new());
    for &operation in operations {
        let (version, value) = match (&operation.kind, &operation.outcome) {
            (Kind::Write(value), Outcome::Wrote(version)) => (*version, value.as_str()),
            (_, Outcome::Saw(version, value)) => (*version, value.as_str()),
            _ => continue,
        };
        match writes.get(value).map(|write| &write.outcome) {
            None => return Err(Fault::NeverWritten(value.to_owned())),
            Some(Outcome::Refused) => return Err(Fault::RefusedButSeen(value.to_owned())),
            Some(_) => {}
        }
        if *by_value.entry(value).or_insert(version) != version {
            return Err(Fault::ValueMoved(value.to_owned()));
        }
        if *by_version.entry(version).or_insert(value) != value || version == 0 {
            return Err(Fault::VersionTwice(version));
        }
    }
    Ok(by_version)
}

/// Nothing of a later rank may have ended before something of an earlier rank began.
fn check_order(ranked: &[(u64, &Operation)]) -> Result<(), Fault> {
    let mut latest: Option<&Operation> = None;
    for group in ranked.chunk_by(|(a, _), (b, _)| a == b) {
        for (_, operation) in group {
            if let Some(earlier) = latest.filter(|earlier| operation.ended < earlier.begun) {
                return Err(Fault::OutOfOrder(
                    operation.to_string(),
                    earlier.to_string(),
                ));
            }
        }
        let begun = group.iter().map(|(_, operation)| *operation).chain(latest);
        latest = begun.max_by_key(|operation| operation.begun);
    }
    Ok(())
}

/// A version that nobody saw must have been made by a write whose outcome is unknown, and that began in time for it.
fn check_gaps(
    ranked: &[(u64, &Operation)],
    versions: &BTreeMap<u64, &str>,
    writes: &BTreeMap<&str, &Operation>,
) -> Result<(), Fault> {
    let known: BTreeSet<&str> = versions.values().copied().collect();
    let unknown = writes
        .iter()
        .filter(|(value, write)| write.outcome == Outcome::Unknown && !known.contains(*value));
    let mut candidates: Vec<u64> = unknown.map(|(_, write)| write.begun).collect();
    candidates.sort_unstable();
    let mut candidates = candidates.into_iter();

    // Deadlines only grow with the version, so the earliest write goes to the lowest gap.
    let last = versions.keys().next_back().copied().unwrap_or_default();
    for version in (1..=last).filter(|version| !versions.contains_key(version)) {
        let after = ranked.iter().filter(|(rank, _)| *rank > 2 * version);
        let deadline = after
            .map(|(_, operation)| operation.ended)
            .min()
            .unwrap_or(u64::MAX);
        if candidates.next().is_none_or(|begun| begun > deadline) {
            return Err(Fault::Gap(version));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
