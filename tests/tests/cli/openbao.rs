//! The client commands against a real OpenBao: tokens, policies, both versions of the key-value engine, TLS.

use std::fs;

use billfold_tests::{bao::Bao, cli::Cli, openbao::OpenBao, wallet::within_reason};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;

fn root(server: &OpenBao) -> Cli {
    Cli::new(format!("http://{}", server.address())).env("VAULT_TOKEN", server.token())
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_made_looked_up_renewed_and_revoked() {
    within_reason(async {
        let server = OpenBao::dev("root-of-openbao").await;
        let cli = root(&server);
        let create = [
            "token",
            "create",
            "--policy",
            "default",
            "--policy",
            "app",
            "--ttl",
            "1h",
            "--explicit-max-ttl",
            "9h",
            "--metadata",
            "team=a",
            "--display-name",
            "worker",
            "--use-limit",
            "7",
            "--renewable",
            "true",
        ];
        let made = cli.json(&create).await;
        let (token, accessor) = (
            made["client_token"].as_str().unwrap(),
            made["accessor"].as_str().unwrap(),
        );
        let found = cli.json(&["token", "lookup", "--accessor", accessor]).await;
        assert_eq!(found["policies"], json!(["app", "default"]));
        assert_eq!(
            (&found["meta"]["team"], &found["num_uses"]),
            (&json!("a"), &json!(7))
        );
        assert_eq!(
            (&found["display_name"], &found["explicit_max_ttl"]),
            (&json!("token-worker"), &json!(32400))
        );
        assert_eq!(found["orphan"], false);
        let same = cli
            .run_with(&["token", "lookup", "-", "-field", "accessor"], token)
            .await;
        assert_eq!(same.success().unwrap().stdout, accessor);
        let renewed = cli
            .json(&[
                "token",
                "renew",
                "--accessor",
                accessor,
                "--increment",
                "2h",
            ])
            .await;
        assert_eq!(renewed["lease_duration"], 7200);

        let more = [
            "token",
            "create",
            "--orphan",
            "--no-default-policy",
            "--policy",
            "app",
            "--period",
            "30m",
            "--type",
            "service",
            "--id-file",
            "id",
        ];
        fs::write(cli.home().join("id"), "chosen-by-us").unwrap();
        let orphan = cli.json(&more).await;
        assert_eq!(orphan["client_token"], "chosen-by-us");
        let found = cli.json(&["token", "lookup", "--token-file", "id"]).await;
        assert_eq!(
            (&found["orphan"], &found["period"]),
            (&json!(true), &json!(1800))
        );
        assert_eq!(found["policies"], json!(["app"]));

        // One's own token: looked up, renewed, revoked only when that is said.
        let own = Cli::new(format!("http://{}", server.address())).env(
            "BAO_TOKEN",
            cli.ok(&["token", "create", "--policy=default", "-field=token"])
                .await,
        );
        own.ok(&["token", "renew"]).await;
        assert_eq!(own.run(&["token", "revoke"]).await.code, 1);
        own.ok(&["token", "lookup"]).await;
        own.ok(&["token", "revoke", "--self"]).await;
        assert_eq!(own.run(&["token", "lookup"]).await.code, 2);

        cli.ok(&["token", "revoke", "--accessor", accessor]).await;
        cli.ok(&["token", "revoke", "--token-file", "id"]).await;
        for args in [
            ["token", "lookup", "--accessor", accessor],
            ["token", "lookup", "--token-file", "id"],
        ] {
            assert_eq!(cli.run(&args).await.code, 2, "{args:?}");
        }
        for verb in ["lookup", "renew", "revoke"] {
            let refused = cli.run(&["token", verb, "hvs.canary"]).await;
            assert!(
                refused.code == 1 && !refused.stderr.contains("canary"),
                "{refused:?}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_revoked_alone_or_with_those_it_made() {
    within_reason(async {
        let server = OpenBao::dev("root-of-openbao").await;
        let cli = root(&server);
        let url = format!("http://{}", server.address());
        for (args, lives_on) in [
            (&["token", "revoke", "-"][..], 2),
            (&["token", "revoke", "-", "--orphan"], 0),
        ] {
            let parent = cli
                .ok(&["token", "create", "--policy=root", "-field=token"])
                .await;
            let child = Cli::new(&url)
                .env("BILLFOLD_TOKEN", &parent)
                .ok(&["token", "create", "-field=token"])
                .await;
            cli.run_with(args, &parent).await.success().unwrap();
            assert_eq!(
                cli.run_with(&["token", "lookup", "-"], &parent).await.code,
                2
            );
            assert_eq!(
                cli.run_with(&["token", "lookup", "-"], &child).await.code,
                lives_on,
                "{args:?}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_written_read_listed_and_deleted() {
    within_reason(async {
        let server = OpenBao::dev("root-of-openbao").await;
        let cli = root(&server);
        let text = "path \"secret/data/app/*\" {\n\tcapabilities = [\"read\"]\n}\n";
        fs::write(cli.home().join("app.hcl"), text).unwrap();
        cli.ok(&["policy", "write", "app", "app.hcl"]).await;
        cli.run_with(&["policy", "write", "other", "-"], text)
            .await
            .success()
            .unwrap();
        assert_eq!(cli.ok(&["policy", "read", "app"]).await, text);
        assert_eq!(cli.json(&["policy", "read", "app"]).await["policy"], text);
        assert_eq!(
            cli.json(&["policy", "list"]).await,
            json!(["app", "default", "other", "root"])
        );
        // It does what it says.
        cli.ok(&["put", "secret/app/db", "k=v", "--insecure-value"])
            .await;
        let token = cli
            .ok(&["token", "create", "--policy=app", "-field=token"])
            .await;
        let app = Cli::new(format!("http://{}", server.address())).env("VAULT_TOKEN", token);
        assert_eq!(app.ok(&["get", "secret/app/db", "-field=k"]).await, "v");
        assert_eq!(
            app.run(&["put", "secret/app/db", "k=w", "--insecure-value"])
                .await
                .code,
            2
        );
        cli.ok(&["policy", "delete", "app"]).await;
        let gone = cli.run(&["policy", "read", "app"]).await;
        assert!(
            gone.code == 2 && gone.stderr.contains("there is nothing at app"),
            "{gone:?}"
        );
        let broken = cli
            .run_with(&["policy", "write", "broken", "-"], "path {")
            .await;
        assert!(
            broken.code == 2 && broken.stderr.contains("answered 400: "),
            "{broken:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_the_key_value_engine_are_understood() {
    within_reason(async {
        let server = OpenBao::dev("root-of-openbao").await;
        let cli = root(&server);
        let bao = Bao::new(server.address()).token(server.token());
        bao.ok(&["secrets", "enable", "-path=team/old", "-version=1", "kv"])
            .await;
        bao.ok(&["secrets", "enable", "-path=team/new", "-version=2", "kv"])
            .await;
        for mount in ["team/old", "team/new"] {
            let path = format!("{mount}/a b/ü%2f?#");
            cli.run_with(&["put", &path, "k=-"], "v")
                .await
                .success()
                .unwrap();
            assert_eq!(cli.ok(&["get", &path, "-field=k"]).await, "v");
            assert_eq!(cli.json(&["get", &path]).await["data"], json!({ "k": "v" }));
            assert_eq!(
                cli.json(&["ls", &format!("{mount}/a b")]).await,
                json!(["ü%2f?#"])
            );
            let read = bao.json(&["kv", "get", &path]).await;
            let data = if mount.ends_with("old") {
                &read["data"]
            } else {
                &read["data"]["data"]
            };
            assert_eq!(data["k"], "v");
            cli.ok(&["rm", &path]).await;
            assert_eq!(cli.run(&["get", &path]).await.code, 2);
        }
        assert_eq!(
            cli.json(&["ls"]).await,
            json!(["secret/", "team/new/", "team/old/"])
        );
        cli.ok(&["put", "team/old/a", "k=v", "--insecure-value"])
            .await;
        for args in [
            &["get", "team/old/a", "--version=1"][..],
            &["put", "team/old/a", "k=w", "--insecure-value", "--cas=0"],
            &["history", "team/old/a"],
            &["rm", "team/old/a", "--versions=1"],
            &["rm", "team/old/a", "--metadata"],
            &["destroy", "team/old/a", "--versions=1"],
            &["get", "sys/a"],
        ] {
            assert_eq!(cli.run(args).await.code, 1, "{args:?}");
        }
        assert_eq!(cli.ok(&["get", "team/old/a", "-field=k"]).await, "v");
        // Billfold's own: others say that they do not know it.
        assert_eq!(cli.run_with(&["tx", "-"], "[]").await.code, 2);
    })
    .await;
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_server_is_talked_to_and_a_client_can_show_who_it_is() {
    within_reason(async {
        let (ours, other) = (authority(), authority());
        let issue = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            let key = KeyPair::generate().unwrap();
            let made = CertificateParams::new(names)
                .unwrap()
                .signed_by(&key, &ours)
                .unwrap();
            (made.pem(), key.serialize_pem())
        };
        let (chain, key) = issue(&["localhost"]);
        let server = OpenBao::with_client_certificates(&chain, &key, &ours.pem()).await;
        let cli = Cli::new(format!("https://localhost:{}", server.address().port()));
        let file = |name: &str, text: &str| fs::write(cli.home().join(name), text).unwrap();
        let (own, own_key) = issue(&["client"]);
        file("ca.pem", &ours.pem());
        file("other.pem", &other.pem());
        file("own.pem", &own);
        file("own.key", &own_key);
        let identity = ["--client-cert", "own.pem", "--client-key", "own.key"];
        let status = async |options: &[&str]| cli.run(&[&["status"], options].concat()).await;

        let sealed = status(&[&["--ca-cert", "ca.pem"], &identity[..]].concat()).await;
        assert_eq!(sealed.code, 2, "{sealed:?}");
        assert!(
            sealed.stdout.contains("sealed") && sealed.stderr.is_empty(),
            "{sealed:?}"
        );
        let blind = status(&[&["-tls-skip-verify"], &identity[..]].concat()).await;
        assert!(
            blind.code == 2 && blind.stderr.contains("IS NOT CHECKED"),
            "{blind:?}"
        );
        for options in [
            &["--ca-cert", "ca.pem"][..],
            &[
                "--ca-cert",
                "other.pem",
                "--client-cert",
                "own.pem",
                "--client-key",
                "own.key",
            ],
            &identity,
            &["--ca-cert", "ca.pem", "--client-cert", "own.pem"],
            &["--ca-cert", "own.key"],
            &[
                "--ca-cert",
                "ca.pem",
                "--client-cert",
                "ca.pem",
                "--client-key",
                "ca.pem",
            ],
        ] {
            let refused = status(options).await;
            assert_eq!(
                (refused.code, refused.stdout.as_str()),
                (1, ""),
                "{options:?}: {refused:?}"
            );
        }
        let by_environment = Cli::new(format!("https://localhost:{}", server.address().port()))
            .env("VAULT_CACERT", cli.home().join("ca.pem").to_str().unwrap())
            .env(
                "BAO_CLIENT_CERT",
                cli.home().join("own.pem").to_str().unwrap(),
            )
            .env(
                "BILLFOLD_CLIENT_KEY",
                cli.home().join("own.key").to_str().unwrap(),
            )
            .env("VAULT_FORMAT", "json");
        let told = by_environment.run(&["status"]).await;
        assert!(
            told.code == 2 && told.stdout.contains("\"sealed\":true"),
            "{told:?}"
        );
    })
    .await;
}
