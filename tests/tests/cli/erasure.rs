//! `billfold erase`, `erasures` and `hold`, against `billfold`.

use std::time::{Duration, Instant};

use billfold_tests::{
    cli::Cli,
    wallet::{Backend, Wallet},
};
use serde_json::json;
use tokio::time::sleep;

pub async fn what_is_erased_is_told_by_its_receipt(backend: Backend) {
    let wallet = Wallet::dev(backend).await;
    let cli = Cli::root(&wallet.node);
    for path in ["team/a", "team/a", "team/b", "app"] {
        let path = format!("secret/{path}");
        let put = cli.run_with(&["put", &path, "k=-"], "v").await;
        put.success().unwrap();
    }
    // A hold stands in the way until it is lifted.
    let placed = ["hold", "place", "secret/team/", "--reason", "a lawsuit"];
    let hold = cli.json(&placed).await;
    let id = hold["id"].as_str().unwrap();
    let listed = cli.ok(&["hold", "list"]).await;
    assert!(
        listed.starts_with("ID") && listed.contains(id) && listed.contains("a lawsuit"),
        "{listed}"
    );
    assert_eq!(cli.json(&["hold", "list"]).await["holds"], json!([hold]));
    let order = ["erase", "secret/team/", "--reason", "they left"];
    let refused = cli.run(&order).await;
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""));
    assert!(refused.stderr.contains(id), "{}", refused.stderr);
    let lifted = cli.ok(&["hold", "lift", id]).await;
    assert!(lifted.contains("lifted"), "{lifted}");
    assert_eq!(cli.run(&["hold", "lift", id]).await.code, 2);

    let erased = cli.ok(&order).await;
    for told in ["secret/team/a", "all (1,2)", "secret/team/b", "they left"] {
        assert!(erased.contains(told), "{told}: {erased}");
    }
    let nothing = cli.run(&order).await;
    assert!(
        nothing.code == 2 && nothing.stderr.contains("there is nothing to erase"),
        "{nothing:?}"
    );
    let all = cli.json(&["erasures"]).await;
    let erasure = all["erasures"][0]["id"].as_str().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    let receipt = loop {
        let receipt = cli.json(&["erasures", erasure]).await;
        if receipt["state"] == "pending" {
            break receipt;
        }
        assert!(Instant::now() < deadline, "{receipt}");
        sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(receipt["keys"], 5);
    let table = cli.ok(&["erasures", erasure]).await;
    for told in ["pending", "they left", "(erased)", "outcome"] {
        assert!(table.contains(told), "{told}: {table}");
    }
    assert!(!table.contains("team"), "{table}");
    let table = cli.ok(&["erasures"]).await;
    assert!(
        table.starts_with("ID") && table.lines().count() == 2,
        "{table}"
    );
    // Of one secret: an order for a version, then the end of it.
    let order = ["erase", "secret/app", "--versions", "1", "--reason=leaked"];
    let erased = cli.json(&order).await;
    assert_eq!(erased["receipts"][0]["records"][0]["versions"], json!([1]));
    cli.ok(&["rm", "secret/app", "--metadata"]).await;
    let of_it = cli.json(&["erasures", "secret/app"]).await;
    let what: Vec<_> = of_it["erasures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|receipt| receipt["what"].clone())
        .collect();
    assert_eq!(what, [json!("erased"), json!("removed")]);
    let table = cli.ok(&["erasures", "secret/app"]).await;
    assert!(
        table.contains("removed") && table.contains("all"),
        "{table}"
    );
    // Mistakes are told before anything is sent, or in the server's words.
    for args in [
        &["erase", "secret/app"][..],
        &["hold", "place", "secret/app"],
        &["erase", "secret/app", "--reason", "r", "--versions", "x"],
    ] {
        assert_eq!(cli.run(args).await.code, 1, "{args:?}");
    }
    let unknown = cli.run(&["erasures", "nope"]).await;
    assert!(
        unknown.code == 2 && unknown.stderr.contains("32 hexadecimal digits"),
        "{unknown:?}"
    );
}
