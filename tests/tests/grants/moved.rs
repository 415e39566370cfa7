//! What an auditor's key tells where names are not what they were, or not the wallet's.

use std::collections::HashMap;

use billfold_core::{
    Millis,
    commit::{self, CommitHash, Entry, Header, Sealed},
    event::{Actor, Event, Fact, v1::GrantEnded},
    grant::{NameTable, seal_part},
    id::{GrantId, ProcessId},
    keys::wallet::WalletKeys,
    subject::{Generation, Subject},
};
use billfold_streams::entropy::Os;
use billfold_tests::{
    tools,
    wallet::{Backend, Wallet, within_reason},
};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    auditor::{Auditor, attested, lines},
    end_epoch, grant, ok, serve, until_granted,
};

async fn token_for(wallet: &Wallet, policy: &str, path: &str) -> String {
    let text = format!("path \"{path}\" {{ capabilities = [\"read\"] }}");
    let url = format!("/v1/sys/policies/acl/{policy}");
    ok(wallet, "POST", &url, json!({ "policy": text })).await;
    let wish = json!({ "policies": [policy] });
    let made = ok(wallet, "POST", "/v1/auth/token/create", wish).await;
    made["auth"]["client_token"].as_str().unwrap().to_owned()
}

/// What each request was answered, by its place.
fn verdicts(rows: &[Value]) -> HashMap<(u64, u64), String> {
    let asked = rows.iter().filter(|row| row["verdict"].is_string());
    let place = |row: &Value| {
        let number = |field: &str| row[field].as_u64().unwrap();
        (number("sequence"), number("index"))
    };
    asked
        .map(|row| (place(row), row["verdict"].as_str().unwrap().to_owned()))
        .collect()
}

/// The path of a mount before it moved decides what a request before that was answered.
pub async fn a_mount_that_moved_inverts_no_verdict(backend: Backend) {
    let wallet = serve(backend).await;
    let auditor = Auditor::new();
    let mount = json!({ "type": "kv", "options": { "version": "2" } });
    ok(&wallet, "POST", "/v1/sys/mounts/old", mount).await;
    let data = json!({ "data": { "k": "v" } });
    ok(&wallet, "POST", "/v1/old/data/x", data).await;
    let may = token_for(&wallet, "p", "old/data/*").await;
    let may_later = token_for(&wallet, "q", "new/data/*").await;
    let client = wallet.node.client();
    for (token, path, status) in [
        (&may, "/v1/old/data/x", 200),
        (&may_later, "/v1/old/data/x", 403),
    ] {
        let read = client.call("GET", path, Some(token), ()).await.unwrap();
        assert_eq!(read.status, status);
    }
    let before = wallet.state().await.sequence;
    let remount = json!({ "from": "old/", "to": "new/" });
    ok(&wallet, "POST", "/v1/sys/remount", remount).await;
    for (token, path, status) in [
        (&may, "/v1/new/data/x", 403),
        (&may_later, "/v1/new/data/x", 200),
    ] {
        let read = client.call("GET", path, Some(token), ()).await.unwrap();
        assert_eq!(read.status, status);
    }
    end_epoch(&wallet).await;
    let granted = grant(&wallet, &auditor, json!({ "to": "2999-01-01T00:00:00Z" })).await;
    until_granted(&wallet, granted["id"].as_str().unwrap(), 1).await;
    let told = auditor.replay(&wallet, &["log", "--json", "--names"]).await;
    let told = verdicts(&lines(&told.success().unwrap().stdout));
    let known = wallet.replay(&["log", "--json", "--names"]).await.unwrap();
    let known = verdicts(&lines(&known.success().unwrap().stdout));
    assert!(told.len() >= 4, "{told:?}");
    for (place, verdict) in &told {
        assert_eq!(Some(verdict), known.get(place), "{place:?}");
    }
    assert!(told.values().any(|verdict| verdict == "unknown"));
    let at = before.to_string();
    let then = auditor
        .replay(&wallet, &["at", &at, "mounts", "--json"])
        .await;
    let then = then.success().unwrap().stdout;
    assert!(!then.contains("new/"), "{then}");
}

/// Anybody can seal something to a public key, and whoever can write to the log can put it there.
#[tokio::test(flavor = "multi_thread")]
async fn inv09_what_no_checkpoint_attests_names_nothing() {
    within_reason(async {
        let mut wallet = serve(Backend::JetStream).await;
        let auditor = Auditor::new();
        let data = json!({ "data": { "k": "v" } });
        ok(&wallet, "POST", "/v1/secret/data/app", data).await;
        ok(&wallet, "GET", "/v1/secret/data/app", Value::Null).await;
        end_epoch(&wallet).await;
        let granted = grant(&wallet, &auditor, json!({ "to": "2999-01-01T00:00:00Z" })).await;
        until_granted(&wallet, granted["id"].as_str().unwrap(), 1).await;
        attested(&wallet).await;
        wallet.node.stop().await.unwrap();
        let listed = ["log", "--json", "--names"];
        let before = auditor.replay(&wallet, &listed).await.success().unwrap();
        let rows = lines(&before.stdout);
        let record = rows.iter().find_map(|row| row["record"].as_str()).unwrap();
        let mount = rows.iter().find_map(|row| row["mount"].as_str()).unwrap();

        let url = wallet.nats.as_ref().unwrap().url();
        let context = async_nats::jetstream::new(async_nats::connect(url).await.unwrap());
        let stream = context.get_stream("WALLET_EVENTS_1").await.unwrap();
        let first = stream.get_raw_message(1).await.unwrap();
        let header = Sealed::parse(&first.payload).unwrap().header.clone();
        let epoch = WalletKeys::generate(&mut Os::new()).epochs.remove(0);
        let writer = ProcessId::from_bytes(tools::random());
        let id = |text: &str| hex::decode(text).unwrap().try_into().unwrap();
        let table = NameTable {
            records: vec![(
                billfold_core::id::RecordId::from_bytes(id(record)),
                billfold_core::id::MountId::from_bytes(id(mount)),
                "payroll/ceo".to_owned(),
            )],
            ..NameTable::default()
        };
        let public = auditor.secret().public().unwrap();
        let grant = GrantId::from_bytes(tools::random());
        let place = (grant, Event::NAMES_GRANTED, 1);
        let sealed = seal_part(
            header.wallet,
            &public,
            place,
            &table.encode(),
            &mut Os::new(),
        );
        let noise = [&[2][..], public.id().as_bytes(), &[7; 90]].concat();
        let mut previous = CommitHash::NONE;
        for payload in [sealed.unwrap(), noise] {
            let header = Header {
                wallet: header.wallet,
                subject: Subject::Observed(Generation::FIRST, writer),
                previous,
                writer,
                time: Millis(header.time.0 + 1),
                fact_keys: vec![epoch.id],
            };
            let fact = Fact {
                actor: Actor::System,
                command: None,
                event: Event::GrantEnded(GrantEnded { grant }),
            };
            let entry = Entry {
                fact,
                names: None,
                payload: Some(payload.into()),
            };
            let bytes: Bytes = commit::encode(&header, &[entry], &epoch, &mut Os::new());
            previous = CommitHash::of(&bytes);
            let sent = context.publish(header.subject.to_string(), bytes).await;
            sent.unwrap().await.unwrap();
        }
        let after = auditor.replay(&wallet, &listed).await.success().unwrap();
        assert_eq!(after.stdout, before.stdout);
    })
    .await;
}
