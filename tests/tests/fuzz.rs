//! The fuzzers' targets, called with their corpora and with random bytes that the seed of this run
//! decides. What broke one once joins its corpus.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::{cell::Cell, fs, panic, path::Path};

use billfold_tests::{
    fuzz::{RECIPE, TARGETS},
    tools,
    tools::Rng,
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

/// How many random inputs each target gets.
const CASES: u32 = 20_000;

fn fuzzed(name: &str) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let mut rng = Rng::new(tools::seed(), name);
    let seed: Vec<u8> = (0..4).flat_map(|_| rng.draw().to_le_bytes()).collect();
    let config = Config {
        cases: if tools::full() { CASES * 30 } else { CASES },
        failure_persistence: None,
        ..Config::default()
    };
    let recipe = vec(any::<u8>(), 0..40).prop_map(|recipe| [&[RECIPE], &recipe[..]].concat());
    let inputs = prop_oneof![9 => recipe, 1 => vec(any::<u8>(), 0..200)];
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let cases = config.cases;
    let taken = Cell::new(0);
    let fuzzed = TestRunner::new_with_rng(config, rng).run(&inputs, |bytes| {
        taken.set(taken.get() + u32::from(target(&bytes)));
        Ok(())
    });
    fuzzed.unwrap_or_else(|failure| panic!("{failure}"));
    // What is all refused shows little.
    let taken = taken.get();
    eprintln!("{name}: {taken} of {cases} inputs were taken");
    assert!(taken > cases / 10 && taken < cases, "{taken} of {cases}");
}

#[test]
fn inv12_any_text_is_no_policy_or_one_policy() {
    fuzzed("policy");
}

#[test]
fn inv12_any_path_is_refused_or_has_one_form() {
    fuzzed("path");
}

#[test]
fn inv12_any_body_is_refused_or_says_one_thing() {
    fuzzed("json");
}

#[test]
fn inv05_any_bytes_are_no_commit_or_the_one_that_was_sealed() {
    fuzzed("commit");
}

#[test]
fn inv05_any_bytes_are_no_fact_or_one_fact() {
    fuzzed("fact");
}

#[test]
fn every_corpus_holds() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let mut known: Vec<String> = Vec::new();
    for (name, target) in TARGETS {
        let files =
            fs::read_dir(corpora.join(name)).unwrap_or_else(|_| panic!("{name} has no corpus"));
        let mut count = 0;
        for file in files {
            let file = file.unwrap().path();
            let bytes = fs::read(&file).unwrap();
            let held = panic::catch_unwind(|| target(&bytes));
            assert!(held.is_ok(), "{} breaks {name}", file.display());
            count += 1;
        }
        assert!(count > 0, "the corpus of {name} is empty");
        known.push((*name).to_owned());
    }
    known.sort();
    let mut found: Vec<_> = fs::read_dir(&corpora)
        .unwrap()
        .map(|folder| folder.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, known, "each corpus belongs to a target");
}
