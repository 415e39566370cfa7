//! A random life of a wallet: what `billfold-replay at` and `diff` tell of its moments is what the server
//! answered there (invariants 1 and 8).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![allow(missing_docs, unreachable_pub)]

#[path = "moments/life.rs"]
mod life;
#[path = "moments/recorded.rs"]
mod recorded;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use billfold_core::{id::Seq, moment::Moment};
use billfold_replay::{
    Place, Source,
    past::{Diff, Part, Past, Then},
    source::Nats,
};
use billfold_tests::{
    on_both_backends,
    tools::{self, Rng},
    wallet::{Backend, Wallet},
};
use serde_json::{Value, json};

use self::{
    life::Life,
    recorded::{Answer, Asked, Record},
};

const COMMANDS: u64 = 2_000;
/// After how many commands the server is asked about everything.
const EVERY: u64 = 50;
const PATIENCE: Duration = Duration::from_secs(120);

async fn source(wallet: &Wallet) -> Source {
    let place = Place {
        data_dir: Some(wallet.node.data_dir().to_owned()),
        nats: wallet.nats.as_ref().map(|nats| Nats {
            url: nats.url(),
            credentials: None,
            ca_file: None,
        }),
        key_file: Some(wallet.node.key_file().to_owned()),
        bundle: None,
        auditor_key: None,
    };
    Source::open(&place).await.unwrap()
}

/// What was true at each sequence that an answer is of, by the log.
async fn past(source: &Source, record: &Record) -> BTreeMap<u64, Then> {
    let mut past = Past::start(source).await.unwrap();
    let mut moments = BTreeMap::new();
    for (sequence, answers) in record.by_sequence() {
        let at = Moment::Seq(Seq(sequence));
        past.go_to(at, &mut |_, _| {}).await.unwrap();
        let mut parts: Vec<Part> = answers.iter().map(|answer| answer.asked.part()).collect();
        parts.sort_unstable();
        parts.dedup();
        moments.insert(sequence, past.tell(&parts).await.unwrap());
    }
    moments
}

async fn until_swept(wallet: &Wallet) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = recorded::key_status(wallet).await.body;
        if status["erasures"]["destroying"] == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "not swept: {status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn inv01_the_past_is_what_was_answered(backend: Backend) {
    let wallet = Wallet::serve_with(backend, |builder| {
        builder.env("BILLFOLD_PRINCIPAL_PER_SECOND", "100000")
    })
    .await;
    let (mut life, mut record) = (
        Life::new(Rng::new(tools::seed(), "moments")),
        Record::default(),
    );
    record.ask(&wallet, &life).await;
    for number in 1..=COMMANDS {
        life.go_on(&wallet).await;
        if number % EVERY == 0 {
            record.ask(&wallet, &life).await;
        }
    }
    assert!(life.done > COMMANDS * 2 / 3, "{} were done", life.done);
    until_swept(&wallet).await;
    record.ask(&wallet, &life).await;

    let source = source(&wallet).await;
    let moments = past(&source, &record).await;
    let (mut compared, mut open) = (BTreeMap::new(), 0);
    for (sequence, answers) in record.by_sequence() {
        for answer in answers {
            let rows = moments[&sequence].part(answer.asked.part()).unwrap();
            open += answer.compare(rows, &record);
            *compared.entry(answer.asked.part()).or_insert(0) += 1;
        }
    }
    for part in Part::ALL {
        assert!(compared[&part] > 30, "{part}: {compared:?}");
    }
    assert!(open > 400, "only {open} names are still known");
    differences(&record, &moments);
    commands(&wallet, &record, &moments).await;
}

/// What differs between moments by the log is what differs between the answers.
fn differences(record: &Record, moments: &BTreeMap<u64, Then>) {
    let mut compared = 0;
    for asked in [
        Asked::Accessors,
        Asked::Policies,
        Asked::Roles,
        Asked::Holds,
    ] {
        let answers: Vec<(u64, &Answer)> = record.of(asked).collect();
        for pair in answers.windows(2).chain(answers.windows(answers.len())) {
            let ((from, before), (to, after)) = (pair[0], pair[pair.len() - 1]);
            let diff = Diff::between(moments[&from].clone(), moments[&to].clone());
            let told = diff.parts.iter().find(|(part, _)| *part == asked.part());
            let told = &told.unwrap().1;
            let (before, after) = (before.ids(), after.ids());
            let ids = |rows: &[billfold_replay::past::Row]| {
                rows.iter().map(|row| row.id.clone()).collect::<Vec<_>>()
            };
            let new: Vec<_> = after.difference(&before).cloned().collect();
            let gone: Vec<_> = before.difference(&after).cloned().collect();
            assert_eq!(ids(&told.added), new, "{asked:?} {from} {to}");
            assert_eq!(ids(&told.removed), gone, "{asked:?} {from} {to}");
            compared += new.len() + gone.len();
        }
    }
    assert!(compared > 40, "{compared}");
    // Fields, where the answer has the rows that the part has.
    let statuses: Vec<_> = record.of(Asked::KeyStatus).collect();
    let mut changed = 0;
    for pair in statuses.windows(2) {
        let ((from, before), (to, after)) = (pair[0], pair[1]);
        let diff = Diff::between(moments[&from].clone(), moments[&to].clone());
        let told = diff.parts.iter().find(|(part, _)| *part == Part::KeyStatus);
        let told = &told.unwrap().1;
        for (number, (old, new)) in versions(before)
            .into_iter()
            .zip(versions(after))
            .enumerate()
        {
            let id = format!("version {}", number + 1);
            let fields = told.changed.iter().find(|row| row.id == id);
            for field in ["state", "used", "live", "dying", "erased"] {
                let found = fields.and_then(|row| row.fields.get(field));
                let expected = (old[field] != new[field]).then(|| (&old[field], &new[field]));
                assert_eq!(found.map(|found| (&found.from, &found.to)), expected);
                changed += usize::from(expected.is_some());
            }
        }
        let known = versions(before).len();
        assert_eq!(told.added.len(), versions(after).len() - known);
    }
    assert!(changed > 60, "{changed}");
}

fn versions(status: &Answer) -> Vec<&Value> {
    status.body["versions"].as_array().unwrap().iter().collect()
}

/// The commands tell what the library does.
async fn commands(wallet: &Wallet, record: &Record, moments: &BTreeMap<u64, Then>) {
    let of_all = record.of(Asked::Accessors).map(|(sequence, _)| sequence);
    let sequences: Vec<u64> = of_all.collect();
    let (first, last) = (sequences[0], sequences[sequences.len() - 1]);
    let [from, to] = [first, last].map(|sequence| sequence.to_string());
    let told = async |args: &[&str]| {
        let ended = wallet.replay(args).await.unwrap();
        ended.success().unwrap().stdout
    };
    let at = told(&["at", &from, "tokens", "--json"]).await;
    let at: Value = serde_json::from_str(&at).unwrap();
    let rows = moments[&first].part(Part::Tokens).unwrap();
    assert_eq!(at["tokens"], json!(rows));
    assert_eq!(at["sequence"], first);
    assert_eq!(at["time"], moments[&first].time.to_string());

    let all: Value = serde_json::from_str(&told(&["at", &to, "--json"]).await).unwrap();
    for part in Part::ALL {
        assert!(!all[part.field()].is_null(), "{part}");
    }
    assert_eq!(
        all["tokens"],
        json!(moments[&last].part(Part::Tokens).unwrap())
    );
    let text = told(&["at", &to]).await;
    for part in Part::ALL {
        assert!(text.contains(&format!("\n{part}")), "{part}");
    }

    let diff = told(&["diff", &from, &to, "tokens", "--json"]).await;
    let diff: Value = serde_json::from_str(&diff).unwrap();
    let tokens = |sequence: u64| {
        let mut then = moments[&sequence].clone();
        then.parts.retain(|(part, _)| *part == Part::Tokens);
        then
    };
    assert_eq!(diff, json!(Diff::between(tokens(first), tokens(last))));
    let text = told(&["diff", &from, &to]).await;
    assert!(text.contains("\n+ ") && text.contains("\n~ "), "{text}");
    let same = told(&["diff", &to, &to]).await;
    assert!(same.ends_with("nothing differs\n"), "{same}");
    let backwards = wallet.replay(&["diff", &to, &from]).await.unwrap();
    assert_eq!(backwards.code, 1);
    assert!(backwards.stderr.contains(&format!("{from} is before {to}")));
}

on_both_backends! { inv01_the_past_is_what_was_answered }
