//! Deciding to write what an older version says.

use super::{
    ROOT, START, World,
    examples::{ask_for, mounted, put, write},
    model::{Step, ToDo, Wish},
};
use crate::{
    SecretBytes,
    command::{Action, Basis, Change, Command, What},
    decide::{Decision, Refusal},
    event::{Event, v1::Settings},
};

fn ask(world: &mut World, to_do: ToDo) {
    let step = Step {
        mount: 0,
        path: 0,
        to_do,
    };
    let command = world.command(ROOT, None, &Wish::Change(vec![step]));
    ask_for(world, START, &command).unwrap();
}

fn basis(world: &World) -> Basis {
    let id = world.change(&put(0, None)).record;
    let Ok(record) = world.decider.record(&id);
    Basis::of(record.as_ref())
}

/// Writes what a version of the secret at path 0 says, and nothing else.
fn restore(
    world: &mut World,
    version: u32,
    basis: Basis,
    cas: impl Into<Option<u32>>,
) -> Result<Decision, Refusal> {
    let change = world.change(&put(0, None));
    let what = What::Restore {
        version,
        basis,
        cas: cas.into(),
        payload: SecretBytes::copied_from(b"old"),
    };
    let change = Change { what, ..change };
    let other = world.change(&put(1, None));
    let command = Command {
        id: None,
        actor: ROOT,
        needs: Vec::new(),
        action: Action::Change(vec![other, change]),
    };
    ask_for(world, START, &command)
}

#[test]
fn the_next_version_is_written_and_names_stay() {
    let mut world = mounted();
    write(&mut world, 0);
    write(&mut world, 0);
    ask(&mut world, ToDo::Delete(vec![1]));
    let basis = basis(&world);
    let Decision::Events { entries, versions } = restore(&mut world, 1, basis, 2).unwrap() else {
        unreachable!("it has no id")
    };
    assert_eq!(versions, [1, 3]);
    match &entries[1].fact.event {
        Event::CredentialWritten(event) => {
            assert_eq!((event.version, event.names), (3, None));
        }
        other => panic!("{other:?}"),
    }
}

/// With the other change in the same command nothing is done.
#[test]
fn inv07_what_was_erased_since_does_not_come_back() {
    let begun = || {
        let mut world = mounted();
        write(&mut world, 0);
        write(&mut world, 0);
        let basis = basis(&world);
        (world, basis)
    };
    let refused = |mut world: World, version: u32, basis: Basis, cas: u32, why: Refusal| {
        assert_eq!(restore(&mut world, version, basis, cas).unwrap_err(), why);
        let other = world.change(&put(1, None)).record;
        let Ok(there) = world.decider.record(&other);
        assert!(there.is_none());
    };
    let (mut destroyed, basis) = begun();
    ask(&mut destroyed, ToDo::Destroy(vec![1]));
    refused(destroyed, 1, basis, 2, Refusal::Changed);

    let (mut trimmed, basis) = begun();
    for _ in 0..9 {
        write(&mut trimmed, 0);
    }
    refused(trimmed, 1, basis, 11, Refusal::Changed);

    // Another secret has come to the same path, and to the same version.
    let (mut removed, basis) = begun();
    ask(&mut removed, ToDo::Remove);
    write(&mut removed, 0);
    write(&mut removed, 0);
    refused(removed, 1, basis, 2, Refusal::Changed);

    let (mut gone, basis) = begun();
    ask(&mut gone, ToDo::Remove);
    refused(gone, 1, basis, 2, Refusal::Changed);

    let (mut written, basis) = begun();
    write(&mut written, 0);
    refused(written, 1, basis, 2, Refusal::CasMismatch);
}

#[test]
fn what_was_written_meanwhile_holds_it_up_only_if_that_matters() {
    let mut world = mounted();
    write(&mut world, 0);
    let basis = basis(&world);
    write(&mut world, 0);
    let decided = restore(&mut world, 1, basis, None).unwrap();
    let Decision::Events { versions, .. } = decided else {
        unreachable!("it has no id")
    };
    assert_eq!(versions, [1, 3]);
    ask(&mut world, ToDo::Destroy(vec![1]));
    let refused = restore(&mut world, 1, basis, None).unwrap_err();
    assert_eq!(refused, Refusal::Changed);
}

#[test]
fn a_check_of_the_version_is_part_of_it() {
    let mut world = mounted();
    let settings = Settings {
        cas_required: true,
        ..Settings::default()
    };
    let wish = Wish::Tune(0, settings);
    let command = world.command(ROOT, None, &wish);
    ask_for(&mut world, START, &command).unwrap();
    let command = world.command(ROOT, None, &Wish::Change(vec![put(0, Some(0))]));
    ask_for(&mut world, START, &command).unwrap();
    let change = world.change(&put(0, None));
    let what = What::Restore {
        version: 1,
        basis: basis(&world),
        cas: Some(1),
        payload: SecretBytes::copied_from(b"old"),
    };
    let change = Change { what, ..change };
    let command = Command {
        action: Action::Change(vec![change]),
        ..command
    };
    assert!(ask_for(&mut world, START, &command).is_ok());
}
