//! The golden files of the wire format, in `tests/vectors/<area>/<case>`: each is run through the
//! reader and must succeed or fail as it says.
//!
//! They were written once, from fixed seeds, and are never written again: a release that reads
//! another format adds cases. `BILLFOLD_WRITE_VECTORS=1` writes those that are missing.

// Tests fail by panicking.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "vectors/bundles.rs"]
mod bundles;
#[path = "vectors/diagnostic.rs"]
mod diagnostic;
#[path = "vectors/facts.rs"]
mod facts;
#[path = "vectors/facts_of_access.rs"]
mod facts_of_access;
#[path = "vectors/facts_of_erasure.rs"]
mod facts_of_erasure;
#[path = "vectors/file.rs"]
mod file;
#[path = "vectors/grants.rs"]
mod grants;
#[path = "vectors/handed_over.rs"]
mod handed_over;
#[path = "vectors/made.rs"]
mod made;
#[path = "vectors/made_commits.rs"]
mod made_commits;
#[path = "vectors/made_facts.rs"]
mod made_facts;
#[path = "vectors/made_folded.rs"]
mod made_folded;
#[path = "vectors/made_keys.rs"]
mod made_keys;
#[path = "vectors/made_names.rs"]
mod made_names;
#[path = "vectors/made_sealed.rs"]
mod made_sealed;
#[path = "vectors/notes.rs"]
mod notes;
#[path = "vectors/read.rs"]
mod read;
#[path = "vectors/shares.rs"]
mod shares;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use billfold_core::event::Event;
use file::Vector;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// Every file, by `<area>/<case>`.
fn stored() -> BTreeMap<String, Vector> {
    let mut found = BTreeMap::new();
    for area in fs::read_dir(folder()).unwrap() {
        let area = area.unwrap().path();
        for case in fs::read_dir(&area).unwrap() {
            let case = case.unwrap().path();
            let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(&case).unwrap();
            let key = format!("{}/{}", name(&area), name(&case));
            let vector = Vector::parse(&text).unwrap_or_else(|error| panic!("{key}: {error}"));
            found.insert(key, vector);
        }
    }
    found
}

#[test]
fn every_vector_reads_as_it_says() {
    let mut areas = BTreeMap::<String, BTreeSet<String>>::new();
    for (name, vector) in stored() {
        let (area, _) = name.split_once('/').unwrap();
        let found = read::read(area, &vector);
        let expected = vector.one("expect");
        assert_eq!(found.to_string(), expected, "{name}");
        areas
            .entry(area.to_owned())
            .or_default()
            .insert(expected.to_owned());
    }
    let all = [
        "bundle",
        "commit",
        "derived",
        "digest",
        "fact",
        "grant",
        "keyring",
        "names",
        "note",
        "page",
        "receipt",
        "recovery",
        "sealed",
        "share",
        "shared-generation",
        "wallet-keys",
    ];
    assert_eq!(areas.keys().collect::<Vec<_>>(), all);
    // Areas of bytes that somebody may have changed have corrupt cases too.
    for area in [
        "bundle",
        "commit",
        "fact",
        "grant",
        "keyring",
        "names",
        "note",
        "page",
        "receipt",
        "recovery",
        "sealed",
        "share",
        "shared-generation",
        "wallet-keys",
    ] {
        assert!(areas[area].len() > 1, "{area}");
    }
}

#[test]
fn every_kind_of_event_has_a_vector() {
    let stored = stored();
    let healthy = stored
        .iter()
        .filter(|(name, vector)| name.starts_with("fact/") && vector.one("expect") == "success");
    let kinds: BTreeSet<_> = healthy
        .map(|(_, vector)| (vector.one("kind").parse().unwrap(), vector.one("event")))
        .collect();
    let known: BTreeSet<_> = Event::KINDS.iter().copied().collect();
    assert_eq!(kinds, known);
}

#[test]
fn what_is_written_today_is_what_is_stored() {
    let write = std::env::var("BILLFOLD_WRITE_VECTORS").is_ok_and(|value| value == "1");
    for (name, vector) in made::all() {
        let path = folder().join(&name);
        if write {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match fs::File::create_new(&path) {
                Ok(mut file) => file.write_all(vector.to_string().as_bytes()).unwrap(),
                // What is there is never written again; below it is compared.
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists),
            }
        }
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(vector.to_string(), text, "{name}");
    }
}
