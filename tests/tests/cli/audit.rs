//! `billfold audit`, against `billfold`.

use billfold_tests::{
    cli::Cli,
    wallet::{Backend, Wallet},
};
use serde_json::Value;

pub async fn who_read_what_is_told_with_its_answer(backend: Backend) {
    let wallet = Wallet::dev(backend).await;
    let cli = Cli::root(&wallet.node);
    for path in ["secret/team/a", "secret/team/a", "secret/app"] {
        let put = cli.run_with(&["put", path, "k=-"], "v").await;
        put.success().unwrap();
    }
    for _ in 0..3 {
        cli.ok(&["get", "secret/team/a", "--show"]).await;
    }
    assert_eq!(cli.run(&["get", "secret/team/none"]).await.code, 2);

    let rows = |told: &Value| told["rows"].as_array().unwrap().clone();
    let reads = ["audit", "secret/team/a", "--operation=read-data"];
    let told = cli.json(&reads).await;
    assert!(told["next"].is_null(), "{told}");
    let same = cli.ok(&[&reads[..], &["--json"]].concat()).await;
    assert_eq!(serde_json::from_str::<Value>(&same).unwrap(), told);
    let told = rows(&told);
    assert_eq!(told.len(), 3);
    for row in &told {
        assert_eq!(
            (&row["outcome"], &row["version"]),
            (&"permitted".into(), &2.into())
        );
        assert_eq!(
            (&row["credential"], &row["display_name"]),
            (&"team/a".into(), &"root".into())
        );
    }
    // Some at a time, the newest first, and on from where an answer ended.
    let newest = cli
        .json(&[&reads[..], &["--newest", "--limit", "2"]].concat())
        .await;
    assert_eq!(rows(&newest), [told[2].clone(), told[1].clone()]);
    let next = newest["next"].as_str().unwrap();
    let rest = cli
        .json(&[&reads[..], &["--newest", "--after", next]].concat())
        .await;
    assert_eq!(rows(&rest), told[..1]);
    let absent = cli
        .json(&["audit", "secret/team/", "--outcome=absent"])
        .await;
    assert_eq!(rows(&absent)[0]["credential"], "team/none");
    let id = told[0]["record"].as_str().unwrap();
    let by = told[0]["token"].as_str().unwrap();
    let same = [
        "audit",
        "--record",
        id,
        "--worker",
        by,
        "--event=ResolutionRequested",
        "--operation=read-data",
        "--from=2020-01-01T00:00:00Z",
    ];
    assert_eq!(rows(&cli.json(&same).await), told);

    let table = cli
        .ok(&["audit", "secret/team/", "--newest", "--limit=9"])
        .await;
    for part in [
        "NEXT",
        "PLACE",
        "read-data",
        "secret/team/a",
        "secret/team/none",
        "absent",
        "root",
    ] {
        assert!(
            table.to_uppercase().contains(&part.to_uppercase()),
            "{part}: {table}"
        );
    }
    let wrong = cli.run(&["audit", "--outcome", "nightjar"]).await;
    assert_eq!((wrong.code, wrong.stdout.as_str()), (2, ""));
    assert!(
        wrong.stderr.contains("outcome is permitted, denied"),
        "{}",
        wrong.stderr
    );
    assert!(!wrong.stderr.contains("nightjar"), "{}", wrong.stderr);
    let both = cli.run(&["audit", "secret/app", "--record", id]).await;
    assert_eq!(both.code, 1);
}
