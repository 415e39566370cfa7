//! Deciding about the wallet's own keys.

use std::sync::Arc;

use super::{Pool, World, epoch_id, examples, new_kek, system};
use crate::{
    command::{Action, NewKek},
    decide::{Decision, Refusal},
    event::Event,
    id::PageId,
    state::Wallet,
};

/// A wallet with a secret under its first KEK version, whose page is closed.
fn closed() -> World {
    let mut world = examples::mounted();
    examples::write(&mut world, 0);
    let pages = (0..=world.pool.drawn / Pool::PER_PAGE)
        .map(Pool::page)
        .collect();
    done(&mut world, Action::ClosePages(pages));
    // The next key is drawn from a page that is not closed.
    world.pool.drawn = world.pool.drawn.next_multiple_of(Pool::PER_PAGE);
    world.pool.drawn += Pool::PER_PAGE;
    world
}

fn done(world: &mut World, action: Action) -> Vec<Event> {
    match world.decide(&system(action)).unwrap() {
        Decision::Events { entries, .. } => {
            entries.into_iter().map(|entry| entry.fact.event).collect()
        }
        Decision::Already(_) => unreachable!("nothing here has an id"),
    }
}

fn refused(world: &mut World, action: Action) -> Refusal {
    match world.decide(&system(action)) {
        Err(crate::decide::Error::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn wallet(world: &World) -> Wallet {
    let Ok(wallet) = world.decider.wallet();
    Arc::unwrap_or_clone(wallet.unwrap())
}

fn used_pages(world: &World) -> Vec<PageId> {
    let pages = (0..=world.pool.drawn / Pool::PER_PAGE).map(Pool::page);
    pages
        .filter(|id| {
            let Ok(page) = world.decider.page(id);
            page.counts()
        })
        .collect()
}

fn rotate(world: &mut World, version: u32) -> Vec<Event> {
    let events = done(world, Action::RotateKek(new_kek(version)));
    world.pool.kek = wallet(world).keks.last().unwrap().version;
    events
}

#[test]
fn two_rotations_to_one_version_are_one() {
    let mut world = closed();
    assert_eq!(rotate(&mut world, 2).len(), 1);
    assert_eq!(rotate(&mut world, 2).len(), 0);
    assert_eq!(rotate(&mut world, 1).len(), 0);
    assert_eq!(wallet(&world).keks.len(), 2);
}

fn begin(world: &mut World, after: u32, epoch: u32) -> usize {
    let action = Action::BeginEpoch {
        after: epoch_id(after),
        fact_key: epoch_id(epoch),
    };
    done(world, action).len()
}

#[test]
fn an_epoch_begins_once_and_only_after_the_one_it_follows() {
    let mut world = closed();
    assert_eq!(begin(&mut world, 7, 8), 0, "7 is not the current one");
    assert_eq!(begin(&mut world, 1, 8), 1);
    assert_eq!(begin(&mut world, 1, 8), 0, "another node was first");
    assert_eq!(begin(&mut world, 1, 9), 0, "and with another epoch");
    assert_eq!(wallet(&world).epoch, Some(epoch_id(8)));
    let epoch = |id| {
        let Ok(epoch) = world.decider.epoch(&epoch_id(id));
        epoch.unwrap()
    };
    assert_eq!(epoch(1).number, 1);
    assert_eq!(epoch(1).ended, Some(epoch(8).began));
    assert_eq!((epoch(8).number, epoch(8).ended), (2, None));
}

#[test]
fn a_kek_version_takes_an_epoch_that_began_with_nothing_else() {
    let mut world = closed();
    assert_eq!(begin(&mut world, 1, 2), 1);
    let taken = refused(&mut world, Action::RotateKek(new_kek(2)));
    assert_eq!(taken, Refusal::EpochBegan);
    let new = crate::command::NewKek {
        fact_key: epoch_id(3),
        ..new_kek(2)
    };
    assert_eq!(done(&mut world, Action::RotateKek(new)).len(), 1);
    // Whoever stored an epoch before the rotation, and was slower, changes nothing.
    assert_eq!(begin(&mut world, 2, 4), 0);
    assert_eq!(wallet(&world).epoch, Some(epoch_id(3)));
}

#[test]
fn a_rotation_that_tells_of_a_compromise_is_not_lost_in_another() {
    let mut world = closed();
    let compromised = |version| {
        Action::RotateKek(NewKek {
            compromised: true,
            ..new_kek(version)
        })
    };
    rotate(&mut world, 2);
    assert_eq!(refused(&mut world, compromised(2)), Refusal::Changed);
    assert_eq!(wallet(&world).compromised, None);
    assert_eq!(done(&mut world, compromised(3)).len(), 1);
    assert_eq!(wallet(&world).compromised.unwrap().version, 2);
    assert_eq!(done(&mut world, compromised(3)), [], "said before");
    assert_eq!(done(&mut world, compromised(2)), [], "said with it");
}

#[test]
fn a_version_of_a_generation_that_the_log_does_not_know_waits_for_it() {
    let mut world = closed();
    let new = || {
        Action::RotateKek(NewKek {
            generation: 2,
            ..new_kek(2)
        })
    };
    assert_eq!(refused(&mut world, new()), Refusal::Changed);
    let replaced = Action::ReplaceGeneration {
        generation: 2,
        manager: "shamir".to_owned(),
        back_to: 1,
    };
    assert_eq!(done(&mut world, replaced).len(), 1);
    assert_eq!(done(&mut world, new()).len(), 1);
}

/// Rotates, rewraps, and destroys all versions before the new one.
fn rotate_and_destroy(world: &mut World, version: u32) {
    rotate(world, version);
    let pages = used_pages(world);
    done(world, Action::ClosePages(pages.clone()));
    done(world, Action::ConfirmRewrapped { version, pages });
    done(world, Action::RetireKeks(version - 1));
    done(world, Action::ConfirmKeksDestroyed(version - 1));
}

#[test]
fn inv07_nothing_is_complete_that_a_version_of_today_opens_with_old_copies() {
    let mut world = closed();
    let replace = |world: &mut World, generation| {
        let keks = wallet(world).keks;
        let oldest = keks.iter().find(|kek| kek.destroyed.is_none()).unwrap();
        let replaced = Action::ReplaceGeneration {
            generation,
            manager: "shamir".to_owned(),
            back_to: oldest.version,
        };
        assert_eq!(done(world, replaced).len(), 1);
        wallet(world).complete
    };
    rotate_and_destroy(&mut world, 2);
    assert_eq!(replace(&mut world, 2), 1, "no version opens generation 1");
    rotate_and_destroy(&mut world, 3);
    assert_eq!(replace(&mut world, 3), 2, "version 2 opened generation 2");
    rotate(&mut world, 4);
    assert_eq!(replace(&mut world, 4), 2);
    rotate_and_destroy(&mut world, 4);
    assert_eq!(
        replace(&mut world, 5),
        2,
        "version 4 opens generation 4, and that has version 3 in old copies"
    );
    rotate_and_destroy(&mut world, 5);
    assert_eq!(replace(&mut world, 6), 4);
}

#[test]
fn inv06_no_key_under_an_older_version_is_used() {
    let mut world = closed();
    rotate(&mut world, 2);
    // Keys of a node that did not hear of the rotation: they run out, and nothing is written.
    world.pool.kek = 1;
    world.pool.left = 7;
    let write = examples::to_write(&world, 0);
    assert!(matches!(
        world.decide(&write),
        Err(crate::decide::Error::OutOfKeys)
    ));
    world.pool.kek = 2;
    world.pool.left = 7;
    world.decide(&write).unwrap();
    assert_eq!(wallet(&world).keks[1].pages, 1);
}

#[test]
fn inv06_a_version_is_retired_once_nothing_is_under_it() {
    let mut world = closed();
    assert_eq!(
        refused(&mut world, Action::RetireKeks(1)),
        Refusal::KekCurrent
    );
    rotate(&mut world, 2);
    let pages = used_pages(&world);
    assert_eq!(
        refused(&mut world, Action::RetireKeks(1)),
        Refusal::KekInUse {
            version: 1,
            keys: wallet(&world).keks[0].live
        }
    );
    let rewrapped = |version, pages: &[PageId]| Action::ConfirmRewrapped {
        version,
        pages: pages.to_vec(),
    };
    assert_eq!(done(&mut world, rewrapped(1, &pages)), [], "not current");
    assert_eq!(done(&mut world, rewrapped(2, &pages)).len(), 1);
    assert_eq!(done(&mut world, rewrapped(2, &pages)), [], "never twice");
    assert_eq!(wallet(&world).keks[0].live, 0);
    assert_eq!(wallet(&world).keks[1].pages, pages.len() as u64);
    assert_eq!(done(&mut world, Action::RetireKeks(1)).len(), 1);
    assert_eq!(done(&mut world, Action::RetireKeks(1)), []);
    assert_eq!(wallet(&world).complete, 0);
    assert_eq!(done(&mut world, Action::ConfirmKeksDestroyed(1)).len(), 1);
    assert_eq!(done(&mut world, Action::ConfirmKeksDestroyed(1)), []);
    let replaced = |generation, back_to| Action::ReplaceGeneration {
        generation,
        manager: "shamir".to_owned(),
        back_to,
    };
    assert_eq!(
        wallet(&world).complete,
        0,
        "the generation above it is there"
    );
    assert_eq!(refused(&mut world, replaced(3, 2)), Refusal::Changed);
    assert_eq!(done(&mut world, replaced(2, 1)).len(), 1);
    assert_eq!(wallet(&world).complete, 0, "the same key opens old copies");
    assert_eq!(done(&mut world, replaced(2, 2)), [], "said before");
    assert_eq!(done(&mut world, replaced(3, 2)).len(), 1);
    assert_eq!(wallet(&world).complete, 1);
}

#[test]
fn a_version_without_keys_is_destroyed_only_if_it_was_retired() {
    let mut world = closed();
    rotate(&mut world, 2);
    assert_eq!(done(&mut world, Action::ConfirmKeksDestroyed(1)), []);
}
