//! Wishes and whole games of them, made up at random: few places and small numbers, so that they
//! meet often.

use proptest::{collection::vec, prelude::*};

use crate::{
    command::Command,
    decide::{
        Decision, Error,
        tests::{
            ROOT, STRANGER, World, command_id,
            model::{Content, MOUNTS, Model, Outcome, PATHS, Step, ToDo, Wish},
        },
    },
    event::{Actor, v1::Settings},
    id::CommandId,
};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// The commands of one commit, and whether it is on the log before the next is decided.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    advance: u64,
    pub(super) orders: Vec<Order>,
    pub(super) settled: bool,
}

/// A command of a game.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// A new command; its id, if any, was made at this distance from the log's time.
    New(Option<i64>, Wish),
    /// One from before, unchanged, under the same id.
    Again(usize),
    /// Another wish under an id from before.
    Reused(usize, Wish),
    /// By someone who may not.
    Foreign(Wish),
}

pub(super) fn batches() -> impl Strategy<Value = Vec<Batch>> {
    vec(batch(), 1..12)
}

fn batch() -> impl Strategy<Value = Batch> {
    let advance = prop_oneof![
        6 => Just(0),
        6 => 1..5000_u64,
        2 => Just(5 * MINUTE),
        2 => Just(48 * HOUR),
        1 => Just(48 * HOUR + 1),
        1 => Just(48 * HOUR + 5 * MINUTE),
        1 => Just(48 * HOUR + 5 * MINUTE + 1),
    ];
    (advance, vec(order(), 1..6), any::<bool>()).prop_map(|(advance, orders, settled)| Batch {
        advance,
        orders,
        settled,
    })
}

fn order() -> impl Strategy<Value = Order> {
    let (minute, hour) = (MINUTE.cast_signed(), HOUR.cast_signed());
    let made = prop_oneof![
        4 => Just(0),
        2 => Just(5 * minute),
        1 => Just(5 * minute + 1),
        2 => Just(-48 * hour),
        1 => Just(-48 * hour - 1),
    ];
    prop_oneof![
        8 => wish().prop_map(|wish| Order::New(None, wish)),
        5 => (made, wish()).prop_map(|(made, wish)| Order::New(Some(made), wish)),
        5 => any::<usize>().prop_map(Order::Again),
        1 => (any::<usize>(), wish()).prop_map(|(at, wish)| Order::Reused(at, wish)),
        1 => wish().prop_map(Order::Foreign),
    ]
}

fn wish() -> impl Strategy<Value = Wish> {
    let mount = 0..MOUNTS.len();
    prop_oneof![
        3 => (mount.clone(), settings()).prop_map(|(mount, settings)| Wish::Enable(mount, settings)),
        3 => (mount.clone(), settings()).prop_map(|(mount, settings)| Wish::Tune(mount, settings)),
        1 => mount.prop_map(Wish::Disable),
        20 => step().prop_map(|step| Wish::Change(vec![step])),
        8 => vec(step(), 0..5).prop_map(Wish::Change),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    (0..MOUNTS.len(), 0..PATHS, to_do()).prop_map(|(mount, path, to_do)| Step {
        mount,
        path,
        to_do,
    })
}

fn to_do() -> impl Strategy<Value = ToDo> {
    let versions = || vec(0..7_u32, 0..4);
    prop_oneof![
        8 => (proptest::option::weighted(0.3, 0..4_u32), content())
            .prop_map(|(cas, content)| ToDo::Put(cas, content)),
        2 => Just(ToDo::DeleteCurrent),
        2 => versions().prop_map(ToDo::Delete),
        2 => versions().prop_map(ToDo::Undelete),
        2 => versions().prop_map(ToDo::Destroy),
        4 => (proptest::option::weighted(0.5, 0..4_u32), settings(), content())
            .prop_map(|(cas, settings, content)| ToDo::Configure(cas, settings, content)),
        1 => Just(ToDo::Remove),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let after = prop_oneof![3 => Just(0), 1 => Just(1000), 1 => Just(4000), 1 => Just(50 * HOUR)];
    let required = proptest::bool::weighted;
    (0..4_u32, required(0.1), after, required(0.3)).prop_map(
        |(max_versions, cas_required, delete_version_after, metadata_cas_required)| Settings {
            max_versions,
            cas_required,
            delete_version_after,
            metadata_cas_required,
        },
    )
}

fn content() -> impl Strategy<Value = Content> {
    (vec(any::<u8>(), 0..20), "[a-z]{0,3}", any::<bool>()).prop_map(|(payload, label, rename)| {
        Content {
            payload,
            label,
            rename,
        }
    })
}

/// A wallet and its model, side by side.
pub(super) struct Game {
    pub(super) world: World,
    pub(super) model: Model,
    /// The commands that carried an id.
    named: Vec<(CommandId, Wish)>,
}

impl Game {
    pub(super) fn new() -> Self {
        let mut game = Self {
            world: World::new(),
            model: Model::default(),
            named: Vec::new(),
        };
        // Most wishes need a mount; the one between these two overlaps the first.
        for mount in [0, 2] {
            let order = Order::New(None, Wish::Enable(mount, Settings::default()));
            let (done, expected) = game.play(&order);
            assert_eq!(done, expected);
        }
        game.world.commit(true);
        game
    }

    pub(super) fn now(&self) -> u64 {
        self.world.at.time.0
    }

    pub(super) fn begin(&mut self, batch: &Batch) {
        let time = self.now() + batch.advance;
        self.world.begin(time);
    }

    /// The command of an order: who gives it, under which id, and what it asks for.
    pub(super) fn command(&mut self, order: &Order) -> (Actor, Option<CommandId>, Wish) {
        let before = |at: usize| self.named.get(at % self.named.len().max(1)).cloned();
        match order {
            Order::New(None, wish) => (ROOT, None, wish.clone()),
            Order::New(Some(made), wish) => {
                let number = u16::try_from(self.named.len()).unwrap();
                let id = command_id(self.now().saturating_add_signed(*made), number);
                self.named.push((id, wish.clone()));
                (ROOT, Some(id), wish.clone())
            }
            Order::Again(at) => match before(*at) {
                Some((id, wish)) => (ROOT, Some(id), wish),
                None => (ROOT, None, Wish::Change(Vec::new())),
            },
            Order::Reused(at, wish) => (ROOT, before(*at).map(|(id, _)| id), wish.clone()),
            Order::Foreign(wish) => (STRANGER, None, wish.clone()),
        }
    }

    /// What the wallet does, and what it should do.
    pub(super) fn play(&mut self, order: &Order) -> (Outcome, Outcome) {
        let (actor, id, wish) = self.command(order);
        let command: Command = self.world.command(actor, id, &wish);
        let done = match self.world.decide(&command) {
            Ok(Decision::Events { versions, .. }) => Outcome::Done(versions),
            Ok(Decision::Already(done)) => Outcome::Already(done),
            Err(Error::Refused(refusal)) => Outcome::Refused(refusal),
            Err(error) => panic!("{error:?}"),
        };
        let now = self.now();
        (done, self.model.perform(now, actor, id, &wish))
    }

    /// The whole game. What the wallet answers must be what the model answers.
    pub(super) fn play_all(
        &mut self,
        batches: &[Batch],
        mut after_each: impl FnMut(&mut Self),
    ) -> Result<(), TestCaseError> {
        for batch in batches {
            self.begin(batch);
            for order in &batch.orders {
                let (done, expected) = self.play(order);
                prop_assert_eq!(done, expected, "{:?}", order);
            }
            self.world.commit(batch.settled);
            after_each(self);
        }
        Ok(())
    }
}
