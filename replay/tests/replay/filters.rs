//! `log` with filters: what passes is what passes by hand, and nothing that is erased is lost.

use std::time::Duration;

use billfold_core::{Millis, event::Event, event::v1::Operation, id::Seq, moment::Moment};
use billfold_replay::{
    Error, Row, csv_row,
    log::{Filter, Kind, Line, Listing, Name, Query, log},
};
use serde_json::Value;

use crate::{
    fixture::{MOUNT, ROOT, TOKEN, Wallet, put},
    listing::all,
};

async fn filtered(wallet: &Wallet, filter: Filter) -> Vec<(Seq, usize)> {
    let mut found = Vec::new();
    let query = Query {
        filter,
        ..Query::default()
    };
    let mut each = |line: &Line| {
        assert!(line.path.is_none() && line.client.is_none() && line.mount_path.is_none());
        found.push((line.sequence, line.index));
        Ok(())
    };
    log(&wallet.source().await, &query, &mut each)
        .await
        .unwrap();
    found
}

fn by_hand(lines: &[Line], passes: impl Fn(&Line) -> bool) -> Vec<(Seq, usize)> {
    let passed = lines.iter().filter(|line| passes(line));
    passed.map(|line| (line.sequence, line.index)).collect()
}

fn told(line: &Line) -> Option<String> {
    match (&line.mount_path, &line.path) {
        (Some(Name::Open(mount)), Some(Name::Open(path))) => Some(format!("{mount}{path}")),
        (Some(Name::Open(mount)), None) => Some(mount.clone()),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_what_passes_by_hand() {
    let wallet = Wallet::new().await.lived_in().await;
    let lines = all(&wallet, true).await;
    let filter = |change: &dyn Fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        filter
    };
    let record = |path: &str| Some(wallet.record(path));
    let cases: Vec<(Filter, Vec<(Seq, usize)>)> = vec![
        (Filter::default(), by_hand(&lines, |_| true)),
        (
            filter(&|f| f.kinds = vec!["CredentialWritten".parse().unwrap()]),
            by_hand(&lines, |line| line.event == "CredentialWritten"),
        ),
        (
            filter(&|f| {
                f.kinds = vec![
                    "read-data".parse().unwrap(),
                    "mountenabled".parse().unwrap(),
                ];
            }),
            by_hand(&lines, |line| {
                line.operation == Some("read-data") || line.event == "MountEnabled"
            }),
        ),
        (
            filter(&|f| f.outcomes = vec!["allowed".parse().unwrap(), "denied".parse().unwrap()]),
            by_hand(&lines, |line| {
                let verdict = line.answer.as_ref().map(|answer| answer.verdict);
                matches!(verdict, Some("permitted" | "denied"))
            }),
        ),
        (
            filter(&|f| f.principal = Some("9999".parse().unwrap())),
            by_hand(&lines, |line| {
                line.principal
                    .is_some_and(|id| id.to_string().starts_with("99"))
            }),
        ),
        (
            filter(&|f| f.token = Some(TOKEN.to_string().parse().unwrap())),
            by_hand(&lines, |line| line.token == Some(TOKEN)),
        ),
        (
            filter(&|f| f.execution = Some("execution-9".to_owned())),
            by_hand(&lines, |line| line.execution.is_some()),
        ),
        (
            filter(&|f| f.path = Some("secret/".parse().unwrap())),
            // Where names are erased, the blinded mount says it.
            by_hand(&lines, |line| {
                line.record.is_some() || line.mount == Some(MOUNT)
            }),
        ),
        (
            filter(&|f| f.path = Some("secret/app/".parse().unwrap())),
            by_hand(&lines, |line| {
                line.record == record("app/db") || line.record == record("app/api")
            }),
        ),
        (
            filter(&|f| f.path = Some("secret/app/db".parse().unwrap())),
            by_hand(&lines, |line| line.record == record("app/db")),
        ),
        (
            filter(&|f| {
                f.path = Some("secret/app/db".parse().unwrap());
                f.outcomes = vec!["deleted".parse().unwrap()];
            }),
            by_hand(&lines, |line| {
                line.answer
                    .as_ref()
                    .is_some_and(|answer| answer.verdict == "deleted")
            }),
        ),
        (
            filter(&|f| f.path = Some("secret/no".parse().unwrap())),
            Vec::new(),
        ),
        (
            filter(&|f| f.path = Some("other/app/".parse().unwrap())),
            Vec::new(),
        ),
    ];
    for (number, (filter, expected)) in cases.into_iter().enumerate() {
        assert_eq!(filtered(&wallet, filter).await, expected, "case {number}");
        assert!(!expected.is_empty() || number > 10, "case {number} is idle");
    }
    // What tells the expectation is there: these names are not erased.
    let named = by_hand(&lines, |line| {
        told(line).is_some_and(|path| path.starts_with("secret/app/"))
    });
    assert!(named.len() > 8, "{}", named.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn inv07_a_path_that_is_erased_is_found_by_itself_and_told_to_nobody() {
    let wallet = Wallet::new().await.lived_in().await;
    let lines = all(&wallet, true).await;
    let record = wallet.record("gone/soon");
    let of_it: Vec<_> = lines.iter().filter(|l| l.record == Some(record)).collect();
    let erased = of_it.iter().filter(|l| l.path == Some(Name::Erased));
    assert!(erased.count() >= 3, "{of_it:?}");
    let filter = Filter {
        path: Some("secret/gone/soon".parse().unwrap()),
        ..Filter::default()
    };
    let expected: Vec<_> = of_it.iter().map(|l| (l.sequence, l.index)).collect();
    assert_eq!(filtered(&wallet, filter).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_bound_a_listing_as_sequences_do() {
    let wallet = Wallet::new().await.lived_in().await;
    let lines = all(&wallet, false).await;
    let times: Vec<Millis> = lines.iter().map(|line| line.time).collect();
    let (from, to) = (times[times.len() / 3], times[times.len() * 2 / 3]);
    let query = Query {
        from: Some(Moment::Time(from)),
        to: Some(Moment::Time(to)),
        ..Query::default()
    };
    let mut found = Vec::new();
    let mut each = |line: &Line| {
        found.push((line.sequence, line.index));
        Ok(())
    };
    log(&wallet.source().await, &query, &mut each)
        .await
        .unwrap();
    let expected = by_hand(&lines, |line| (from..=to).contains(&line.time));
    assert!(!expected.is_empty() && expected.len() < lines.len());
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_has_allowed_fields_alone() {
    let wallet = Wallet::new().await.lived_in().await;
    wallet
        .change(vec![("=evil,\"x\"", put("=evil,\"x\""))])
        .await;
    assert_eq!(wallet.read(ROOT, "=evil,\"x\"", None).await, "permitted");
    let (id, lines) = (wallet.source().await.wallet(), all(&wallet, true).await);
    let mut fields = std::collections::BTreeSet::new();
    for line in &lines {
        let row = Row::of(id, line);
        let Value::Object(told) = serde_json::to_value(&row).unwrap() else {
            panic!("a row is an object");
        };
        for field in told.keys() {
            assert!(billfold_replay::FIELDS.contains(&field.as_str()), "{field}");
            fields.insert(field.clone());
        }
        let cells = csv_row(&row).unwrap();
        assert!(cells.ends_with("\r\n") && cells.matches('\n').count() == 1);
        if row.path.as_deref() == Some("secret/=evil,\"x\"") {
            assert!(cells.contains(",\"secret/=evil,\"\"x\"\"\","), "{cells}");
        }
    }
    assert!(fields.len() > 20, "{fields:?}");
    let operations = Operation::all().count();
    assert_eq!(Kind::all().count(), Event::KINDS.len() + operations);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_silent_for_long_is_still_followed() {
    let wallet = Wallet::new().await;
    let source = wallet.source().await;
    let impatient = source.with_patience(Duration::from_millis(20));
    let mut listing = Listing::start(&impatient, Query::default()).await.unwrap();
    let following = async {
        loop {
            while listing.next().await?.is_some() {}
            listing.wait().await?;
        }
    };
    // Many times the patience, and it neither ends nor fails.
    let limit = Duration::from_millis(400);
    let silence: Result<Result<(), Error>, _> = tokio::time::timeout(limit, following).await;
    assert!(silence.is_err(), "{silence:?}");

    let source = wallet.source().await;
    let mut listing = Listing::start(&source, Query::default()).await.unwrap();
    while listing.next().await.unwrap().is_some() {}
    let (waited, put) = tokio::join!(listing.wait(), wallet.put("app/db"));
    assert!(waited.unwrap());
    let mut last = Seq::ZERO;
    while last < put.seq {
        match listing.next().await.unwrap() {
            Some(told) => last = told.sequence,
            None => assert!(listing.wait().await.unwrap()),
        }
    }
    // What was asked for may end.
    let query = Query {
        to: Some(Moment::Seq(last)),
        ..Query::default()
    };
    let mut listing = Listing::start(&source, query).await.unwrap();
    while listing.next().await.unwrap().is_some() {}
    assert!(!listing.wait().await.unwrap());
}
