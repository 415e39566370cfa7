//! Events as the Open Cybersecurity Schema Framework has them.
//!
//! What somebody did or asked is API Activity (6003). Requests without a valid token are failed
//! Authentication (3002), counted.

use billfold_core::{Millis, event::v1::Operation};
use serde::Serialize;

use crate::Row;

/// The version of the schema.
pub const VERSION: &str = "1.3.0";

const API_ACTIVITY: u32 = 6003;
const AUTHENTICATION: u32 = 3002;

const UNKNOWN: u32 = 0;
const CREATE: u32 = 1;
const READ: u32 = 2;
const UPDATE: u32 = 3;
const DELETE: u32 = 4;
const OTHER: u32 = 99;
/// Of Authentication.
const LOGON: u32 = 1;

const SUCCESS: u32 = 1;
const FAILURE: u32 = 2;

/// One event. Fields have the names and meanings of the schema; what it has no field for stands under
/// `unmapped`, with the names of a [`Row`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the schema says what each is")]
pub struct Event {
    pub class_uid: u32,
    pub category_uid: u32,
    pub activity_id: u32,
    pub activity_name: &'static str,
    pub type_uid: u32,
    pub severity_id: u32,
    pub time: u64,
    pub status_id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_detail: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    pub metadata: Metadata,
    pub actor: Actor,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<Api>,
    pub src_endpoint: Endpoint,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource>,
    pub unmapped: Unmapped,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the schema says what each is")]
pub struct Metadata {
    pub version: &'static str,
    pub product: Product,
    pub uid: String,
    pub sequence: u64,
    pub event_code: &'static str,
    pub log_name: &'static str,
    pub original_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_uid: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the schema says what each is")]
pub struct Product {
    pub name: &'static str,
    pub vendor_name: &'static str,
    pub version: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the schema says what each is")]
pub struct Actor {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_name: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the schema says what each is")]
pub struct User {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the schema says what each is")]
pub struct Session {
    pub uid: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the schema says what each is")]
pub struct Api {
    pub operation: &'static str,
    pub service: Service,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the schema says what each is")]
pub struct Request {
    pub uid: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the schema says what each is")]
pub struct Service {
    pub name: &'static str,
    pub uid: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the schema says what each is")]
pub struct Endpoint {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the schema says what each is")]
pub struct Resource {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What the schema has no field for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "as in a row")]
pub struct Unmapped {
    pub index: usize,
    pub kind: u16,
    pub subject: &'static str,
    pub writer: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub path_erased: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over_bound: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

impl Event {
    /// The event of a row.
    #[must_use]
    pub fn of(row: &Row) -> Self {
        let is_refusal = row.refused.is_some();
        let class_uid = if is_refusal {
            AUTHENTICATION
        } else {
            API_ACTIVITY
        };
        let (activity_id, activity_name) = activity(row);
        let (status_id, status_detail) = status(row);
        let is_denied = is_refusal || row.outcome == Some("denied");
        let service = Service {
            name: "billfold",
            uid: row.wallet.clone(),
        };
        let api = Api {
            operation: row.operation.unwrap_or(row.event),
            service: service.clone(),
            request: row.request.clone().map(|uid| Request { uid }),
        };
        Self {
            class_uid,
            category_uid: class_uid / 1000,
            activity_id,
            activity_name,
            type_uid: class_uid * 100 + activity_id,
            severity_id: if is_denied { 2 } else { 1 },
            time: Millis::parse(&row.time).map_or(0, |time| time.0),
            status_id,
            status_detail,
            count: row.refused,
            metadata: metadata(row),
            actor: actor(row),
            api: (!is_refusal).then_some(api),
            src_endpoint: Endpoint {
                ip: row.client.clone(),
                name: row.client.is_none().then_some("unknown"),
            },
            user: is_refusal.then_some(User {
                uid: None,
                name: Some("unknown"),
            }),
            service: is_refusal.then_some(service),
            resources: resources(row),
            unmapped: Unmapped {
                index: row.index,
                kind: row.kind,
                subject: row.subject,
                writer: row.writer.clone(),
                policies: row.policies.clone(),
                execution: row.execution.clone(),
                path_erased: row.path_erased,
                over_bound: row.over_bound,
                left_out: row.left_out.clone(),
            },
        }
    }
}

fn activity(row: &Row) -> (u32, &'static str) {
    const CREATES: [&str; 7] = [
        "WalletCreated",
        "KekCreated",
        "MountEnabled",
        "TokenCreated",
        "HoldPlaced",
        "EpochBegan",
        "AuditorGranted",
    ];
    const DELETES: [&str; 13] = [
        "KeysDestroyed",
        "KeksDestroyed",
        "MountDisabled",
        "VersionsDeleted",
        "VersionsDestroyed",
        "MetadataDeleted",
        "TokensEnded",
        "PolicyDeleted",
        "CubbyholeDeleted",
        "TokenRoleDeleted",
        "ErasureOrdered",
        "HoldLifted",
        "GrantEnded",
    ];
    match (row.event, row.operation) {
        _ if row.refused.is_some() => (LOGON, "Logon"),
        // What it was that was refused is not told by any operation.
        (_, Some(operation)) if operation == Operation::Refused.name() => (OTHER, "Refused"),
        (_, Some(_)) => (READ, "Read"),
        ("CredentialWritten", _) if row.versions == [1] => (CREATE, "Create"),
        (event, _) if CREATES.contains(&event) => (CREATE, "Create"),
        (event, _) if DELETES.contains(&event) => (DELETE, "Delete"),
        _ => (UPDATE, "Update"),
    }
}

fn status(row: &Row) -> (u32, Option<&'static str>) {
    match row.outcome {
        None if row.refused.is_some() => (FAILURE, Some("no valid token")),
        None | Some("permitted") => (SUCCESS, None),
        Some("unknown") => (UNKNOWN, Some("unknown")),
        Some(why) => (FAILURE, Some(why)),
    }
}

fn metadata(row: &Row) -> Metadata {
    Metadata {
        version: VERSION,
        product: Product {
            name: "Billfold",
            vendor_name: "Billfold",
            version: env!("CARGO_PKG_VERSION"),
        },
        uid: uid(row),
        sequence: row.sequence,
        event_code: row.event,
        log_name: "billfold",
        original_time: row.time.clone(),
        correlation_uid: row.command.clone(),
    }
}

/// What tells an event apart from all others: its wallet, its sequence and its number there.
pub(super) fn uid(row: &Row) -> String {
    format!("{}-{}-{}", row.wallet, row.sequence, row.index)
}

fn actor(row: &Row) -> Actor {
    let user = |uid: Option<String>, name| Some(User { uid, name });
    Actor {
        user: match row.actor {
            "principal" => user(row.principal.clone(), None),
            "anonymous" => user(None, Some("anonymous")),
            _ => None,
        },
        session: row.token.clone().map(|uid| Session { uid }),
        app_name: (row.actor == "system").then_some("billfold"),
    }
}

fn resources(row: &Row) -> Vec<Resource> {
    let mut resources = Vec::new();
    let mut add = |uid: Option<String>, name: Option<String>, kind, version| {
        if uid.is_some() || name.is_some() {
            resources.push(Resource {
                uid,
                name,
                kind,
                version,
            });
        }
    };
    let versions: Vec<_> = row.versions.iter().map(u32::to_string).collect();
    let version = (!versions.is_empty()).then(|| versions.join(","));
    let path = row.path.clone();
    match (&row.record, &row.mount) {
        (Some(record), _) => add(Some(record.clone()), path, "secret", version),
        (None, Some(mount)) => add(Some(mount.clone()), path, "mount", None),
        (None, None) => add(None, path, "path", None),
    }
    for record in &row.records {
        add(Some(record.clone()), None, "secret", None);
    }
    for token in &row.tokens {
        add(Some(token.clone()), None, "token", None);
    }
    add(None, row.policy.clone(), "policy", None);
    add(None, row.role.clone(), "role", None);
    add(row.erasure.clone(), None, "erasure", None);
    add(row.hold.clone(), None, "hold", None);
    let kek = row.kek.map(|version| version.to_string());
    add(kek.clone(), None, "kek", kek);
    resources
}
