//! Any sequence of commands does what the model does, and leaves a log that folds to one state.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::{
    Millis, SecretBytes, cbor,
    command::{Action, Reseal, ResealContent},
    decide::Decision,
    decide::tests::{
        Logged, ROOT, STRANGER, WALLET, World, fold,
        model::{MOUNTS, Outcome, PATHS},
        mount_id, names, system,
        wishes::{Batch, Game, batches},
    },
    event::{
        Actor, Event, Fact,
        v1::{Operation, ResolutionRequested},
    },
    id::{RequestId, Seq, TokenId},
    judge::{Verdict, judge},
    keys::{Content, keyring::KekVersion, page::KeyRef},
    names::{Names, mount_names_place, names_place, payload_place},
    state::{Digest, Key, Memory, Record, State, Value},
};

fn places() -> impl Iterator<Item = (usize, usize)> {
    (0..MOUNTS.len()).flat_map(|mount| (0..PATHS).map(move |path| (mount, path)))
}

fn record(world: &World, (mount, path): (usize, usize)) -> Option<Record> {
    let Ok(record) = world.decider.record(&world.record_id(mount, path));
    record
}

proptest! {
    #[test]
    fn any_sequence_of_commands_equals_the_model(batches in batches()) {
        let mut game = Game::new();
        game.play_all(&batches, |game| {
            for place in places() {
                let expected = game.model.secrets.get(&place);
                let found = record(&game.world, place);
                assert_eq!(found.is_some(), expected.is_some());
                let (Some(found), Some(expected)) = (found, expected) else { continue };
                assert_eq!(found.settings, expected.settings);
                assert_eq!(found.metadata_version, expected.configured);
                assert_eq!(found.current, expected.current);
                let versions: Vec<_> = found.versions.iter()
                    .map(|v| (v.number, v.created.0, v.deletion.map(|d| d.0), v.destroyed))
                    .collect();
                let wanted: Vec<_> = expected.versions.iter()
                    .map(|(number, v)| (*number, v.created, v.deletion, v.destroyed))
                    .collect();
                assert_eq!(versions, wanted);
            }
        })?;
        contents_open(&game);
    }

    #[test]
    fn inv12_a_refused_command_changes_nothing(batches in batches()) {
        let mut game = Game::new();
        for batch in &batches {
            game.begin(batch);
            for order in &batch.orders {
                let before = (format!("{:?}", game.world.decider), game.world.waiting.len());
                let (done, _) = game.play(order);
                if matches!(done, Outcome::Refused(_) | Outcome::Already(_)) {
                    let after = (format!("{:?}", game.world.decider), game.world.waiting.len());
                    prop_assert_eq!(before, after);
                }
            }
            game.world.commit(batch.settled);
        }
    }

    #[test]
    fn inv03_what_is_judged_equals_the_model(batches in batches(), later in 0..6000_u64) {
        let mut game = Game::new();
        game.play_all(&batches, |game| {
            let time = Millis(game.now() + later);
            for place in places() {
                for version in [None, Some(0), Some(1), Some(2), Some(3), Some(9)] {
                    judged_as_modelled(game, time, place, version);
                }
            }
        })?;
    }

    #[test]
    fn inv07_pages_account_for_every_key(
        batches in batches(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..8),
    ) {
        let mut game = Game::new();
        let mut keys = Accounts::default();
        keys.check(&game);
        for batch in &batches {
            game.begin(batch);
            for order in &batch.orders {
                game.play(order);
            }
            keys.check(&game);
            keys.confirm_and_close(&mut game, &picks);
            keys.check(&game);
            rotate_and_rewrap(&mut game, &picks);
            keys.check(&game);
            reseal(&mut game, picks[0].index(3) == 0);
            keys.check(&game);
            game.world.commit(batch.settled);
        }
        game.world.commit(true);
        contents_open(&game);
    }

    #[test]
    fn inv08_however_the_log_is_cut_it_folds_to_the_same(
        batches in batches(),
        cuts in prop::collection::vec(any::<bool>(), 12),
    ) {
        let mut game = Game::new();
        game.play_all(&batches, |_| ())?;
        game.world.commit(true);
        let whole = folded(&game.world.log, |_| false);
        let by_ones = folded(&game.world.log, |_| true);
        let cut = folded(&game.world.log, |at| cuts[at % cuts.len()]);
        prop_assert_eq!(&whole, &by_ones);
        prop_assert_eq!(&whole, &cut);
        let view: BTreeMap<_, _> = entries(&game.world.view.0.borrow());
        prop_assert_eq!(whole, (view, game.world.digest));
    }

    #[test]
    fn inv01_the_decider_sees_what_the_fold_makes(batches in batches()) {
        let mut game = Game::new();
        let mut keys = BTreeSet::new();
        for batch in &batches {
            game.begin(batch);
            for order in &batch.orders {
                game.play(order);
            }
            // Everything that was decided, also on top of a commit in flight.
            let World { log, waiting, at, decider, .. } = &game.world;
            let (seq, entries) = (Seq(99), waiting.clone());
            let log = [log.as_slice(), &[Logged { seq, at: *at, entries }]].concat();
            let (fold, _) = folded(&log, |_| false);
            keys.extend(fold.keys().copied());
            for key in &keys {
                let Ok(decided) = decider.get(key);
                prop_assert_eq!(decided.as_ref(), fold.get(key));
            }
            game.world.commit(batch.settled);
        }
    }
}

fn entries(memory: &Memory) -> BTreeMap<Key, Value> {
    memory
        .entries()
        .map(|(key, value)| (*key, value.clone()))
        .collect()
}

/// The entries and digest of a log, where the view takes over what was changed after the commits
/// that `absorb` picks, and at the end.
pub(super) fn folded(
    log: &[Logged],
    absorb: impl Fn(usize) -> bool,
) -> (BTreeMap<Key, Value>, Digest) {
    let mut view = Memory::default();
    let mut waiting = Vec::new();
    let mut state = State::over(view.clone(), Digest::default());
    for (at, commit) in log.iter().enumerate() {
        waiting.push(fold(&mut state, commit).unwrap());
        if absorb(at) {
            waiting.drain(..).for_each(|changes| view.absorb(changes));
            state = State::over(view.clone(), state.digest());
        }
    }
    waiting.drain(..).for_each(|changes| view.absorb(changes));
    // What is stored of an entry is enough to have it again.
    for (key, value) in view.entries() {
        assert_eq!(Value::decode(key, &value.encode()).as_ref(), Ok(value));
    }
    (entries(&view), state.digest())
}

fn contents_open(game: &Game) {
    let world = &game.world;
    let sealed: BTreeMap<_, _> = world
        .log
        .iter()
        .flat_map(|commit| &commit.entries)
        .flat_map(|entry| [&entry.names, &entry.payload])
        .flatten()
        .map(|bytes| (crate::commit::ciphertext_hash(bytes), bytes))
        .collect();
    let open = |key: &KeyRef, content, place, hash| {
        let bytes = sealed[&hash];
        world.pool.given[key].open(content, &place, bytes).unwrap()
    };
    for (place, expected) in &game.model.secrets {
        let id = world.record_id(place.0, place.1);
        let found = record(world, *place).unwrap();
        let at = names_place(WALLET, id, found.names_version);
        let plain = open(&found.names.key, Content::Names, at, found.names.hash);
        let opened: Names = cbor::decode(plain.expose()).unwrap();
        assert_eq!(opened, names(place.1, &expected.label));
        for version in &found.versions {
            let at = payload_place(WALLET, id, version.number);
            let plain = open(&version.key, Content::Payload, at, version.hash);
            assert_eq!(
                plain.expose(),
                expected.versions[&version.number].payload.as_slice()
            );
        }
    }
    let Ok(mounts) = world.decider.mounts();
    for mount in game.model.mounts.keys() {
        let names = mounts[&mount_id(*mount)].names;
        let at = mount_names_place(WALLET, mount_id(*mount));
        open(&names.key, Content::Names, at, names.hash);
    }
}

fn judged_as_modelled(game: &Game, time: Millis, place: (usize, usize), version: Option<u32>) {
    let Game { world, model, .. } = game;
    let id = world.record_id(place.0, place.1);
    let ask = |actor, operation| {
        let request = ResolutionRequested {
            request: RequestId::default(),
            operation,
            mount: Some(mount_id(place.0)),
            record: Some(id),
            version,
            wrap_ttl: None,
            names: serde_bytes::ByteArray::default(),
        };
        let event = Event::ResolutionRequested(request.clone());
        let fact = Fact {
            actor,
            command: None,
            event,
        };
        let Ok(ruling) = judge(&world.decider, time, &fact, &request, None);
        ruling.verdict
    };
    let Actor::Principal(root, _) = ROOT else {
        unreachable!()
    };
    let old_token = Actor::Principal(root, TokenId::from_bytes([0xee; 16]));
    for actor in [STRANGER, Actor::Anonymous, Actor::System, old_token] {
        assert_eq!(ask(actor, Operation::ReadData), Verdict::Denied);
    }
    let mounted = model.mounts.contains_key(&place.0);
    let secret = model.secrets.get(&place).filter(|_| mounted);
    let number = match version {
        None | Some(0) => secret.map_or(0, |secret| secret.current),
        Some(number) => number,
    };
    let expected = secret
        .and_then(|secret| secret.versions.get(&number))
        .map(|version| (number, version.readable(time.0)));
    match ask(ROOT, Operation::ReadData) {
        Verdict::Absent => assert_eq!(expected, None),
        Verdict::Version {
            record: seen,
            number,
            readable,
        } => {
            assert_eq!(expected, Some((number, readable)));
            assert_eq!(Some(*seen), record(world, place));
        }
        other => panic!("{other:?}"),
    }
    let known = matches!(ask(ROOT, Operation::ReadMetadata), Verdict::Metadata(_));
    assert_eq!(known, secret.is_some());
    let listed = ask(ROOT, Operation::List) == Verdict::Listing;
    assert_eq!(listed, mounted);
}

/// Every key that was ever used, and those that are confirmed to be destroyed.
#[derive(Default)]
struct Accounts {
    gone: BTreeSet<KeyRef>,
}

impl Accounts {
    fn used(game: &Game) -> BTreeSet<KeyRef> {
        let logged = game.world.log.iter().flat_map(|commit| &commit.entries);
        let keys = logged.chain(&game.world.waiting).flat_map(|entry| {
            let (names, payload) = match &entry.fact.event {
                Event::WalletCreated(event) => (None, Some(event.root_token_mac)),
                Event::MountEnabled(event) => (Some(event.names), None),
                Event::CredentialWritten(event) => (event.names, Some(event.payload)),
                Event::MetadataChanged(event) => (event.names, None),
                Event::PayloadResealed(event) => (None, Some(event.payload)),
                Event::NamesResealed(event) => (Some(event.names), None),
                _ => (None, None),
            };
            [names, payload]
        });
        keys.flatten().map(|sealed| sealed.key).collect()
    }

    fn referred_to(game: &Game) -> BTreeSet<KeyRef> {
        let world = &game.world;
        let (Ok(wallet), Ok(mounts)) = (world.decider.wallet(), world.decider.mounts());
        let records = places().filter_map(|place| record(world, place));
        let of_records = records.flat_map(|record| {
            let live = record.versions.into_iter().filter(|v| !v.destroyed);
            live.map(|v| v.key)
                .chain([record.names.key])
                .collect::<Vec<_>>()
        });
        mounts
            .values()
            .map(|mount| mount.names.key)
            .chain(wallet.map(|wallet| wallet.root_token_mac.key))
            .chain(of_records)
            .collect()
    }

    fn check(&self, game: &Game) {
        let (used, live) = (Self::used(game), Self::referred_to(game));
        let Game { world, .. } = game;
        let mut under: BTreeMap<KekVersion, [u64; 3]> = BTreeMap::new();
        for number in 0..=world.pool.drawn / super::Pool::PER_PAGE {
            let id = super::Pool::page(number);
            let Ok(page) = world.decider.page(&id);
            if page.counts() {
                let [live, dying, pages] = under.entry(page.kek).or_default();
                *live += page.live.len() as u64;
                *dying += page.dying.len() as u64;
                *pages += 1;
            }
            for slot in 0..=u8::MAX {
                let key = KeyRef { page: id, slot };
                let gone = self.gone.contains(&key);
                let dying = used.contains(&key) && !live.contains(&key) && !gone;
                let found = (
                    page.live.has(slot),
                    page.dying.has(slot),
                    page.gone.has(slot),
                );
                assert_eq!(found, (live.contains(&key), dying, gone), "{key}");
                // What a page in the key store may hold: never what is dying or gone.
                assert!(page.keeps(slot) || !live.contains(&key));
                assert!(!page.keeps(slot) || !(dying || gone));
            }
        }
        let Ok(wallet) = world.decider.wallet();
        let (mut taken, mut erased) = (0, 0);
        for kek in &wallet.unwrap().keks {
            let counted = under.remove(&kek.version).unwrap_or_default();
            assert_eq!([kek.live, kek.dying, kek.pages], counted, "{}", kek.version);
            assert!(kek.retired.is_none() || counted == [0; 3]);
            taken += kek.used;
            erased += kek.erased;
        }
        assert_eq!(under, BTreeMap::new());
        assert_eq!(taken, used.len() as u64);
        assert_eq!(erased, self.gone.len() as u64);
    }

    /// Confirms some destructions, among them such as were never due, and closes a page.
    fn confirm_and_close(&mut self, game: &mut Game, picks: &[prop::sample::Index]) {
        let used: Vec<_> = Self::used(game).into_iter().collect();
        let live = Self::referred_to(game);
        let mut asked: Vec<_> = picks.iter().map(|pick| *pick.get(&used)).collect();
        asked.push(asked[0]);
        self.gone
            .extend(asked.iter().filter(|key| !live.contains(key)));
        let confirm = system(Action::ConfirmDestroyed(asked));
        game.world.decide(&confirm).unwrap();
        let close = system(Action::ClosePages(vec![game.world.pool.current_page()]));
        game.world.decide(&close).unwrap();
    }
}

/// Rotates now and then, says of some pages that they are rewrapped, among them such as never were
/// drawn from or are open, and tries to retire a version.
fn rotate_and_rewrap(game: &mut Game, picks: &[prop::sample::Index]) {
    let world = &mut game.world;
    let turn = picks[0].index(4);
    if turn == 0 {
        let version = world.pool.kek + 1;
        let rotated = system(Action::RotateKek(super::new_kek(version)));
        world.decide(&rotated).unwrap();
        world.pool.kek = version;
    }
    let count = usize::try_from(world.pool.drawn / super::Pool::PER_PAGE).unwrap() + 2;
    let page =
        |pick: &prop::sample::Index| super::Pool::page(u32::try_from(pick.index(count)).unwrap());
    let pages: Vec<_> = picks.iter().map(page).collect();
    if turn < 2 {
        world
            .decide(&system(Action::ClosePages(pages.clone())))
            .unwrap();
    }
    let version = world.pool.kek - u32::from(turn == 3);
    let rewrapped = Action::ConfirmRewrapped { version, pages };
    world.decide(&system(rewrapped)).unwrap();
    // Refused as long as a key is under it.
    let _ = world.decide(&system(Action::RetireKeks(world.pool.kek - 1)));
}

/// Seals anew all that is there, and some that never was so.
fn reseal(game: &mut Game, wrongly: bool) {
    let mut reseals = Vec::new();
    for (place, secret) in &game.model.secrets {
        let id = game.world.record_id(place.0, place.1);
        let found = record(&game.world, *place).unwrap();
        let key = |key: KeyRef| match wrongly {
            true => KeyRef {
                slot: key.slot.wrapping_add(1),
                ..key
            },
            false => key,
        };
        reseals.push(Reseal {
            record: id,
            key: key(found.names.key),
            content: ResealContent::Names(names(place.1, &secret.label)),
        });
        for version in found.versions.iter().filter(|version| !version.destroyed) {
            let payload = &secret.versions[&version.number].payload;
            let payload = SecretBytes::copied_from(payload);
            reseals.push(Reseal {
                record: id,
                key: key(version.key),
                content: ResealContent::Payload(version.number, payload),
            });
        }
    }
    let expected = if wrongly { 0 } else { reseals.len() };
    let done = game.world.decide(&system(Action::Reseal(reseals))).unwrap();
    let Decision::Events { entries, .. } = done else {
        unreachable!("it has no id")
    };
    assert_eq!(entries.len(), expected);
}

#[test]
fn a_game_reaches_what_it_should() {
    // The properties above say nothing if the games never get anywhere.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut done, mut already, mut refused, mut reused) = (0, 0, BTreeSet::new(), 0);
    for _ in 0..60 {
        let batches: Vec<Batch> =
            proptest::strategy::ValueTree::current(&batches().new_tree(&mut runner).unwrap());
        let mut game = Game::new();
        for batch in &batches {
            game.begin(batch);
            for order in &batch.orders {
                match game.play(order).0 {
                    Outcome::Done(versions) => done += versions.len(),
                    Outcome::Already(_) => already += 1,
                    Outcome::Refused(refusal) => {
                        reused += usize::from(refusal == crate::decide::Refusal::CommandReused);
                        refused.insert(format!("{refusal:?}"));
                    }
                }
            }
            game.world.commit(batch.settled);
        }
    }
    assert!(
        done > 300 && already > 10 && reused > 3,
        "{done} {already} {reused}"
    );
    assert_eq!(refused.len(), 12, "{refused:?}");
}
