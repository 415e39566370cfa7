//! `sys/mounts` and what the CLI asks before every `kv` command.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use billfold_core::event::v1::MountKind;
use serde::Serialize;

use super::{
    failure,
    shape::{Envelope, uuid},
};
use crate::{
    http::{Call, Failure, Outcome, reply::Reply},
    wallet::Mount,
};

#[derive(Serialize, Clone)]
struct Config {
    default_lease_ttl: u64,
    force_no_cache: bool,
    max_lease_ttl: u64,
}

#[derive(Serialize, Clone)]
struct Options {
    version: &'static str,
}

#[derive(Serialize, Clone)]
struct Line {
    accessor: String,
    config: Config,
    #[serde(skip_serializing_if = "Option::is_none")]
    deprecation_status: Option<&'static str>,
    description: String,
    external_entropy_access: bool,
    local: bool,
    options: Option<Options>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    plugin_version: &'static str,
    running_plugin_version: &'static str,
    running_sha256: &'static str,
    seal_wrap: bool,
    r#type: &'static str,
    uuid: String,
}

impl Line {
    fn of(mount: &Mount) -> Self {
        let MountKind::KvV2 = mount.kind;
        let short: String = mount.id.to_string().chars().take(8).collect();
        Self {
            accessor: format!("kv_{short}"),
            config: Config {
                default_lease_ttl: 0,
                force_no_cache: false,
                max_lease_ttl: 0,
            },
            deprecation_status: Some("supported"),
            description: mount.description.clone(),
            external_entropy_access: false,
            local: false,
            options: Some(Options { version: "2" }),
            path: None,
            plugin_version: "",
            running_plugin_version: "",
            running_sha256: "",
            seal_wrap: false,
            r#type: "kv",
            uuid: uuid(mount.id.as_bytes()),
        }
    }
}

fn lines(mounts: &[Mount]) -> BTreeMap<String, Line> {
    mounts
        .iter()
        .map(|mount| (mount.path.clone(), Line::of(mount)))
        .collect()
}

/// The mounts stand in the answer twice: by themselves, and as its data.
#[derive(Serialize)]
struct Twice {
    #[serde(flatten)]
    above: BTreeMap<String, Line>,
    #[serde(flatten)]
    envelope: Envelope<BTreeMap<String, Line>>,
}

pub(super) async fn all(call: &Call) -> Outcome {
    let mounts = call
        .wallet
        .mounts(&call.caller)
        .await
        .map_err(|error| failure(&error))?;
    let lines = lines(&mounts.value);
    let envelope = Envelope::of(call.caller.request, lines.clone());
    Ok(Reply::json(
        StatusCode::OK,
        &Twice {
            above: lines,
            envelope,
        },
    )
    .at(mounts.seq))
}

#[derive(Serialize)]
struct Ui {
    auth: BTreeMap<String, Line>,
    secret: BTreeMap<String, Line>,
}

pub(super) async fn ui_all(call: &Call) -> Outcome {
    let mounts = call
        .wallet
        .mounts(&call.caller)
        .await
        .map_err(|error| failure(&error))?;
    let ui = Ui {
        auth: BTreeMap::new(),
        secret: lines(&mounts.value),
    };
    Ok(Reply::json(StatusCode::OK, &Envelope::of(call.caller.request, ui)).at(mounts.seq))
}

pub(super) async fn ui_one(call: &Call) -> Outcome {
    let mounts = call
        .wallet
        .mounts(&call.caller)
        .await
        .map_err(|error| failure(&error))?;
    let asked = format!("{}/", call.rest.trim_end_matches('/'));
    let found = mounts
        .value
        .iter()
        .find(|mount| asked.starts_with(&mount.path));
    // A client that is answered 404 here takes the wallet for an older one, and uses other paths.
    let unknown = || {
        Failure::new(
            StatusCode::FORBIDDEN,
            "preflight capability check returned 403",
        )
    };
    let mount = found.ok_or_else(unknown)?;
    let line = Line {
        path: Some(mount.path.clone()),
        ..Line::of(mount)
    };
    Ok(Reply::json(StatusCode::OK, &Envelope::of(call.caller.request, line)).at(mounts.seq))
}
