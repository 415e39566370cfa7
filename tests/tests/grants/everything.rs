//! Every ciphertext of a wallet: all that stands in the log and in the key store.

use std::collections::BTreeSet;

use billfold_core::{
    Millis, SecretBytes,
    commit::Sealed,
    event::Event,
    grant::{Address, NameTable},
    id::{FactKeyId, Seq, WalletId},
    subject::Generation,
};
use billfold_streams::{
    EventLog, KeyStore,
    embedded::Embedded,
    jetstream::{Config, JetStream},
    keys::Slot,
    log::Filter,
};
use billfold_tests::wallet::Wallet;
use bytes::Bytes;
use futures::StreamExt as _;
use hkdf::Hkdf;
use serde_json::Value;
use sha2::Sha256;

use super::auditor::{Auditor, lines};

/// Where every label stands.
const LABELS: &str = include_str!("../../../core/src/labels.rs");
const FACT: &str = "billfold v1 fact";
const REQUEST_NAMES: &str = "billfold v1 request names";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Fact,
    RequestNames,
    Names,
    Payload,
    /// A slot of the key store, with any number of ciphertexts in it.
    Stored,
}

struct Ciphertext {
    kind: Kind,
    /// The epoch of its commit.
    epoch: Option<FactKeyId>,
    bytes: Bytes,
}

pub struct Everything {
    wallet: WalletId,
    ciphertexts: Vec<Ciphertext>,
    /// The epochs, in the order of the log.
    epochs: Vec<FactKeyId>,
}

/// The keys of an epoch, as an auditor was granted them.
pub struct Granted {
    pub epoch: FactKeyId,
    facts: [u8; 32],
    names: [u8; 32],
}

/// Everything of a wallet that nobody has open.
pub async fn every_ciphertext(wallet: &Wallet) -> Everything {
    let (log, keys): (std::sync::Arc<dyn EventLog>, std::sync::Arc<dyn KeyStore>) =
        match &wallet.nats {
            Some(nats) => {
                let open = JetStream::connect(Config::dev(nats.url())).await.unwrap();
                (open.log(), open.keys())
            }
            None => {
                let dir = wallet.node.data_dir().to_owned();
                let opening = tokio::task::spawn_blocking(move || Embedded::open_reader(&dir));
                let open = opening.await.unwrap().unwrap();
                (open.log(), open.keys())
            }
        };
    let all = Filter::All(Generation::FIRST);
    let end = log.head(all).await.unwrap();
    let mut messages = log.read(all, Seq::ZERO).await.unwrap();
    let mut found = Everything {
        wallet: WalletId::default(),
        ciphertexts: Vec::new(),
        epochs: Vec::new(),
    };
    let mut last = Seq::ZERO;
    while last < end {
        let message = messages.next().await.unwrap().unwrap();
        last = message.seq;
        found.take(&Sealed::parse(&message.bytes).unwrap());
    }
    let mut slots = vec![Slot::Keyring, Slot::Wallet];
    slots.extend(keys.pages().await.unwrap().into_iter().map(Slot::Page));
    for slot in slots {
        let stored = keys.read(slot).await.unwrap().unwrap();
        found.ciphertexts.push(Ciphertext {
            kind: Kind::Stored,
            epoch: None,
            bytes: stored.bytes,
        });
    }
    found
}

impl Everything {
    fn take(&mut self, commit: &Sealed) {
        self.wallet = commit.header.wallet;
        // What states something about the log is in the clear.
        if commit.header.subject.is_checkpoint() {
            return;
        }
        let [epoch] = commit.header.fact_keys[..] else {
            panic!("a commit has one epoch")
        };
        if !self.epochs.contains(&epoch) {
            self.epochs.push(epoch);
        }
        let names = match commit.header.subject.is_decided() {
            true => Kind::Names,
            false => Kind::RequestNames,
        };
        for event in commit.ciphertexts() {
            let parts = [
                (Kind::Fact, Some(event.fact)),
                (names, event.names),
                (Kind::Payload, event.payload),
            ];
            let there = parts.into_iter().filter_map(|(kind, bytes)| {
                Some(Ciphertext {
                    kind,
                    epoch: Some(epoch),
                    bytes: bytes?.clone(),
                })
            });
            self.ciphertexts.extend(there);
        }
    }

    fn count(&self, kind: Kind) -> usize {
        let of_kind = self.ciphertexts.iter();
        of_kind.filter(|sealed| sealed.kind == kind).count()
    }

    pub fn payloads(&self) -> usize {
        self.count(Kind::Payload)
    }

    pub fn request_names(&self) -> usize {
        self.count(Kind::RequestNames)
    }

    pub fn stored(&self) -> usize {
        self.count(Kind::Stored)
    }

    pub fn epochs(&self) -> &[FactKeyId] {
        &self.epochs
    }

    /// Tries each of these keys on each ciphertext, under every label that there is. What opens are
    /// the facts and request names of their epochs, all of them, and nothing else.
    pub fn assert_opens(&self, keys: &[Granted]) {
        let labels: BTreeSet<&str> = LABELS
            .split('"')
            .filter(|text| text.starts_with("billfold v1 "))
            .collect();
        assert!(labels.len() > 20 && labels.contains(FACT) && labels.contains(REQUEST_NAMES));
        let mut opened = 0;
        for sealed in &self.ciphertexts {
            for key in keys {
                let own = sealed.epoch == Some(key.epoch);
                for label in &labels {
                    let (fact, names) = match sealed.kind {
                        Kind::Stored => (
                            commits_anywhere(&key.facts, label, &sealed.bytes),
                            commits_anywhere(&key.names, label, &sealed.bytes),
                        ),
                        _ => (
                            commits(&key.facts, label, &sealed.bytes),
                            commits(&key.names, label, &sealed.bytes),
                        ),
                    };
                    let may_fact = own && sealed.kind == Kind::Fact && *label == FACT;
                    let may_names =
                        own && sealed.kind == Kind::RequestNames && *label == REQUEST_NAMES;
                    assert_eq!(fact, may_fact, "{:?} under {label}", sealed.kind);
                    assert_eq!(names, may_names, "{:?} under {label}", sealed.kind);
                    opened += usize::from(fact) + usize::from(names);
                }
            }
        }
        assert!(opened > 10, "{opened}");
    }
}

/// Whether a ciphertext is committed to this key under a label: then it opens, and under no other.
fn commits(key: &[u8; 32], label: &str, sealed: &[u8]) -> bool {
    if sealed.len() < 81 || sealed[0] != 1 {
        return false;
    }
    let mut okm = [0; 64];
    let hkdf = Hkdf::<Sha256>::new(Some(&sealed[1..33]), key);
    hkdf.expand(label.as_bytes(), &mut okm).unwrap();
    okm[32..] == sealed[33..65]
}

fn commits_anywhere(key: &[u8; 32], label: &str, stored: &[u8]) -> bool {
    let at = (0..stored.len()).filter(|at| stored[*at] == 1);
    at.into_iter().any(|at| commits(key, label, &stored[at..]))
}

/// The plaintexts of all parts of this kind that the log has for an auditor.
fn parts(all: &Everything, auditor: &Auditor, kind: u16) -> Vec<SecretBytes> {
    let secret = auditor.secret();
    let public = secret.public().unwrap();
    let sealed = all.ciphertexts.iter();
    let opened = sealed
        .filter_map(|sealed| Address::open(&secret, &public, all.wallet, &sealed.bytes))
        .map(|opened| opened.unwrap());
    let of_kind = opened.filter(|(address, _)| address.kind == kind);
    of_kind.map(|(_, plain)| plain).collect()
}

/// What the log grants to an auditor.
pub fn keys_granted(all: &Everything, auditor: &Auditor) -> Vec<Granted> {
    let mut granted = Vec::new();
    for plain in parts(all, auditor, Event::EPOCHS_GRANTED) {
        let rows = plain.expose().chunks_exact(84);
        granted.extend(rows.map(|row| Granted {
            epoch: FactKeyId::from_bytes(row[..16].try_into().unwrap()),
            facts: row[20..52].try_into().unwrap(),
            names: row[52..].try_into().unwrap(),
        }));
    }
    granted
}

/// All names that the log grants to an auditor.
pub fn names_granted(all: &Everything, auditor: &Auditor) -> NameTable {
    let mut table = NameTable::default();
    for plain in parts(all, auditor, Event::NAMES_GRANTED) {
        table.merge(NameTable::decode(plain.expose()).unwrap());
    }
    table
}

/// When each epoch began and ended, in the order in which they began.
pub async fn epochs_by_time(wallet: &Wallet) -> Vec<(String, String)> {
    let listed = wallet.replay(&["log", "--json"]).await.unwrap();
    let listed = lines(&listed.success().unwrap().stdout);
    let began = |line: &Value| line["epoch"].is_string().then(|| line["time"].clone());
    let began: Vec<String> = listed
        .iter()
        .filter_map(began)
        .map(|time| time.as_str().unwrap().to_owned())
        .collect();
    let ended = began.iter().skip(1).cloned().chain([String::new()]);
    began.iter().cloned().zip(ended).collect()
}

/// The next millisecond.
pub fn a_moment_after(time: &str) -> String {
    Millis::parse(time).unwrap().plus(1).to_string()
}
