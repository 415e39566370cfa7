//! What was true at a moment: parts, each of rows that have an id.

use std::{fmt, str::FromStr};

use billfold_core::{Millis, id::Seq, moment::Moment};
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::Value;

use crate::Error;

/// Something that a wallet has, which can be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The secrets: paths, versions, metadata; never what they say.
    Keychain,
    /// The mounts of secrets.
    Mounts,
    /// The policies.
    Policies,
    /// The tokens that stood, by their accessors.
    Tokens,
    /// The roles of the token store.
    Roles,
    /// The status of the wallet's keys.
    KeyStatus,
    /// The legal holds.
    Holds,
    /// The erasures that were ordered, and how far they were.
    Erasures,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 8] = [
        Self::Keychain,
        Self::Mounts,
        Self::Policies,
        Self::Tokens,
        Self::Roles,
        Self::KeyStatus,
        Self::Holds,
        Self::Erasures,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keychain => "keychain",
            Self::Mounts => "mounts",
            Self::Policies => "policies",
            Self::Tokens => "tokens",
            Self::Roles => "roles",
            Self::KeyStatus => "key-status",
            Self::Holds => "holds",
            Self::Erasures => "erasures",
        }
    }

    /// Its name in JSON.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::KeyStatus => "key_status",
            other => other.name(),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|part| part.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("a wallet has {names}")
        })
    }
}

/// Something in a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What tells it apart from the others of its part, at every moment.
    pub id: String,
    /// What people call it; its id, when that is erased.
    pub label: String,
    /// What is known of it: an object.
    pub value: Value,
}

impl Row {
    pub(super) fn new(
        id: impl Into<String>,
        label: impl Into<String>,
        value: &impl Serialize,
    ) -> Result<Self, Error> {
        let value = serde_json::to_value(value).map_err(std::io::Error::from)?;
        Ok(Self {
            id: id.into(),
            label: label.into(),
            value,
        })
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

/// What was true at a moment. Its JSON has `sequence`, `time`, and each part by its name: a list, or
/// for the key status an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Then {
    /// The last decided sequence that it comes of.
    pub sequence: Seq,
    /// The moment that was asked about, if it is one.
    pub asked: Option<Moment>,
    /// The moment's time: what ends by itself has ended before it or not.
    pub time: Millis,
    /// The parts that were asked for.
    pub parts: Vec<(Part, Vec<Row>)>,
}

impl Then {
    /// Its place, as it was asked for: what was only asked behind the last decision changes nothing.
    #[must_use]
    pub fn place(&self) -> String {
        match self.asked {
            Some(Moment::Seq(asked)) if asked != self.sequence => {
                format!("{asked} (the last decided is {})", self.sequence)
            }
            _ => self.sequence.to_string(),
        }
    }

    /// The rows of a part.
    #[must_use]
    pub fn part(&self, part: Part) -> Option<&[Row]> {
        let found = self.parts.iter().find(|(known, _)| *known == part);
        found.map(|(_, rows)| rows.as_slice())
    }
}

impl Serialize for Then {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2 + self.parts.len()))?;
        map.serialize_entry("sequence", &self.sequence)?;
        map.serialize_entry("time", &self.time.to_string())?;
        for (part, rows) in &self.parts {
            match (part, rows.as_slice()) {
                (Part::KeyStatus, [status]) => map.serialize_entry(part.field(), status)?,
                _ => map.serialize_entry(part.field(), rows)?,
            }
        }
        map.end()
    }
}
