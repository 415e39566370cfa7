//! An event as it leaves the wallet for other systems: typed fields, each one allowed by name.
//!
//! What is not a field here does not leave: no reason, no description, no metadata, no key's id.

mod csv;
mod safe;

use billfold_core::id::WalletId;
use serde::Serialize;

pub use csv::{csv_header, csv_row};
pub use safe::json;
pub(crate) use safe::plain;

use crate::log::{Line, Name};

/// An event. Its JSON has these names, and its CSV these columns, in this order; what does not
/// belong to an event is left out, or an empty cell. Ids are hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The wallet.
    pub wallet: String,
    /// The position of its commit.
    pub sequence: u64,
    /// Its number in the commit, counted from 0.
    pub index: usize,
    /// The time of its commit, in RFC 3339 with milliseconds.
    pub time: String,
    /// `decided` or `observed`.
    pub subject: &'static str,
    /// The process that wrote the commit.
    pub writer: String,
    /// What happened.
    pub event: &'static str,
    /// The number of its kind.
    pub kind: u16,
    /// Who caused it: `system`, `principal` or `anonymous`.
    pub actor: &'static str,
    /// The principal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The accessor of the token by which the principal acted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The request's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The command that it came of, if that had an id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<&'static str>,
    /// What it was answered, or `void`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    /// The policies that decided.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// Which version was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_version: Option<u32>,
    /// The versions that were answered, written, deleted, brought back or destroyed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<u32>,
    /// The versions that fell off the end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trimmed: Vec<u32>,
    /// The mount that it is about or in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount: Option<String>,
    /// The record that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// The records that an erasure takes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<String>,
    /// The accessors of the tokens that it is about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<String>,
    /// The name of the policy that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The name of the role that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The erasure that it orders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erasure: Option<String>,
    /// The legal hold that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// The KEK version that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kek: Option<u32>,
    /// The unseal generation that it made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// How many pages of the key store it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages: Option<usize>,
    /// How many keys it destroyed or gave up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<usize>,
    /// How many requests without a valid token were refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<u32>,
    /// How many of them were over the bound of their source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_bound: Option<u32>,
    /// The whole path, with the mount. Only with names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether it had a path that is erased. Only with names.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub path_erased: bool,
    /// Where a request came from. Only with names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The execution that a request was made for. Only with names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
    /// The lists that were left out since the target takes no row with them, each with how many members it
    /// had: `records:2100`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// The fields of a [`Row`] in their order: the columns of the CSV.
pub const FIELDS: [&str; 38] = [
    "wallet",
    "sequence",
    "index",
    "time",
    "subject",
    "writer",
    "event",
    "kind",
    "actor",
    "principal",
    "token",
    "request",
    "command",
    "operation",
    "outcome",
    "policies",
    "asked_version",
    "versions",
    "trimmed",
    "mount",
    "record",
    "records",
    "tokens",
    "policy",
    "role",
    "erasure",
    "hold",
    "kek",
    "generation",
    "pages",
    "keys",
    "refused",
    "over_bound",
    "path",
    "path_erased",
    "client",
    "execution",
    "left_out",
];

impl Row {
    /// What leaves of a line.
    #[must_use]
    pub fn of(wallet: WalletId, line: &Line) -> Self {
        let (path, path_erased) = path(line);
        let answered = line.answer.as_ref();
        let of_answer = answered.and_then(|answer| answer.version);
        Self {
            wallet: wallet.to_string(),
            sequence: line.sequence.0,
            index: line.index,
            time: line.time.to_string(),
            subject: line.subject,
            writer: line.writer.to_string(),
            event: line.event,
            kind: line.kind,
            actor: line.actor,
            principal: text(line.principal),
            token: text(line.token),
            request: text(line.request),
            command: text(line.command),
            operation: line.operation,
            outcome: line.outcome(),
            policies: answered.map_or_else(Vec::new, |answer| answer.policies.clone()),
            asked_version: line.asked_version,
            versions: of_answer.map_or_else(|| line.versions.clone(), |version| vec![version]),
            trimmed: line.trimmed.clone(),
            mount: text(line.mount),
            record: text(line.record),
            records: texts(&line.records),
            tokens: texts(&line.tokens),
            policy: line.policy.clone(),
            role: line.role.clone(),
            erasure: text(line.erasure),
            hold: text(line.hold),
            kek: line.kek,
            generation: line.generation,
            pages: line.pages,
            keys: line.keys,
            refused: line.refused,
            over_bound: line.over_bound,
            path,
            path_erased,
            client: line.client.clone(),
            execution: line.execution.clone(),
            left_out: Vec::new(),
        }
    }

    /// The same without its lists.
    pub(crate) fn shortened(self) -> Self {
        let lists = [
            ("policies", self.policies.len()),
            ("versions", self.versions.len()),
            ("trimmed", self.trimmed.len()),
            ("records", self.records.len()),
            ("tokens", self.tokens.len()),
        ];
        let there = lists.iter().filter(|(_, length)| *length > 0);
        Self {
            left_out: there
                .map(|(name, length)| format!("{name}:{length}"))
                .collect(),
            policies: Vec::new(),
            versions: Vec::new(),
            trimmed: Vec::new(),
            records: Vec::new(),
            tokens: Vec::new(),
            ..self
        }
    }
}

/// The whole path, or that it is erased.
pub(crate) fn path(line: &Line) -> (Option<String>, bool) {
    let open = |name: &Option<Name>| match name {
        Some(Name::Open(name)) => name.clone(),
        _ => String::new(),
    };
    match (&line.mount_path, &line.path) {
        (None, None) => (None, false),
        (Some(Name::Erased), _) | (_, Some(Name::Erased)) => (None, true),
        (mount, path) => (Some(open(mount) + &open(path)), false),
    }
}

fn text(value: Option<impl std::fmt::Display>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn texts(values: &[impl std::fmt::Display]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}
