//! `billfold restore`.

use billfold_tests::{
    cli::Cli,
    wallet::{Backend, Wallet},
};
use serde_json::json;

use super::{NO_VALUE, put, read};

pub async fn the_command_tells_what_it_did(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let node = &wallet.node;
    let cli = Cli::root(node);
    put(node, "app/a", "a1").await;
    let at = put(node, "app/b", "b1").await.to_string();
    put(node, "app/a", "a2").await;
    put(node, "app/later", "l1").await;
    let told = cli
        .json(&["restore", "--at", &at, "secret/app/", "--dry-run"])
        .await;
    assert_eq!(
        told["restored"],
        json!([{ "path": "secret/app/a", "from": 1 }])
    );
    assert_eq!(read(node, "app/a").await.unwrap().0, 2);
    let told = cli.ok(&["restore", "--at", &at, "secret/app/"]).await;
    for part in [
        "secret/app/a",
        "restored",
        "unchanged",
        "left: it had no value",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(read(node, "app/a").await, Some((3, "a1".to_owned())));
    let refused = cli
        .run(&["restore", "--at", &at, "secret/app/later", "secret/app/a"])
        .await;
    assert_eq!(refused.code, 2);
    let why = format!("nothing was restored; secret/app/later: {NO_VALUE}");
    assert!(refused.stderr.contains(&why), "{}", refused.stderr);
    for wrong in [&["restore", "secret/app/a"][..], &["restore", "--at", "1"]] {
        assert_eq!(cli.run(wrong).await.code, 1);
    }
}
