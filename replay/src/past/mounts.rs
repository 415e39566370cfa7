//! The mounts of a wallet as they were.

use std::collections::HashMap;

use billfold_core::{
    event::v1::{MountKind, Settings},
    id::MountId,
    told,
};
use billfold_projector::fold::open_mount_names;
use serde::Serialize;

use super::{Row, keychain::name};
use crate::{Error, Walk, log::Name};

/// A mount with its names open, as far as they are not erased, or not granted to an auditor.
pub(super) struct Open {
    pub(super) path: Option<String>,
    description: Option<String>,
}

/// The names of all mounts.
pub(super) async fn open(walk: &Walk) -> Result<HashMap<MountId, Open>, Error> {
    let mut open = HashMap::new();
    for (id, mount) in walk.state().mounts()?.iter() {
        let dek = walk.custody().dek(mount.names.key).await?;
        let sealed = walk.view().mount_names(id)?;
        let names = dek
            .zip(sealed)
            .and_then(|(dek, sealed)| open_mount_names(walk.custody(), *id, &dek, &sealed));
        let (path, description) = names.map(|names| (names.path, names.description)).unzip();
        let granted = || {
            let granted = walk.granted()?;
            granted.mount_path(*id, mount.path.last()?).cloned()
        };
        let path = path.or_else(granted);
        open.insert(*id, Open { path, description });
    }
    Ok(open)
}

/// A mount. The fields are those of `sys/mounts`, and `config` those of its own settings.
#[derive(Serialize)]
struct Mount {
    mount: String,
    /// `null` when it is erased.
    path: Name,
    accessor: String,
    uuid: String,
    #[serde(rename = "type")]
    kind: &'static str,
    options: Options,
    /// `null` when it is erased.
    description: Name,
    created_time: String,
    config: Config,
}

#[derive(Serialize)]
struct Options {
    version: &'static str,
}

#[derive(Serialize)]
struct Config {
    cas_required: bool,
    delete_version_after: String,
    max_versions: u32,
    metadata_cas_required: bool,
}

impl From<Settings> for Config {
    fn from(settings: Settings) -> Self {
        Self {
            cas_required: settings.cas_required,
            delete_version_after: told::duration(settings.delete_version_after),
            max_versions: settings.max_versions,
            metadata_cas_required: settings.metadata_cas_required,
        }
    }
}

pub(super) async fn rows(walk: &Walk) -> Result<Vec<Row>, Error> {
    let mut open = open(walk).await?;
    let mut rows = Vec::new();
    for (id, mount) in walk.state().mounts()?.iter() {
        let (path, description) = open
            .remove(id)
            .map_or((None, None), |open| (open.path, open.description));
        let short: String = id.to_string().chars().take(8).collect();
        let label = path.clone().unwrap_or_else(|| format!("(erased) {id}"));
        let told = Mount {
            mount: id.to_string(),
            path: name(path),
            accessor: format!("kv_{short}"),
            uuid: uuid::Uuid::from_bytes(*id.as_bytes()).to_string(),
            kind: "kv",
            options: Options {
                version: match mount.kind {
                    MountKind::KvV2 => "2",
                    MountKind::KvV1 => "1",
                },
            },
            description: name(description),
            created_time: told::time(mount.created),
            config: mount.settings.into(),
        };
        rows.push(Row::new(id.to_string(), label, &told)?);
    }
    rows.sort_by(|a, b| (&a.label, &a.id).cmp(&(&b.label, &b.id)));
    Ok(rows)
}
