//! Single cases of tokens: what they may, what is wrapped in them, and what they keep.

use crate::{
    SecretBytes,
    access::{Need, Wanted},
    command::{Action, Command, NewToken, NewWrapping, TokenWish},
    decide::{
        Decision, Refusal,
        tests::{
            ROOT, START, World,
            examples::{ask_for, mounted, put},
            model::Wish,
        },
    },
    event::{
        Actor, Event,
        v1::{EndedToken, PolicyWritten},
    },
    id::{PrincipalId, RecordId, RequestId, TokenId},
    keys::TokenMac,
    names::TokenNames,
    policy::{Operation, Policy, WRAPPING},
};

const MINUTE: u64 = 60_000;

fn token(number: u8) -> TokenId {
    TokenId::from_bytes([number; 16])
}

/// Who acts by a token: each acts for itself.
fn by(number: u8) -> Actor {
    Actor::Principal(PrincipalId::from_bytes([number; 16]), token(number))
}

fn request(number: u8) -> RequestId {
    RequestId::from_bytes([number; 16])
}

fn mac() -> TokenMac {
    TokenMac::from_slice(&[1; 32]).unwrap()
}

fn command(actor: Actor, need: Need, action: Action) -> Command {
    Command {
        id: None,
        actor,
        needs: vec![need],
        action,
    }
}

fn anything() -> Need {
    Need {
        action: Wanted::Anything,
        ..Need::to(Operation::Update, "")
    }
}

fn make(world: &mut World, number: u8, wish: TokenWish) {
    let new = NewToken {
        token: token(number),
        mac: mac(),
        names: TokenNames::default(),
        wish,
    };
    let action = Action::CreateToken(Box::new(new));
    ask_for(world, START, &command(ROOT, anything(), action)).unwrap();
}

fn wrap(world: &mut World, number: u8, replaces: Option<u8>) -> Result<Decision, Refusal> {
    let new = NewWrapping {
        token: token(number),
        mac: mac(),
        names: TokenNames::default(),
        request: request(number),
        ttl: MINUTE,
        replaces: replaces.map(token),
        entry: RecordId::from_bytes([number; 16]),
        answer: SecretBytes::copied_from(b"s3cret"),
    };
    let action = Action::Wrap(Box::new(new));
    ask_for(world, START, &command(ROOT, anything(), action))
}

fn unwrap(world: &mut World, time: u64, actor: Actor, number: u8) -> Result<Decision, Refusal> {
    let need = Need::to(Operation::Update, "sys/wrapping/unwrap");
    let action = Action::Unwrap(token(number), request(9));
    ask_for(world, time, &command(actor, need, action))
}

fn keep(world: &mut World, number: u8, entry: u8) -> Result<Decision, Refusal> {
    let id = RecordId::from_bytes([entry; 16]);
    let need = Need {
        action: Wanted::Keep(token(number), id),
        ..Need::to(Operation::Update, "cubbyhole/x")
    };
    let action = Action::WriteCubbyhole {
        entry: id,
        path: "x".to_owned(),
        payload: SecretBytes::copied_from(b"s3cret"),
    };
    ask_for(world, START, &command(by(number), need, action))
}

/// The tokens that the last commit ended.
fn ended(world: &World) -> Vec<EndedToken> {
    let last = world.log.last().unwrap();
    let events = last.entries.iter().map(|entry| &entry.fact.event);
    let ended = events.filter_map(|event| match event {
        Event::TokensEnded(event) => Some(event.tokens.clone()),
        _ => None,
    });
    ended.flatten().collect()
}

#[test]
fn a_wrapped_answer_is_given_to_one() {
    for actor in [ROOT, by(7)] {
        let mut world = mounted();
        wrap(&mut world, 7, None).unwrap();
        let made = world.decider.token(&token(7)).unwrap().unwrap();
        assert_eq!((made.uses, made.parent), (Some(1), None));
        assert_eq!(made.policies, [WRAPPING]);
        unwrap(&mut world, START, actor, 7).unwrap();
        let last = world.log.last().unwrap();
        let Event::TokensEnded(event) = &last.entries[0].fact.event else {
            panic!("{last:?}")
        };
        assert_eq!(event.unwrapped, Some(request(9)));
        // Its MAC, its names, the answer and the answer's path.
        assert_eq!(ended(&world)[0].keys.len(), 4);
        let again = unwrap(&mut world, START, ROOT, 7);
        assert_eq!(again.err(), Some(Refusal::NoToken));
        let again = unwrap(&mut world, START, by(7), 7);
        assert_eq!(again.err(), Some(Refusal::Denied));
    }
}

#[test]
fn a_wrapped_answer_is_given_to_nobody_after_its_time() {
    let mut world = mounted();
    wrap(&mut world, 7, None).unwrap();
    let late = unwrap(&mut world, START + MINUTE, ROOT, 7);
    assert_eq!(late.err(), Some(Refusal::NoToken));
}

#[test]
fn what_is_wrapped_anew_is_under_the_new_token_alone() {
    let mut world = mounted();
    wrap(&mut world, 7, None).unwrap();
    wrap(&mut world, 8, Some(7)).unwrap();
    assert_eq!(ended(&world)[0].token, token(7));
    assert_eq!(
        unwrap(&mut world, START, ROOT, 7).err(),
        Some(Refusal::NoToken)
    );
    assert_eq!(
        wrap(&mut world, 9, Some(7)).err(),
        Some(Refusal::NoToken),
        "what is gone is not wrapped anew"
    );
    unwrap(&mut world, START, by(8), 8).unwrap();
}

#[test]
fn only_wrapping_tokens_are_unwrapped() {
    let mut world = mounted();
    make(&mut world, 5, TokenWish::default());
    let refused = unwrap(&mut world, START, ROOT, 5);
    assert_eq!(refused.err(), Some(Refusal::NoToken));
    wrap(&mut world, 7, None).unwrap();
    // A wrapping token opens itself, and keeps nothing.
    wrap(&mut world, 8, None).unwrap();
    assert_eq!(keep(&mut world, 7, 9).err(), Some(Refusal::Denied));
}

#[test]
fn a_cubbyhole_gives_up_its_keys_with_its_token() {
    let mut world = mounted();
    let wish = TokenWish {
        policies: Some(vec!["default".to_owned()]),
        ..TokenWish::default()
    };
    make(&mut world, 5, wish);
    for entry in [1, 2, 1, 1] {
        keep(&mut world, 5, entry).unwrap();
    }
    assert_eq!(world.decider.cubbyhole(&token(5)).unwrap().entries.len(), 2);
    for leaves_orphans in [true, false] {
        let action = Action::EndTokens {
            tokens: vec![token(5), token(5)],
            leaves_orphans,
        };
        ask_for(&mut world, START, &command(ROOT, anything(), action)).unwrap();
    }
    let left = world.decider.cubbyhole(&token(5)).unwrap();
    assert!(left.entries.is_empty());
    let ends = world.log.iter().flat_map(|logged| &logged.entries);
    let ends = ends.filter(|entry| matches!(entry.fact.event, Event::TokensEnded(_)));
    assert_eq!(ends.count(), 1);
}

fn write_policy(world: &mut World, name: &str, text: &str) {
    let written = PolicyWritten {
        name: name.to_owned(),
        text: text.to_owned(),
        policy: Policy::parse(text).unwrap(),
        expires: None,
        cas_required: false,
    };
    let action = Action::WritePolicy {
        cas: None,
        ttl: None,
        written: Box::new(written),
    };
    ask_for(world, START, &command(ROOT, anything(), action)).unwrap();
}

fn under(policy: &str) -> TokenWish {
    TokenWish {
        policies: Some(vec![policy.to_owned()]),
        ..TokenWish::default()
    }
}

#[test]
fn inv10_a_root_token_for_shares_and_a_seal_need_their_paths() {
    let mut world = mounted();
    let text = r#"path "sys/generate-root-token/*" { capabilities = ["update"] }
        path "sys/seal" { capabilities = ["update"] }"#;
    write_policy(&mut world, "makes", text);
    make(&mut world, 5, under("makes"));
    make(&mut world, 6, under("nothing"));
    let mut root = |by, number, path| {
        let new = NewToken {
            token: token(number),
            mac: mac(),
            names: TokenNames::default(),
            wish: TokenWish {
                orphan: true,
                ..under("root")
            },
        };
        let need = Need::to(Operation::Update, path);
        let action = Action::CreateRootToken(Box::new(new));
        ask_for(&mut world, START, &command(by, need, action))
    };
    let path = "sys/generate-root-token/update";
    assert_eq!(root(by(6), 7, path).unwrap_err(), Refusal::Denied);
    assert_eq!(root(by(5), 7, "sys/other").unwrap_err(), Refusal::Denied);
    let Ok(Decision::Events { entries, .. }) = root(by(5), 7, path) else {
        panic!("the path permits it");
    };
    let Event::TokenCreated(made) = &entries[0].fact.event else {
        panic!("a token was to be made");
    };
    assert_eq!(made.policies, ["root"]);
    assert_eq!((made.parent, made.expires, made.ttl), (None, None, 0));
    // To seal takes sudo besides, and nothing that is decided on changes.
    let seal = Need {
        sudo: true,
        ..Need::to(Operation::Update, "sys/seal")
    };
    let refused = ask_for(&mut world, START, &command(by(5), seal, Action::Seal));
    assert_eq!(refused.unwrap_err(), Refusal::Denied);
    let before = world.decider.wallet();
    let sealed = ask_for(&mut world, START, &command(by(7), anything(), Action::Seal));
    let Ok(Decision::Events { entries, .. }) = sealed else {
        panic!("a root token may seal");
    };
    assert!(matches!(
        &entries[0].fact.event,
        Event::WalletSealed(event) if event.generation == 1
    ));
    assert_eq!(world.decider.wallet(), before);
}

#[test]
fn inv10_what_a_policy_wants_to_look_at_must_be_there() {
    let text =
        r#"path "*" { capabilities = ["create", "update"] denied_parameters = { "x" = [] } }"#;
    let mut world = mounted();
    write_policy(&mut world, "looks", text);
    make(&mut world, 5, under("looks"));
    let mut write = |parameters| {
        let change = world.command(by(5), None, &Wish::Change(vec![put(0, None)]));
        let need = Need {
            parameters,
            ..Need::to(Operation::Create, "secret/data/a")
        };
        ask_for(&mut world, START, &command(by(5), need, change.action)).err()
    };
    // A node that did not know of the policy yet did not look.
    assert_eq!(write(None), Some(Refusal::PolicyChanged));
    let denied = serde_json::Map::from_iter([("x".to_owned(), 1.into())]);
    assert_eq!(write(Some(denied)), Some(Refusal::Denied));
    assert_eq!(write(Some(serde_json::Map::new())), None);
}

#[test]
fn what_is_cleared_away_at_once_has_a_bound() {
    let mut world = mounted();
    let many = 200;
    for number in 0..20 {
        let wish = TokenWish {
            policies: Some(vec!["default".to_owned()]),
            ttl: MINUTE,
            ..TokenWish::default()
        };
        make(&mut world, 50 + number, wish);
        for entry in 0..many {
            keep(&mut world, 50 + number, entry).unwrap();
        }
    }
    let tokens: Vec<_> = (50..70).map(token).collect();
    let mut rounds = 0;
    loop {
        let clear = Command {
            id: None,
            actor: Actor::System,
            needs: Vec::new(),
            action: Action::ClearTokens(tokens.clone()),
        };
        let decision = ask_for(&mut world, START + MINUTE, &clear).unwrap();
        let Decision::Events { entries, .. } = decision else {
            panic!("{decision:?}")
        };
        if entries.is_empty() {
            break;
        }
        let keys: usize = ended(&world).iter().map(|ended| ended.keys.len()).sum();
        assert!(keys <= 4096, "{keys} keys at once");
        rounds += 1;
    }
    assert_eq!(rounds, 2);
    assert!(world.decider.token(&token(69)).unwrap().is_none());
}
