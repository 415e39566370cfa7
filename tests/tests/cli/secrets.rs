//! Secrets, transactions and the login, against `billfold`.

use std::{fs, os::unix::fs::PermissionsExt as _};

use billfold_tests::{
    cli::Cli,
    wallet::{Backend, Wallet},
};
use serde_json::{Value, json};

pub async fn a_secret_lives_and_dies(backend: Backend) {
    let wallet = Wallet::dev(backend).await;
    let cli = Cli::root(&wallet.node);
    for (number, value) in ["one", "two", "three"].into_iter().enumerate() {
        let put = cli
            .run_with(&["put", "secret/app/db", "password=-", "-o", "json"], value)
            .await;
        let told: Value = serde_json::from_str(&put.success().unwrap().stdout).unwrap();
        assert_eq!(
            (&told["path"], &told["version"]),
            (&json!("secret/app/db"), &json!(number + 1))
        );
    }
    let got = cli.json(&["get", "secret/app/db"]).await;
    assert_eq!(got["data"], json!({ "password": "three" }));
    assert_eq!(got["metadata"]["version"], 3);
    // Long options have one dash or two; a field alone has no line end that was not in it.
    for field in [
        ["-version", "1", "-field=password"],
        ["--version", "1", "--field=password"],
    ] {
        assert_eq!(
            cli.ok(&[&["get", "secret/app/db"], &field[..]].concat())
                .await,
            "one"
        );
    }
    assert_eq!(cli.json(&["ls"]).await, json!(["secret/"]));
    assert_eq!(cli.json(&["ls", "secret"]).await, json!(["app/"]));
    assert_eq!(cli.json(&["ls", "secret/app/"]).await, json!(["db"]));
    assert_eq!(cli.ok(&["ls", "secret/app"]).await, "NAME\ndb\n");

    cli.ok(&["rm", "secret/app/db"]).await;
    assert_eq!(states(&cli).await, ["live", "live", "deleted"]);
    let gone = cli.run(&["get", "secret/app/db"]).await;
    assert_eq!((gone.code, gone.stdout.as_str()), (2, ""));
    assert!(
        gone.stderr
            .contains("version 3 of secret/app/db is deleted"),
        "{}",
        gone.stderr
    );
    cli.ok(&["rm", "secret/app/db", "--versions", "1,2"]).await;
    assert_eq!(states(&cli).await, ["deleted", "deleted", "deleted"]);
    cli.ok(&["undelete", "secret/app/db", "--versions", "1,3"])
        .await;
    assert_eq!(states(&cli).await, ["live", "deleted", "live"]);
    cli.ok(&["destroy", "secret/app/db", "--versions=1"]).await;
    assert_eq!(states(&cli).await, ["destroyed", "deleted", "live"]);
    let destroyed = cli.run(&["get", "secret/app/db", "--version=1"]).await;
    assert!(
        destroyed.code == 2 && destroyed.stderr.contains("is destroyed"),
        "{destroyed:?}"
    );
    let table = cli.ok(&["history", "secret/app/db"]).await;
    assert!(
        table.starts_with("VERSION") && table.lines().count() == 4,
        "{table}"
    );

    cli.ok(&["rm", "secret/app/db", "--metadata"]).await;
    for args in [
        ["get", "secret/app/db"],
        ["history", "secret/app/db"],
        ["ls", "secret/app"],
    ] {
        let nothing = cli.run(&args).await;
        assert!(
            nothing.code == 2 && nothing.stderr.contains("there is nothing at"),
            "{nothing:?}"
        );
    }
    wallet.assert_sound().await;
}

async fn states(cli: &Cli) -> Vec<String> {
    let history = cli.json(&["history", "secret/app/db"]).await;
    let versions = history["versions"].as_array().unwrap().clone();
    versions
        .iter()
        .map(|version| version["state"].as_str().unwrap().to_owned())
        .collect()
}

pub async fn values_come_from_files_and_pipes(backend: Backend) {
    let wallet = Wallet::dev(backend).await;
    let cli = Cli::root(&wallet.node);
    let file = |name: &str, text: &[u8]| fs::write(cli.home().join(name), text).unwrap();
    file("object.json", br#"{"n": 1.10, "list": ["a"]}"#);
    file("line.txt", "é\n".as_bytes());
    file("bytes", b"\xff\xfe");
    let put = [
        "put",
        "secret/a",
        "@object.json",
        "line=@line.txt",
        "piped=-",
    ];
    cli.run_with(&put, "  \"quoted\"\n")
        .await
        .success()
        .unwrap();
    let text = cli.ok(&["get", "secret/a", "-o", "json"]).await;
    // Every digit is kept, and every line end.
    let members = r#""data":{"line":"é\n","list":["a"],"n":1.10,"piped":"  \"quoted\"\n"}"#;
    assert!(text.contains(members), "{text}");
    assert_eq!(cli.ok(&["get", "secret/a", "-field", "n"]).await, "1.10");
    assert_eq!(cli.ok(&["get", "secret/a", "-field", "line"]).await, "é\n");
    cli.run_with(&["put", "secret/b", "-"], r#"{"k":"v"}"#)
        .await
        .success()
        .unwrap();
    assert_eq!(cli.ok(&["get", "secret/b", "--field=k"]).await, "v");
    cli.ok(&[
        "put",
        "secret/b",
        "k=clear",
        "--insecure-value",
        "--cas",
        "1",
    ])
    .await;
    assert_eq!(cli.ok(&["get", "secret/b", "--field=k"]).await, "clear");

    // What cannot be read changes nothing, and is not repeated.
    let before = wallet.settled().await;
    for (items, input) in [
        (&["k=canary"][..], ""),
        (&["Y2FuYXJ5canary=="], ""),
        (&["k=@bytes"], ""),
        (&["k=@not-there"], ""),
        (&["a=-", "b=-"], "canary"),
        (&["-"], "canary"),
        (&["-"], "[\"canary\"]"),
        (&["-", "k=canary", "--insecure-value"], r#"{"k":"canary"}"#),
        (&["=@line.txt"], ""),
        (&[], ""),
        // There is no terminal to ask on.
        (&["k"], "canary"),
    ] {
        let refused = cli
            .run_with(&[&["put", "secret/b"], items].concat(), input)
            .await;
        assert_eq!(
            (refused.code, refused.stdout.as_str()),
            (1, ""),
            "{items:?}: {refused:?}"
        );
        assert!(
            !refused.stderr.is_empty() && !refused.stderr.contains("canary"),
            "{refused:?}"
        );
    }
    wallet.assert_unchanged(&before).await;
}

pub async fn several_secrets_change_at_once(backend: Backend) {
    let wallet = Wallet::dev(backend).await;
    let cli = Cli::root(&wallet.node);
    let changes = json!([
        { "op": "put", "path": "secret/one", "data": { "k": 1 }, "cas": 0 },
        { "op": "put", "path": "secret/two", "data": { "k": 2 } },
    ]);
    let whole = json!({ "changes": changes }).to_string();
    fs::write(cli.home().join("changes.json"), whole).unwrap();
    let told = cli.json(&["tx", "changes.json"]).await;
    assert_eq!(told["versions"], json!([1, 1]));
    assert_eq!(cli.ok(&["get", "secret/two", "-field=k"]).await, "2");
    // The first change does not hold any more, so the second is not made either.
    let again = cli.run_with(&["tx", "-"], &changes.to_string()).await;
    assert_eq!(again.code, 2, "{again:?}");
    assert!(again.stderr.contains("check-and-set"), "{again:?}");
    assert_eq!(
        cli.json(&["get", "secret/two"]).await["metadata"]["version"],
        1
    );
    let malformed = cli.run_with(&["tx", "-"], r#"{"changes":["canary"}"#).await;
    assert!(
        malformed.code == 1 && !malformed.stderr.contains("canary"),
        "{malformed:?}"
    );
}

pub async fn what_is_not_there_is_told_and_the_code_says_whose_fault_it_is(backend: Backend) {
    let mut wallet = Wallet::dev(backend).await;
    let cli = Cli::root(&wallet.node);
    for (args, code) in [
        (&["status"][..], 0),
        (&["get", "secret/missing"], 2),
        (&["get", "secret/missing", "--version", "7"], 2),
        (&["ls", "secret/missing"], 2),
        (&["get", "nope/a"], 2),
        (&["get", "secret"], 1),
        (&["get", "secret/a/"], 1),
        (&["get", "secret/../a"], 1),
        (&["rm", "secret/a", "--metadata", "--versions", "1"], 1),
        (&["destroy", "secret/a"], 1),
        (&["get", "secret/a", "--nonsense"], 1),
        (&["nonsense"], 1),
        (&["get", "secret/a", "--address", "ftp://h"], 1),
        (&["get", "secret/a", "--ca-cert", "/not/there"], 1),
        (&["get", "secret/a", "--client-cert", "/not/there"], 1),
        (&["get", "secret/a", "--namespace", "team"], 2),
        (&["--version"], 0),
    ] {
        let ended = cli.run(args).await;
        assert_eq!(ended.code, code, "{args:?}: {ended:?}");
        assert_eq!(ended.stdout.is_empty(), code != 0, "{args:?}: {ended:?}");
    }
    wallet.node.stop().await.unwrap();
    let (down, status) = (
        cli.run(&["get", "secret/a"]).await,
        cli.run(&["status"]).await,
    );
    assert_eq!((down.code, status.code), (2, 1), "{down:?} {status:?}");
    assert!(
        down.stderr
            .contains(&format!("no answer from {}", wallet.node.url())),
        "{down:?}"
    );
}

pub async fn a_token_is_checked_and_kept_for_its_owner(backend: Backend) {
    let wallet = Wallet::dev(backend).await;
    let cli = Cli::new(wallet.node.url());
    let (file, token) = (cli.home().join(".vault-token"), wallet.node.token());
    for (args, input, code) in [
        (&["login", "-"][..], "hvs.canary", 2),
        (&["login", "-"], "", 1),
        (&["login", "hvs.canary"], "", 1),
        (&["login", "--token-file", "none"], "", 1),
        // There is no terminal to ask on.
        (&["login"], "hvs.canary", 1),
    ] {
        let refused = cli.run_with(args, input).await;
        assert_eq!(refused.code, code, "{args:?}: {refused:?}");
        assert!(!refused.stderr.contains("canary"), "{args:?}: {refused:?}");
        assert!(!file.exists(), "{args:?}");
    }
    assert_eq!(cli.run(&["ls", "secret"]).await.code, 2);
    let told = cli
        .run_with(&["login", "-"], &format!("{token}\n"))
        .await
        .success()
        .unwrap();
    assert!(!(told.stdout + &told.stderr).contains(token));
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), token);
    cli.ok(&["put", "secret/a", "k=v", "--insecure-value"])
        .await;
    // A variable wins over what is stored, and an earlier name over a later one.
    for (name, code) in [
        ("VAULT_TOKEN", 2),
        ("BAO_TOKEN", 2),
        ("BILLFOLD_TOKEN", 2),
        ("OTHER", 0),
    ] {
        let other = Cli::new(wallet.node.url()).env(name, "hvs.canary");
        fs::copy(&file, other.home().join(".vault-token")).unwrap();
        assert_eq!(other.run(&["get", "secret/a"]).await.code, code, "{name}");
    }
    let both = Cli::root(&wallet.node).env("VAULT_TOKEN", "hvs.canary");
    assert_eq!(both.ok(&["get", "secret/a", "-field=k"]).await, "v");
    fs::remove_file(&file).unwrap();
    fs::write(cli.home().join("kept"), token).unwrap();
    cli.ok(&["login", "--token-file", "kept"]).await;
    assert!(file.exists());
}

pub async fn what_the_server_refuses_is_told_in_its_words(backend: Backend) {
    let wallet = Wallet::dev(backend).await;
    let cli = Cli::root(&wallet.node);
    let put = ["put", "secret/a", "k=v", "--insecure-value", "--cas", "7"];
    let refused = cli.run(&put).await;
    let words =
        "the server answered 400: check-and-set parameter did not match the current version";
    assert!(
        refused.code == 2 && refused.stderr.contains(words),
        "{refused:?}"
    );
    let stranger = Cli::new(wallet.node.url()).env("BILLFOLD_TOKEN", "hvs.canary");
    for args in [["get", "secret/a"], ["token", "lookup"]] {
        let refused = stranger.run(&args).await;
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(
            refused.stderr.contains("403: permission denied"),
            "{refused:?}"
        );
        assert!(!refused.stderr.contains("canary"), "{refused:?}");
    }
    // One's own token is told to a program, and found by its field.
    let own = cli.json(&["token", "lookup"]).await;
    assert_eq!(own["id"], wallet.node.token());
    assert_eq!(
        cli.ok(&["token", "lookup", "-field=policies"]).await,
        "root"
    );
}
