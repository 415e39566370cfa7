//! What a full copy of log and key store from before a retirement is worth afterwards: with all of
//! today's secrets nothing that was erased opens; with the old ones it does.

use std::path::Path;

use billfold_core::{
    id::WalletId,
    keys::share::{Purpose, Set, Share},
};
use billfold_tests::{
    billfold::{Billfold, Builder, Reply},
    nats::{self, NatsServer},
    wallet::{self, Backend},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Rooted, until_destroyed, until_rewrapped};

const ROOT: &str = "/v1/sys/rotate/root";

/// A wallet that people open, on either backend.
struct Opened {
    node: Billfold,
    nats: Option<NatsServer>,
    token: String,
}

impl Rooted for Opened {
    async fn ask(&self, path: &str) -> Reply {
        self.call("GET", path, Value::Null).await
    }
}

impl Opened {
    async fn call(&self, method: &str, path: &str, body: Value) -> Reply {
        call(&self.node, &self.token, method, path, body).await
    }

    async fn good(&self, method: &str, path: &str, body: Value) -> Value {
        let reply = self.call(method, path, body).await;
        assert!(
            matches!(reply.status, 200 | 204),
            "{path}: {} {}",
            reply.status,
            reply.text()
        );
        match reply.status {
            200 => reply.json(),
            _ => Value::Null,
        }
    }
}

async fn call(node: &Billfold, token: &str, method: &str, path: &str, body: Value) -> Reply {
    let reply = node.client().call(method, path, Some(token), body).await;
    reply.unwrap_or_else(|error| panic!("{path}: {error:#}\n{}", node.log()))
}

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().unwrap().iter();
    list.map(|text| text.as_str().unwrap().to_owned()).collect()
}

async fn begin(backend: Backend) -> (Opened, Vec<String>) {
    let (builder, nats) = wallet::on(Billfold::serve(), backend);
    let node = builder
        .key_manager("shamir", &[])
        .spawn_closed()
        .await
        .unwrap();
    let wanted = json!({ "secret_shares": 3, "secret_threshold": 2 });
    let begun = node
        .client()
        .call("PUT", "/v1/sys/init", None, wanted)
        .await
        .unwrap()
        .json();
    let shares = texts(&begun["keys"]);
    unseal(&node, &shares).await;
    let token = begun["root_token"].as_str().unwrap().to_owned();
    (Opened { node, nats, token }, shares)
}

/// Hands in two shares; what the last answer was.
async fn unseal(node: &Billfold, shares: &[String]) -> Reply {
    let deadline = std::time::Instant::now() + super::PATIENCE;
    while call(node, "", "GET", "/v1/sys/seal-status", Value::Null)
        .await
        .json()["n"]
        == 0
    {
        assert!(std::time::Instant::now() < deadline, "{}", node.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let mut last = None;
    for share in &shares[..2] {
        let body = json!({ "key": share });
        last = Some(call(node, "", "PUT", "/v1/sys/unseal", body).await);
    }
    last.unwrap()
}

pub async fn inv07_a_copy_from_before_is_worth_nothing_after_a_retirement(backend: Backend) {
    let (mut now, old_shares) = begin(backend).await;
    for path in ["stays", "goes"] {
        let body = json!({ "data": { "value": format!("{path}-value") } });
        now.good("POST", &format!("/v1/secret/data/{path}"), body)
            .await;
    }
    // The copy is taken while nothing runs: of the log, of the key store, and of the node's folder.
    let copy = TempDir::new().unwrap();
    now.node.stop().await.unwrap();
    copy_of(now.node.data_dir(), &copy.path().join("data"));
    if let Some(nats) = &mut now.nats {
        nats.stop();
        copy_of(nats.store(), &copy.path().join("nats"));
        nats.run();
    }
    now.node = now.node.builder().clone().spawn_closed().await.unwrap();
    unseal(&now.node, &old_shares).await;

    now.good("DELETE", "/v1/secret/metadata/goes", json!({}))
        .await;
    assert_eq!(fate(&now).await, ["pending"]);
    now.good("POST", "/api/internal/wallet/rotate-kek", json!({}))
        .await;
    until_rewrapped(&now).await;
    now.good(
        "POST",
        "/api/internal/wallet/retire-kek",
        json!({ "version": 1 }),
    )
    .await;
    until_destroyed(&now, 1).await;
    assert_eq!(
        fate(&now).await,
        ["pending"],
        "the shares open a copy still"
    );
    let new_shares = new_shares(&now, &old_shares).await;
    assert_eq!(fate(&now).await, ["complete"]);
    assert_eq!(read(&now, "stays").await, Some("stays-value".to_owned()));
    assert_eq!(read(&now, "goes").await, None);

    // The control comes first: with what was secret then, what was erased since opens.
    let copied = open_copy(&now, &copy, backend).await;
    let unsealed = unseal(&copied.node, &old_shares).await;
    assert_eq!(unsealed.json()["sealed"], false, "{}", unsealed.text());
    assert_eq!(read(&copied, "goes").await, Some("goes-value".to_owned()));
    drop(copied);
    // With what is secret now it does not open, in no mixture of shares.
    let copied = open_copy(&now, &copy, backend).await;
    let told_apart = unseal(&copied.node, &new_shares).await;
    assert!(
        told_apart.text().contains("is of generation 2"),
        "{}",
        told_apart.text()
    );
    // Nor when they pass for those of then.
    let passing: Vec<String> = new_shares.iter().map(|share| as_of_then(share)).collect();
    for shares in [
        passing.clone(),
        vec![passing[0].clone(), old_shares[1].clone()],
        vec![old_shares[1].clone(), passing[2].clone()],
    ] {
        let refused = unseal(&copied.node, &shares).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
        let reset = json!({ "reset": true });
        call(&copied.node, "", "PUT", "/v1/sys/unseal", reset).await;
    }
    let sealed = call(&copied.node, "", "GET", "/v1/sys/seal-status", Value::Null).await;
    assert_eq!(sealed.json()["sealed"], true);
}

/// How far the erasures of the secret that goes are.
async fn fate(now: &Opened) -> Vec<String> {
    let path = "/api/internal/wallet/key-status";
    let deadline = std::time::Instant::now() + super::PATIENCE;
    loop {
        let erasures = now.good("GET", path, Value::Null).await["erasures"].clone();
        if erasures["destroying"] == 0 {
            let states = ["pending", "complete"].into_iter();
            return states
                .filter(|state| erasures[state].as_u64().unwrap() > 0)
                .map(str::to_owned)
                .collect();
        }
        assert!(std::time::Instant::now() < deadline, "{erasures}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn read(of: &Opened, path: &str) -> Option<String> {
    let reply = of
        .call("GET", &format!("/v1/secret/data/{path}"), Value::Null)
        .await;
    match reply.status {
        200 => reply.json()["data"]["data"]["value"]
            .as_str()
            .map(str::to_owned),
        404 => None,
        other => panic!("{other} {}", reply.text()),
    }
}

/// A share that says of itself that it is of the first generation.
fn as_of_then(share: &str) -> String {
    let bytes = hex::decode(share).unwrap();
    let share = Share::decode(&bytes).unwrap();
    // Of the wallet's id only the first bytes count.
    let mut wallet = [0; 16];
    wallet[..5].copy_from_slice(&bytes[2..7]);
    let set = Set::of(Purpose::Unseal, WalletId::from_bytes(wallet), 1);
    hex::encode(Share::new(set, share.at(), share.expose()).encode())
}

/// New shares in the place of the old ones, confirmed by two of them.
async fn new_shares(now: &Opened, old: &[String]) -> Vec<String> {
    let wanted = json!({ "secret_shares": 3, "secret_threshold": 2, "require_verification": true });
    let begun = now.good("POST", &format!("{ROOT}/init"), wanted).await;
    let nonce = begun["data"]["nonce"].clone();
    let mut made = Value::Null;
    for share in &old[..2] {
        let body = json!({ "key": share, "nonce": nonce });
        made = now.good("POST", &format!("{ROOT}/update"), body).await["data"].clone();
    }
    let shares = texts(&made["keys"]);
    for share in &shares[..2] {
        let body = json!({ "key": share, "nonce": made["verification_nonce"] });
        now.good("POST", &format!("{ROOT}/verify"), body).await;
    }
    shares
}

async fn open_copy(now: &Opened, copy: &TempDir, backend: Backend) -> Opened {
    let fresh = copy
        .path()
        .join(hex::encode(billfold_tests::tools::random::<4>()));
    let (data, store) = (fresh.join("data"), fresh.join("nats"));
    copy_of(&copy.path().join("data"), &data);
    let builder: Builder = Billfold::serve().data_dir(&data).key_manager("shamir", &[]);
    let (builder, nats) = match backend {
        Backend::Embedded => (builder, None),
        Backend::JetStream => {
            copy_of(&copy.path().join("nats"), &store);
            let nats = NatsServer::start_with(&nats::Settings::default(), Some(&store));
            (builder.nats(nats.url()), Some(nats))
        }
    };
    Opened {
        node: builder.spawn_closed().await.unwrap(),
        nats,
        token: now.token.clone(),
    }
}

fn copy_of(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_of(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}
