//! Questions of few steps each: they come to the same end.

use std::{path::Path, sync::Arc};

use billfold::{
    config::{KeyManagerName, Settings},
    node::{self, Backend},
    seal::NewShares,
};
use billfold_core::{
    Millis,
    event::{
        Actor, Event, Fact,
        v1::{Operation, ResolutionRequested},
    },
    id::{PrincipalId, ProcessId, RecordId, RequestId, Seq, TokenId},
    subject::{Generation, Subject},
};
use billfold_projector::{
    audit::{self, Added, By, Commit, Index, Order, Outcome, Place, Query, REST, STEPS, Told},
    chain::Chains,
    keychain::Progress,
};
use billfold_streams::{custody::Custody, entropy::Os, replica::Head};
use billfold_tests::tools;

const COMMITS: u64 = 400;
const OF_COMMIT: u64 = 20;
const START: u64 = 1_800_000_000_000;

struct Silent;

impl Progress for Silent {
    fn at(&self, _: Seq, _: Seq) {}
    fn caught_up(&self, _: u64) {}
}

fn id(kind: u8, number: u64) -> [u8; 16] {
    let mut id = [kind; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    id
}

/// Of an event by its number: what it is found by.
fn terms(number: u64) -> (RecordId, PrincipalId, Outcome) {
    let outcome = match number % 97 {
        0 => Outcome::Denied,
        1..=3 => Outcome::Absent,
        _ => Outcome::Permitted,
    };
    let record = RecordId::from_bytes(id(1, number % 13));
    (
        record,
        PrincipalId::from_bytes(id(2, number / 50 % 7)),
        outcome,
    )
}

/// Clocks that do not agree: most commits have a later time than the one before, some an earlier one.
fn time(commit: u64) -> Millis {
    Millis(START + commit * 250 - if commit.is_multiple_of(11) { 3_000 } else { 0 })
}

fn fill(index: &Index, custody: &Custody) {
    let subject = Subject::Observed(Generation::FIRST, custody.process());
    let commits: Vec<_> = (0..COMMITS)
        .map(|commit| Commit {
            seq: Seq(commit + 1),
            time: time(commit),
            subject,
            epochs: Vec::new(),
            events: (commit * OF_COMMIT..(commit + 1) * OF_COMMIT)
                .map(event)
                .collect(),
        })
        .collect();
    for some in commits.chunks(37) {
        let last = some.last().unwrap().seq;
        let head = Head {
            seq: last,
            ..Head::default()
        };
        index
            .add(some, &Chains::from_heads([(subject, head)], last))
            .unwrap();
    }
}

fn event(number: u64) -> Added {
    let (record, principal, outcome) = terms(number);
    Added {
        fact: Fact {
            actor: Actor::Principal(principal, TokenId::from_bytes(id(3, number % 7))),
            command: None,
            event: Event::ResolutionRequested(ResolutionRequested {
                request: RequestId::from_bytes(id(4, number)),
                operation: Operation::ReadData,
                mount: None,
                record: Some(record),
                version: None,
                wrap_ttl: None,
                names: Default::default(),
            }),
        },
        names: None,
        told: Some(Told {
            outcome,
            version: None,
            policies: Vec::new(),
        }),
        execution: None,
        folders: Vec::new(),
    }
}

async fn made(dir: &Path) -> (Arc<Index>, Arc<Custody>) {
    let settings = Settings {
        data_dir: dir.to_owned(),
        key_manager: Some(KeyManagerName::DevFile),
        ..Settings::default()
    };
    let backend = Backend::open(&settings, true).await.unwrap();
    let shares = NewShares::Recovery(None);
    node::create(&settings, &backend, "root", shares, Box::new(Silent))
        .await
        .unwrap();
    let manager = billfold_upstreams::DevFile::open(&settings.dev_key(), false, &mut Os::new());
    let process = ProcessId::from_bytes(tools::random());
    let custody = Custody::open(backend.keys(), &manager.unwrap(), process).await;
    let custody = Arc::new(custody.unwrap());
    let index = audit::open(&dir.join("made-up"), &custody, 1 << 20).await;
    let index = index.unwrap();
    fill(&index, &custody);
    (index, custody)
}

/// All that a question finds, in pages of these bounds, and how many pages that took.
fn all(index: &Index, custody: &Custody, query: &Query) -> (Vec<Place>, usize) {
    let (mut found, mut query, mut pages) = (Vec::new(), query.clone(), 0);
    loop {
        let page = index.find(custody, &query).unwrap();
        assert!(page.rows.len() <= query.limit);
        found.extend(page.rows.iter().map(|row| row.place));
        pages += 1;
        // A page that is not full rests at a place that nothing has.
        if let Some(next) = page.next
            && page.rows.len() < query.limit
        {
            assert!(next.number == u16::MAX || next.number == 0);
            assert_eq!((next.seq.0 + u64::from(next.number != 0)) % REST, 0);
        }
        match page.next {
            None => return (found, pages),
            next => query.after = next,
        }
    }
}

#[tokio::test]
async fn a_question_of_few_steps_goes_on_until_all_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (index, custody) = made(dir.path()).await;
    let (record, principal, _) = terms(500);
    let denied = By::Outcome(Outcome::Denied);
    let spans = [
        (0, u64::MAX),
        (START + 20_000, START + 60_000),
        (START + 20_001, START + 20_002),
        (START + 99_000, u64::MAX),
        (0, START - 1_000),
    ];
    for by in [
        Vec::new(),
        vec![By::Record(record)],
        vec![denied.clone()],
        vec![By::Record(record), denied.clone()],
        vec![
            By::Principal(principal),
            By::Record(record),
            By::Outcome(Outcome::Absent),
        ],
        // Neither is rare, and nothing is both.
        vec![
            By::Outcome(Outcome::Permitted),
            By::Outcome(Outcome::Absent),
        ],
    ] {
        for (from, to) in spans {
            let fits = |number: &u64| {
                let (of, who, outcome) = terms(*number);
                let at = time(number / OF_COMMIT).0;
                let is_of = |by: &By| match by {
                    By::Record(id) => *id == of,
                    By::Principal(id) => *id == who,
                    By::Outcome(wanted) => *wanted == outcome,
                    _ => false,
                };
                from <= at && at < to && by.iter().all(is_of)
            };
            let wanted: Vec<_> = (0..COMMITS * OF_COMMIT)
                .filter(fits)
                .map(|number| Place {
                    seq: Seq(1 + number / OF_COMMIT),
                    number: u16::try_from(number % OF_COMMIT).unwrap(),
                })
                .collect();
            for (steps, limit) in [(STEPS, 10_000), (STEPS, 9), (60, 10_000), (60, 7)] {
                for order in [Order::Oldest, Order::Newest] {
                    let query = Query {
                        by: by.clone(),
                        from: Millis(from),
                        to: Millis(to),
                        order,
                        after: None,
                        limit,
                        steps,
                    };
                    let (mut found, pages) = all(&index, &custody, &query);
                    if order == Order::Newest {
                        found.reverse();
                    }
                    assert_eq!(
                        found, wanted,
                        "{by:?} {from} {to} {steps} {limit} {order:?}"
                    );
                    // No page takes more steps than it may, and those to where it may rest.
                    let most = steps + usize::try_from(REST * OF_COMMIT).unwrap();
                    assert!(pages >= found.len() / limit.min(most));
                }
            }
        }
    }
}

/// Void commits: one as it comes about, the others by whoever has the key of an epoch that ended.
#[tokio::test]
async fn what_is_void_costs_no_question_its_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let (index, custody) = made(dir.path()).await;
    let ask = |from: u64, to: u64| {
        let query = Query {
            by: Vec::new(),
            from: Millis(from),
            to: Millis(to),
            order: Order::Oldest,
            after: None,
            limit: 10_000,
            steps: STEPS,
        };
        index.find(&custody, &query).unwrap()
    };
    let before = ask(START + 40_000, START + 42_000);
    assert!(before.rows.len() > 100);

    let subject = Subject::Observed(Generation::FIRST, custody.process());
    let late = time(COMMITS - 1).0;
    let voids = [late + 3_000, 0, u64::MAX / 2];
    for (seq, time) in (COMMITS + 1..).zip(voids) {
        let mut void = event(seq);
        void.told.as_mut().unwrap().outcome = Outcome::Void;
        let commit = Commit {
            seq: Seq(seq),
            time: Millis(time),
            subject,
            epochs: Vec::new(),
            events: vec![void],
        };
        let head = Head {
            seq: Seq(seq),
            ..Head::default()
        };
        let chains = Chains::from_heads([(subject, head)], Seq(seq));
        index.add(&[commit], &chains).unwrap();
    }
    let after = ask(START + 40_000, START + 42_000);
    assert_eq!(
        (after.rows.len(), after.steps),
        (before.rows.len(), before.steps)
    );
    let found = ask(late + 3_000, late + 3_001);
    let places: Vec<_> = found.rows.iter().map(|row| row.place.seq.0).collect();
    assert_eq!(places, [COMMITS + 1]);
    assert_eq!(ask(0, u64::MAX).rows.len() as u64, COMMITS * OF_COMMIT + 3);
}
