//! What a view shows of a mount, opened.

use std::collections::{BTreeMap, BTreeSet};

use billfold_core::{
    id::MountId,
    keys::Content,
    names::{Names, payload_place},
};
use billfold_projector::{View, fold::open_names, view::Leaf};
use billfold_streams::custody::Custody;

use super::game::{Model, Secret, Version};

/// All secrets of a mount as a view has them.
pub async fn secrets(view: &View, custody: &Custody, mount: MountId) -> Model {
    let mut secrets = BTreeMap::new();
    for leaf in view.all_below(mount.as_bytes()).unwrap() {
        let names = open(custody, &leaf).await;
        let (record, mut versions) = (&leaf.stored.record, BTreeMap::new());
        for version in &record.versions {
            let payload = payload(view, custody, &leaf, version.number).await;
            assert!(payload.is_none() || !version.destroyed);
            assert!(payload.is_some() || version.destroyed, "{}", names.path);
            let version_shown = Version {
                payload,
                deleted: version.deletion.is_some(),
            };
            versions.insert(version.number, version_shown);
        }
        let secret = Secret {
            label: names.custom.get("label").map(|text| text.parse().unwrap()),
            current: record.current,
            described: record.metadata_version,
            max: record.settings.max_versions,
            versions,
        };
        assert!(secrets.insert(names.path, secret).is_none(), "a path twice");
    }
    Model(secrets)
}

/// The lines of a folder, whose path is empty for the mount or ends with a slash.
pub async fn lines(
    view: &View,
    custody: &Custody,
    mount: MountId,
    folder: &str,
) -> BTreeSet<String> {
    let depth = folder.matches('/').count();
    let mut lines = BTreeSet::new();
    for leaf in view.list(&view.folder(mount, folder), depth).unwrap() {
        let names = open(custody, &leaf).await;
        let segment = names.path.split_inclusive('/').nth(leaf.depth - 1).unwrap();
        assert!(names.path.starts_with(folder), "{} in {folder}", names.path);
        assert_eq!(segment.ends_with('/'), leaf.is_folder);
        assert!(lines.insert(segment.to_owned()), "a line twice");
    }
    lines
}

async fn open(custody: &Custody, leaf: &Leaf) -> Names {
    let record = &leaf.stored.record;
    let names = open_names(
        custody,
        leaf.record,
        record.names.key,
        record.names_version,
        &leaf.stored.names,
    );
    names.await.unwrap().expect("a record's names are there")
}

async fn payload(view: &View, custody: &Custody, leaf: &Leaf, number: u32) -> Option<Vec<u8>> {
    let stored = view.stored_record(&leaf.record).unwrap();
    let stored = stored.expect("a line's record is there");
    let version = stored.record.version(number).unwrap();
    let sealed = view.payload(&leaf.record, &stored, number).unwrap();
    if version.destroyed {
        assert!(sealed.is_none(), "the view keeps what is destroyed");
        return None;
    }
    let dek = custody.dek(version.key).await.unwrap().expect("a live key");
    let place = payload_place(custody.wallet(), leaf.record, number);
    let opened = dek.open(Content::Payload, &place, &sealed.expect("a live payload"));
    Some(opened.unwrap().expose().to_vec())
}
