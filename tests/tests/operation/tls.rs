//! TLS, and certificates that change under a running server.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use billfold_tests::{billfold::Billfold, tools};
use rcgen::{CertifiedKey, KeyPair};
use reqwest::{Certificate, StatusCode, Version};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    process::{PATIENCE, Process},
    start::write_key,
};

type Made = CertifiedKey<KeyPair>;

fn certificate() -> Made {
    rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap()
}

fn install(made: &Made, folder: &Path) {
    fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
}

/// A client that trusts this certificate and no other.
fn trusting(made: &Made) -> reqwest::Client {
    client_that_trusts(made).build().unwrap()
}

fn client_that_trusts(made: &Made) -> reqwest::ClientBuilder {
    let certificate = Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let builder = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
    builder.tls_certs_only([certificate])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_read_again_on_a_hangup() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let (first, second) = (certificate(), certificate());
    install(&first, home.path());
    let key = home.path().join("wallet.key");
    write_key(&key);
    let builder = Billfold::serve()
        .data_dir(at("data"))
        .key_file(&key)
        .root_token("root-token");
    builder.init().await.unwrap().success().unwrap();

    // With TLS, any address will do.
    let port = tools::free_port();
    let listen = SocketAddr::from(([0, 0, 0, 0], port)).to_string();
    let mut process = Process::spawn(
        "serve",
        &[
            ("BILLFOLD_LISTEN", &listen),
            ("BILLFOLD_DATA_DIR", &at("data")),
            ("BILLFOLD_KEY_MANAGER", "key-file"),
            ("BILLFOLD_KEY_FILE", &at("wallet.key")),
            ("BILLFOLD_TLS_CERT_FILE", &at("cert.pem")),
            ("BILLFOLD_TLS_KEY_FILE", &at("key.pem")),
        ],
    );
    process.told("\"serving\"", 1).await;
    let url = format!("https://localhost:{port}/v1/secret/data/tls");
    let kept = trusting(&first);
    let get = |client: &reqwest::Client| {
        client
            .get(&url)
            .header("X-Vault-Token", "root-token")
            .send()
    };
    let put = kept
        .put(&url)
        .header("X-Vault-Token", "root-token")
        .body(json!({ "data": { "k": 1 } }).to_string());
    let answer = put.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.version(),
        Version::HTTP_2,
        "it is agreed on by itself"
    );
    let builder = client_that_trusts(&first).http1_only();
    let answer = get(&builder.build().unwrap()).await.unwrap();
    assert_eq!(
        (answer.status(), answer.version()),
        (StatusCode::OK, Version::HTTP_11)
    );
    assert!(
        get(&trusting(&second)).await.is_err(),
        "another certificate is not trusted"
    );
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    let plain = plain
        .get(format!("http://localhost:{port}/v1/sys/health"))
        .send()
        .await;
    assert!(plain.is_err(), "there is no plain HTTP: {plain:?}");

    install(&second, home.path());
    process.signal("HUP");
    let until = Instant::now() + PATIENCE;
    while get(&trusting(&second)).await.is_err() {
        assert!(
            Instant::now() < until,
            "the new certificate is not served\n{}",
            process.log()
        );
        sleep(Duration::from_millis(20)).await;
    }
    assert!(
        get(&trusting(&first)).await.is_err(),
        "the old one is served no more"
    );
    // A connection from before goes on.
    assert_eq!(get(&kept).await.unwrap().status(), 200);

    // Files that do not load, or do not belong together, change nothing.
    fs::write(at("cert.pem"), "no certificate").unwrap();
    process.signal("HUP");
    process.told("the TLS certificate was not changed", 1).await;
    fs::write(at("cert.pem"), first.cert.pem()).unwrap();
    process.signal("HUP");
    process.told("the TLS certificate was not changed", 2).await;
    assert_eq!(get(&trusting(&second)).await.unwrap().status(), 200);
    process.signal("TERM");
    assert_eq!(process.ended().await, 0);
    assert!(process.home().exists());

    let refused = Process::spawn(
        "serve",
        &[
            ("BILLFOLD_LISTEN", &listen),
            ("BILLFOLD_DATA_DIR", &at("data")),
            ("BILLFOLD_KEY_MANAGER", "key-file"),
            ("BILLFOLD_KEY_FILE", &at("wallet.key")),
            ("BILLFOLD_TLS_CERT_FILE", &at("cert.pem")),
            ("BILLFOLD_TLS_KEY_FILE", &at("key.pem")),
        ],
    )
    .ended()
    .await;
    assert_eq!(refused, 1, "a certificate of another key");
}
