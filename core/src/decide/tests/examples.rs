//! Single cases that deserve a name: command ids, tokens, and what goes wrong half-way.

use crate::{
    Millis,
    command::{Action, Command, Done},
    decide::{
        Decision, Error, Refusal,
        tests::{
            ROOT, START, World, command_id,
            model::{Content, Step, ToDo, Wish},
            system,
        },
    },
    event::{Actor, Event, v1::Settings},
    id::{CommandId, TokenId},
};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

pub(super) fn put(path: usize, cas: Option<u32>) -> Step {
    let content = Content {
        payload: b"s3cret".to_vec(),
        label: String::new(),
        rename: false,
    };
    Step {
        mount: 0,
        path,
        to_do: ToDo::Put(cas, content),
    }
}

fn step(path: usize, to_do: ToDo) -> Step {
    Step {
        mount: 0,
        path,
        to_do,
    }
}

/// A wallet in which mount 0 is enabled.
pub(super) fn mounted() -> World {
    let mut world = World::new();
    ask(
        &mut world,
        START,
        None,
        Wish::Enable(0, Settings::default()),
    )
    .unwrap();
    world
}

/// A version of the secret at this path of mount 0.
pub(super) fn write(world: &mut World, path: usize) {
    ask(world, START, None, Wish::Change(vec![put(path, None)])).unwrap();
}

/// The command that writes a version of the secret at this path of mount 0.
pub(super) fn to_write(world: &World, path: usize) -> Command {
    world.command(ROOT, None, &Wish::Change(vec![put(path, None)]))
}

/// One command in a commit of its own.
fn ask(
    world: &mut World,
    time: u64,
    id: Option<CommandId>,
    wish: Wish,
) -> Result<Decision, Refusal> {
    let command = world.command(ROOT, id, &wish);
    ask_for(world, time, &command)
}

pub(super) fn ask_for(
    world: &mut World,
    time: u64,
    command: &Command,
) -> Result<Decision, Refusal> {
    world.begin(time);
    let decision = world.decide(command);
    world.commit(true);
    decision.map_err(|error| match error {
        Error::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    })
}

fn versions(decision: &Result<Decision, Refusal>) -> Option<Vec<u32>> {
    match decision {
        Ok(Decision::Events { versions, .. }) => Some(versions.clone()),
        _ => None,
    }
}

fn done(decision: Result<Decision, Refusal>) -> Result<Done, Refusal> {
    match decision? {
        Decision::Already(done) => Ok(done),
        Decision::Events { .. } => panic!("it was done again"),
    }
}

#[test]
fn a_repeated_command_is_done_once() {
    let mut world = mounted();
    let id = Some(command_id(START, 1));
    let wish = Wish::Change(vec![
        step(1, ToDo::DeleteCurrent),
        put(0, None),
        put(1, None),
        step(1, ToDo::Destroy(vec![9])),
    ]);
    let first = ask(&mut world, START, id, wish.clone());
    assert_eq!(versions(&first), Some(vec![0, 1, 1, 0]));
    let commits = world.log.len();
    let again = done(ask(&mut world, START + HOUR, id, wish));
    let expected = Done {
        time: Millis(START),
        versions: vec![0, 1, 1, 0],
    };
    assert_eq!(again, Ok(expected));
    assert_eq!(world.log.len(), commits);
}

#[test]
fn a_repeated_command_may_come_with_another_secret_but_not_with_another_wish() {
    let mut world = mounted();
    let id = Some(command_id(START, 1));
    ask(&mut world, START, id, Wish::Change(vec![put(0, Some(0))])).unwrap();
    let mut other_secret = put(0, Some(0));
    if let ToDo::Put(_, content) = &mut other_secret.to_do {
        content.payload = b"other".to_vec();
    }
    // The fingerprint covers no secret, so that it cannot be guessed from the log.
    assert!(done(ask(&mut world, START, id, Wish::Change(vec![other_secret]))).is_ok());
    let others = [
        Wish::Change(vec![put(0, None)]),
        Wish::Change(vec![put(0, Some(1))]),
        Wish::Change(vec![put(1, Some(0))]),
        Wish::Change(vec![put(0, Some(0)), put(1, Some(0))]),
        Wish::Change(vec![step(0, ToDo::DeleteCurrent)]),
        Wish::Tune(0, Settings::default()),
        Wish::Disable(0),
        Wish::Enable(2, Settings::default()),
    ];
    for other in others {
        let refused = ask(&mut world, START, id, other.clone());
        assert_eq!(refused.err(), Some(Refusal::CommandReused), "{other:?}");
    }
}

#[test]
fn two_wishes_about_mounts_under_one_id_are_told_apart() {
    let mut world = World::new();
    let id = Some(command_id(START, 1));
    let enable = |mount, max_versions| {
        let settings = Settings {
            max_versions,
            ..Settings::default()
        };
        Wish::Enable(mount, settings)
    };
    ask(&mut world, START, id, enable(0, 1)).unwrap();
    assert!(done(ask(&mut world, START, id, enable(0, 1))).is_ok());
    for other in [enable(2, 1), enable(0, 2)] {
        let refused = ask(&mut world, START, id, other);
        assert_eq!(refused.err(), Some(Refusal::CommandReused));
    }
}

#[test]
fn an_id_is_taken_from_48_hours_behind_to_five_minutes_ahead() {
    let now = START + 100 * HOUR;
    let mut world = mounted();
    let mut write = |made: u64, number| {
        let id = Some(command_id(made, number));
        ask(&mut world, now, id, Wish::Change(vec![put(0, None)])).err()
    };
    assert_eq!(write(now - 48 * HOUR, 1), None);
    assert_eq!(write(now - 48 * HOUR - 1, 2), Some(Refusal::CommandTime));
    assert_eq!(write(now + 5 * MINUTE, 3), None);
    assert_eq!(write(now + 5 * MINUTE + 1, 4), Some(Refusal::CommandTime));
    let v4: CommandId = "919108f7-52d1-4320-9bac-f847db4148a8".parse().unwrap();
    let refused = ask(&mut world, now, Some(v4), Wish::Change(vec![put(0, None)]));
    assert_eq!(refused.err(), Some(Refusal::CommandTime));
}

#[test]
fn an_id_from_ahead_is_not_taken_again_when_its_commit_is_48_hours_old() {
    let mut world = mounted();
    let id = Some(command_id(START + 5 * MINUTE, 1));
    let wish = Wish::Change(vec![put(0, None)]);
    ask(&mut world, START, id, wish.clone()).unwrap();
    for later in [48 * HOUR, 48 * HOUR + 1, 48 * HOUR + 5 * MINUTE] {
        let again = done(ask(&mut world, START + later, id, wish.clone()));
        assert!(again.is_ok(), "{later}");
    }
    let too_late = START + 48 * HOUR + 5 * MINUTE + 1;
    let refused = ask(&mut world, too_late, id, wish);
    assert_eq!(refused.err(), Some(Refusal::CommandTime));
}

#[test]
fn ids_are_forgotten_with_the_first_commit_after_their_time() {
    let mut world = mounted();
    let id = command_id(START, 1);
    ask(
        &mut world,
        START,
        Some(id),
        Wish::Change(vec![put(0, None)]),
    )
    .unwrap();
    assert!(world.decider.command(&id).unwrap().is_some());
    let later = START + 48 * HOUR + 5 * MINUTE + 1;
    ask(&mut world, later, None, Wish::Change(vec![put(0, None)])).unwrap();
    assert!(world.decider.command(&id).unwrap().is_none());
}

#[test]
fn inv10_another_token_of_root_changes_nothing() {
    let mut world = mounted();
    let Actor::Principal(root, _) = ROOT else {
        unreachable!()
    };
    let old = Actor::Principal(root, TokenId::from_bytes([0xee; 16]));
    for actor in [old, Actor::Anonymous] {
        let command = world.command(actor, None, &Wish::Change(vec![put(0, None)]));
        let refused = ask_for(&mut world, START, &command);
        assert_eq!(refused.err(), Some(Refusal::Denied));
    }
}

#[test]
fn inv12_a_transaction_is_done_whole_or_not_at_all() {
    let mut world = mounted();
    ask(&mut world, START, None, Wish::Change(vec![put(0, None)])).unwrap();
    let before = format!("{:?}", world.decider);
    let wish = Wish::Change(vec![put(0, Some(1)), put(1, Some(7))]);
    assert_eq!(
        ask(&mut world, START, None, wish).err(),
        Some(Refusal::CasMismatch)
    );
    assert_eq!(format!("{:?}", world.decider), before);
    let wish = Wish::Change(vec![put(0, Some(1)), put(0, Some(2)), put(1, Some(0))]);
    let both = ask(&mut world, START, None, wish);
    assert_eq!(versions(&both), Some(vec![2, 3, 1]));
}

#[test]
fn inv12_when_the_keys_run_out_half_way_nothing_is_left() {
    let mut world = mounted();
    let before = format!("{:?}", world.decider);
    // A payload and names for the first, a payload for the second, no key for its names.
    world.pool.left = 3;
    let command = world.command(ROOT, None, &Wish::Change(vec![put(0, None), put(1, None)]));
    let error = world.decide(&command).unwrap_err();
    assert!(matches!(error, Error::OutOfKeys), "{error:?}");
    assert_eq!(format!("{:?}", world.decider), before);
    world.pool.left = 4;
    assert!(world.decide(&command).is_ok());
}

#[test]
fn inv07_no_key_is_drawn_from_a_page_that_another_node_closed() {
    let mut world = mounted();
    let page = world.pool.current_page();
    ask_for(
        &mut world,
        START,
        &system(Action::ClosePages(vec![page, page])),
    )
    .unwrap();
    assert_eq!(world.log.last().unwrap().entries.len(), 1);
    ask(&mut world, START, None, Wish::Change(vec![put(0, None)])).unwrap();
    for entry in &world.log.last().unwrap().entries {
        let Event::CredentialWritten(event) = &entry.fact.event else {
            panic!("{entry:?}")
        };
        assert_ne!(event.payload.key.page, page);
        assert_ne!(event.names.unwrap().key.page, page);
    }
}

#[test]
fn a_secret_that_was_removed_begins_again_with_version_one() {
    let mut world = mounted();
    let wish = Wish::Change(vec![put(0, None), put(0, None), step(0, ToDo::Remove)]);
    ask(&mut world, START, None, wish).unwrap();
    let again = ask(&mut world, START, None, Wish::Change(vec![put(0, Some(0))]));
    assert_eq!(versions(&again), Some(vec![1]));
}

#[test]
fn of_mount_and_secret_the_larger_number_and_the_shorter_time_count() {
    let settings = |max_versions, delete_version_after| Settings {
        max_versions,
        delete_version_after,
        ..Settings::default()
    };
    let configure = |settings| {
        let content = Content {
            payload: Vec::new(),
            label: String::new(),
            rename: false,
        };
        step(0, ToDo::Configure(None, settings, content))
    };
    // The mount's, the secret's, and what counts; as OpenBao has it.
    for (mount, own, kept, after) in [
        ((0, 0), (0, 0), 10, None),
        ((2, 0), (0, 7), 2, Some(7)),
        ((0, 7), (3, 0), 3, Some(7)),
        ((2, 9), (3, 7), 3, Some(7)),
        ((3, 7), (2, 9), 3, Some(7)),
    ] {
        let mut world = mounted();
        let tune = Wish::Tune(0, settings(mount.0, mount.1));
        ask(&mut world, START, None, tune).unwrap();
        let change = Wish::Change(vec![configure(settings(own.0, own.1))]);
        ask(&mut world, START, None, change).unwrap();
        for _ in 0..12 {
            write(&mut world, 0);
        }
        let id = world.record_id(0, 0);
        let record = world.decider.record(&id).unwrap().unwrap();
        assert_eq!(record.versions.len(), kept);
        let deletion = record.versions[0].deletion;
        assert_eq!(deletion, after.map(|after| Millis(START + after)));
    }
}

#[test]
fn metadata_is_changed_over_the_change_that_was_said() {
    let mut world = mounted();
    let mut change = |cas, required| {
        let settings = Settings {
            metadata_cas_required: required,
            ..Settings::default()
        };
        let content = Content {
            payload: Vec::new(),
            label: String::new(),
            rename: false,
        };
        let wish = Wish::Change(vec![step(0, ToDo::Configure(cas, settings, content))]);
        ask(&mut world, START, None, wish).map(drop)
    };
    let mismatch = Err(Refusal::MetadataCasMismatch);
    for not_there in [1, u32::MAX] {
        assert_eq!(change(Some(not_there), false), Err(Refusal::MetadataCasNew));
    }
    assert_eq!(change(Some(0), false), Ok(()));
    assert_eq!(change(Some(0), false), mismatch);
    // What changes nothing is counted, too.
    assert_eq!(change(None, false), Ok(()));
    assert_eq!(change(Some(1), true), mismatch);
    assert_eq!(change(Some(2), true), Ok(()));
    assert_eq!(change(None, false), Err(Refusal::MetadataCasRequired));
    assert_eq!(change(Some(3), false), Ok(()));
    assert_eq!(change(None, false), Ok(()));
    // Versions are counted apart: nothing is asked of a write, and it changes no metadata.
    assert_eq!(change(Some(5), true), Ok(()));
    write(&mut world, 0);
    let record = world.decider.record(&world.record_id(0, 0)).unwrap();
    let record = record.unwrap();
    assert_eq!((record.current, record.metadata_version), (1, 6));
}

#[test]
fn a_mount_asks_for_check_and_set_of_metadata() {
    let mut world = mounted();
    let required = Settings {
        metadata_cas_required: true,
        ..Settings::default()
    };
    ask(&mut world, START, None, Wish::Tune(0, required)).unwrap();
    write(&mut world, 0);
    for path in [0, 1] {
        let content = Content {
            payload: Vec::new(),
            label: String::new(),
            rename: false,
        };
        let mut change = |cas| {
            let to_do = ToDo::Configure(cas, Settings::default(), content.clone());
            ask(
                &mut world,
                START,
                None,
                Wish::Change(vec![step(path, to_do)]),
            )
            .map(drop)
        };
        assert_eq!(change(None), Err(Refusal::MetadataCasRequired));
        assert_eq!(change(Some(0)), Ok(()));
    }
}
