//! How mounts are told.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use billfold_core::event::v1::MountKind;
use serde::Serialize;

use crate::{
    http::{Call, reply::Reply},
    v1::shape::{Envelope, uuid},
    wallet::Mount,
};

#[derive(Serialize, Clone, Copy, Default)]
pub(super) struct Config {
    default_lease_ttl: u64,
    force_no_cache: bool,
    max_lease_ttl: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token_type: Option<&'static str>,
}

#[derive(Serialize, Clone)]
pub(super) struct Options {
    version: &'static str,
}

/// A mount as it is told.
#[derive(Serialize, Clone)]
pub(super) struct Line {
    accessor: String,
    pub(super) config: Config,
    #[serde(skip_serializing_if = "Option::is_none")]
    deprecation_status: Option<&'static str>,
    pub(super) description: String,
    external_entropy_access: bool,
    local: bool,
    pub(super) options: Option<Options>,
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
    /// The same, with the path that it is told by.
    pub(super) fn at(self, path: &str) -> Self {
        Self {
            path: Some(path.to_owned()),
            ..self
        }
    }

    fn of(mount: &Mount) -> Self {
        let version = match mount.kind {
            MountKind::KvV2 => "2",
            MountKind::KvV1 => "1",
        };
        let short: String = mount.id.to_string().chars().take(8).collect();
        Self {
            accessor: format!("kv_{short}"),
            config: Config::default(),
            deprecation_status: Some("supported"),
            description: mount.description.clone(),
            external_entropy_access: false,
            local: false,
            options: Some(Options { version }),
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

/// The rows that every wallet has: clients look for them.
const BUILT_IN: [(&str, &str, &str); 3] = [
    (
        "cubbyhole/",
        "cubbyhole",
        "per-token private secret storage",
    ),
    ("identity/", "identity", "identity store"),
    (
        "sys/",
        "system",
        "system endpoints used for control, policy and debugging",
    ),
];

/// All of these mounts, and those that every wallet has, by their paths.
pub(super) fn lines(call: &Call, mounts: &[Mount]) -> BTreeMap<String, Line> {
    let built_in = (1..).zip(BUILT_IN);
    let built_in = built_in.map(|(number, (path, kind, description))| {
        (
            path.to_owned(),
            built_in_line(call, number, kind, description),
        )
    });
    mounts
        .iter()
        .map(|mount| (mount.path.clone(), Line::of(mount)))
        .chain(built_in)
        .collect()
}

fn built_in_line(call: &Call, number: u8, kind: &'static str, description: &str) -> Line {
    let wallet = call.wallet.keychain().custody().wallet();
    let short: String = wallet.to_string().chars().take(8).collect();
    let mut id = *wallet.as_bytes();
    // One id for each, and the same on every node.
    id[15] = id[15].wrapping_add(number);
    Line {
        accessor: format!("{kind}_{short}"),
        config: Config::default(),
        deprecation_status: None,
        description: description.to_owned(),
        external_entropy_access: false,
        local: kind == "cubbyhole",
        options: None,
        path: None,
        plugin_version: "",
        running_plugin_version: "",
        running_sha256: "",
        seal_wrap: false,
        r#type: kind,
        uuid: uuid(&id),
    }
}

/// The one auth method: tokens.
pub(super) fn token_method(call: &Call) -> Line {
    let line = built_in_line(call, 0, "token", "token based credentials");
    Line {
        accessor: format!("auth_{}", line.accessor),
        config: Config {
            token_type: Some("default-service"),
            ..line.config
        },
        ..line
    }
}

/// What is told stands in the answer twice: by itself, and as its data.
#[derive(Serialize)]
struct Twice<T> {
    #[serde(flatten)]
    above: T,
    #[serde(flatten)]
    envelope: Envelope<T>,
}

pub(super) fn twice<T: Serialize + Clone>(call: &Call, told: T) -> Reply {
    let twice = Twice {
        above: told.clone(),
        envelope: Envelope::of(call.caller.request, told),
    };
    Reply::json(StatusCode::OK, &twice)
}
