//! OpenBao's command line: mounts, whatever path, and its exit codes.

use std::fs;

use billfold_tests::{bao::Bao, tools};
use serde_json::json;

use crate::server::Server;

pub async fn mounts(server: &Server) {
    let bao = server.bao();
    let enable = [
        "secrets",
        "enable",
        "-path=one",
        "-version=1",
        "-description=d",
        "kv",
    ];
    bao.ok(&enable).await;
    bao.ok(&["secrets", "enable", "kv-v2"]).await;
    bao.refused(&enable, "path is already in use").await;
    let unknown = ["secrets", "enable", "-path=x", "nonsense"];
    bao.refused(&unknown, "plugin not found in the catalog")
        .await;
    let listed = bao.json(&["secrets", "list"]).await;
    for (path, version, description) in [("one/", "1", "d"), ("kv-v2/", "2", "")] {
        assert_eq!(listed[path]["options"]["version"], version);
        assert_eq!(listed[path]["description"], description);
    }
    for (format, told) in [("yaml", "kv-v2/:"), ("table", "n/a")] {
        let format = format!("-format={format}");
        let all = bao.ok(&["secrets", "list", "-detailed", &format]).await;
        assert!(all.contains(told), "{all}");
    }

    bao.ok(&["kv", "put", "one/a", "k=v"]).await;
    bao.ok(&["secrets", "tune", "-description=e", "one/"]).await;
    bao.ok(&["secrets", "move", "one", "two"]).await;
    assert_eq!(
        bao.json(&["kv", "get", "two/a"]).await["data"],
        json!({ "k": "v" })
    );
    let listed = bao.json(&["secrets", "list"]).await;
    assert_eq!(
        (&listed["one/"], &listed["two/"]["description"]),
        (&json!(null), &json!("e"))
    );
    for args in [
        &["secrets", "tune", "-description=e", "one"][..],
        &["secrets", "move", "one", "three"],
        &["secrets", "move", "two", "kv-v2"],
    ] {
        bao.refused(args, "Code: 400").await;
    }
    bao.ok(&["secrets", "disable", "two"]).await;
    bao.ok(&["secrets", "disable", "two"]).await;
    bao.refused(&["kv", "get", "two/a"], "Code: 403").await;
    bao.ok(&["secrets", "enable", "-path=two", "-version=1", "kv"])
        .await;
    bao.refused(&["kv", "get", "two/a"], "No value found").await;
}

/// `bao read`, `write`, `list`, `scan`, `patch` and `delete` of whatever path.
pub async fn any_path(server: &Server) {
    let bao = server.bao();
    let file = |name: &str, text: &str| fs::write(bao.home().join(name), text).unwrap();
    file("a.json", r#"{ "data": { "k": "v", "n": 7 } }"#);
    file("b.json", r#"{ "data": { "k": "w" } }"#);
    file("value", "from a file");
    let written = bao.json(&["write", "secret/data/dir/a", "@a.json"]).await;
    assert_eq!(written["data"]["version"], 1);
    let read = bao.ok(&["read", "-format=raw", "secret/data/dir/a"]).await;
    assert!(read.contains(r#""n":7"#), "{read}");
    let yaml = bao.ok(&["read", "-format=yaml", "secret/data/dir/a"]).await;
    assert!(yaml.contains("k: v"), "{yaml}");
    let field = bao.ok(&["read", "-field=data", "secret/data/dir/a"]).await;
    assert!(field.contains("k:v"), "{field}");
    let patched = ["patch", "-field=version", "secret/data/dir/a", "@b.json"];
    assert_eq!(bao.ok(&patched).await.trim(), "2");
    let first = bao.json(&["read", "secret/data/dir/a", "version=1"]).await;
    assert_eq!(first["data"]["data"]["k"], "v");

    bao.ok(&["write", "secret/data/dir/deep/b", "@b.json"])
        .await;
    assert_eq!(
        bao.json(&["list", "secret/metadata/dir"]).await,
        json!(["a", "deep/"])
    );
    let page = ["list", "-after=a", "-limit=1", "secret/metadata/dir"];
    assert_eq!(bao.json(&page).await, json!(["deep/"]));
    assert_eq!(
        bao.json(&["scan", "secret/metadata"]).await,
        json!(["dir/a", "dir/deep/b"])
    );
    let detailed = bao.ok(&["list", "-detailed", "secret/metadata/dir"]).await;
    assert!(detailed.contains("deep/"), "{detailed}");

    bao.ok(&["delete", "secret/data/dir/a"]).await;
    let deleted = bao.json(&["read", "secret/data/dir/a"]).await["data"].clone();
    assert_eq!(deleted["data"], json!(null));
    assert_ne!(deleted["metadata"]["deletion_time"], "");
    bao.ok(&["delete", "secret/metadata/dir/a"]).await;
    bao.refused(&["read", "secret/data/dir/a"], "No value found")
        .await;
    bao.refused(&["list", "secret/metadata/nothing"], "No value found")
        .await;

    // Values from files, no value at all, and paths that are not secrets.
    bao.ok(&["secrets", "enable", "-path=one", "-version=1", "kv"])
        .await;
    bao.ok(&["write", "one/a", "k=@value", "l=plain"]).await;
    assert_eq!(
        bao.json(&["read", "one/a"]).await["data"],
        json!({ "k": "from a file", "l": "plain" })
    );
    let bytes = ["write", "-f", "-field=random_bytes", "sys/tools/random/4"];
    assert_eq!(bao.ok(&bytes).await.trim().len(), 8);
    let policy = [
        "write",
        "sys/policies/acl/any",
        r#"policy=path "a" { capabilities = ["list"] }"#,
    ];
    bao.ok(&policy).await;
    let read = bao.json(&["read", "sys/policies/acl/any"]).await;
    assert_eq!(read["data"]["name"], "any");
    let curl = ["read", "-output-curl-string", "secret/data/dir/a"];
    assert!(bao.ok(&curl).await.contains("/v1/secret/data/dir/a"));
}

pub async fn patches_and_rollbacks(server: &Server) {
    let bao = server.bao();
    for value in ["a=1", "a=2"] {
        bao.ok(&["kv", "put", "-mount=secret", "back", value]).await;
    }
    bao.ok(&["kv", "rollback", "-mount=secret", "-version=1", "back"])
        .await;
    for (method, pair) in [("rw", "b=2"), ("patch", "c=3")] {
        let method = format!("-method={method}");
        bao.ok(&["kv", "patch", &method, "-mount=secret", "back", pair])
            .await;
    }
    let back = bao
        .json(&["kv", "get", "-format=json", "-mount=secret", "back"])
        .await;
    assert_eq!(
        back["data"]["data"],
        json!({ "a": "1", "b": "2", "c": "3" })
    );
    assert_eq!(back["data"]["metadata"]["version"], 5);
}

pub async fn what_goes_wrong_has_its_exit_code(server: &Server) {
    let bao = server.bao();
    let status = bao.json(&["status"]).await;
    assert_eq!(
        (&status["sealed"], &status["initialized"]),
        (&json!(false), &json!(true))
    );
    // 1: the command line is wrong, or no server is there. 2: the server refused.
    for args in [
        &["kv", "get"][..],
        &["kv", "put", "-mount=secret"],
        &["kv", "put", "-mount=secret", "a", "no-pair"],
        &["kv", "nonsense"],
        &["token", "revoke"],
        &["read", "-nonsense", "secret/data/a"],
        &["secrets", "enable"],
    ] {
        bao.fails(1, args).await;
    }
    for args in [
        &["read", "secret/data/nothing"][..],
        &["read", "nothing/a"],
        &["read", "sys/nothing"],
        &["list", "secret/data/nothing"],
        &["write", "secret/data/a", "data=no-object"],
        &["write", "-f", "secret/nothing"],
        &["delete", "nothing/a"],
        &["token", "lookup", "hvs.nonsense"],
        &["token", "renew", "hvs.nonsense"],
        &["kv", "get", "-version=9", "-mount=secret", "a"],
        &["kv", "patch", "-mount=secret", "nothing", "k=v"],
        &["unwrap", "hvs.nonsense"],
    ] {
        bao.fails(2, args).await;
    }
    let nobody = Bao::new(([127, 0, 0, 1], tools::free_port()).into());
    let told = nobody
        .env("BAO_MAX_RETRIES", "0")
        .fails(1, &["status"])
        .await;
    assert!(told.contains("connection refused"), "{told}");
}
