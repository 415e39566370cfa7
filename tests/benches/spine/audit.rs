//! Asking an audit index of very many resolutions, which are put straight into it.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use billfold::{
    node::{self, Backend},
    seal::NewShares,
};
use billfold_core::{
    Millis, cbor,
    event::{
        Actor, Event, Fact,
        v1::{Operation, ResolutionRequested},
    },
    id::{MountId, PrincipalId, ProcessId, RecordId, RequestId, Seq, TokenId},
    names::{RequestNames, request_names_place},
    subject::{Generation, Subject},
};
use billfold_projector::{
    audit::{self, Added, By, Commit, Index, Order, Outcome, Query, STEPS, Told},
    chain::Chains,
};
use billfold_streams::{custody::Custody, entropy::Os, replica::Head};
use billfold_tests::tools;

use super::load::{Silent, settings};

/// How many requests a commit holds.
const TOGETHER: u64 = 256;
/// How many commits are added at once: as many as make filling fast.
const COMMITS: u64 = 256;
const CREDENTIALS: u64 = 20_000;
const PRINCIPALS: u64 = 200;
/// How many requests an execution makes.
const OF_EXECUTION: u64 = 10;
/// How many of a thousand requests are denied.
const DENIED: u64 = 5;
/// Between the times of two commits, in milliseconds: some thirty days for ten million requests.
const PAUSE: u64 = 66_000;
const FROM: Millis = Millis(1_800_000_000_000);
/// What a page holds when nobody says.
const PAGE: usize = 1000;
/// How many times each kind of question is asked, about something else each time.
pub(crate) const TIMES: u64 = 40;

/// What was measured.
pub(crate) struct Asked {
    pub(crate) resolutions: u64,
    pub(crate) filled: Duration,
    pub(crate) bytes: u64,
    pub(crate) questions: Vec<Question>,
}

/// One kind of question.
pub(crate) struct Question {
    pub(crate) what: &'static str,
    pub(crate) rows: usize,
    pub(crate) first: Duration,
    pub(crate) median: Duration,
    pub(crate) worst: Duration,
}

/// Ids of the made-up world, each told by its number.
fn id(kind: u8, number: u64) -> [u8; 16] {
    let mut id = [kind; 16];
    id[8..].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    id
}

/// Mixes a number, so that what follows one another has nothing in common.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn record(number: u64) -> RecordId {
    RecordId::from_bytes(id(1, number % CREDENTIALS))
}

fn principal(number: u64) -> PrincipalId {
    PrincipalId::from_bytes(id(2, number % PRINCIPALS))
}

fn execution(number: u64) -> String {
    format!("run-{:016x}", mixed(number / OF_EXECUTION))
}

fn outcome(number: u64) -> Outcome {
    match mixed(number ^ 0x5555) % 1000 {
        0..DENIED => Outcome::Denied,
        DENIED..25 => Outcome::Absent,
        _ => Outcome::Permitted,
    }
}

pub(crate) async fn measure(resolutions: u64) -> Asked {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), None);
    let backend = Backend::open(&settings, true).await.unwrap();
    let shares = NewShares::Recovery(None);
    node::create(
        &settings,
        &backend,
        "bench-root-token",
        shares,
        Box::new(Silent),
    )
    .await
    .unwrap();
    let manager = billfold_upstreams::DevFile::open(&settings.dev_key(), false, &mut Os::new());
    let process = ProcessId::from_bytes(tools::random());
    let custody = Custody::open(backend.keys(), &manager.unwrap(), process).await;
    let custody = Arc::new(custody.unwrap());
    let folder = dir.path().join("made-up");
    let began = Instant::now();
    fill(&folder, &custody, resolutions).await;
    let filled = began.elapsed();
    eprintln!("the index is filled: {filled:?}");
    // As a node opens it: nothing of it is in memory but what the file system keeps.
    let index = audit::open(&folder, &custody, 16 << 20).await.unwrap();
    let bytes = index.size_on_disk();
    let questions = ask(&index, &custody, resolutions);
    Asked {
        resolutions,
        filled,
        bytes,
        questions,
    }
}

async fn fill(folder: &Path, custody: &Arc<Custody>, resolutions: u64) {
    let index = audit::open(folder, custody, 16 << 20).await.unwrap();
    let subject = Subject::Observed(Generation::FIRST, custody.process());
    let mut entropy = Os::new();
    let commits = resolutions.div_ceil(TOGETHER);
    let mut seq = 0;
    while seq < commits {
        let mut batch = Vec::new();
        for _ in 0..COMMITS.min(commits - seq) {
            let numbers = seq * TOGETHER..((seq + 1) * TOGETHER).min(resolutions);
            batch.push(Commit {
                seq: Seq(seq + 1),
                time: FROM.plus(seq * PAUSE),
                subject,
                epochs: vec![custody.epoch().id],
                events: numbers
                    .map(|n| event(&index, custody, n, &mut entropy))
                    .collect(),
            });
            seq += 1;
        }
        let head = Head {
            seq: Seq(seq),
            ..Head::default()
        };
        let chains = Chains::from_heads([(subject, head)], Seq(seq));
        index.add(&batch, &chains).unwrap();
    }
    index.flush().unwrap();
}

fn event(index: &Index, custody: &Custody, number: u64, entropy: &mut Os) -> Added {
    let request = RequestId::from_bytes(id(4, number));
    let (who, what) = (mixed(number / OF_EXECUTION), mixed(number));
    let (mount, answered) = (MountId::from_bytes(id(5, 0)), outcome(number));
    let execution = execution(number);
    let names = RequestNames {
        path: None,
        client: format!("10.0.{}.{}", who % 250, who % 241),
        execution: Some(execution.clone()),
    };
    let epoch = custody.epoch();
    let place = request_names_place(custody.wallet(), epoch.id, request);
    let sealed = epoch
        .request_names
        .seal(&place, &cbor::encode(&names), entropy);
    let team = format!("team-{}/", what % 97);
    Added {
        fact: Fact {
            actor: Actor::Principal(principal(who), TokenId::from_bytes(id(3, who % PRINCIPALS))),
            command: None,
            event: Event::ResolutionRequested(ResolutionRequested {
                request,
                operation: Operation::ReadData,
                mount: Some(mount),
                record: Some(record(what)),
                version: None,
                wrap_ttl: None,
                names: Default::default(),
            }),
        },
        names: Some(sealed.into()),
        told: Some(Told {
            outcome: answered,
            version: (answered == Outcome::Permitted).then_some(1),
            policies: vec!["team".to_owned()],
        }),
        execution: Some(execution),
        folders: vec![*mount.as_bytes(), index.folder(mount, &team)],
    }
}

fn ask(index: &Index, custody: &Custody, resolutions: u64) -> Vec<Question> {
    let all = (Millis(0), Millis(u64::MAX));
    let hour = |turn: u64| {
        let span = resolutions / TOGETHER * PAUSE;
        let from = FROM.plus(mixed(turn) % span);
        (from, from.plus(3_600_000))
    };
    let day = |turn: u64| (hour(turn).0, hour(turn).0.plus(86_400_000));
    let denied = By::Outcome(Outcome::Denied);
    // Each is about something of a request that there is.
    let some = |turn: u64| mixed(turn) % resolutions;
    type Wish<'a> = (
        &'static str,
        Box<dyn Fn(u64) -> (Vec<By>, (Millis, Millis)) + 'a>,
    );
    let wishes: Vec<Wish<'_>> = vec![
        (
            "credential",
            Box::new(|turn| (vec![By::Record(record(mixed(some(turn))))], all)),
        ),
        (
            "principal",
            Box::new(|turn| {
                (
                    vec![By::Principal(principal(mixed(some(turn) / OF_EXECUTION)))],
                    all,
                )
            }),
        ),
        (
            "execution",
            Box::new(|turn| (vec![By::Execution(execution(some(turn)))], all)),
        ),
        (
            "outcome denied, one day",
            Box::new(|turn| (vec![denied.clone()], day(turn))),
        ),
        (
            "credential and outcome denied",
            Box::new(|turn| {
                (
                    vec![By::Record(record(mixed(some(turn)))), denied.clone()],
                    all,
                )
            }),
        ),
        (
            "principal and outcome denied, one day",
            Box::new(|turn| {
                let who = principal(mixed(some(turn) / OF_EXECUTION));
                (vec![By::Principal(who), denied.clone()], day(turn))
            }),
        ),
        (
            "everything, one hour",
            Box::new(|turn| (Vec::new(), hour(turn))),
        ),
    ];
    let mut questions = Vec::new();
    for (what, wish) in wishes {
        let (mut took, mut rows) = (Vec::new(), 0);
        for turn in 0..TIMES {
            let (by, (from, to)) = wish(turn);
            let order = if turn % 2 == 0 {
                Order::Newest
            } else {
                Order::Oldest
            };
            let query = Query {
                by,
                from,
                to,
                order,
                after: None,
                limit: PAGE,
                steps: STEPS,
            };
            let began = Instant::now();
            let page = index.find(custody, &query).unwrap();
            took.push(began.elapsed());
            assert!(page.next.is_none() || page.rows.len() == PAGE, "{what}");
            rows = rows.max(page.rows.len());
        }
        let first = took[0];
        took.sort_unstable();
        questions.push(Question {
            what,
            rows,
            first,
            median: took[took.len() / 2],
            worst: took[took.len() - 1],
        });
    }
    questions
}
