//! The documentation says what is there: every module, link, setting, route, invariant and decision.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "docs/markdown.rs"]
mod markdown;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use billfold::{config::Settings, http::endpoints::ROUTES};
use serde_json::Value;

use self::markdown::{blocks, broken_links, links, rows, section};

/// The folders whose sources stand in the architecture's index.
const SOURCES: [&str; 6] = [
    "core/src",
    "streams/src",
    "projector/src",
    "api/src",
    "api/upstreams/src",
    "replay/src",
];

/// The folders that say in a README what they are for.
const FOLDERS: [&str; 8] = [
    "core",
    "streams",
    "projector",
    "api",
    "api/upstreams",
    "replay",
    "tests",
    "docs",
];

const DECISION: [&str; 6] = [
    "Status",
    "Context",
    "Decision",
    "Rejected",
    "Consequences",
    "Measurement",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files below a folder that end so, by their paths from the root. What is built and what is
/// hidden is left out.
fn files(folder: &str, ending: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = match folder {
            "" => name.clone(),
            _ => format!("{folder}/{name}"),
        };
        if entry.file_type().unwrap().is_dir() {
            if name != "target" && name != "billfold-data" && !name.starts_with('.') {
                found.extend(files(&path, ending));
            }
        } else if name.ends_with(ending) {
            found.insert(path);
        }
    }
    found
}

fn none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_module_has_its_purpose_in_the_architecture() {
    let text = read("docs/architecture.md");
    let index = rows(&section(&text, "Every module"));
    let modules: BTreeSet<_> = SOURCES.iter().flat_map(|dir| files(dir, ".rs")).collect();
    assert!(modules.len() > 100, "the sources are elsewhere");
    let mut faults = Vec::new();
    for module in &modules {
        let name = format!("[`{module}`](../{module})");
        let lines: Vec<_> = index.iter().filter(|row| row[0] == name).collect();
        match lines.as_slice() {
            [row] if row[1].split_whitespace().count() > 2 && row[1].ends_with('.') => {}
            [_] => faults.push(format!("{module} has no sentence")),
            [] => faults.push(format!("{module} is not in docs/architecture.md")),
            _ => faults.push(format!("{module} stands there twice")),
        }
    }
    none(&faults);
}

#[test]
fn every_link_leads_somewhere() {
    let (mut faults, mut count) = (Vec::new(), 0);
    for file in files("", ".md") {
        let text = read(&file);
        count += links(&text).len();
        let broken = broken_links(&root(), &file, &text);
        faults.extend(
            broken
                .into_iter()
                .map(|link| format!("{file}: {link} leads nowhere")),
        );
    }
    assert!(count > 100, "only {count} links were found");
    none(&faults);
}

#[test]
fn the_readme_has_two_commands_to_set_up() {
    let commands: Vec<_> = blocks(&section(&read("README.md"), "Set up"))
        .iter()
        .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(commands, ["cargo run --release -- dev", "./tests/run"]);
}

#[test]
fn every_setting_is_documented_with_its_variable_and_default() {
    let Value::Object(settings) = serde_json::to_value(Settings::default()).unwrap() else {
        panic!("settings are an object");
    };
    let documented = rows(&section(&read("docs/configuration.md"), "Settings"));
    let mut faults = Vec::new();
    for (name, usual) in &settings {
        let usual = match usual {
            Value::Null => "none".to_owned(),
            Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        };
        let variable = format!("`BILLFOLD_{}`", name.to_uppercase());
        let row = documented.iter().find(|row| row[0] == format!("`{name}`"));
        match row.map(Vec::as_slice) {
            None => faults.push(format!("{name} is not in docs/configuration.md")),
            Some([_, told, ..]) if *told != variable => {
                faults.push(format!("{name} is set by {variable}, not {told}"));
            }
            Some([_, _, told, ..]) if *told != usual => {
                faults.push(format!("{name} is {usual} by default, not {told}"));
            }
            Some([_, _, _, meaning]) if !meaning.is_empty() => {}
            Some(_) => faults.push(format!("{name} has no meaning")),
        }
    }
    for row in documented {
        let name = row[0].trim_matches('`');
        if !settings.contains_key(name) && name != "setting" {
            faults.push(format!("there is no setting {name}"));
        }
    }
    none(&faults);
}

#[test]
fn every_field_that_leaves_is_documented_in_its_order() {
    let documented = rows(&section(&read("docs/audit.md"), "Fields"));
    let names = documented
        .iter()
        .map(|row| row[0].trim_matches('`').to_owned());
    let names: Vec<_> = names.filter(|name| name != "field").collect();
    assert_eq!(names, billfold_replay::FIELDS);
}

#[test]
fn every_route_is_documented_with_its_verbs() {
    let documented = rows(&section(&read("README.md"), "What works today"));
    let mut faults = Vec::new();
    for route in ROUTES {
        let verbs: Vec<_> = route.verbs.iter().map(|verb| verb.name()).collect();
        let row = [verbs.join(", "), format!("`/{}`", route.path)];
        if !documented.iter().any(|told| told[..2] == row) {
            faults.push(format!("{} {} is not in README.md", row[0], row[1]));
        }
    }
    for row in documented.iter().filter(|row| row[1].starts_with("`/")) {
        let path = row[1].trim_matches(['`', '/']);
        if !ROUTES.iter().any(|route| route.path == path) {
            faults.push(format!("there is no route {path}"));
        }
    }
    none(&faults);
}

#[test]
fn every_invariant_has_a_section_that_says_where_it_is_kept() {
    let text = read("docs/architecture.md");
    let invariants = section(&text, "Invariants");
    let mut faults = Vec::new();
    for number in 1..=12 {
        let heading = format!("Invariant {number}:");
        let found = invariants
            .lines()
            .find_map(|line| line.strip_prefix("### ")?.strip_prefix(&heading));
        let Some(rest) = found else {
            faults.push(format!("invariant {number} is not in docs/architecture.md"));
            continue;
        };
        if links(&section(&invariants, &format!("{heading}{rest}"))).is_empty() {
            faults.push(format!("invariant {number} does not say where it is kept"));
        }
    }
    none(&faults);
}

#[test]
fn every_decision_is_whole_and_in_the_index() {
    let index = read("docs/adr/README.md");
    let mut faults = Vec::new();
    for file in files("docs/adr", ".md") {
        let name = file.strip_prefix("docs/adr/").unwrap();
        if name == "README.md" {
            continue;
        }
        if !links(&index).iter().any(|link| link == name) {
            faults.push(format!("{file} is not in the index"));
        }
        let text = read(&file);
        let number = name.split('-').next().unwrap();
        if !text.starts_with(&format!("# {number}: ")) {
            faults.push(format!("{file} does not begin with its number"));
        }
        let sections: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .collect();
        if sections != DECISION {
            faults.push(format!("{file} has the sections {sections:?}"));
        }
    }
    none(&faults);
}

#[test]
fn every_folder_says_what_it_is_for() {
    for folder in FOLDERS {
        let text = read(&format!("{folder}/README.md"));
        let said = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty());
        assert!(
            said.count() > 0,
            "{folder}/README.md says nothing about its folder"
        );
    }
}
