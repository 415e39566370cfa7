//! Erasures and legal holds: single cases, and random games in which they meet.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*};

use crate::{
    Millis, SecretBytes, cbor,
    command::{Action, Change, Command, NewErasure, NewHold, NewNames, NewSettings, Target, What},
    decide::{
        Decision, ERASED_AT_ONCE, Error, HOLDS, Refusal,
        tests::{
            ROOT, START, WALLET, World, command_id,
            examples::{ask_for, mounted},
            mount_id,
            sequences::folded,
            system,
        },
    },
    event::Event,
    id::{CommandId, ErasureId, HoldId, RecordId},
    keys::{Content, page::KeyRef},
    names::{ErasureNames, HoldNames, Names, erasure_names_place},
    state::{Record, by_page},
};

const PATHS: [&str; 3] = ["x/a", "x/b", "y/c"];
/// What can be erased or held: a secret, a folder, or all of the mount.
const PLACES: [&str; 6] = ["", "x/", "y/", "x/a", "x/b", "y/c"];

fn covers(place: &str, path: &str) -> bool {
    let is_folder = place.is_empty() || place.ends_with('/');
    (is_folder && path.starts_with(place)) || place == path
}

fn is_folder(place: &str) -> bool {
    !PATHS.contains(&place)
}

fn id_of(world: &World, place: &str) -> RecordId {
    match is_folder(place) {
        true => world.ids.folder(mount_id(0), place),
        false => world.ids.record(mount_id(0), place),
    }
}

fn change(world: &World, path: &str, what: What) -> Action {
    Action::Change(vec![Change {
        mount: mount_id(0),
        record: id_of(world, path),
        folders: world.ids.folders(mount_id(0), path),
        what,
    }])
}

fn put(world: &World, path: &str) -> Action {
    let names = Names {
        path: path.to_owned(),
        ..Names::default()
    };
    let what = What::Put {
        cas: None,
        basis: None,
        payload: SecretBytes::copied_from(b"s3cret"),
        names: NewNames::IfNew(names),
    };
    change(world, path, what)
}

fn erase(world: &World, number: u8, place: &str, versions: Option<Vec<u32>>) -> Action {
    let records = PATHS.iter().filter(|path| covers(place, path));
    let records = records.map(|path| Target {
        record: id_of(world, path),
        folders: world.ids.folders(mount_id(0), path),
    });
    Action::Erase(Box::new(NewErasure {
        erasure: erasure_id(number),
        mount: mount_id(0),
        place: id_of(world, place),
        versions,
        records: records.collect(),
        names: ErasureNames {
            reason: "they left".to_owned(),
        },
    }))
}

fn hold(world: &World, number: u8, place: &str) -> Action {
    Action::PlaceHold(Box::new(NewHold {
        hold: hold_id(number),
        mount: mount_id(0),
        place: id_of(world, place),
        is_folder: is_folder(place),
        names: HoldNames {
            path: place.to_owned(),
            reason: "a lawsuit".to_owned(),
        },
    }))
}

fn erasure_id(number: u8) -> ErasureId {
    ErasureId::from_bytes([number; 16])
}

fn hold_id(number: u8) -> HoldId {
    HoldId::from_bytes([number; 16])
}

fn by_root(id: Option<CommandId>, action: Action) -> Command {
    Command {
        id,
        actor: ROOT,
        needs: Vec::new(),
        action,
    }
}

/// One command in a commit of its own.
fn ask(world: &mut World, action: Action) -> Result<Decision, Refusal> {
    ask_for(world, START, &by_root(None, action))
}

fn record(world: &World, path: &str) -> Option<Record> {
    let Ok(record) = world.decider.record(&id_of(world, path));
    record
}

fn events(decision: &Decision) -> Vec<&'static str> {
    match decision {
        Decision::Events { entries, .. } => entries
            .iter()
            .map(|entry| entry.fact.event.name())
            .collect(),
        Decision::Already(_) => Vec::new(),
    }
}

/// Each of the paths with two versions.
fn written() -> World {
    let mut world = mounted();
    for path in [PATHS, PATHS].concat() {
        let action = put(&world, path);
        ask(&mut world, action).unwrap();
    }
    world
}

fn held(world: &mut World, place: &str) -> Refusal {
    let action = hold(world, 1, place);
    ask(world, action).unwrap();
    let crate::event::Actor::Principal(_, token) = ROOT else {
        unreachable!()
    };
    Refusal::Held {
        hold: hold_id(1),
        since: Millis(START),
        by: Some(token),
    }
}

#[test]
fn inv07_an_erasure_takes_all_there_is_below_a_folder() {
    let mut world = written();
    let keys = ["x/a", "x/b"].map(|path| record(&world, path).unwrap());
    let keys: BTreeSet<KeyRef> = keys.iter().flat_map(crate::state::keys_of).collect();
    let action = erase(&world, 1, "x/", None);
    let done = ask(&mut world, action).unwrap();
    let expected = ["ErasureOrdered", "MetadataDeleted", "MetadataDeleted"];
    assert_eq!(events(&done), expected);
    let Decision::Events { entries, .. } = done else {
        unreachable!()
    };
    assert!(record(&world, "x/a").is_none() && record(&world, "y/c").is_some());
    let Ok(Some(erasure)) = world.decider.erasure(&erasure_id(1)) else {
        panic!("there is no receipt")
    };
    assert_eq!(erasure.keys, by_page(keys.iter().copied()));
    assert_eq!((erasure.ordered, erasure.actor), (Millis(START), ROOT));
    assert_eq!(erasure.records.len(), 2);
    assert_eq!(erasure.records[0].versions, [1, 2]);
    let dek = &world.pool.given[&erasure.names.key];
    let place = erasure_names_place(WALLET, erasure_id(1));
    let sealed = entries[0].names.as_ref().unwrap();
    let plain = dek.open(Content::Names, &place, sealed).unwrap();
    let names: ErasureNames = cbor::decode(plain.expose()).unwrap();
    assert_eq!(names.reason, "they left");
}

#[test]
fn inv07_an_erasure_of_versions_leaves_the_others() {
    let mut world = written();
    let action = erase(&world, 1, "x/a", Some(vec![1, 7]));
    let done = ask(&mut world, action).unwrap();
    assert_eq!(events(&done), ["ErasureOrdered", "VersionsDestroyed"]);
    let left = record(&world, "x/a").unwrap();
    let destroyed: Vec<_> = left.versions.iter().map(|v| v.destroyed).collect();
    assert_eq!(destroyed, [true, false]);
    let Ok(Some(erasure)) = world.decider.erasure(&erasure_id(1)) else {
        panic!("there is no receipt")
    };
    assert_eq!(erasure.records[0].versions, [1]);
    assert_eq!(erasure.keys, by_page([left.versions[0].key]));
    for versions in [vec![1], vec![9], vec![]] {
        let action = erase(&world, 2, "x/a", Some(versions));
        let refused = ask(&mut world, action);
        assert_eq!(refused.err(), Some(Refusal::NothingThere));
    }
}

#[test]
fn inv12_what_is_erased_is_not_erased_again() {
    let mut world = written();
    let id = Some(command_id(START, 1));
    let action = erase(&world, 1, "x/", None);
    ask_for(&mut world, START, &by_root(id, action)).unwrap();
    // A repetition finds nothing any more, and is told what was done.
    let repeated = NewErasure {
        erasure: erasure_id(1),
        mount: mount_id(0),
        place: id_of(&world, "x/"),
        versions: None,
        records: Vec::new(),
        names: ErasureNames {
            reason: "in other words".to_owned(),
        },
    };
    let action = Action::Erase(Box::new(repeated));
    let again = ask_for(&mut world, START, &by_root(id, action)).unwrap();
    assert!(matches!(again, Decision::Already(_)));
    for (place, versions) in [("y/", None), ("x/", Some(vec![1]))] {
        let action = erase(&world, 1, place, versions);
        let other = ask_for(&mut world, START, &by_root(id, action));
        assert_eq!(other.err(), Some(Refusal::CommandReused));
    }
    let before = format!("{:?}", world.decider);
    for (number, place, refusal) in [(2, "x/", Refusal::NothingThere), (1, "y/", Refusal::Taken)] {
        let action = erase(&world, number, place, None);
        assert_eq!(ask(&mut world, action).err(), Some(refusal));
    }
    let records = (0..=ERASED_AT_ONCE).map(|_| Target {
        record: RecordId::default(),
        folders: Vec::new(),
    });
    let Action::Erase(mut many) = erase(&world, 3, "y/", None) else {
        unreachable!()
    };
    many.records = records.collect();
    let refused = ask(&mut world, Action::Erase(many));
    assert!(matches!(refused, Err(Refusal::TooMany { .. })));
    assert_eq!(format!("{:?}", world.decider), before);
}

#[test]
fn inv07_a_record_that_is_named_twice_is_erased_once() {
    let mut world = written();
    let Action::Erase(mut twice) = erase(&world, 1, "y/", None) else {
        unreachable!()
    };
    let again = erase(&world, 1, "y/c", None);
    let Action::Erase(again) = again else {
        unreachable!()
    };
    twice.records.extend(again.records);
    let done = ask(&mut world, Action::Erase(twice)).unwrap();
    assert_eq!(events(&done), ["ErasureOrdered", "MetadataDeleted"]);
}

#[test]
fn a_hold_keeps_what_is_below_it_until_it_is_lifted() {
    for place in ["", "x/", "x/a"] {
        let mut world = written();
        let told = held(&mut world, place);
        let losses = |world: &World| {
            [
                change(world, "x/a", What::Destroy(vec![1])),
                change(world, "x/a", What::DeleteMetadata),
                erase(world, 1, "x/a", Some(vec![2])),
                erase(world, 1, "", None),
                Action::DisableMount(mount_id(0)),
            ]
        };
        for loss in losses(&world) {
            let refused = ask(&mut world, loss);
            assert_eq!(refused.err(), Some(told.clone()), "{place}");
        }
        // What loses nothing goes on, and so does all that is elsewhere.
        for what in [
            What::DeleteCurrent,
            What::Undelete(vec![2]),
            What::Destroy(vec![9]),
        ] {
            let action = change(&world, "x/a", what);
            ask(&mut world, action).unwrap();
        }
        if !place.is_empty() {
            let action = erase(&world, 1, "y/", None);
            ask(&mut world, action).unwrap();
        }
        ask(&mut world, Action::LiftHold(hold_id(1))).unwrap();
        let gone = ask(&mut world, Action::LiftHold(hold_id(1)));
        assert_eq!(gone.err(), Some(Refusal::NoHold));
        // What is still there goes first: nothing is left behind.
        let disable = || Action::DisableMount(mount_id(0));
        assert_eq!(ask(&mut world, disable()).err(), Some(Refusal::NotEmpty));
        let action = erase(&world, 2, "x/", None);
        ask(&mut world, action).unwrap();
        if place.is_empty() {
            assert_eq!(ask(&mut world, disable()).err(), Some(Refusal::NotEmpty));
            let action = erase(&world, 3, "y/", None);
            ask(&mut world, action).unwrap();
        }
        ask(&mut world, disable()).unwrap();
    }
}

#[test]
fn a_hold_on_any_folder_keeps_a_record_of_which_nobody_knows_where_it_is() {
    let mut world = written();
    let told = held(&mut world, "y/");
    let nowhere = |world: &World, what| {
        Action::Change(vec![Change {
            mount: mount_id(0),
            record: id_of(world, "x/a"),
            folders: Vec::new(),
            what,
        }])
    };
    let action = nowhere(&world, What::DeleteMetadata);
    assert_eq!(ask(&mut world, action).err(), Some(told));
    let action = change(&world, "x/a", What::DeleteMetadata);
    ask(&mut world, action).unwrap();
}

#[test]
fn a_hold_keeps_versions_that_would_fall_off_the_end() {
    let mut world = written();
    held(&mut world, "x/");
    let tune = Action::TuneMount {
        mount: mount_id(0),
        settings: NewSettings {
            max_versions: Some(2),
            ..NewSettings::default()
        },
    };
    ask(&mut world, tune).unwrap();
    let kept = |world: &World, path| -> Vec<u32> {
        let record = record(world, path).unwrap();
        record
            .versions
            .iter()
            .map(|version| version.number)
            .collect()
    };
    for path in PATHS {
        let action = put(&world, path);
        ask(&mut world, action).unwrap();
    }
    assert_eq!(kept(&world, "x/a"), [1, 2, 3]);
    assert_eq!(kept(&world, "y/c"), [2, 3], "it is not held");
    ask(&mut world, Action::LiftHold(hold_id(1))).unwrap();
    assert_eq!(kept(&world, "x/a"), [1, 2, 3]);
    let action = put(&world, "x/a");
    ask(&mut world, action).unwrap();
    assert_eq!(kept(&world, "x/a"), [3, 4]);
}

#[test]
fn there_are_only_so_many_holds() {
    let mut world = written();
    let place = |world: &World, number: u16| {
        let Action::PlaceHold(mut new) = hold(world, 0, "x/") else {
            unreachable!()
        };
        let mut id = [0; 16];
        id[..2].copy_from_slice(&number.to_be_bytes());
        new.hold = HoldId::from_bytes(id);
        system(Action::PlaceHold(new))
    };
    world.begin(START);
    for number in 0..u16::try_from(HOLDS).unwrap() {
        let command = place(&world, number);
        world.decide(&command).unwrap();
    }
    let one_more = world.decide(&place(&world, u16::MAX));
    assert!(matches!(
        one_more,
        Err(Error::Refused(Refusal::TooManyHolds))
    ));
    let lift = Action::LiftHold(HoldId::from_bytes([0; 16]));
    world.decide(&system(lift)).unwrap();
    let twice = world.decide(&place(&world, 1));
    assert!(matches!(twice, Err(Error::Refused(Refusal::Taken))));
}

#[test]
fn what_a_refusal_says_of_a_hold_is_its_id_its_time_and_whose_it_is() {
    let mut world = written();
    let told = held(&mut world, "x/").to_string();
    let expected = "a legal hold forbids it: hold 01010101010101010101010101010101, since \
                    2027-01-15T08:00:00.000Z, placed by the token of accessor \
                    02020202020202020202020202020202";
    assert_eq!(told, expected);
}

/// A move of a game.
#[derive(Clone, Debug)]
enum Move {
    Put(usize),
    Destroy(usize, u32),
    Remove(usize),
    Keep(usize, u32),
    Erase(usize, Option<u32>),
    Hold(usize),
    Lift(usize),
    Land,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let (path, place) = (0..PATHS.len(), 0..PLACES.len());
    let one = prop_oneof![
        6 => path.clone().prop_map(Move::Put),
        2 => (path.clone(), 1..4_u32).prop_map(|(path, version)| Move::Destroy(path, version)),
        1 => path.clone().prop_map(Move::Remove),
        1 => (path, 0..3_u32).prop_map(|(path, max)| Move::Keep(path, max)),
        3 => (place.clone(), proptest::option::weighted(0.3, 1..4_u32))
            .prop_map(|(place, version)| Move::Erase(place, version)),
        2 => place.prop_map(Move::Hold),
        3 => any::<usize>().prop_map(Move::Lift),
        2 => Just(Move::Land),
    ];
    vec(one, 1..60)
}

/// The versions that a secret has and that are not destroyed, and the key of its names.
fn readable(world: &World, path: &str) -> Option<(BTreeSet<u32>, KeyRef)> {
    let record = record(world, path)?;
    let left = record.versions.iter().filter(|version| !version.destroyed);
    Some((
        left.map(|version| version.number).collect(),
        record.names.key,
    ))
}

/// Plays a game, in which some commands are decided on top of a commit in flight, and checks each
/// move; how often an erasure was done and how often a hold forbade something.
fn play(moves: &[Move]) -> (World, usize, usize) {
    let mut world = mounted();
    let mut holds: Vec<(u8, &str)> = Vec::new();
    let (mut done, mut forbidden) = (0, 0);
    world.begin(START);
    for (number, made) in (1..).zip(moves) {
        let action = match made {
            Move::Put(path) => put(&world, PATHS[*path]),
            Move::Destroy(path, version) => {
                change(&world, PATHS[*path], What::Destroy(vec![*version]))
            }
            Move::Remove(path) => change(&world, PATHS[*path], What::DeleteMetadata),
            Move::Keep(path, max_versions) => {
                let what = What::ChangeMetadata {
                    basis: None,
                    metadata_cas: None,
                    settings: NewSettings {
                        max_versions: Some(*max_versions),
                        ..NewSettings::default()
                    },
                    names: NewNames::IfNew(Names::default()),
                };
                change(&world, PATHS[*path], what)
            }
            Move::Erase(place, version) => {
                erase(&world, number, PLACES[*place], version.map(|v| vec![v]))
            }
            Move::Hold(place) => hold(&world, number, PLACES[*place]),
            Move::Lift(at) => match holds.get(at % holds.len().max(1)) {
                Some((number, _)) => Action::LiftHold(hold_id(*number)),
                None => continue,
            },
            Move::Land => {
                world.commit(number % 2 == 0);
                world.begin(START + u64::from(number));
                continue;
            }
        };
        let before = PATHS.map(|path| readable(&world, path));
        let outcome = world.decide(&by_root(None, action));
        let after = PATHS.map(|path| readable(&world, path));
        let mut held = PATHS.map(|path| holds.iter().any(|(_, place)| covers(place, path)));
        match (&outcome, made) {
            (Ok(_), Move::Hold(place)) => holds.push((number, PLACES[*place])),
            (Ok(_), Move::Lift(at)) => {
                holds.remove(at % holds.len());
                held = [false; 3];
            }
            (Ok(_), Move::Erase(place, version)) => {
                done += 1;
                for (path, (before, after)) in PATHS.iter().zip(before.iter().zip(&after)) {
                    let wanted = covers(PLACES[*place], path);
                    match (before, version) {
                        (Some((_, _)), None) if wanted => assert!(after.is_none()),
                        (Some((left, key)), Some(version)) if wanted => {
                            let mut left = left.clone();
                            left.remove(version);
                            assert_eq!(after.as_ref(), Some(&(left, *key)));
                        }
                        _ => assert_eq!(before, after),
                    }
                }
            }
            (Err(Error::Refused(Refusal::Held { hold, .. })), _) => {
                forbidden += 1;
                assert!(holds.iter().any(|(number, _)| hold_id(*number) == *hold));
                assert_eq!(before, after);
            }
            (Err(Error::Refused(Refusal::NothingThere)), Move::Erase(..)) => {
                assert_eq!(before, after);
            }
            (Ok(_), _) => {}
            (Err(error), _) => panic!("{made:?}: {error:?}"),
        }
        for ((before, after), held) in before.iter().zip(&after).zip(held) {
            if let (Some((versions, names)), true) = (before, held) {
                let (left, kept) = after.as_ref().expect("it is held");
                assert!(versions.is_subset(left) && names == kept, "{made:?}");
            }
        }
    }
    world.commit(true);
    (world, done, forbidden)
}

proptest! {
    #[test]
    fn inv07_nothing_is_lost_that_is_held_and_all_else_is_erased(moves in moves()) {
        let (world, ..) = play(&moves);
        let (whole, digest) = folded(&world.log, |_| false);
        let by_ones = folded(&world.log, |_| true);
        prop_assert_eq!(&(whole, digest), &by_ones);
        prop_assert_eq!(digest, world.digest);
        // What a receipt says is gone is what the events behind it gave up.
        for entry in world.log.iter().flat_map(|commit| &commit.entries) {
            if let Event::ErasureOrdered(event) = &entry.fact.event {
                let Ok(Some(erasure)) = world.decider.erasure(&event.erasure) else {
                    panic!("there is no receipt")
                };
                for (id, slots) in &erasure.keys {
                    let Ok(page) = world.decider.page(id);
                    prop_assert!(slots.iter().all(|slot| page.dying.has(slot)));
                }
            }
        }
    }
}

#[test]
fn the_games_get_somewhere() {
    // The property above says nothing if holds and erasures never meet.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut done, mut forbidden) = (0, 0);
    for _ in 0..60 {
        let moves = moves().new_tree(&mut runner).unwrap();
        let (_, erased, refused) = play(&proptest::strategy::ValueTree::current(&moves));
        done += erased;
        forbidden += refused;
    }
    assert!(done > 60 && forbidden > 60, "{done} {forbidden}");
}
