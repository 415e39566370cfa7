//! The secrets of a wallet as they were: paths, versions and metadata.

use std::collections::{BTreeMap, HashMap};

use billfold_core::{
    id::{MountId, RecordId},
    names::{CredentialNames, Names},
    state::{Record, Version},
    told,
};
use billfold_projector::{fold::open_names, view::StoredRecord};
use serde::Serialize;

use super::{Row, mounts};
use crate::{Error, Walk, log::Name};

/// How many records are read at once.
const AT_ONCE: usize = 256;

/// A secret. The fields are those of the metadata endpoint of its mount, after what tells it apart.
#[derive(Serialize)]
struct Secret {
    record: String,
    mount: String,
    /// `null` when it is erased.
    mount_path: Name,
    /// The path below the mount; `null` when it is erased.
    path: Name,
    /// What names said then is erased: the path is that of later names, and metadata is not known.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    names_erased: bool,
    cas_required: bool,
    created_time: String,
    current_metadata_version: u32,
    current_version: u32,
    custom_metadata: Option<BTreeMap<String, String>>,
    delete_version_after: String,
    max_versions: u32,
    metadata_cas_required: bool,
    oldest_version: u32,
    updated_time: String,
    versions: BTreeMap<u32, VersionThen>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<Credential>,
}

#[derive(Serialize)]
struct VersionThen {
    created_time: String,
    deletion_time: String,
    destroyed: bool,
}

/// What the credentials door shows of it besides its secret.
#[derive(Serialize)]
struct Credential {
    #[serde(rename = "type")]
    kind: String,
    description: Option<String>,
    tags: Vec<String>,
    meta: Option<String>,
}

pub(super) async fn rows(walk: &mut Walk) -> Result<Vec<Row>, Error> {
    let mounts = mounts::open(walk).await?;
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        // Beside the records stand payloads: not all of them at once.
        let some = walk.view().records_after(after, AT_ONCE)?;
        let Some((last, _)) = some.last() else {
            break;
        };
        after = Some(*last);
        for (id, stored) in some {
            let names = names(walk, id, &stored).await?;
            let path = match &names {
                Some(names) => Some(names.path.clone()),
                // A record's path never changes.
                None => walk.later_path(id).await?,
            };
            rows.push(row(walk, id, &stored.record, names, path, &mounts)?);
        }
    }
    rows.sort_by(|a, b| (&a.label, &a.id).cmp(&(&b.label, &b.id)));
    Ok(rows)
}

async fn names(walk: &Walk, id: RecordId, stored: &StoredRecord) -> Result<Option<Names>, Error> {
    let record = &stored.record;
    let (key, version) = (record.names.key, record.names_version);
    Ok(open_names(walk.custody(), id, key, version, stored.names()).await?)
}

fn row(
    walk: &Walk,
    id: RecordId,
    record: &Record,
    names: Option<Names>,
    path: Option<String>,
    mounts: &HashMap<MountId, mounts::Open>,
) -> Result<Row, Error> {
    let mount = walk.state().mount(&record.mount)?;
    let mount_path = mounts.get(&record.mount).and_then(|open| open.path.clone());
    let label = match (&mount_path, &path) {
        (Some(mount), Some(path)) => format!("{mount}{path}"),
        (None, Some(path)) => format!("(erased)/{path}"),
        (_, None) => format!("(erased) {id}"),
    };
    let settings = record.settings;
    let names_erased = names.is_none() && walk.granted().is_none();
    let (custom, credential) = names
        .map(|names| (names.custom, names.credential))
        .unwrap_or_default();
    let secret = Secret {
        record: id.to_string(),
        mount: record.mount.to_string(),
        mount_path: name(mount_path),
        path: name(path),
        names_erased,
        cas_required: settings.cas_required,
        created_time: told::time(record.created),
        current_metadata_version: record.metadata_version,
        current_version: record.current,
        custom_metadata: (!custom.is_empty()).then_some(custom),
        delete_version_after: told::duration(settings.delete_version_after),
        max_versions: settings.max_versions,
        metadata_cas_required: settings.metadata_cas_required,
        oldest_version: record.oldest(mount.map_or(0, |mount| mount.settings.max_versions)),
        updated_time: told::time(record.updated),
        versions: record.versions.iter().map(version).collect(),
        credential: credential.map(Credential::from),
    };
    Row::new(id.to_string(), label, &secret)
}

fn version(version: &Version) -> (u32, VersionThen) {
    let told = VersionThen {
        created_time: told::time(version.created),
        deletion_time: version.deletion.map(told::time).unwrap_or_default(),
        destroyed: version.destroyed,
    };
    (version.number, told)
}

pub(super) fn name(text: Option<String>) -> Name {
    text.map_or(Name::Erased, Name::Open)
}

impl From<CredentialNames> for Credential {
    fn from(names: CredentialNames) -> Self {
        Self {
            kind: names.kind,
            description: names.description,
            tags: names.tags,
            meta: names.meta,
        }
    }
}
