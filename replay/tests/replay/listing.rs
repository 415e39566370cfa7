//! `log`: what is told of each event, and what is not.

use billfold_core::{command::What, id::Seq, moment::Moment};
use billfold_replay::{
    Error, Source,
    log::{Line, Name, Query, log},
    write_json, write_line,
};

use crate::fixture::{CLIENT, ROOT, Wallet, put, rename};

async fn lines(source: &Source, range: Query) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut each = |line: &Line| {
        lines.push(line.clone());
        Ok(())
    };
    log(source, &range, &mut each).await.unwrap();
    lines
}

pub async fn all(wallet: &Wallet, names: bool) -> Vec<Line> {
    let range = Query {
        names,
        ..Query::default()
    };
    lines(&wallet.source().await, range).await
}

pub fn text(lines: &[Line]) -> String {
    let mut out = Vec::new();
    for line in lines {
        write_line(&mut out, line).unwrap();
        write_json(&mut out, line).unwrap();
    }
    String::from_utf8(out).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn inv03_a_listing_tells_what_was_answered() {
    let wallet = Wallet::new().await.lived_in().await;
    let lines = all(&wallet, false).await;
    let verdicts: Vec<_> = lines
        .iter()
        .filter_map(|line| line.answer.clone())
        .collect();
    // In the order of `lived_in`, which compares each with what the node answered.
    let expected = [
        ("permitted", Some(5)),
        ("absent", None),
        ("absent", None),
        ("denied", None),
        ("deleted", Some(4)),
        ("permitted", Some(1)),
        ("absent", None),
    ];
    let found: Vec<_> = verdicts.iter().map(|a| (a.verdict, a.version)).collect();
    assert_eq!(found, expected);
    let sequences: Vec<u64> = lines.iter().map(|line| line.sequence.0).collect();
    assert!(sequences.is_sorted());
    assert_eq!(sequences[0], 1);
    let created: Vec<_> = lines
        .iter()
        .take(3)
        .map(|line| (line.index, line.event))
        .collect();
    assert_eq!(
        created,
        [(0, "WalletCreated"), (1, "KekCreated"), (2, "MountEnabled")]
    );
    let fifth = lines.iter().rfind(|line| !line.trimmed.is_empty()).unwrap();
    assert_eq!(
        (&fifth.versions[..], &fifth.trimmed[..]),
        (&[5][..], &[2][..])
    );
    assert!(
        lines
            .iter()
            .any(|line| line.refused == Some(1) && line.subject == "observed")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn inv04_no_name_unless_asked_for_and_never_a_payload() {
    let wallet = Wallet::new().await.lived_in().await;
    let silent = text(&all(&wallet, false).await);
    let telling = text(&all(&wallet, true).await);
    for name in [
        "app/",
        "secret/",
        "gone/soon",
        "no/such",
        CLIENT,
        "execution-9",
    ] {
        assert!(!silent.contains(name), "{name}");
    }
    // The search itself works: the same words are there when they are asked for.
    for name in ["app/db", "secret/", "no/such", CLIENT, "execution-9"] {
        assert!(telling.contains(name), "{name}");
    }
    for text in [silent, telling] {
        assert!(!text.contains("canary"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv07_erased_names_are_told_as_erased() {
    let wallet = Wallet::new().await.lived_in().await;
    let gone = wallet.record("gone/soon");
    let lines = all(&wallet, true).await;
    let about = |record| lines.iter().filter(move |line| line.record == Some(record));
    let open = |path: &str| Some(Name::Open(path.to_owned()));
    for line in about(gone) {
        match line.request {
            // What does not exist when it is asked for is known by the request alone.
            Some(_) if line.answer.as_ref().is_some_and(|a| a.verdict == "absent") => {
                assert_eq!(line.path, open("gone/soon"));
            }
            _ => assert_eq!(line.path, Some(Name::Erased), "{line:?}"),
        }
    }
    assert!(about(gone).count() >= 4);
    assert!(about(wallet.record("brief")).all(|line| line.path == Some(Name::Erased)));
    assert!(about(wallet.record("new")).all(|line| line.path == open("new")));
    let db: Vec<_> = about(wallet.record("app/db")).collect();
    assert!(db.len() > 10);
    for line in db {
        assert_eq!(line.path, open("app/db"));
        assert_eq!(line.mount_path, open("secret/"));
    }
    // The first name of `app/api` was replaced, and its key destroyed with it.
    let api: Vec<_> = about(wallet.record("app/api"))
        .map(|line| line.path.clone())
        .collect();
    assert_eq!(api, [Some(Name::Erased), open("app/api")]);
    let told = text(&lines);
    assert!(told.contains("path=(erased)") && told.contains("\"path\":null"));
    assert!(told.contains("path=\"secret/app/db\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_may_hold_anything_and_stay_in_their_quotes() {
    let wallet = Wallet::new().await;
    wallet.put("a\u{1b}[2J\" verdict=denied\n").await;
    let told = text(&all(&wallet, true).await);
    assert!(told.contains(r#"path="secret/a\u{1b}[2J\" verdict=denied\n""#));
    assert!(!told.contains('\u{1b}'));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_tells_the_same_as_the_whole() {
    let wallet = Wallet::new().await.lived_in().await;
    let whole = all(&wallet, true).await;
    let range = Query {
        from: Some(Moment::Seq(Seq(6))),
        to: Some(Moment::Seq(Seq(20))),
        names: true,
        ..Query::default()
    };
    let part = lines(&wallet.source().await, range).await;
    let expected: Vec<_> = whole
        .into_iter()
        .filter(|line| (6..=20).contains(&line.sequence.0))
        .collect();
    assert!(expected.len() >= 15);
    assert_eq!(text(&part), text(&expected));
    let backwards = Query {
        from: Some(Moment::Seq(Seq(3))),
        to: Some(Moment::Seq(Seq(2))),
        ..Query::default()
    };
    let refused = log(&wallet.source().await, &backwards, &mut |_| Ok(())).await;
    assert!(matches!(refused, Err(Error::Usage(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_those_of_their_place_within_a_commit_too() {
    let wallet = Wallet::new().await;
    // A first version, new names for it, another version and other names: in one commit.
    wallet
        .change(vec![
            ("a", put("a")),
            ("a", rename("second")),
            ("a", put("a")),
            ("a", rename("third")),
        ])
        .await;
    assert_eq!(wallet.read(ROOT, "a", None).await, "permitted");
    wallet.change(vec![("a", What::DeleteCurrent)]).await;
    wallet.swept().await;
    let lines = all(&wallet, true).await;
    let record = wallet.record("a");
    let paths = lines.iter().filter(|line| line.record == Some(record));
    let paths: Vec<_> = paths.map(|line| line.path.clone().unwrap()).collect();
    let third = || Name::Open("third".to_owned());
    // The names before were given up with their keys.
    let expected = [
        Name::Erased,
        Name::Erased,
        Name::Erased,
        third(),
        third(),
        third(),
    ];
    assert_eq!(paths, expected);
}
