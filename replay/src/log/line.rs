//! One event as it is told.

use std::fmt::Display;

use billfold_core::{
    Millis,
    commit::Entry,
    event::{Actor, Event, v1::Retired},
    id::{
        CommandId, ErasureId, FactKeyId, GrantId, HoldId, MountId, PageId, PrincipalId, ProcessId,
        RecordId, RequestId, Seq, TokenId,
    },
    judge::{Ruling, Verdict},
    keys::page::KeyRef,
};
use billfold_projector::chain::Opened;
use serde::{Serialize, Serializer};

use crate::{report::as_text, uses::used};

/// The outcome of what came behind the end of its epoch.
pub(super) const VOID: &str = "void";

/// One event. Its JSON has these names; what does not belong to an event is left out, and ids are
/// hexadecimal digits.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// The position of its commit.
    pub sequence: Seq,
    /// Its place in the commit, counted from 0.
    pub index: usize,
    /// The time of its commit, in RFC 3339 with milliseconds.
    #[serde(serialize_with = "as_text")]
    pub time: Millis,
    /// `decided` or `observed`.
    pub subject: &'static str,
    /// The process that wrote the commit.
    #[serde(serialize_with = "as_text")]
    pub writer: ProcessId,
    /// What happened.
    pub event: &'static str,
    /// The number of its kind.
    pub kind: u16,
    /// Whether its commit came behind the end of its epoch: then nothing in it was answered.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub void: bool,
    /// Who caused it: `system`, `principal` or `anonymous`.
    pub actor: &'static str,
    /// The principal.
    #[serde(serialize_with = "text_if", skip_serializing_if = "Option::is_none")]
    pub principal: Option<PrincipalId>,
    /// The accessor of the token by which the principal acted.
    #[serde(serialize_with = "text_if", skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenId>,
    /// The command that it came of, if that had an id.
    #[serde(serialize_with = "text_if", skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandId>,
    /// The mount that it is about or in.
    #[serde(serialize_with = "text_if", skip_serializing_if = "Option::is_none")]
    pub mount: Option<MountId>,
    /// The record that it is about.
    #[serde(serialize_with = "text_if", skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordId>,
    /// The accessors of the tokens that it is about.
    #[serde(serialize_with = "texts", skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<TokenId>,
    /// The name of the policy that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The name of the role of the token store that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The erasure that it orders.
    #[serde(serialize_with = "text_if", skip_serializing_if = "Option::is_none")]
    pub erasure: Option<ErasureId>,
    /// The legal hold that it is about.
    #[serde(serialize_with = "text_if", skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldId>,
    /// The records that an erasure takes, whole or in part.
    #[serde(serialize_with = "texts", skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<RecordId>,
    /// The request whose answer the token wraps.
    #[serde(serialize_with = "text_if", skip_serializing_if = "Option::is_none")]
    pub wraps: Option<RequestId>,
    /// The versions that it wrote, deleted, brought back or destroyed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<u32>,
    /// The versions that fell off the end with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trimmed: Vec<u32>,
    /// The KEK version that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kek: Option<u32>,
    /// The unseal generation that it made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
    /// The epoch that began with it.
    #[serde(serialize_with = "text_if", skip_serializing_if = "Option::is_none")]
    pub epoch: Option<FactKeyId>,
    /// The auditor's grant that it is about.
    #[serde(serialize_with = "text_if", skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantId>,
    /// The epochs that an auditor can read from here on.
    #[serde(serialize_with = "texts", skip_serializing_if = "Vec::is_empty")]
    pub grants_epochs: Vec<FactKeyId>,
    /// How many pages of the key store it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages: Option<usize>,
    /// The page of the key store that it is about.
    #[serde(serialize_with = "text_if", skip_serializing_if = "Option::is_none")]
    pub page: Option<PageId>,
    /// How many keys it destroyed or gave up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<usize>,
    /// The keys that it took into use, by their ids.
    #[serde(serialize_with = "texts", skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<KeyRef>,
    /// The request's id.
    #[serde(serialize_with = "text_if", skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// What was asked for: `read-data`, `read-metadata`, `list`, `list-credentials`, `read-mounts`
    /// or `read-audit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<&'static str>,
    /// Which version was asked for; none is the current one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_version: Option<u32>,
    /// For how long its answer was to be wrapped, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrap_ttl: Option<u64>,
    /// What it was answered.
    #[serde(flatten)]
    pub answer: Option<Answer>,
    /// How many requests were refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<u32>,
    /// How many of them were over the bound of their source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_bound: Option<u32>,
    /// The path of the mount. Only with names; `null` when it is erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<Name>,
    /// The path below the mount. Only with names; `null` when it is erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Name>,
    /// Why it was done. Only with names; `null` when it is erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Name>,
    /// Where a request came from. Only with names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The execution that a request was made for. Only with names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
    /// What the token is called. Only with names, and only as they were granted to an auditor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_name: Option<String>,
}

/// What a request was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// `permitted`, `denied`, `absent`, `deleted`, `unknown` when what it named is erased, or `void`
    /// when its record came behind the end of its epoch and is to be found once more.
    pub verdict: &'static str,
    /// The version that the verdict is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The policies that decided whether it was permitted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
}

impl Answer {
    /// What became of one whose record is void.
    pub(super) const fn void() -> Self {
        Self {
            verdict: VOID,
            version: None,
            policies: Vec::new(),
        }
    }

    pub(super) fn new(ruling: &Ruling) -> Self {
        Self {
            verdict: ruling.verdict.name(),
            version: match &ruling.verdict {
                Verdict::Version { number, .. } => Some(*number),
                Verdict::Denied
                | Verdict::Absent
                | Verdict::Metadata(_)
                | Verdict::Listing
                | Verdict::Unknown => None,
            },
            policies: ruling.policies.clone(),
        }
    }
}

/// A name that may be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// As it was written.
    Open(String),
    /// Its key is gone.
    Erased,
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Open(name) => serializer.serialize_str(name),
            Self::Erased => serializer.serialize_none(),
        }
    }
}

impl Line {
    /// What a request was answered, or that its record is void.
    #[must_use]
    pub fn outcome(&self) -> Option<&'static str> {
        let answered = self.answer.as_ref().map(|answer| answer.verdict);
        answered.or(self.void.then_some(VOID))
    }

    /// What an event says, without any name.
    pub(crate) fn new(opened: &Opened, index: usize, entry: &Entry) -> Self {
        let fact = &entry.fact;
        let (actor, principal, token) = match fact.actor {
            Actor::System => ("system", None, None),
            Actor::Principal(principal, token) => ("principal", Some(principal), Some(token)),
            Actor::Anonymous => ("anonymous", None, None),
        };
        let subject = if opened.header.subject.is_decided() {
            "decided"
        } else {
            "observed"
        };
        let mut line = Self {
            sequence: opened.seq,
            index,
            time: opened.header.time,
            subject,
            writer: opened.header.writer,
            event: fact.event.name(),
            kind: fact.event.kind(),
            void: false,
            actor,
            principal,
            token,
            command: fact.command.map(|command| command.id),
            mount: None,
            tokens: Vec::new(),
            policy: None,
            role: None,
            erasure: None,
            hold: None,
            records: Vec::new(),
            wraps: None,
            wrap_ttl: None,
            record: None,
            versions: Vec::new(),
            trimmed: Vec::new(),
            kek: None,
            generation: None,
            epoch: None,
            grant: None,
            grants_epochs: Vec::new(),
            pages: None,
            page: None,
            keys: None,
            uses: used(entry).into_iter().map(|used| used.key).collect(),
            request: None,
            operation: None,
            asked_version: None,
            answer: None,
            refused: None,
            over_bound: None,
            mount_path: None,
            path: None,
            reason: None,
            client: None,
            execution: None,
            token_name: None,
        };
        line.tell(&fact.event);
        line
    }

    /// The same, without what only names tell.
    pub(super) fn without_names(self) -> Self {
        Self {
            mount_path: None,
            path: None,
            reason: None,
            client: None,
            execution: None,
            token_name: None,
            ..self
        }
    }

    fn tell(&mut self, event: &Event) {
        let mut about = |record, versions: &[u32]| {
            self.record = Some(record);
            self.versions = versions.to_vec();
        };
        match event {
            Event::WalletCreated(_) => {}
            Event::EpochBegan(event) => self.epoch = Some(event.fact_key),
            Event::AuditorGranted(event) => self.grant = Some(event.grant),
            Event::EpochsGranted(event) => {
                self.grant = Some(event.grant);
                self.grants_epochs = event.epochs.clone();
            }
            Event::NamesGranted(event) => self.grant = Some(event.grant),
            Event::GrantEnded(event) => self.grant = Some(event.grant),
            Event::KekCreated(event) => {
                self.kek = Some(event.version);
                self.epoch = Some(event.fact_key);
            }
            Event::KeyPageClosed(event) => self.page = Some(event.page),
            Event::KeysDestroyed(event) => self.keys = Some(event.keys.len()),
            Event::KeysRewrapped(event) => {
                self.kek = Some(event.version);
                self.pages = Some(event.pages.len());
            }
            Event::KeksRetired(event) => self.kek = Some(event.version),
            Event::KeksDestroyed(event) => self.kek = Some(event.version),
            Event::GenerationReplaced(event) => self.generation = Some(event.generation),
            Event::WalletSealed(event) => self.generation = Some(event.generation),
            Event::RotationPolicySet(_) => {}
            Event::MountEnabled(event) => self.mount = Some(event.mount),
            Event::MountTuned(event) => self.mount = Some(event.mount),
            Event::MountDisabled(event) => self.mount = Some(event.mount),
            Event::MountRenamed(event) => self.mount = Some(event.mount),
            Event::TokenCreated(event) => {
                self.tokens = vec![event.token];
                self.wraps = event.wraps;
            }
            Event::TokenRenewed(event) => self.tokens = vec![event.token],
            Event::TokenUsed(event) => self.tokens = vec![event.token],
            Event::TokensEnded(event) => {
                self.tokens = event.tokens.iter().map(|ended| ended.token).collect();
                self.request = event.unwrapped;
            }
            Event::CubbyholeWritten(event) => self.tokens = vec![event.token],
            Event::CubbyholeDeleted(event) => self.tokens = vec![event.token],
            Event::TokenRoleWritten(event) => self.role = Some(event.name.clone()),
            Event::TokenRoleDeleted(event) => self.role = Some(event.name.clone()),
            Event::ErasureOrdered(event) => {
                self.mount = Some(event.mount);
                self.erasure = Some(event.erasure);
                self.records = event.records.iter().map(|erased| erased.record).collect();
            }
            Event::HoldPlaced(event) => {
                self.mount = Some(event.mount);
                self.hold = Some(event.hold);
            }
            Event::HoldLifted(event) => self.hold = Some(event.hold),
            Event::PolicyWritten(event) => self.policy = Some(event.name.clone()),
            Event::PolicyDeleted(event) => self.policy = Some(event.name.clone()),
            Event::CredentialWritten(event) => {
                about(event.record, &[event.version]);
                self.mount = Some(event.mount);
                self.trimmed = numbers(&event.trimmed);
            }
            Event::VersionsDeleted(event) => about(event.record, &event.versions),
            Event::VersionsUndeleted(event) => about(event.record, &event.versions),
            Event::VersionsDestroyed(event) => about(event.record, &numbers(&event.versions)),
            Event::MetadataChanged(event) => {
                about(event.record, &[]);
                self.mount = Some(event.mount);
                self.trimmed = numbers(&event.trimmed);
            }
            Event::PayloadResealed(event) => about(event.record, &[event.version]),
            Event::NamesResealed(event) => about(event.record, &[]),
            Event::MetadataDeleted(event) => {
                about(event.record, &[]);
                self.keys = Some(event.keys.len());
            }
            Event::ResolutionRequested(event) => {
                self.request = Some(event.request);
                self.operation = Some(event.operation.name());
                self.mount = event.mount;
                self.record = event.record;
                self.asked_version = event.version;
                self.wrap_ttl = event.wrap_ttl;
            }
            Event::RequestsRefused(event) => {
                self.refused = Some(event.count);
                self.over_bound = Some(event.over_bound);
            }
        }
    }
}

fn numbers(retired: &[Retired]) -> Vec<u32> {
    retired.iter().map(|retired| retired.version).collect()
}

fn texts<T: Display, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(ToString::to_string))
}

fn text_if<T: Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}
