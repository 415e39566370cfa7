//! OpenBao's command line: who may do what. Tokens, policies, logins.

use std::fs;

use billfold_tests::bao::Bao;
use serde_json::{Value, json};

use crate::server::Server;

pub async fn tokens(server: &Server) {
    let bao = server.bao();
    let create = [
        "token",
        "create",
        "-orphan",
        "-policy=app",
        "-no-default-policy",
        "-period=30m",
        "-explicit-max-ttl=9h",
        "-use-limit=5",
        "-metadata=a=b",
        "-metadata=c=d",
        "-display-name=joe",
        "-type=service",
    ];
    let made = bao.json(&create).await["auth"].clone();
    assert_eq!(made["policies"], json!(["app"]));
    assert_eq!(made["metadata"], json!({ "a": "b", "c": "d" }));
    assert_eq!(made["lease_duration"], 1800);
    let (token, accessor) = (text(&made["client_token"]), text(&made["accessor"]));
    let looked = bao.json(&["token", "lookup", &token]).await["data"].clone();
    assert_eq!(looked["display_name"], "token-joe");
    assert_eq!(
        (&looked["orphan"], &looked["num_uses"]),
        (&json!(true), &json!(5))
    );
    assert_eq!(looked["explicit_max_ttl"], 32400);
    assert_eq!(looked["period"], 1800);
    let field = bao
        .ok(&["token", "lookup", "-field=accessor", &token])
        .await;
    assert_eq!(field.trim(), accessor);

    let plain = bao
        .ok(&[
            "token",
            "create",
            "-policy=default",
            "-ttl=1h",
            "-field=token",
        ])
        .await;
    let plain = plain.trim();
    let renewed = bao.json(&["token", "renew", "-increment=2h", plain]).await;
    assert_eq!(renewed["auth"]["lease_duration"], 7200);
    let accessor = bao.ok(&["token", "lookup", "-field=accessor", plain]).await;
    let renew = [
        "token",
        "renew",
        "-increment=30m",
        "-accessor",
        accessor.trim(),
    ];
    let renewed = bao.json(&renew).await;
    assert_eq!(renewed["auth"]["lease_duration"], 1800);
    assert_eq!(renewed["auth"]["client_token"], "");
    let fixed = [
        "token",
        "create",
        "-ttl=1h",
        "-renewable=false",
        "-field=token",
    ];
    let fixed = bao.ok(&fixed).await;
    bao.refused(&["token", "renew", fixed.trim()], "lease is not renewable")
        .await;

    for (args, told) in [
        (
            &["token", "capabilities", "secret/data/x"][..],
            json!(["root"]),
        ),
        (
            &["token", "capabilities", plain, "secret/data/x"],
            json!(["deny"]),
        ),
        (
            &["token", "capabilities", plain, "auth/token/lookup-self"],
            json!(["read"]),
        ),
    ] {
        assert_eq!(bao.json(args).await, told, "{args:?}");
    }

    // A token can end itself, and its children with it or without them.
    let own = server.bao_with(plain);
    own.ok(&["token", "lookup"]).await;
    own.ok(&["token", "revoke", "-self"]).await;
    own.refused(&["token", "lookup"], "permission denied").await;
    for (mode, code) in [(None, 2), (Some("-mode=orphan"), 0)] {
        let parent = bao.ok(&["token", "create", "-field=token"]).await;
        let parent = parent.trim();
        let child = server.bao_with(parent);
        let child = child.ok(&["token", "create", "-field=token"]).await;
        let mode: Vec<&str> = mode.into_iter().collect();
        bao.ok(&[&["token", "revoke"], &mode[..], &[parent]].concat())
            .await;
        bao.refused(&["token", "lookup", parent], "bad token").await;
        let lookup = bao
            .run(&["token", "lookup", "-field=orphan", child.trim()])
            .await;
        assert_eq!(lookup.code, code, "{mode:?}: {lookup:?}");
        if code == 0 {
            assert_eq!(lookup.stdout.trim(), "true", "it has no parent any more");
        }
    }
    bao.ok(&["token", "revoke", "hvs.nonsense"]).await;
    bao.refused(&["token", "lookup", "hvs.nonsense"], "bad token")
        .await;
}

pub async fn policies(server: &Server) {
    let bao = server.bao();
    let file = |name: &str, text: &str| fs::write(bao.home().join(name), text).unwrap();
    file(
        "p.hcl",
        "path   \"secret/data/team/*\" {\ncapabilities=[\"read\"]\n}",
    );
    file("bad.hcl", "path {");
    bao.ok(&["policy", "fmt", "p.hcl"]).await;
    let formatted = fs::read_to_string(bao.home().join("p.hcl")).unwrap();
    assert_eq!(
        formatted,
        "path \"secret/data/team/*\" {\n  capabilities = [\"read\"]\n}\n"
    );
    bao.fails(1, &["policy", "fmt", "bad.hcl"]).await;

    bao.ok(&["policy", "write", "Team", "p.hcl"]).await;
    assert_eq!(bao.ok(&["policy", "read", "team"]).await, formatted);
    assert_eq!(
        bao.json(&["policy", "read", "team"]).await["policy"],
        formatted
    );
    let listed = bao.json(&["policy", "list"]).await;
    assert_eq!(listed, json!(["default", "team", "root"]));
    bao.refused(
        &["policy", "write", "bad", "bad.hcl"],
        "failed to parse policy",
    )
    .await;
    bao.refused(
        &["policy", "write", "root", "p.hcl"],
        "cannot update \"root\" policy",
    )
    .await;
    bao.refused(
        &["policy", "delete", "root"],
        "cannot delete \"root\" policy",
    )
    .await;
    bao.refused(&["policy", "read", "bad"], "No policy named: bad")
        .await;

    // What it permits can be asked for, and it does what it says.
    bao.ok(&["kv", "put", "-mount=secret", "team/a", "k=v"])
        .await;
    let told = bao
        .ok(&["read", "-output-policy", "secret/data/team/a"])
        .await;
    assert!(told.contains("capabilities = [\"read\"]"), "{told}");
    let token = bao
        .ok(&["token", "create", "-policy=team", "-field=token"])
        .await;
    let joe = server.bao_with(token.trim());
    joe.ok(&["kv", "get", "-mount=secret", "team/a"]).await;
    let put = ["kv", "put", "-mount=secret", "team/a", "k=w"];
    joe.refused(&put, "Code: 403").await;
    bao.ok(&["policy", "delete", "team"]).await;
    bao.ok(&["policy", "delete", "team"]).await;
    let get = ["kv", "get", "-mount=secret", "team/a"];
    joe.refused(&get, "Code: 403").await;
}

pub async fn logins(server: &Server) {
    let token = server
        .token_with(
            "lists",
            r#"path "secret/*" { capabilities = ["list"] }"#,
            &[],
        )
        .await;
    // Logged in, but not from then on.
    let bao = Bao::new(server.address());
    bao.ok(&["login", "-no-store", &token]).await;
    bao.refused(&["list", "secret/metadata"], "permission denied")
        .await;
    assert_eq!(
        bao.ok(&["login", "-token-only", &token]).await.trim(),
        token
    );

    // The token helper keeps it, for its owner alone.
    let kept = bao.home().join(".vault-token");
    assert!(!kept.exists());
    let told = bao.ok(&["login", "-no-print", &token]).await;
    assert_eq!(told.trim(), "");
    assert_eq!(fs::read_to_string(&kept).unwrap(), token);
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&kept).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        bao.ok(&["token", "lookup", "-field=id"]).await.trim(),
        token
    );
    assert_eq!(bao.ok(&["print", "token"]).await.trim(), token);
    bao.refused(&["read", "sys/mounts"], "permission denied")
        .await;

    // What is refused is not kept in its place.
    bao.refused(&["login", "hvs.nonsense"], "permission denied")
        .await;
    assert_eq!(fs::read_to_string(&kept).unwrap(), token);
    let root = format!("token={}", server.token());
    bao.ok(&["login", "-method=token", &root]).await;
    bao.ok(&["read", "sys/mounts"]).await;
    bao.fails(
        2,
        &["login", "-method=userpass", "username=a", "password=b"],
    )
    .await;
    assert_eq!(fs::read_to_string(&kept).unwrap(), server.token());
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
