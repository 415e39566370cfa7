use super::*;
use crate::tools::{self, Rng};

fn fault(recorder: &Recorder) -> Fault {
    recorder
        .check()
        .expect_err("this history cannot have happened")
        .fault
}

fn write(recorder: &Recorder, value: &str, version: u64) {
    let begun = recorder.begin_write("k", value);
    recorder.wrote(begun, version);
}

fn read(recorder: &Recorder, version: u64, value: &str) {
    let begun = recorder.begin_read("k");
    recorder.saw(begun, version, value);
}

#[test]
fn one_after_another_is_sound() {
    let recorder = Recorder::new();
    let nothing = recorder.begin_read("k");
    recorder.saw_nothing(nothing);
    for version in 1..5 {
        write(&recorder, &format!("v{version}"), version);
        read(&recorder, version, &format!("v{version}"));
    }
    recorder.assert_linearizable();
    assert_eq!(recorder.counts(), (9, 9));
}

#[test]
fn writes_at_the_same_time_may_take_either_order() {
    let recorder = Recorder::new();
    let a = recorder.begin_write("k", "a");
    let b = recorder.begin_write("k", "b");
    let early = recorder.begin_read("k");
    recorder.wrote(a, 2);
    recorder.wrote(b, 1);
    recorder.saw_nothing(early);
    read(&recorder, 2, "a");
    recorder.assert_linearizable();
}

#[test]
fn keys_are_apart() {
    let recorder = Recorder::new();
    write(&recorder, "a", 1);
    let other = recorder.begin_read("other");
    recorder.saw_nothing(other);
    recorder.assert_linearizable();
    let other = recorder.begin_read("other");
    recorder.saw(other, 1, "a");
    assert_eq!(recorder.check().unwrap_err().key, "other");
}

#[test]
fn a_stale_read_is_found() {
    let recorder = Recorder::new();
    write(&recorder, "a", 1);
    write(&recorder, "b", 2);
    read(&recorder, 1, "a");
    assert!(matches!(fault(&recorder), Fault::OutOfOrder(..)));
}

#[test]
fn a_read_of_nothing_after_a_write_is_found() {
    let recorder = Recorder::new();
    write(&recorder, "a", 1);
    let begun = recorder.begin_read("k");
    recorder.saw_nothing(begun);
    assert!(matches!(fault(&recorder), Fault::OutOfOrder(..)));
}

#[test]
fn going_back_between_two_reads_is_found_while_the_write_still_runs() {
    let recorder = Recorder::new();
    write(&recorder, "a", 1);
    let slow = recorder.begin_write("k", "b");
    read(&recorder, 2, "b");
    read(&recorder, 1, "a");
    recorder.wrote(slow, 2);
    assert!(matches!(fault(&recorder), Fault::OutOfOrder(..)));
}

#[test]
fn versions_against_the_order_of_time_are_found() {
    let recorder = Recorder::new();
    write(&recorder, "a", 2);
    write(&recorder, "b", 1);
    assert!(matches!(fault(&recorder), Fault::OutOfOrder(..)));
}

#[test]
fn a_version_made_twice_is_found() {
    let recorder = Recorder::new();
    let a = recorder.begin_write("k", "a");
    let b = recorder.begin_write("k", "b");
    recorder.wrote(a, 1);
    recorder.wrote(b, 1);
    assert_eq!(fault(&recorder), Fault::VersionTwice(1));
}

#[test]
fn a_version_zero_is_found() {
    let recorder = Recorder::new();
    write(&recorder, "a", 0);
    assert_eq!(fault(&recorder), Fault::VersionTwice(0));
}

#[test]
fn a_value_under_another_version_is_found() {
    let recorder = Recorder::new();
    write(&recorder, "a", 1);
    write(&recorder, "b", 2);
    read(&recorder, 3, "b");
    assert_eq!(fault(&recorder), Fault::ValueMoved("b".into()));
}

#[test]
fn a_value_from_nowhere_is_found() {
    let recorder = Recorder::new();
    write(&recorder, "a", 1);
    read(&recorder, 2, "ghost");
    assert_eq!(fault(&recorder), Fault::NeverWritten("ghost".into()));
}

#[test]
fn a_refused_write_that_is_seen_is_found() {
    let recorder = Recorder::new();
    let begun = recorder.begin_write("k", "a");
    recorder.refused(begun);
    recorder.assert_linearizable();
    read(&recorder, 1, "a");
    assert_eq!(fault(&recorder), Fault::RefusedButSeen("a".into()));
}

#[test]
fn a_test_that_writes_a_value_twice_is_told() {
    let recorder = Recorder::new();
    write(&recorder, "a", 1);
    write(&recorder, "a", 2);
    assert_eq!(fault(&recorder), Fault::ValueWrittenTwice("a".into()));
}

#[test]
fn an_acknowledged_write_that_vanished_is_found() {
    let recorder = Recorder::new();
    write(&recorder, "a", 1);
    write(&recorder, "lost", 2);
    // The server died, came back without version 2, and gave the number out again.
    write(&recorder, "b", 2);
    assert_eq!(fault(&recorder), Fault::VersionTwice(2));
}

#[test]
fn an_unknown_write_may_have_happened_or_not() {
    for seen in [false, true] {
        let recorder = Recorder::new();
        write(&recorder, "a", 1);
        let begun = recorder.begin_write("k", "b");
        recorder.unknown(begun);
        if seen {
            read(&recorder, 2, "b");
        } else {
            read(&recorder, 1, "a");
        }
        recorder.assert_linearizable();
    }
}

#[test]
fn an_unknown_write_that_appears_and_vanishes_is_found() {
    let recorder = Recorder::new();
    write(&recorder, "a", 1);
    let begun = recorder.begin_write("k", "b");
    recorder.unknown(begun);
    read(&recorder, 2, "b");
    read(&recorder, 1, "a");
    assert!(matches!(fault(&recorder), Fault::OutOfOrder(..)));
}

#[test]
fn an_unknown_write_may_explain_one_gap_and_no_more() {
    let recorder = Recorder::new();
    write(&recorder, "a", 1);
    let begun = recorder.begin_write("k", "b");
    recorder.unknown(begun);
    write(&recorder, "c", 3);
    recorder.assert_linearizable();
    write(&recorder, "d", 5);
    assert_eq!(fault(&recorder), Fault::Gap(4));
}

#[test]
fn an_unknown_write_that_began_too_late_explains_no_gap() {
    let recorder = Recorder::new();
    write(&recorder, "a", 1);
    write(&recorder, "c", 3);
    let begun = recorder.begin_write("k", "b");
    recorder.unknown(begun);
    assert_eq!(fault(&recorder), Fault::Gap(2));
}

/// Against a search through every order, on small random histories, half of them from a real register.
#[test]
fn it_agrees_with_an_exhaustive_search() {
    let mut rng = Rng::new(tools::seed(), "history");
    let rounds = if tools::full() { 400_000 } else { 40_000 };
    let (mut sound, mut broken) = (0, 0);
    for _ in 0..rounds {
        let operations = random_history(&mut rng);
        let references: Vec<&Operation> = operations.iter().collect();
        let verdict = check_key(&references);
        let truth = search(&references, 0, "");
        let lines: Vec<String> = operations.iter().map(ToString::to_string).collect();
        assert_eq!(verdict.is_ok(), truth, "{verdict:?}\n{}", lines.join("\n"));
        if truth { sound += 1 } else { broken += 1 }
    }
    assert!(
        sound > rounds / 10 && broken > rounds / 10,
        "{sound} sound, {broken} broken"
    );
}

fn random_history(rng: &mut Rng) -> Vec<Operation> {
    let count = 2 + rng.below(5) as usize;
    let mut operations: Vec<Operation> = (0..count).map(|index| random_span(rng, index)).collect();
    // A real register: the operations take effect one by one, at a moment within their spans.
    let mut moments: Vec<(u64, usize)> = operations
        .iter()
        .enumerate()
        .map(|(index, one)| (one.begun + rng.below(one.ended - one.begun), index))
        .collect();
    moments.sort_unstable();
    let (mut version, mut value) = (0, String::new());
    for (_, index) in moments {
        let operation = &mut operations[index];
        operation.outcome = match &operation.kind {
            Kind::Write(_) if rng.below(8) == 0 => Outcome::Refused,
            Kind::Write(_) if rng.below(8) == 0 => Outcome::Unknown,
            Kind::Write(written) => {
                (version, value) = (version + 1, written.clone());
                if rng.below(5) == 0 {
                    Outcome::Unknown
                } else {
                    Outcome::Wrote(version)
                }
            }
            Kind::Read if rng.below(8) == 0 => Outcome::Unknown,
            Kind::Read if version == 0 => Outcome::SawNothing,
            Kind::Read => Outcome::Saw(version, value.clone()),
        };
        if operation.outcome == Outcome::Unknown {
            operation.ended = u64::MAX;
        }
    }
    if rng.below(2) == 0 {
        let index = rng.below(count as u64) as usize;
        break_one(rng, &mut operations, index);
    }
    operations
}

fn random_span(rng: &mut Rng, index: usize) -> Operation {
    // Twice the index keeps all ticks apart, as the recorder does.
    let (begun, length) = (rng.below(12) * 64 + 2 * index as u64, 1 + rng.below(6) * 64);
    let kind = match rng.below(2) {
        0 => Kind::Write(format!("v{index}")),
        _ => Kind::Read,
    };
    Operation {
        key: "k".into(),
        kind,
        begun,
        ended: begun + length,
        outcome: Outcome::Unknown,
    }
}

fn break_one(rng: &mut Rng, operations: &mut [Operation], index: usize) {
    let values: Vec<String> = operations
        .iter()
        .filter_map(|one| match &one.kind {
            Kind::Write(value) => Some(value.clone()),
            Kind::Read => None,
        })
        .chain(["ghost".to_owned()])
        .collect();
    let value = values[rng.below(values.len() as u64) as usize].clone();
    let version = rng.below(4);
    let operation = &mut operations[index];
    if operation.outcome == Outcome::Unknown {
        return;
    }
    operation.outcome = match (&operation.kind, rng.below(3)) {
        (Kind::Write(_), _) => Outcome::Wrote(version),
        (Kind::Read, 0) => Outcome::SawNothing,
        (Kind::Read, _) => Outcome::Saw(version, value),
    };
}

/// Whether the rest can be put into some order that a register with this version and value would have given.
fn search(rest: &[&Operation], version: u64, value: &str) -> bool {
    if rest
        .iter()
        .all(|one| matches!(one.outcome, Outcome::Unknown | Outcome::Refused))
    {
        return true;
    }
    let first_end = rest.iter().map(|one| one.ended).min().unwrap_or(u64::MAX);
    (0..rest.len()).any(|index| {
        let next = rest[index];
        let others: Vec<&Operation> = [&rest[..index], &rest[index + 1..]].concat();
        if next.begun > first_end {
            return false;
        }
        match (&next.kind, &next.outcome) {
            (_, Outcome::Refused) => search(&others, version, value),
            (Kind::Write(written), Outcome::Unknown) => search(&others, version + 1, written),
            (Kind::Read, Outcome::Unknown) => false,
            (Kind::Write(written), Outcome::Wrote(made)) => {
                *made == version + 1 && search(&others, version + 1, written)
            }
            (_, Outcome::Saw(seen, read)) => {
                *seen == version && version > 0 && read == value && search(&others, version, value)
            }
            (_, Outcome::SawNothing) => version == 0 && search(&others, version, value),
            (Kind::Read, Outcome::Wrote(_)) => false,
        }
    })
}
