//! `sys/mounts` and what the CLI asks before every `kv` command.

pub(super) mod auth;
mod line;

use std::collections::BTreeMap;

use axum::http::StatusCode;
use billfold_core::{
    access::Need,
    decide::Refusal,
    event::v1::MountKind,
    id::{MountId, Seq},
    policy::Operation,
};
use serde::Serialize;

use self::line::{Line, Options, lines, token_method, twice};
use super::{
    failure,
    kv::input,
    shape::{Envelope, uuid},
};
use crate::{
    http::{
        Call, Failure, Outcome,
        json::{Object, is_object},
        reply::Reply,
    },
    wallet::{Error, Mount, NewMount, Written},
};

pub(super) async fn all(call: &Call) -> Outcome {
    let mounts = call
        .wallet
        .mounts(&call.caller)
        .await
        .map_err(|error| failure(&error))?;
    Ok(twice(call, lines(call, &mounts.value)).at(mounts.seq))
}

#[derive(Serialize)]
struct Ui {
    auth: BTreeMap<String, Line>,
    secret: BTreeMap<String, Line>,
}

pub(super) async fn ui_all(call: &Call) -> Outcome {
    let mounts = call
        .wallet
        .visible_mounts(&call.caller, &call.path)
        .await
        .map_err(|error| failure(&error))?;
    let ui = Ui {
        auth: auth::methods(call),
        secret: lines(call, &mounts.value),
    };
    Ok(Reply::json(StatusCode::OK, &Envelope::of(call.caller.request, ui)).at(mounts.seq))
}

pub(super) async fn ui_one(call: &Call) -> Outcome {
    let mounts = call
        .wallet
        .visible_mounts(&call.caller, &call.path)
        .await
        .map_err(|error| failure(&error))?;
    let asked = format!("{}/", call.rest.trim_end_matches('/'));
    let mut lines = lines(call, &mounts.value);
    lines.insert("auth/token/".to_owned(), token_method(call));
    let found = lines
        .into_iter()
        .find(|(path, _)| asked.starts_with(path.as_str()));
    // A client that is answered 404 here takes the wallet for an older one, and uses other paths.
    let unknown = || {
        Failure::new(
            StatusCode::FORBIDDEN,
            "preflight capability check returned 403",
        )
    };
    let (path, line) = found.ok_or_else(unknown)?;
    // An auth method is told by its path among those.
    let line = line.at(path.trim_start_matches("auth/"));
    Ok(Reply::json(StatusCode::OK, &Envelope::of(call.caller.request, line)).at(mounts.seq))
}

/// The lease times that clients are told where nothing has a lease: 32 days, in seconds.
const LEASE: u64 = 2_764_800;

#[derive(Serialize, Clone)]
struct Tuning {
    default_lease_ttl: u64,
    description: String,
    force_no_cache: bool,
    max_lease_ttl: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<Options>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
}

impl From<Line> for Tuning {
    fn from(line: Line) -> Self {
        Self {
            default_lease_ttl: LEASE,
            description: line.description,
            force_no_cache: false,
            max_lease_ttl: LEASE,
            options: line.options,
            token_type: line.config.token_type,
        }
    }
}

pub(super) async fn one(call: &Call) -> Outcome {
    let mounts = call
        .wallet
        .mounts_for(&call.caller, &call.path)
        .await
        .map_err(|error| failure(&error))?;
    let (path, is_tuning) = target(call);
    let mut lines = lines(call, &mounts.value);
    let line = lines.remove(&path).ok_or_else(missing)?;
    let reply = if is_tuning {
        twice(call, Tuning::from(line))
    } else {
        twice(call, line)
    };
    Ok(reply.at(mounts.seq))
}

/// Enables a mount, or tunes one.
pub(super) async fn write(call: &Call) -> Outcome {
    allowed(call, Operation::Update, false).await?;
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    let (path, is_tuning) = target(call);
    let written = if is_tuning {
        tune(call, &path, &body).await?
    } else {
        enable(call, path, &body).await?
    };
    Ok(Reply::empty(StatusCode::NO_CONTENT).at(written.seq))
}

async fn enable(call: &Call, path: String, body: &Object<'_>) -> Result<Written, Failure> {
    let kind = match text(body, "type")?.unwrap_or_default().as_str() {
        "kv" => version_of(body)?.unwrap_or(MountKind::KvV1),
        "kv-v2" => MountKind::KvV2,
        "" => return Err(Failure::bad("backend type must be specified as a string")),
        _ => return Err(Failure::bad("plugin not found in the catalog")),
    };
    refuse_unsupported(body)?;
    free(&path)?;
    let new = NewMount {
        path,
        kind,
        description: text(body, "description")?.unwrap_or_default(),
    };
    let enabled = call.wallet.enable(&call.caller, new).await;
    enabled.map_err(|error| taken(&error))
}

async fn tune(call: &Call, path: &str, body: &Object<'_>) -> Result<Written, Failure> {
    let mount = known(call, path).await?;
    refuse_unsupported(body)?;
    if version_of(body)?.is_some_and(|kind| kind != mount.kind) {
        return Err(Failure::bad("the version of a mount cannot be changed"));
    }
    let description = match text(body, "description")? {
        Some(description) => description,
        None => mount.description.clone(),
    };
    let path = mount.path.clone();
    let renamed = call.wallet.rename(&call.caller, &mount, path, description);
    renamed.await.map_err(|error| failure(&error))
}

pub(super) async fn disable(call: &Call) -> Outcome {
    allowed(call, Operation::Delete, false).await?;
    let (path, is_tuning) = target(call);
    if is_tuning {
        return Err(Failure::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "1 error occurred:\n\t* unsupported operation\n\n",
        ));
    }
    let found = call.wallet.mount_of(&path).await;
    let found = found.map_err(|error| failure(&error))?;
    let Some((mount, _)) = found.filter(|(_, below)| below.is_empty()) else {
        free(&path)?;
        // What is not there needs no removing.
        return Ok(Reply::empty(StatusCode::NO_CONTENT));
    };
    let disabled = call.wallet.disable(&call.caller, &mount).await;
    let disabled = disabled.map_err(|error| failure(&error))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT).at(disabled.seq))
}

#[derive(Serialize, Clone)]
struct Migration {
    migration_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    migration_info: Option<MigrationInfo>,
}

#[derive(Serialize, Clone)]
struct MigrationInfo {
    source_mount: &'static str,
    status: &'static str,
    target_mount: String,
}

/// A move is one event: its place in the log and the mount are all that there is to ask for later,
/// on any node.
fn migration_id(seq: Seq, mount: MountId) -> String {
    let mut id = *mount.as_bytes();
    id.iter_mut()
        .zip(seq.0.to_be_bytes())
        .for_each(|(byte, of_seq)| *byte = of_seq);
    uuid(&id)
}

pub(super) async fn remount_status(call: &Call) -> Outcome {
    let mounts = call
        .wallet
        .mounts_for(&call.caller, &call.path)
        .await
        .map_err(|error| failure(&error))?;
    let unknown = || Failure::silent(StatusCode::NOT_FOUND);
    let id: uuid::Uuid = call.rest.parse().map_err(|_| unknown())?;
    let (seq, rest) = id.as_bytes().split_first_chunk::<8>().ok_or_else(unknown)?;
    let seq = Seq(u64::from_be_bytes(*seq));
    let mut found = mounts.value.iter();
    let mount = found.find(|mount| seq <= mounts.seq && mount.id.as_bytes().ends_with(rest));
    let mount = mount.ok_or_else(unknown)?;
    let status = Migration {
        migration_id: migration_id(seq, mount.id),
        migration_info: Some(MigrationInfo {
            source_mount: "",
            status: "success",
            target_mount: mount.path.clone(),
        }),
    };
    Ok(Reply::json(StatusCode::OK, &Envelope::of(call.caller.request, status)).at(mounts.seq))
}

pub(super) async fn remount(call: &Call) -> Outcome {
    allowed(call, Operation::Update, true).await?;
    let body = Object::parse(&call.body).map_err(Failure::bad)?;
    let (from, to) = (text(&body, "from")?, text(&body, "to")?);
    let missing = || Failure::bad("both 'from' and 'to' path must be specified as a string");
    let told = |path: Option<String>| path.filter(|path| !path.is_empty()).ok_or_else(missing);
    let slashed = |path: String| format!("{}/", path.trim_matches('/'));
    let (from, to) = (slashed(told(from)?), slashed(told(to)?));
    free(&from)?;
    free(&to)?;
    if !crate::http::path::is_plain(to.trim_end_matches('/')) {
        return Err(Failure::bad("the path is malformed"));
    }
    let mount = known(call, &from).await?;
    if from == to {
        return Err(in_use());
    }
    let description = mount.description.clone();
    let renamed = call.wallet.rename(&call.caller, &mount, to, description);
    let renamed = renamed.await.map_err(|error| taken(&error))?;
    let done = Migration {
        migration_id: migration_id(renamed.seq, mount.id),
        migration_info: None,
    };
    Ok(twice(call, done).at(renamed.seq))
}

/// Which mounts there are is not for everybody: who may not change them is told nothing else.
async fn allowed(call: &Call, operation: Operation, sudo: bool) -> Result<(), Failure> {
    let need = Need {
        sudo,
        ..Need::to(operation, call.path.trim_end_matches('/'))
    };
    let may = call.wallet.may(&call.caller, &need).await;
    match may.map_err(|error| failure(&error))? {
        true => Ok(()),
        false => Err(failure(&Error::Denied)),
    }
}

/// The path of the mount that is meant, and whether it is about its tuning.
fn target(call: &Call) -> (String, bool) {
    let path = call.rest.trim_matches('/');
    let (path, is_tuning) = match path.strip_suffix("/tune") {
        Some(path) => (path, true),
        None => (path, false),
    };
    (format!("{path}/"), is_tuning)
}

async fn known(call: &Call, path: &str) -> Result<Mount, Failure> {
    let found = call.wallet.mount_of(path).await;
    let found = found.map_err(|error| failure(&error))?;
    let mount = found.filter(|(_, below)| below.is_empty());
    mount.map(|(mount, _)| mount).ok_or_else(missing)
}

fn missing() -> Failure {
    Failure::bad("No secret engine mount at this path")
}

fn taken(error: &Error) -> Failure {
    match error {
        Error::Refused(Refusal::MountTaken) => in_use(),
        other => failure(other),
    }
}

fn in_use() -> Failure {
    Failure::bad("path is already in use")
}

/// What a mount cannot be called: the API has its own use for it.
fn free(path: &str) -> Result<(), Failure> {
    let own = [
        "sys/",
        "auth/",
        "identity/",
        "cubbyhole/",
        "audit/",
        "api/",
        "metrics/",
    ];
    let is_own = own.iter().any(|own| path.starts_with(own));
    match path {
        "/" => Err(Failure::bad("a mount needs a path")),
        _ if is_own => Err(Failure::bad("the path is one of the API's own")),
        _ => Ok(()),
    }
}

/// What is as good as not stated.
#[derive(Clone, Copy)]
enum Harmless {
    /// No time.
    NoTime,
    /// `false`.
    Off,
    /// Nothing at all.
    Empty,
    /// Nothing, or what is so here anyway.
    Hidden,
}

impl Harmless {
    fn holds(self, text: &str) -> bool {
        let is_empty = matches!(text.trim(), "null" | "\"\"" | "[]" | "{}");
        match self {
            Self::NoTime => input::span(text) == Some(0),
            Self::Off => input::truth(text) == Some(false),
            Self::Empty => is_empty,
            Self::Hidden => is_empty || text.trim() == "\"hidden\"",
        }
    }
}

/// What mounts elsewhere have, and what of it may be said here.
const NOT_HERE: [(&str, Harmless); 14] = [
    ("default_lease_ttl", Harmless::NoTime),
    ("max_lease_ttl", Harmless::NoTime),
    ("local", Harmless::Off),
    ("seal_wrap", Harmless::Off),
    ("external_entropy_access", Harmless::Off),
    ("force_no_cache", Harmless::Off),
    // Who may not see a mount is not told of it.
    ("listing_visibility", Harmless::Hidden),
    ("audit_non_hmac_request_keys", Harmless::Empty),
    ("audit_non_hmac_response_keys", Harmless::Empty),
    ("passthrough_request_headers", Harmless::Empty),
    ("allowed_response_headers", Harmless::Empty),
    ("plugin_version", Harmless::Empty),
    ("token_type", Harmless::Empty),
    ("user_lockout_config", Harmless::Empty),
];

/// Refuses what a mount cannot have here: it would be ignored.
fn refuse_unsupported(body: &Object<'_>) -> Result<(), Failure> {
    let config = match body.get("config") {
        Some(config) if is_object(config) => {
            Object::parse(config.as_bytes()).map_err(Failure::bad)?
        }
        _ => Object::default(),
    };
    for (name, harmless) in NOT_HERE {
        let values = [body.get(name), config.get(name)];
        if !values
            .into_iter()
            .flatten()
            .all(|text| harmless.holds(text))
        {
            return Err(Failure::bad(format!("{name} is not supported")));
        }
    }
    Ok(())
}

fn text(body: &Object<'_>, name: &str) -> Result<Option<String>, Failure> {
    body.read::<String>(name).map_err(|()| input::invalid(name))
}

/// The version that the options of a body ask for.
fn version_of(body: &Object<'_>) -> Result<Option<MountKind>, Failure> {
    let options: Option<BTreeMap<String, serde_json::Value>> = body
        .read("options")
        .map_err(|()| input::invalid("options"))?;
    let mut options = options.unwrap_or_default();
    let version = options.remove("version");
    if !options.is_empty() {
        return Err(Failure::bad("an option of the mount is not supported"));
    }
    match version {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(value) if value == "1" || value == 1 => Ok(Some(MountKind::KvV1)),
        Some(value) if value == "2" || value == 2 => Ok(Some(MountKind::KvV2)),
        Some(_) => Err(Failure::bad("the version of a kv mount is 1 or 2")),
    }
}
