//! What the command tells beside what it was asked for: why there is nothing, and which moment it was.

use std::process::Output;

use crate::{
    command::{code, run, stderr, stdout},
    fixture::Wallet,
};

fn on(wallet: &Wallet, args: &[&str]) -> Output {
    let dir = wallet.dir.path().to_str().unwrap();
    let told = run(&[args, &["--data-dir", dir]].concat());
    assert_eq!(code(&told), 0, "{args:?}: {}", stderr(&told));
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_log_does_not_know_is_no_evidence_that_nobody_asked() {
    let wallet = Wallet::new().await.lived_in().await.stopped().await;
    let csv = ["export", "--format", "csv", "--to", "stdout"];
    for (option, value, is_known) in [
        ("--path", "app/db", false),
        ("--path", "nosuch/app", false),
        ("--path", "secret/app/dbx", false),
        ("--path", "secret/apple/", false),
        ("--path", "secret/app/db", true),
        ("--path", "secret/app/", true),
        ("--path", "secret/", true),
        // It was asked for, though it is not there.
        ("--path", "secret/no/such", true),
        ("--principal", "123456", false),
        ("--principal", "1111", true),
        ("--token", "123456", false),
        ("--token", "2222", true),
    ] {
        let filter = [option, value];
        // Nothing of it passes the other filters, whatever is known.
        let none = ["--from", "1000000"];
        for args in [
            [&["log", "--json"][..], &filter, &none].concat(),
            [&csv[..], &filter, &none].concat(),
        ] {
            let told = on(&wallet, &args);
            let what = format!("{option}: no event of this log is ");
            let is_told = stderr(&told).contains(&what);
            assert_eq!(is_told, !is_known, "{args:?}: {}", stderr(&told));
            assert!(!stderr(&told).contains(value), "{}", stderr(&told));
        }
        let alone = on(&wallet, &[&["log", "--json"][..], &filter].concat());
        assert_eq!(stdout(&alone).is_empty(), !is_known, "{filter:?}");
        assert_eq!(stderr(&alone).is_empty(), is_known, "{}", stderr(&alone));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_is_told_as_it_was_asked_for() {
    let wallet = Wallet::new().await;
    wallet.put("app").await;
    let decided = wallet.node().keychain.view().meta().head.seq;
    wallet.refuse().await;
    let asked = decided.next();
    let wallet = wallet.stopped().await;
    let first = |told: Output| stdout(&told).lines().next().unwrap().to_owned();
    let (at, last) = (asked.to_string(), decided.to_string());
    let told = first(on(&wallet, &["at", &at, "mounts"]));
    let place = format!("{asked} (the last decided is {decided}), ");
    assert!(told.starts_with(&format!("at sequence {place}")), "{told}");
    let told = first(on(&wallet, &["at", &last, "mounts"]));
    assert!(
        told.starts_with(&format!("at sequence {decided}, ")),
        "{told}"
    );
    let told = first(on(&wallet, &["diff", "1", &at, "mounts"]));
    assert!(told.starts_with("from sequence 1, "), "{told}");
    assert!(told.contains(&format!(" to sequence {place}")), "{told}");
}

#[test]
fn the_help_of_each_command_is_its_own() {
    let of = |args: &[&str]| {
        stdout(&run(args))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert!(of(&["log", "--help"]).contains("unknown; and void"));
    assert!(of(&["log", "--help"]).contains("A commit of checkpoints has no event"));
    assert!(of(&["at", "--help"]).contains("GET /api/internal/wallet/key-status"));
    let diff = of(&["diff", "--help"]);
    assert!(diff.contains("added, removed and changed") && !diff.contains("key-status alone"));
}
