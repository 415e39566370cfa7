//! Starting: what is refused, and what is said about it.

use std::{
    fs,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use billfold_tests::{
    billfold::{Billfold, Builder, Ended},
    tools,
    wallet::{Backend, Wallet, on},
};
use serde_json::json;

use crate::process::{Process, health};

/// It ended with an error, and said these words; a refusal is told on one line, for people.
fn assert_refused(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.code, 1, "{ended:?}");
    let told = ended.stderr.lines().last().unwrap_or_default();
    assert!(told.starts_with("billfold: "), "{ended:?}");
    for word in words {
        assert!(told.contains(word), "{word:?} is not in {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_manager_nothing_starts() {
    let builder = Billfold::serve()
        .env_remove("BILLFOLD_KEY_MANAGER")
        .env_remove("BILLFOLD_KEY_FILE");
    let words = [
        "no key manager",
        "BILLFOLD_KEY_MANAGER",
        "BILLFOLD_KEY_FILE",
    ];
    for command in ["serve", "init", "check-config"] {
        assert_refused(&builder.run(command, &[]).await.unwrap(), &words);
    }
    let half = Billfold::serve().env_remove("BILLFOLD_KEY_FILE");
    assert_refused(
        &half.spawn_refused().await.unwrap(),
        &["key-file", "BILLFOLD_KEY_FILE"],
    );
    let unknown = Billfold::serve().env("BILLFOLD_KEY_MANAGER", "none");
    assert_refused(
        &unknown.spawn_refused().await.unwrap(),
        &["key_manager", "key-file", "dev-file"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_development_is_refused_in_production() {
    let data = tempfile::tempdir().unwrap();
    let production = |builder: Builder| {
        builder
            .data_dir(data.path())
            .env("BILLFOLD_ENV", "production")
    };
    let dev = production(Billfold::dev());
    assert_refused(
        &dev.spawn_refused().await.unwrap(),
        &["dev-file", "production"],
    );
    let serve = production(Billfold::serve()).env("BILLFOLD_KEY_MANAGER", "dev-file");
    for command in ["serve", "init", "check-config"] {
        assert_refused(
            &serve.run(command, &[]).await.unwrap(),
            &["dev-file", "production"],
        );
    }
    // A token that somebody thought of.
    let chosen = production(Billfold::serve()).init().await.unwrap();
    assert_refused(&chosen, &["--root-token", "production"]);
    assert_eq!(
        fs::read_dir(data.path()).unwrap().count(),
        0,
        "nothing was made"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_that_others_can_read_is_refused() {
    let wallet = Wallet::serve(Backend::Embedded).await;
    let builder = wallet.node.builder().clone();
    let file = wallet.node.key_file().to_owned();
    drop(wallet);
    let set = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    for mode in [0o644, 0o640, 0o604, 0o660] {
        set(mode);
        let named = format!("0{mode:o}");
        let words = [named.as_str(), "0600", file.to_str().unwrap()];
        assert_refused(&builder.clone().spawn_refused().await.unwrap(), &words);
    }
    set(0o400);
    builder.clone().spawn().await.unwrap();
    set(0o600);
    for (bytes, words) in [(31, "31 bytes"), (33, "33 bytes"), (0, "0 bytes")] {
        fs::write(&file, vec![7; bytes]).unwrap();
        assert_refused(
            &builder.clone().spawn_refused().await.unwrap(),
            &[words, "32"],
        );
    }
}

/// A key of the right form that is another wallet's.
pub async fn only_the_wallet_s_own_key_opens_it(backend: Backend) {
    let mut wallet = Wallet::serve(backend).await;
    wallet.node.stop().await.unwrap();
    let other = tempfile::tempdir().unwrap();
    let file = other.path().join("other.key");
    write_key(&file);
    let builder = wallet.node.builder().clone();
    let ended = builder
        .clone()
        .key_file(&file)
        .spawn_refused()
        .await
        .unwrap();
    assert_refused(&ended, &["key-file"]);
    let missing = builder.env("BILLFOLD_KEY_FILE", "/nowhere/wallet.key");
    assert_refused(
        &missing.spawn_refused().await.unwrap(),
        &["/nowhere/wallet.key", "No such file"],
    );
    wallet.node.restart().await.unwrap();
    wallet.assert_sound().await;
}

pub fn write_key(file: &Path) {
    let mut options = fs::OpenOptions::new();
    let key = options.write(true).create_new(true).mode(0o600).open(file);
    std::io::Write::write_all(&mut key.unwrap(), &tools::random::<32>()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_is_for_loopback() {
    let anywhere = ([0, 0, 0, 0], tools::free_port()).into();
    let serve = Billfold::serve().listen(anywhere);
    let words = [
        "loopback",
        "BILLFOLD_TLS_CERT_FILE",
        "BILLFOLD_TLS_KEY_FILE",
    ];
    assert_refused(&serve.clone().spawn_refused().await.unwrap(), &words);
    assert_refused(&serve.run("check-config", &[]).await.unwrap(), &words);
    assert_refused(
        &Billfold::dev()
            .listen(anywhere)
            .spawn_refused()
            .await
            .unwrap(),
        &["loopback"],
    );
    let half = serve.env("BILLFOLD_TLS_CERT_FILE", "cert.pem");
    assert_refused(
        &half.spawn_refused().await.unwrap(),
        &["tls_cert_file", "tls_key_file"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_file_is_read_and_the_environment_wins() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let (file, key) = (at("billfold.toml"), at("wallet.key"));
    write_key(Path::new(&key));
    let own = |builder: Builder| {
        let names = ["LISTEN", "DATA_DIR", "KEY_MANAGER", "KEY_FILE"];
        names.iter().fold(builder, |builder, name| {
            builder.env_remove(format!("BILLFOLD_{name}"))
        })
    };
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], tools::free_port()));
    let sound = format!(
        "listen = \"{address}\"\ndata_dir = {:?}\nkey_manager = \"key-file\"\nkey_file = {key:?}\nlog = \"debug\"\n",
        at("data")
    );
    let run = async |text: &str, command: &str, builder: Builder| {
        fs::write(&file, text).unwrap();
        own(builder)
            .run(command, &["--config", &file])
            .await
            .unwrap()
    };
    for (line, words) in [
        ("listn = 1\n", ["listn"].as_slice()),
        ("nats_url = 7\n", &["nats_url"]),
        ("listen = \"hvs.canary\"\n", &["listen"]),
        ("env = \"hvs.canary\"\n", &["env", "production"]),
        ("nats_replicas = 2\n", &["nats_replicas"]),
        ("principal_per_second = 0\n", &["principal_per_second"]),
        ("= hvs.canary\n", &["TOML"]),
    ] {
        let text = sound
            .lines()
            .filter(|old| old.split(' ').next() != line.split(' ').next());
        let text = [text.collect::<Vec<_>>().join("\n"), line.to_owned()].join("\n");
        for command in ["check-config", "serve", "init"] {
            let ended = run(&text, command, Billfold::serve()).await;
            assert_refused(&ended, words);
            assert!(!ended.stderr.contains("hvs.canary"), "{ended:?}");
        }
    }
    let missing = own(Billfold::serve())
        .run("check-config", &["--config", "/nowhere.toml"])
        .await;
    assert_refused(&missing.unwrap(), &["/nowhere.toml"]);
    assert!(!Path::new(&at("data")).exists(), "nothing was made");

    run(&sound, "check-config", Billfold::serve())
        .await
        .success()
        .unwrap();
    run(&sound, "init", Billfold::serve())
        .await
        .success()
        .unwrap();
    assert!(Path::new(&at("data")).join("log.redb").exists());
    let other = std::net::SocketAddr::from(([127, 0, 0, 1], tools::free_port()));
    let listen = other.to_string();
    let _process = Process::spawn(
        "serve",
        &[("BILLFOLD_CONFIG", &file), ("BILLFOLD_LISTEN", &listen)],
    );
    health(other, 200).await;
}

pub async fn a_second_init_leaves_the_wallet_as_it_was(backend: Backend) {
    let mut wallet = Wallet::serve(backend).await;
    let path = "/v1/secret/data/kept";
    wallet
        .node
        .root("POST", path, json!({ "data": { "k": "v" } }))
        .await;
    let before = wallet.settled().await;
    wallet.node.stop().await.unwrap();
    let again = wallet.node.builder().clone().root_token("another-token");
    for _ in 0..2 {
        let ended = again.init().await.unwrap();
        assert_refused(&ended, &["there is a wallet on this log already"]);
        assert!(!ended.stdout.contains("another-token"), "{ended:?}");
    }
    wallet.node.restart().await.unwrap();
    wallet.assert_unchanged(&before).await;
    let read = wallet.node.root("GET", path, ()).await;
    assert_eq!(read.json()["data"]["data"]["k"], "v");
    let other = wallet
        .node
        .client()
        .call("GET", path, Some("another-token"), ())
        .await
        .unwrap();
    assert_eq!(other.status, 403);
}

pub async fn the_token_that_init_prints_works(backend: Backend) {
    let (builder, _nats) = on(Billfold::serve(), backend);
    let builder = builder.env("BILLFOLD_ENV", "production");
    let made = builder.run("init", &[]).await.unwrap().success().unwrap();
    let token = made.stdout.lines().last().unwrap().to_owned();
    assert!(token.starts_with("hvs.") && token.len() >= 36, "{made:?}");
    assert!(!made.stderr.contains(&token), "{made:?}");
    let node = builder.root_token(&token).spawn().await.unwrap();
    let own = node.root("GET", "/v1/auth/token/lookup-self", ()).await;
    assert_eq!(
        (own.status, own.json()["data"]["id"].as_str()),
        (200, Some(token.as_str()))
    );
    assert!(!node.log().contains(&token));
    let stranger = node
        .client()
        .call("GET", "/v1/sys/mounts", Some("hvs.x"), ())
        .await
        .unwrap();
    assert_eq!(stranger.status, 403);
}

pub async fn a_second_node_on_one_data_folder_is_refused(backend: Backend) {
    let wallet = Wallet::serve(backend).await;
    let first = wallet.node.builder();
    let elsewhere = ([127, 0, 0, 1], tools::free_port()).into();
    let second = first
        .clone()
        .listen(elsewhere)
        .spawn_refused()
        .await
        .unwrap();
    assert_refused(
        &second,
        &[wallet.node.data_dir().to_str().unwrap(), "another process"],
    );
    let address = first.clone().spawn_refused().await.unwrap();
    assert_refused(&address, &["listening on", "in use"]);
    let written = wallet
        .node
        .root("POST", "/v1/secret/data/x", json!({ "data": {} }))
        .await;
    assert_eq!(written.status, 200);
    wallet.assert_sound().await;
}

pub async fn health_tells_whether_there_is_a_wallet(backend: Backend) {
    let (builder, nats) = on(Billfold::serve(), backend);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], tools::free_port()));
    let home = tempfile::tempdir().unwrap();
    let (listen, data, key) = (
        address.to_string(),
        home.path().join("data"),
        home.path().join("wallet.key"),
    );
    write_key(&key);
    let builder = builder.listen(address).data_dir(&data).key_file(&key);
    let url = nats.as_ref().map(|nats| nats.url());
    let mut settings = vec![
        ("BILLFOLD_LISTEN", listen.as_str()),
        ("BILLFOLD_DATA_DIR", data.to_str().unwrap()),
        ("BILLFOLD_KEY_MANAGER", "key-file"),
        ("BILLFOLD_KEY_FILE", key.to_str().unwrap()),
    ];
    settings.extend(url.as_deref().map(|url| ("BILLFOLD_NATS_URL", url)));
    let mut process = Process::spawn("serve", &settings);
    let client = billfold_tests::billfold::Client::new(address);
    let get = async |path: &str| client.call("GET", path, None, ()).await.unwrap();

    let none = health(address, 501).await.json();
    assert_eq!(
        (&none["initialized"], &none["sealed"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(get("/v1/sys/health?uninitcode=299").await.status, 299);
    assert_eq!(
        get("/v1/sys/health?activecode=299&sealedcode=298")
            .await
            .status,
        501
    );
    assert_eq!(
        get("/v1/sys/init").await.json(),
        json!({ "initialized": false })
    );
    let seal = get("/v1/sys/seal-status").await;
    assert_eq!(
        (seal.status, &seal.json()["initialized"]),
        (200, &json!(false))
    );
    assert_eq!(get("/v1/sys/leader").await.status, 200);
    for path in [
        "/v1/secret/data/x",
        "/v1/sys/mounts",
        "/api/credentials",
        "/nope",
    ] {
        let told = get(path).await;
        assert_eq!(told.status, 503, "{path}: {}", told.text());
    }
    process.told("billfold init", 1).await;

    // On a log that it does not own, the wallet may come while it waits.
    if backend == Backend::Embedded {
        process.signal("TERM");
        assert_eq!(process.ended().await, 0);
        builder.init().await.unwrap().success().unwrap();
        process = Process::spawn("serve", &settings);
    } else {
        builder.init().await.unwrap().success().unwrap();
    }
    let active = health(address, 200).await.json();
    assert_eq!(
        (
            &active["initialized"],
            &active["sealed"],
            &active["standby"]
        ),
        (&json!(true), &json!(false), &json!(false))
    );
    assert_eq!(get("/v1/sys/health?activecode=277").await.status, 277);
    assert_eq!(
        get("/v1/sys/health?uninitcode=299&sealedcode=298")
            .await
            .status,
        200
    );
    assert_eq!(
        client
            .call("HEAD", "/v1/sys/health", None, ())
            .await
            .unwrap()
            .status,
        200
    );
    assert_eq!(
        get("/v1/sys/init").await.json(),
        json!({ "initialized": true })
    );
    assert_eq!(
        get("/v1/sys/leader").await.json(),
        json!({ "ha_enabled": false })
    );
    process.signal("INT");
    assert_eq!(process.ended().await, 0);
}

/// What is left of a wallet is not taken for the beginning of another: two logs would be signed by one
/// key, or keys would be made that belong to nothing.
#[tokio::test(flavor = "multi_thread")]
async fn half_a_wallet_is_not_begun_anew() {
    for (lost, words) in [
        ("log.redb", "put the log back"),
        ("keys.redb", "put the key store back"),
    ] {
        let mut wallet = Wallet::serve_with(Backend::Embedded, |builder| {
            builder.env("BILLFOLD_CHECKPOINT_COMMITS", "1")
        })
        .await;
        let secret = json!({ "data": { "k": "v" } });
        let written = wallet
            .node
            .root("POST", "/v1/secret/data/kept", secret)
            .await;
        assert_eq!(written.status, 200, "{}", written.text());
        let at = |name: &str| wallet.node.data_dir().join(name);
        let (away, checkpoint) = (at("away"), at("checkpoint"));
        let lost = at(lost);
        let until = std::time::Instant::now() + crate::process::PATIENCE;
        while !checkpoint.exists() {
            assert!(std::time::Instant::now() < until, "no checkpoint is kept");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(wallet.node.stop().await.unwrap(), 0);
        fs::rename(&lost, &away).unwrap();
        let refused = wallet.node.builder().init().await.unwrap();
        assert_refused(&refused, &[words, "nothing was changed"]);
        // With its other half it is what it was.
        fs::rename(&away, &lost).unwrap();
        wallet.node.restart().await.unwrap();
        let read = wallet.node.root("GET", "/v1/secret/data/kept", ()).await;
        assert_eq!(read.json()["data"]["data"]["k"], "v", "{}", read.text());
        wallet.assert_sound().await;
    }
}
