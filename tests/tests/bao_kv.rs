//! The clients that people have: OpenBao's own command line, and hvac, against `dev` and against `serve`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::process::Command;

use billfold_tests::{
    bao::Bao,
    on_both_backends, tools,
    wallet::{Backend, Wallet},
};
use serde_json::{Value, json};

on_both_backends! {
    a_secret_lives_and_dies_by_the_command_line,
    paths_can_be_given_in_both_forms,
    check_and_set_is_kept,
    what_is_not_there_is_told,
    the_server_and_its_token_can_be_looked_at,
    mounts_by_the_command_line,
    tokens_and_policies_by_the_command_line,
    hvac_works,
}

/// The two ways in which a wallet comes up: `dev` on the embedded log, `init` and `serve` on JetStream.
async fn wallet(backend: Backend) -> Wallet {
    match backend {
        Backend::Embedded => Wallet::dev(backend).await,
        Backend::JetStream => Wallet::serve(backend).await,
    }
}

async fn a_secret_lives_and_dies_by_the_command_line(backend: Backend) {
    let wallet = wallet(backend).await;
    let bao = Bao::root(&wallet.node);
    const AT: [&str; 2] = ["-mount=secret", "app/db"];
    let kv = |verb: &'static [&'static str], rest: &'static [&'static str]| {
        [&["kv"], verb, &AT[..1], rest].concat()
    };

    for (number, value) in ["one", "two", "three"].into_iter().enumerate() {
        let pair = format!("password={value}");
        let args = ["kv", "put", AT[0], AT[1], "user=app", &pair];
        let put = bao.json(&args).await;
        assert_eq!(put["data"]["version"], number + 1);
    }
    let got = bao.json(&kv(&["get"], &["app/db"])).await;
    assert_eq!(
        got["data"]["data"],
        json!({ "password": "three", "user": "app" })
    );
    assert_eq!(got["data"]["metadata"]["version"], 3);
    let first = bao
        .ok(&kv(&["get"], &["-version=1", "-field=password", "app/db"]))
        .await;
    assert_eq!(first.trim_end(), "one");

    // Deleted versions come back; the others were never gone.
    let told = bao.ok(&kv(&["delete"], &["app/db"])).await;
    assert!(told.contains("Success! Data deleted"), "{told}");
    let deleted = bao.ok(&kv(&["get"], &["app/db"])).await;
    assert!(
        deleted.contains("deletion_time") && !deleted.contains("three"),
        "{deleted}"
    );
    bao.ok(&kv(&["delete"], &["-versions=1,2", "app/db"])).await;
    assert_eq!(states(&bao).await, ["deleted", "deleted", "deleted"]);
    let told = bao
        .ok(&kv(&["undelete"], &["-versions=1,3", "app/db"]))
        .await;
    assert!(
        told.contains("Success! Data written to: secret/undelete/app/db"),
        "{told}"
    );
    assert_eq!(states(&bao).await, ["live", "deleted", "live"]);
    let back = bao.ok(&kv(&["get"], &["-field=password", "app/db"])).await;
    assert_eq!(back.trim_end(), "three");

    // Destroyed ones do not.
    let told = bao
        .ok(&kv(&["destroy"], &["-versions=1,3", "app/db"]))
        .await;
    assert!(
        told.contains("Success! Data written to: secret/destroy/app/db"),
        "{told}"
    );
    bao.ok(&kv(&["undelete"], &["-versions=1,2,3", "app/db"]))
        .await;
    assert_eq!(states(&bao).await, ["destroyed", "live", "destroyed"]);
    let gone = bao.ok(&kv(&["get"], &["app/db"])).await;
    assert!(
        gone.contains("destroyed") && !gone.contains("three"),
        "{gone}"
    );

    // All of it goes with the metadata, and a new life begins at version 1.
    bao.ok(&kv(&["metadata", "delete"], &["app/db"])).await;
    let missing = bao.run(&kv(&["metadata", "get"], &["app/db"])).await;
    assert_eq!(missing.code, 2, "{missing:?}");
    let put = bao.json(&kv(&["put"], &["app/db", "password=new"])).await;
    assert_eq!(put["data"]["version"], 1);
    wallet.assert_sound().await;
}

/// What `kv metadata get` says of each version of `app/db`.
async fn states(bao: &Bao) -> Vec<&'static str> {
    let metadata = bao
        .json(&["kv", "metadata", "get", "-mount=secret", "app/db"])
        .await;
    let versions = metadata["data"]["versions"].as_object().expect("versions");
    let state = |version: &Value| match (&version["destroyed"], &version["deletion_time"]) {
        (Value::Bool(true), _) => "destroyed",
        (_, Value::String(time)) if !time.is_empty() => "deleted",
        _ => "live",
    };
    versions.values().map(state).collect()
}

async fn paths_can_be_given_in_both_forms(backend: Backend) {
    let wallet = wallet(backend).await;
    let bao = Bao::root(&wallet.node);
    bao.ok(&["kv", "put", "secret/a/b/one", "k=1"]).await;
    bao.ok(&["kv", "put", "-mount=secret", "a/b/two", "k=2"])
        .await;
    bao.ok(&["kv", "put", "-mount=secret", "a/b", "k=3"]).await;
    bao.ok(&["kv", "put", "secret/a/with space+é%", "k=4"])
        .await;
    for (mounted, plain, value) in [
        ("a/b/one", "secret/a/b/one", "1"),
        ("a/b/two", "secret/a/b/two", "2"),
        ("a/b", "secret/a/b", "3"),
        ("a/with space+é%", "secret/a/with space+é%", "4"),
    ] {
        for args in [
            ["kv", "get", "-field=k", "-mount=secret", mounted].as_slice(),
            ["kv", "get", "-field=k", plain].as_slice(),
        ] {
            assert_eq!(bao.ok(args).await.trim_end(), value, "{args:?}");
        }
    }
    for (args, keys) in [
        (["kv", "list", "secret"].as_slice(), json!(["a/"])),
        (&["kv", "list", "-mount=secret"], json!(["a/"])),
        (
            &["kv", "list", "secret/a"],
            json!(["b", "b/", "with space+é%"]),
        ),
        (
            &["kv", "list", "secret/a/"],
            json!(["b", "b/", "with space+é%"]),
        ),
        (
            &["kv", "list", "-mount=secret", "a/b"],
            json!(["one", "two"]),
        ),
        (
            &["kv", "list", "-mount=secret", "a/b/"],
            json!(["one", "two"]),
        ),
    ] {
        assert_eq!(bao.json(args).await, keys, "{args:?}");
    }
    for verb in [["kv", "delete"].as_slice(), &["kv", "metadata", "delete"]] {
        bao.ok(&[verb, &["secret/a/b/one"]].concat()).await;
        bao.ok(&[verb, &["-mount=secret", "a/b/two"]].concat())
            .await;
    }
    assert_eq!(
        bao.json(&["kv", "list", "secret/a"]).await,
        json!(["b", "with space+é%"])
    );
    bao.ok(&["kv", "undelete", "-versions=1", "secret/a/b"])
        .await;
    bao.ok(&["kv", "destroy", "-versions=1", "secret/a/b"])
        .await;
    let metadata = bao.json(&["kv", "metadata", "get", "secret/a/b"]).await;
    assert_eq!(metadata["data"]["versions"]["1"]["destroyed"], true);
}

async fn check_and_set_is_kept(backend: Backend) {
    let wallet = wallet(backend).await;
    let bao = Bao::root(&wallet.node);
    let put = async |cas: &str, value: &str| {
        let (cas, pair) = (format!("-cas={cas}"), format!("k={value}"));
        bao.run(&["kv", "put", &cas, "-mount=secret", "cas", &pair])
            .await
    };
    let refused = |ended: &billfold_tests::billfold::Ended| {
        ended.code == 2
            && ended.stderr.contains("Code: 400")
            && ended
                .stderr
                .contains("* check-and-set parameter did not match the current version")
    };
    assert!(refused(&put("1", "never").await));
    put("0", "first").await.success().unwrap();
    assert!(refused(&put("0", "never").await));
    assert!(refused(&put("2", "never").await));
    put("1", "second").await.success().unwrap();
    let got = bao.json(&["kv", "get", "secret/cas"]).await;
    assert_eq!(
        (
            &got["data"]["data"]["k"],
            &got["data"]["metadata"]["version"]
        ),
        (&json!("second"), &json!(2))
    );
}

async fn what_is_not_there_is_told(backend: Backend) {
    let wallet = wallet(backend).await;
    let bao = Bao::root(&wallet.node);
    bao.ok(&["kv", "put", "secret/there", "k=v"]).await;
    for (args, told) in [
        (
            ["kv", "get", "secret/missing"].as_slice(),
            "No value found at secret/data/missing",
        ),
        (
            &["kv", "get", "-version=9", "secret/there"],
            "No value found at secret/data/there",
        ),
        (
            &["kv", "list", "secret/missing"],
            "No value found at secret/metadata/missing",
        ),
        (
            &["kv", "metadata", "get", "secret/missing"],
            "No value found at secret/metadata/missing",
        ),
    ] {
        let ended = bao.run(args).await;
        assert_eq!(ended.code, 2, "{args:?}: {ended:?}");
        assert!((ended.stdout + &ended.stderr).contains(told), "{args:?}");
    }
    // What is gone already, or was never there, can be deleted.
    for verb in [["kv", "delete"].as_slice(), &["kv", "metadata", "delete"]] {
        bao.ok(&[verb, &["secret/missing"]].concat()).await;
    }
    for verb in ["delete", "undelete", "destroy"] {
        bao.ok(&["kv", verb, "-versions=1", "secret/missing"]).await;
    }
    let elsewhere = bao.run(&["kv", "put", "nope/a", "k=v"]).await;
    assert_eq!(elsewhere.code, 2, "{elsewhere:?}");
    assert!(elsewhere.stderr.contains("Code: 403"), "{elsewhere:?}");
}

async fn the_server_and_its_token_can_be_looked_at(backend: Backend) {
    let wallet = wallet(backend).await;
    let bao = Bao::root(&wallet.node);
    let status = bao.json(&["status"]).await;
    assert_eq!(
        (&status["initialized"], &status["sealed"]),
        (&json!(true), &json!(false))
    );
    let own = bao.json(&["token", "lookup"]).await;
    assert_eq!(own["data"]["id"], wallet.node.token());
    assert_eq!(own["data"]["policies"], json!(["root"]));
    let mounts = bao.json(&["secrets", "list"]).await;
    assert_eq!(mounts["secret/"]["type"], "kv");
    assert_eq!(mounts["secret/"]["options"]["version"], "2");
    assert!(
        bao.ok(&["secrets", "list", "-detailed"])
            .await
            .contains("secret/")
    );

    // A token that was logged in with is used from then on; a bad one is refused and not kept.
    let anew = Bao::new(wallet.node.address());
    assert_eq!(
        anew.run(&["login", "-no-print", "hvs.nonsense"]).await.code,
        2
    );
    assert_eq!(
        anew.run(&["kv", "put", "secret/login", "k=v"]).await.code,
        2
    );
    anew.ok(&["login", wallet.node.token()]).await;
    anew.ok(&["kv", "put", "secret/login", "k=v"]).await;
    let stranger = Bao::new(wallet.node.address()).token("hvs.nonsense");
    for args in [
        ["token", "lookup"].as_slice(),
        &["secrets", "list"],
        &["kv", "get", "secret/login"],
    ] {
        let refused = stranger.run(args).await;
        assert_eq!(refused.code, 2, "{args:?}: {refused:?}");
        assert!(
            refused.stderr.contains("permission denied"),
            "{args:?}: {refused:?}"
        );
    }
}

async fn hvac_works(backend: Backend) {
    let wallet = wallet(backend).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/hvac_kv.py");
    let (url, token) = (wallet.node.url(), wallet.node.token().to_owned());
    let run = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(tools::python());
        command
            .args([script, &url, &token])
            .env("NO_PROXY", "127.0.0.1");
        command.output().expect("the script runs")
    });
    let output = run.await.unwrap();
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("hvac is content"), "{told}");
    wallet.assert_sound().await;
}

async fn mounts_by_the_command_line(backend: Backend) {
    let wallet = wallet(backend).await;
    let bao = Bao::root(&wallet.node);
    bao.ok(&["secrets", "enable", "-path=one", "-version=1", "kv"])
        .await;
    bao.ok(&[
        "secrets",
        "enable",
        "-path=deep/two",
        "-description=hello",
        "kv-v2",
    ])
    .await;
    bao.ok(&["kv", "put", "one/a", "x=1"]).await;
    assert_eq!(
        bao.json(&["kv", "get", "one/a"]).await["data"],
        json!({ "x": "1" })
    );
    bao.ok(&["kv", "put", "-mount=deep/two", "k", "v=1"]).await;
    bao.ok(&["kv", "patch", "-mount=deep/two", "k", "w=2"])
        .await;
    bao.ok(&["secrets", "move", "deep/two/", "three/"]).await;
    let moved = bao.json(&["kv", "get", "-mount=three", "k"]).await;
    assert_eq!(moved["data"]["data"], json!({ "v": "1", "w": "2" }));
    let put = [
        "kv",
        "metadata",
        "put",
        "-mount=three",
        "-custom-metadata=a=b",
        "-max-versions=2",
        "k",
    ];
    bao.ok(&put).await;
    bao.ok(&[
        "kv",
        "metadata",
        "patch",
        "-mount=three",
        "-custom-metadata=c=d",
        "k",
    ])
    .await;
    let metadata = bao
        .json(&["kv", "metadata", "get", "-mount=three", "k"])
        .await;
    assert_eq!(
        metadata["data"]["custom_metadata"],
        json!({ "a": "b", "c": "d" })
    );
    assert_eq!(metadata["data"]["max_versions"], 2);
    bao.ok(&["secrets", "tune", "-description=changed", "three"])
        .await;
    let listed = bao.json(&["secrets", "list"]).await;
    assert_eq!(listed["three/"]["description"], "changed");
    assert_eq!(listed["one/"]["options"]["version"], "1");
    bao.ok(&["secrets", "disable", "one"]).await;
    bao.ok(&["secrets", "disable", "three"]).await;
    let listed = bao.json(&["secrets", "list"]).await;
    assert!(listed.get("one/").is_none() && listed.get("three/").is_none());
    assert_ne!(bao.run(&["kv", "get", "one/a"]).await.code, 0);
    wallet.assert_sound().await;
}

async fn tokens_and_policies_by_the_command_line(backend: Backend) {
    let wallet = wallet(backend).await;
    let bao = Bao::root(&wallet.node);
    let text = r#"path "secret/data/team/*" { capabilities = ["create", "read", "update"] }"#;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    bao.ok(&["policy", "write", "team", file.path().to_str().unwrap()])
        .await;
    assert_eq!(bao.ok(&["policy", "read", "team"]).await.trim_end(), text);
    assert_eq!(
        bao.json(&["policy", "list"]).await,
        json!(["default", "team", "root"])
    );
    bao.ok(&["kv", "put", "secret/team/a", "x=1"]).await;
    bao.ok(&["kv", "put", "secret/other", "x=1"]).await;

    let create = [
        "token",
        "create",
        "-policy=team",
        "-ttl=1h",
        "-display-name=joe",
        "-metadata=a=b",
    ];
    let made = bao.json(&create).await;
    let text = |name: &str| made["auth"][name].as_str().unwrap().to_owned();
    let (token, accessor) = (text("client_token"), text("accessor"));
    let joe = Bao::new(wallet.node.address()).token(token.clone());
    assert_eq!(
        joe.json(&["kv", "get", "secret/team/a"]).await["data"]["data"]["x"],
        "1"
    );
    joe.ok(&["kv", "put", "secret/team/b", "y=2"]).await;
    joe.ok(&["read", "secret/data/team/b"]).await;
    let denied = joe.run(&["kv", "get", "secret/other"]).await;
    assert_eq!(denied.code, 2, "{denied:?}");
    let looked = joe.json(&["token", "lookup"]).await;
    assert_eq!(looked["data"]["display_name"], "token-joe");
    assert_eq!(looked["data"]["meta"], json!({ "a": "b" }));
    let by_accessor = bao.json(&["token", "lookup", "-accessor", &accessor]).await;
    assert_eq!(by_accessor["data"]["policies"], json!(["default", "team"]));
    joe.ok(&["token", "renew"]).await;
    let capabilities = ["token", "capabilities", &token, "secret/data/team/a"];
    assert_eq!(
        bao.json(&capabilities).await,
        json!(["create", "read", "update"])
    );
    assert!(
        bao.ok(&["list", "auth/token/accessors"])
            .await
            .contains(&accessor)
    );
    bao.ok(&["token", "revoke", "-accessor", &accessor]).await;
    assert_eq!(joe.run(&["kv", "get", "secret/team/a"]).await.code, 2);
    bao.ok(&["policy", "delete", "team"]).await;
    assert_eq!(
        bao.json(&["policy", "list"]).await,
        json!(["default", "root"])
    );
    bao.ok(&["auth", "list"]).await;
    wallet.assert_sound().await;
}
