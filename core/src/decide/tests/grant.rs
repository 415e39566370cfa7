//! Deciding about auditor grants.

use bytes::Bytes;

use super::{World, epoch_id, examples, system};
use crate::{
    Millis,
    command::{Action, NewGrant},
    decide::{Decision, Error, GRANTS, Refusal},
    event::Event,
    grant::AuditorSecret,
    id::GrantId,
    state::Grant,
    test_entropy::Counter,
};

const GRANT: GrantId = GrantId::from_bytes([7; 16]);

fn done(world: &mut World, action: Action) -> Vec<Event> {
    match world.decide(&system(action)).unwrap() {
        Decision::Events { entries, .. } => {
            let entries = entries.into_iter();
            entries.map(|entry| entry.fact.event).collect()
        }
        Decision::Already(_) => unreachable!("nothing here has an id"),
    }
}

fn refused(world: &mut World, action: Action) -> Refusal {
    match world.decide(&system(action)) {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn to_grant(id: GrantId, live: bool) -> Action {
    let secret = AuditorSecret::generate(&mut Counter::new(1));
    Action::GrantAuditor(Box::new(NewGrant {
        grant: id,
        recipient: secret.public().unwrap(),
        from: Millis(0),
        to: None,
        live,
        names: true,
    }))
}

fn epochs(part: u32, numbers: &[u32]) -> Action {
    Action::GrantEpochs {
        grant: GRANT,
        part,
        epochs: numbers.iter().map(|number| epoch_id(*number)).collect(),
        sealed: Bytes::from_static(b"sealed"),
    }
}

fn names(part: u32, up_to: Option<u64>) -> Action {
    Action::GrantNames {
        grant: GRANT,
        part,
        up_to: up_to.map(Millis),
        sealed: Bytes::from_static(b"sealed"),
    }
}

fn begin(world: &mut World, after: u32, epoch: u32) {
    let action = Action::BeginEpoch {
        after: epoch_id(after),
        fact_key: epoch_id(epoch),
    };
    assert_eq!(done(world, action).len(), 1);
}

fn grant(world: &World) -> Grant {
    let Ok(grants) = world.decider.grants();
    grants[&GRANT].clone()
}

#[test]
fn each_epoch_is_granted_once_and_once_it_is_closed() {
    let mut world = examples::mounted();
    done(&mut world, to_grant(GRANT, false));
    assert_eq!(done(&mut world, epochs(1, &[1])), [], "it goes on");
    begin(&mut world, 1, 2);
    begin(&mut world, 2, 3);
    assert_eq!(done(&mut world, epochs(2, &[1])), [], "not the next part");
    assert_eq!(done(&mut world, epochs(1, &[2, 1])), [], "not in order");
    assert_eq!(done(&mut world, epochs(1, &[9])), [], "no such epoch");
    assert_eq!(done(&mut world, epochs(1, &[])), [], "nothing");
    assert_eq!(done(&mut world, epochs(1, &[1, 2])).len(), 1);
    assert_eq!(
        done(&mut world, epochs(1, &[1, 2])),
        [],
        "another node was first"
    );
    assert_eq!(done(&mut world, epochs(2, &[2])), [], "it is granted");
    let told = grant(&world);
    assert_eq!((told.last_epoch, told.parts, told.named), (2, 1, None));
}

#[test]
fn a_live_grant_has_the_epoch_that_goes_on() {
    let mut world = examples::mounted();
    done(&mut world, to_grant(GRANT, true));
    assert_eq!(done(&mut world, epochs(1, &[1])).len(), 1);
    begin(&mut world, 1, 2);
    assert_eq!(done(&mut world, epochs(2, &[1])), [], "it had it before");
    assert_eq!(done(&mut world, epochs(2, &[2])).len(), 1);
}

#[test]
fn names_are_granted_part_by_part_until_the_last() {
    let mut world = examples::mounted();
    done(&mut world, to_grant(GRANT, false));
    assert_eq!(done(&mut world, names(1, None)).len(), 1);
    assert_eq!(
        done(&mut world, names(1, Some(u64::MAX))),
        [],
        "another node was first"
    );
    assert_eq!(done(&mut world, names(2, Some(u64::MAX))).len(), 1);
    assert_eq!(
        done(&mut world, names(3, Some(u64::MAX))),
        [],
        "they are complete"
    );
    assert!(!grant(&world).wants_names());
}

#[test]
fn a_grant_that_was_ended_grants_nothing() {
    let mut world = examples::mounted();
    done(&mut world, to_grant(GRANT, false));
    assert_eq!(refused(&mut world, to_grant(GRANT, false)), Refusal::Taken);
    assert_eq!(done(&mut world, Action::EndGrant(GRANT)).len(), 1);
    let again = refused(&mut world, Action::EndGrant(GRANT));
    assert_eq!(again, Refusal::NoGrant);
    begin(&mut world, 1, 2);
    assert_eq!(done(&mut world, epochs(1, &[1])), []);
    assert_eq!(done(&mut world, names(1, Some(u64::MAX))), []);
}

#[test]
fn there_are_so_many_grants_and_no_more() {
    let mut world = examples::mounted();
    for number in 0..GRANTS {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(number as u64).to_be_bytes());
        done(&mut world, to_grant(GrantId::from_bytes(id), false));
    }
    let one_more = refused(&mut world, to_grant(GRANT, false));
    assert_eq!(one_more, Refusal::TooManyGrants);
}
