//! What is left of a wallet's keys in the memory of a process once it is sealed: nothing.
//!
//! The keys are worked out from the key store by a reader of its own. Before the seal they must be
//! found in the process, or the search proves nothing.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Seek as _, SeekFrom},
    sync::Arc,
    time::Instant,
};

use aes_gcm::{AeadInOut as _, Aes256Gcm, KeyInit as _, Nonce, Tag};
use billfold_core::keys::keyring::Keyring;
use billfold_streams::{
    KeyStore,
    jetstream::{Config, Credentials, JetStream},
    keys::Slot,
};
use billfold_tests::{billfold::Billfold, nats::NatsServer};
use ciborium::Value;
use hkdf::Hkdf;
use serde_json::json;
use sha2::Sha256;

use super::{Closed, PATIENCE};

/// Opens sealed bytes as the wire format says.
fn open(key: &[u8], label: &str, parts: &[&[u8]], sealed: &[u8]) -> Vec<u8> {
    let place: Vec<u8> = parts
        .iter()
        .flat_map(|part| [&(part.len() as u64).to_be_bytes()[..], part].concat())
        .collect();
    let mut okm = [0; 64];
    Hkdf::<Sha256>::new(Some(&sealed[1..33]), key)
        .expand(label.as_bytes(), &mut okm)
        .unwrap();
    assert_eq!(okm[32..], sealed[33..65], "the commitment of {label}");
    let (body, tag) = sealed[65..].split_at(sealed.len() - 65 - 16);
    let mut plain = body.to_vec();
    let cipher = Aes256Gcm::new_from_slice(&okm[..32]).unwrap();
    let tag = Tag::try_from(tag).unwrap();
    cipher
        .decrypt_inout_detached(&Nonce::default(), &place, plain.as_mut_slice().into(), &tag)
        .unwrap();
    plain
}

fn array(bytes: &[u8]) -> Vec<Value> {
    let value: Value = ciborium::from_reader(bytes).unwrap();
    value.into_array().unwrap()
}

fn bytes(value: &Value) -> &[u8] {
    value.as_bytes().unwrap()
}

/// The wallet's keys by what they are, out of its key store and its key file.
async fn keys_of(store: &dyn KeyStore, file: &std::path::Path) -> BTreeMap<String, Vec<u8>> {
    let mut keys = BTreeMap::new();
    let file = fs::read(file).unwrap();
    let stored = store.read(Slot::Keyring).await.unwrap().unwrap();
    let keyring = Keyring::decode(&stored.bytes).unwrap();
    let wallet = *keyring.wallet.as_bytes();
    let generation = u64::from(keyring.generation).to_be_bytes();
    let parts: [&[u8]; 2] = [&wallet, &generation];
    let label = "billfold v1 unseal generation";
    let opened = open(&file, label, &parts, &keyring.wrapped_generation);
    let generation_key = opened[20..].to_vec();
    let fields = array(&stored.bytes);
    let kek = array_of(&fields[6])[0].clone();
    let kek = array_of(&kek).to_vec();
    let version = u64::try_from(kek[0].as_integer().unwrap())
        .unwrap()
        .to_be_bytes();
    let reach = keyring.reach();
    let (oldest, back_to) = (u64::from(reach.oldest), u64::from(reach.back_to));
    assert_eq!(reach.earlier, [], "a wallet that was never moved");
    let (oldest, back_to) = (oldest.to_be_bytes(), back_to.to_be_bytes());
    let parts: [&[u8]; 5] = [&wallet, &generation, &oldest, &back_to, &version];
    let opened = open(&generation_key, "billfold v1 kek", &parts, bytes(&kek[1]));
    let kek = opened[20..].to_vec();
    let stored = store.read(Slot::Wallet).await.unwrap().unwrap();
    let fields = array(&stored.bytes);
    let label = "billfold v1 wallet keys";
    let opened = open(&kek, label, &[&wallet, &version], bytes(&fields[2]));
    for (at, name) in [
        (0, "id key"),
        (32, "view key"),
        (64, "token MAC key"),
        (96, "command key"),
        (128, "checkpoint seed"),
        (160, "next checkpoint seed"),
        (212, "fact key"),
        (244, "request-name key"),
    ] {
        keys.insert(name.to_owned(), opened[at..at + 32].to_vec());
    }
    for page in store.pages().await.unwrap() {
        let Some(stored) = store.read(Slot::Page(page)).await.unwrap() else {
            continue;
        };
        let fields = array(&stored.bytes);
        let header = bytes(&fields[0]);
        let opened = open(
            &kek,
            "billfold v1 key page",
            &[&wallet, header],
            bytes(&fields[1]),
        );
        for entry in opened.chunks_exact(33) {
            keys.insert(format!("DEK {page} {}", entry[0]), entry[1..].to_vec());
        }
    }
    keys.insert("KEK".to_owned(), kek);
    keys.insert("generation key".to_owned(), generation_key);
    keys
}

fn array_of(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// Where in a process's memory each of these can be found.
fn found(process: u32, wanted: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<String>> {
    let by_start: BTreeMap<[u8; 8], Vec<(&String, &Vec<u8>)>> =
        wanted
            .iter()
            .fold(BTreeMap::new(), |mut by, (name, bytes)| {
                let start: [u8; 8] = bytes[..8].try_into().unwrap();
                by.entry(start).or_insert_with(Vec::new).push((name, bytes));
                by
            });
    let mut starts = vec![false; 1 << 16];
    for start in by_start.keys() {
        starts[usize::from(u16::from_le_bytes([start[0], start[1]]))] = true;
    }
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut memory = fs::File::open(format!("/proc/{process}/mem"))
        .expect("this test reads another process's memory, and so is run by root");
    let mut found = BTreeMap::<String, Vec<String>>::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        if !rights.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let from = u64::from_str_radix(from, 16).unwrap();
        let length = usize::try_from(u64::from_str_radix(to, 16).unwrap() - from).unwrap();
        let mut bytes = vec![0; length];
        memory.seek(SeekFrom::Start(from)).unwrap();
        // A mapping may have shrunk meanwhile.
        let Ok(()) = memory.read_exact(&mut bytes) else {
            continue;
        };
        for (at, window) in bytes.windows(8).enumerate() {
            if !starts[usize::from(u16::from_le_bytes([window[0], window[1]]))] {
                continue;
            }
            let start: [u8; 8] = window.try_into().unwrap();
            for (name, key) in by_start.get(&start).into_iter().flatten() {
                if bytes[at..].starts_with(key) {
                    let place = format!("{line} +{at:#x}");
                    found.entry((*name).clone()).or_default().push(place);
                }
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_process_has_no_key_in_its_memory() {
    let nats = NatsServer::start();
    let builder = Billfold::serve().nats(nats.url());
    let ended = builder.init().await.unwrap();
    ended.success().unwrap();
    let node = builder.clone().spawn().await.unwrap();
    let (token, file) = (node.token().to_owned(), node.key_file().to_owned());
    let closed = Closed::of(node);
    let secret = format!(
        "secret-{}",
        hex::encode(billfold_tests::tools::random::<24>())
    );
    for number in 0..50 {
        let path = format!("/v1/secret/data/a/{number}");
        let body = json!({ "data": { "k": secret } });
        let written = closed.as_whom(Some(&token), "POST", &path, body).await;
        assert_eq!(written.status, 200);
        let read = closed.as_whom(Some(&token), "GET", &path, ()).await;
        assert_eq!(read.status, 200);
    }
    let keys: Arc<dyn KeyStore> = jetstream(&nats).await.keys();
    let mut wanted = keys_of(&*keys, &file).await;
    wanted.insert("secret".to_owned(), secret.into_bytes());
    wanted.insert("token".to_owned(), token.clone().into_bytes());
    let process = closed.node.pid().unwrap();
    let before = found(process, &wanted);
    let deks = before.keys().filter(|name| name.starts_with("DEK")).count();
    assert!(deks >= 256, "{deks} DEKs were found before the seal");
    for name in [
        "KEK",
        "generation key",
        "id key",
        "token MAC key",
        "command key",
        "fact key",
    ] {
        assert!(
            before.contains_key(name),
            "{name} was not found before the seal"
        );
    }
    closed
        .as_whom(Some(&token), "PUT", "/v1/sys/seal", ())
        .await;
    closed.until_sealed(true).await;
    // Tasks that were at work may take a moment to end; what is then still there stays there.
    wanted.retain(|name, _| !["secret", "token"].contains(&name.as_str()));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = found(process, &wanted);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left after the seal: {left:#?}");
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
}

async fn jetstream(nats: &NatsServer) -> JetStream {
    let connected = JetStream::connect(Config {
        url: nats.url(),
        credentials: Credentials::None,
        ca_file: None,
        client_certificate: None,
        generation: billfold_core::subject::Generation::FIRST,
        replicas: 1,
        create: false,
        ack_timeout: PATIENCE,
        production: false,
        monitoring_urls: Vec::new(),
        attest_sync_always: true,
    });
    connected.await.unwrap()
}
