//! Single cases of policies: over which version they are written, and when they end.

use crate::{
    Millis,
    access::{self, Need},
    command::{Action, Command, NewToken, TokenWish},
    decide::{
        Refusal,
        tests::{ROOT, START, World, examples::ask_for, system},
    },
    event::{Actor, v1::PolicyWritten},
    id::{PrincipalId, TokenId},
    keys::TokenMac,
    names::TokenNames,
    policy::{Operation, Policy},
};

const READ: &str = "path \"a\" { capabilities = [\"read\"] }";
const LIST: &str = "path \"a\" { capabilities = [\"list\"] }";

/// A policy of this name and text that stays, and that anyone may write over.
fn policy(name: &str, text: &str) -> PolicyWritten {
    PolicyWritten {
        name: name.to_owned(),
        text: text.to_owned(),
        policy: Policy::parse(text).unwrap(),
        expires: None,
        cas_required: false,
    }
}

fn until(expires: u64) -> PolicyWritten {
    PolicyWritten {
        expires: Some(Millis(expires)),
        ..policy("p", READ)
    }
}

fn write(
    world: &mut World,
    time: u64,
    cas: Option<i64>,
    ttl: Option<u64>,
    written: PolicyWritten,
) -> Result<(), Refusal> {
    let written = Box::new(written);
    let action = Action::WritePolicy { cas, ttl, written };
    ask_for(world, time, &system(action)).map(drop)
}

fn version(world: &World, name: &str) -> Option<u32> {
    let policies = world.decider.policies().unwrap();
    policies.get(name).map(|policy| policy.version)
}

/// Makes a token that has the policy `p`.
fn reader(world: &mut World) -> Actor {
    let token = TokenId::from_bytes([6; 16]);
    let new = NewToken {
        token,
        mac: TokenMac::from_slice(&[1; 32]).unwrap(),
        names: TokenNames::default(),
        wish: TokenWish {
            policies: Some(vec!["p".to_owned()]),
            ..TokenWish::default()
        },
    };
    let command = Command {
        id: None,
        actor: ROOT,
        needs: Vec::new(),
        action: Action::CreateToken(Box::new(new)),
    };
    ask_for(world, START, &command).unwrap();
    Actor::Principal(PrincipalId::from_bytes([6; 16]), token)
}

#[test]
fn a_policy_is_written_over_the_version_that_was_said() {
    let mut world = World::new();
    let mut write = |name: &str, cas, text| write(&mut world, START, cas, None, policy(name, text));
    let mismatch = Err(Refusal::CasMismatch);
    for too_far in [1, -2, i64::MIN, i64::MAX] {
        assert_eq!(write("p", Some(too_far), READ), mismatch, "{too_far}");
    }
    assert_eq!(write("p", Some(-1), READ), Ok(()));
    for not_it in [-1, 0, 2] {
        assert_eq!(write("p", Some(not_it), READ), mismatch, "{not_it}");
    }
    assert_eq!(write("p", Some(1), LIST), Ok(()));
    assert_eq!(write("p", Some(1), READ), mismatch);
    // The same once more is no other version.
    assert_eq!(write("p", Some(2), LIST), Ok(()));
    assert_eq!(write("p", Some(2), READ), Ok(()));
    assert_eq!(write("p", None, LIST), Ok(()));
    assert_eq!(write("new", Some(0), READ), Ok(()));
    assert_eq!(version(&world, "p"), Some(4));
    assert_eq!(version(&world, "new"), Some(1));
}

#[test]
fn a_policy_asks_for_check_and_set() {
    let mut world = World::new();
    let mut write = |cas, cas_required, text| {
        let written = PolicyWritten {
            cas_required,
            ..policy("p", text)
        };
        write(&mut world, START, cas, None, written)
    };
    let required = Err(Refusal::CasRequired);
    // Whoever asks for it does it.
    assert_eq!(write(None, true, READ), required);
    assert_eq!(write(Some(0), true, READ), Ok(()));
    for asks in [true, false] {
        assert_eq!(write(None, asks, READ), required);
    }
    assert_eq!(write(Some(1), false, READ), Ok(()));
    assert_eq!(write(None, true, READ), required);
    assert_eq!(write(None, false, LIST), Ok(()));
    assert_eq!(version(&world, "p"), Some(3));
}

#[test]
fn a_policy_lasts_until_the_time_that_was_said() {
    let mut world = World::new();
    for over in [0, START - 1, START] {
        let refused = write(&mut world, START, None, None, until(over));
        assert_eq!(refused, Err(Refusal::PolicyOver), "{over}");
    }
    let refused = write(&mut world, START, None, Some(0), policy("p", READ));
    assert_eq!(refused, Err(Refusal::PolicyOver));
    assert_eq!(version(&world, "p"), None);
    let expires = |world: &World| {
        let policies = world.decider.policies().unwrap();
        policies["p"].expires.map(|expires| expires.0)
    };
    write(&mut world, START, None, None, until(START + 1)).unwrap();
    assert_eq!(expires(&world), Some(START + 1));
    // A span counts from the time of the commit, and no sum is too large.
    for (span, end) in [(7, START + 7), (u64::MAX, u64::MAX)] {
        write(&mut world, START, None, Some(span), policy("p", READ)).unwrap();
        assert_eq!(expires(&world), Some(end));
    }
    write(&mut world, START, None, None, policy("p", READ)).unwrap();
    assert_eq!(expires(&world), None);
    assert_eq!(version(&world, "p"), Some(4));
}

#[test]
fn inv10_a_policy_that_has_ended_grants_nothing() {
    let mut world = World::new();
    let actor = reader(&mut world);
    let need = Need::to(Operation::Read, "a");
    let may = |world: &World, time| {
        let permission = access::permission(&world.decider, &actor, Millis(time), &need);
        permission.unwrap().permitted
    };
    write(&mut world, START, None, Some(10), policy("p", READ)).unwrap();
    assert!(may(&world, START));
    assert!(may(&world, START + 9));
    // Nothing was written since: the time alone tells.
    for later in [START + 10, START + 11, u64::MAX] {
        assert!(!may(&world, later), "{later}");
    }
}

#[test]
fn a_policy_that_has_ended_is_as_if_it_were_not_there() {
    let mut world = World::new();
    let cas_required = true;
    let first = PolicyWritten {
        cas_required,
        ..until(START + 10)
    };
    write(&mut world, START, Some(0), None, first.clone()).unwrap();
    let again = PolicyWritten {
        expires: Some(Millis(START + 20)),
        ..first
    };
    assert_eq!(
        write(&mut world, START + 10, Some(1), None, again.clone()),
        Err(Refusal::CasMismatch)
    );
    write(&mut world, START + 10, Some(-1), None, again).unwrap();
    assert_eq!(version(&world, "p"), Some(1));
    // It asked for check-and-set while it was there.
    assert_eq!(
        write(&mut world, START + 19, None, None, policy("p", READ)),
        Err(Refusal::CasRequired)
    );
    // What has ended is cleared away when another is written, and can be deleted before.
    write(&mut world, START + 20, None, None, policy("q", READ)).unwrap();
    assert_eq!(version(&world, "p"), None);
    write(&mut world, START + 20, None, Some(1), policy("p", READ)).unwrap();
    let delete = system(Action::DeletePolicy("p".to_owned()));
    ask_for(&mut world, START + 30, &delete).unwrap();
    assert_eq!(version(&world, "p"), None);
}
