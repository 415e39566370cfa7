//! A log that was written anew with something changed, and a checkpoint that is not true.

use std::{fs, path::Path};

use billfold_core::{
    Millis,
    commit::{self, CommitHash, Header, Sealed},
    id::ProcessId,
    keys::CheckpointSeed,
    proof::{Checkpoint, Hash, KeyName, Signer, Statement},
};
use billfold_tests::{
    tools,
    wallet::{Backend, Wallet, within_reason},
};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    setup::{attested, checkpoint_file, forget_views, key_of, start, until, verified, write},
    store::{Messages, STREAM, Store},
};

/// What was done to a log, and what is told of it.
struct Tampering {
    what: &'static str,
    log: Messages,
    /// Where, and what, whoever has public keys alone is told first.
    told: (u64, String),
    /// Where whoever has the wallet's keys is told first.
    met: u64,
    /// Where a node stops: it reads what was decided.
    stops: u64,
    /// Whether a checkpoint in the log says so, too.
    attests: bool,
}

/// What a checkpoint says of a log that is another: where one was left out before it, it may stand where
/// none of its size can.
const ANOTHER: [&str; 2] = [
    "something was changed, removed or put in",
    "but it stands at that size or before",
];

/// The same bytes, the last of them changed.
fn flipped(bytes: &[u8]) -> Bytes {
    let mut bytes = bytes.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    bytes.into()
}

/// Each thing that can be done to a log of more than ten decided commits.
fn tamperings(whole: &Messages) -> Vec<Tampering> {
    let on = |at: usize, kind: &str| whole[at].0.ends_with(kind);
    let decided: Vec<usize> = (0..whole.len()).filter(|at| on(*at, ".decided")).collect();
    // The one that it is done to, an older one, and the next on its subject. It ends with a payload, of
    // which a byte can be changed so that it is still a commit.
    let with_payload = |at: &usize| Sealed::parse(&flipped(&whole[*at].1)).is_ok();
    let chosen = (4..).find(|n| with_payload(&decided[*n])).unwrap();
    let (older, before) = (decided[2], decided[chosen - 1]);
    let (at, next) = (decided[chosen], decided[chosen + 1]);
    let tail = decided[decided.len() - 5];
    let seq = |at: usize| at as u64 + 1;
    let with = |change: &dyn Fn(&mut Messages)| {
        let mut log = whole.clone();
        change(&mut log);
        log
    };
    let broken = |before: usize| {
        let before = seq(before);
        format!("the chain is broken: the commit before it, at sequence {before}, is not the one")
    };
    let attesting = (at..whole.len()).find(|at| on(*at, ".checkpoint"));
    vec![
        Tampering {
            what: "one byte of a commit is changed",
            log: with(&|log| {
                log[at].1 = flipped(&log[at].1);
            }),
            told: (seq(next), broken(at)),
            met: seq(at),
            stops: seq(at),
            attests: true,
        },
        Tampering {
            what: "two are swapped",
            log: with(&|log| log.swap(at, next)),
            told: (seq(at), broken(before)),
            met: seq(at),
            stops: seq(at),
            attests: true,
        },
        Tampering {
            what: "one is replaced by an older one of its subject",
            log: with(&|log| log[at].1 = log[older].1.clone()),
            told: (seq(at), broken(before)),
            met: seq(at),
            stops: seq(at),
            attests: true,
        },
        Tampering {
            what: "one is moved to another subject",
            log: with(&|log| log[at].0 = format!("wallet.events.1.observed.{}", "07".repeat(16))),
            told: (
                seq(at),
                "the commit was written for wallet.events.1.decided".to_owned(),
            ),
            met: seq(at),
            stops: seq(next),
            attests: true,
        },
        Tampering {
            what: "one is left out",
            log: with(&|log| drop(log.remove(at))),
            told: (seq(next) - 1, broken(before)),
            met: seq(next) - 1,
            stops: seq(next) - 1,
            attests: true,
        },
        Tampering {
            what: "one is left out, and those behind it are chained anew",
            log: with(&|log| {
                log.remove(at);
                chain_anew(log, at);
            }),
            told: (attesting.unwrap() as u64, "the checkpoint ".to_owned()),
            met: seq(next) - 1,
            stops: seq(next) - 1,
            attests: true,
        },
        Tampering {
            what: "its tail is cut off",
            log: with(&|log| log.truncate(tail)),
            told: (
                seq(tail),
                format!("it is missing: the log ends at sequence {tail}"),
            ),
            met: 0,
            stops: 0,
            attests: false,
        },
    ]
}

/// Makes each decided commit from `from` on name the one that is before it now.
fn chain_anew(log: &mut Messages, from: usize) {
    let mut before = None;
    for (at, (subject, bytes)) in log.iter_mut().enumerate() {
        if !subject.ends_with(".decided") {
            continue;
        }
        if at >= from {
            let named = Sealed::parse(bytes).unwrap().header.previous;
            let mut changed = bytes.to_vec();
            let mut places = changed.windows(32);
            let place = places.position(|bytes| bytes == named.as_bytes()).unwrap();
            let before: CommitHash = before.unwrap();
            changed[place..place + 32].copy_from_slice(before.as_bytes());
            *bytes = changed.into();
        }
        before = Some(CommitHash::of(bytes));
    }
}

fn findings(report: &Value) -> Vec<(u64, String)> {
    let findings = report["findings"].as_array().unwrap().iter();
    let told = findings.map(|finding| {
        let seq = finding["sequence"].as_u64().unwrap_or(0);
        (seq, finding["what"].as_str().unwrap().to_owned())
    });
    told.collect()
}

/// With each tampering an auditor is told where it is and what is wrong, with public keys alone and with
/// the wallet's; and a node that reads the log anew does not serve past it.
pub(crate) async fn inv09_what_was_altered_is_found_and_not_served(backend: Backend) {
    let mut wallet = start(backend, |builder| builder).await;
    write(&wallet, 20).await;
    attested(&wallet).await;
    write(&wallet, 10).await;
    let held = attested(&wallet).await;
    let key = key_of(&wallet).await;
    wallet.node.stop().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let note = dir.path().join("note");
    fs::write(&note, &held.note).unwrap();
    let by_key = [
        "--checkpoint-key",
        &key,
        "--checkpoint",
        note.to_str().unwrap(),
    ];
    let kept = fs::read(checkpoint_file(&wallet.node)).unwrap();
    let store = Store::of(&wallet).await;
    let whole = store.read().await;
    // What is written in the same way without a change is sound.
    store.write(&whole).await;
    verified(&wallet, &by_key, 0).await;

    for Tampering {
        what,
        log,
        told,
        met,
        stops,
        attests,
    } in tamperings(&whole)
    {
        store.write(&log).await;
        let found = findings(&verified(&wallet, &by_key, 3).await);
        assert_eq!(found[0].0, told.0, "{what}: {found:?}");
        assert!(found[0].1.contains(&told.1), "{what}: {found:?}");
        let attested = found.iter().any(|(seq, told)| {
            let here = log.get(*seq as usize - 1);
            here.is_some_and(|(subject, _)| subject.ends_with(".checkpoint"))
                && ANOTHER.iter().any(|another| told.contains(another))
        });
        assert_eq!(attested, attests, "{what}: {found:?}");
        if met > 0 {
            let verified = wallet.replay(&["verify", "--json"]).await.unwrap();
            assert_eq!(verified.code, 3, "{what}: {}", verified.stderr);
            let found = findings(&serde_json::from_str(&verified.stdout).unwrap());
            assert_eq!(found[0].0, met, "{what}: {found:?}");
        }
        let place = match stops {
            0 => format!("the log ends at sequence {}", log.len()),
            seq => format!("sequence {seq} on wallet.events.1.decided"),
        };
        assert_not_served(&mut wallet, what, &place).await;
        fs::write(checkpoint_file(&wallet.node), &kept).unwrap();
    }

    // One is taken out of the store, and its place stays empty.
    store.write(&whole).await;
    store.remove(7).await;
    let found = findings(&verified(&wallet, &by_key, 3).await);
    assert_eq!(found[0].0, 7, "{found:?}");
    assert!(found[0].1.contains("it is missing"), "{found:?}");
    assert_not_served(&mut wallet, "an empty place", "sequence 7").await;

    // It is what was done to it that it was not served for.
    store.write(&whole).await;
    forget_views(&wallet);
    wallet.node.restart().await.unwrap();
    let read = wallet.node.root("GET", "/v1/secret/data/app/1", ()).await;
    assert_eq!(read.status, 200, "{}", read.text());
    wallet.assert_sound().await;
}

/// A key that gave way may be known to others by now, and a log without a checkpoint has nobody's word.
pub(crate) async fn inv09_a_key_that_gave_way_speaks_for_nothing_more(backend: Backend) {
    let mut wallet = start(backend, |builder| builder).await;
    write(&wallet, 6).await;
    attested(&wallet).await;
    let first = key_of(&wallet).await;
    let path = "/api/internal/wallet/rotate-checkpoint-key";
    let second = wallet.node.root("POST", path, json!({})).await.json();
    let second = second["key"].as_str().unwrap().to_owned();
    // The change itself is attested by the new key at once.
    for key in [&first, &second] {
        verified(&wallet, &["--checkpoint-key", key], 0).await;
    }
    wallet.node.stop().await.unwrap();
    let store = Store::of(&wallet).await;
    let whole = store.read().await;
    let stating: Vec<usize> = (0..whole.len())
        .filter(|at| whole[*at].0.ends_with(".checkpoint"))
        .collect();
    let changes = |at: usize| {
        let sealed = Sealed::parse(&whole[at].1).unwrap();
        let changes = sealed.statements().iter();
        let changes = changes.filter(|statement| matches!(statement, Statement::KeyChange(_)));
        let changes: Vec<_> = changes.cloned().collect();
        (sealed.header.clone(), changes)
    };
    let change = stating.iter().rfind(|at| !changes(**at).1.is_empty());
    for (at, key, told) in [
        (change.unwrap(), &second, "signed no checkpoint of it"),
        (&stating[0], &first, "there is no checkpoint"),
    ] {
        let (header, changes) = changes(*at);
        let mut log = whole[..*at].to_vec();
        let bytes = commit::encode_statements(&header, &changes);
        log.push((whole[*at].0.clone(), bytes));
        store.write(&log).await;
        let found = findings(&verified(&wallet, &["--checkpoint-key", key], 3).await);
        assert!(found[0].1.contains(told), "{found:?}");
    }
}

/// A node that kept its views holds the log to them, however far back it was altered.
pub(crate) async fn inv09_what_was_altered_long_ago_is_found_at_the_next_start(backend: Backend) {
    let mut wallet = start(backend, |builder| builder).await;
    write(&wallet, 20).await;
    attested(&wallet).await;
    wallet.node.stop().await.unwrap();
    let store = Store::of(&wallet).await;
    let whole = store.read().await;
    let last = whole.len();
    for at in [0, 6, last / 2] {
        let mut log = whole.clone();
        log[at].1 = flipped(&log[at].1);
        store.write(&log).await;
        let before = wallet.node.log().len();
        let told = format!("sequence {} ", at + 1);
        let started = wallet.node.start_closed().await.is_ok();
        until("the node has stopped", async || {
            wallet.node.log().split_off(before).contains(&told)
        })
        .await;
        if started {
            let read = wallet.node.root("GET", "/v1/secret/data/app/1", ()).await;
            assert_eq!(read.status, 503, "{}", read.text());
        }
        wallet.node.kill9();
        // It stated nothing over what it did not find.
        if backend == Backend::JetStream {
            let now = store.read().await;
            let stated = |(subject, _): &&(String, Bytes)| subject.ends_with(".checkpoint");
            let count = |log: &Messages| log.iter().filter(stated).count();
            assert_eq!(count(&now), count(&whole));
        }
    }
    store.write(&whole).await;
    wallet.node.restart().await.unwrap();
    write(&wallet, 1).await;
    wallet.assert_sound().await;
}

/// Bits that went wrong on the disk, below what keeps checksums.
pub(crate) async fn inv09_raw_damage_is_found_and_not_served(backend: Backend) {
    let mut wallet = start(backend, |builder| builder).await;
    write(&wallet, 20).await;
    attested(&wallet).await;
    let key = key_of(&wallet).await;
    wallet.node.stop().await.unwrap();
    let log = Store::of(&wallet).await.read().await;
    let decided = |(_, message): &(usize, &(String, Bytes))| message.0.ends_with(".decided");
    let mut decided = log.iter().enumerate().filter(decided).skip(4);
    let (at, (_, bytes)) = decided.next().unwrap();
    let (seq, next) = (at as u64 + 1, decided.next().unwrap().0 + 1);
    if let Some(nats) = &mut wallet.nats {
        nats.stop();
    }
    let place = match &wallet.nats {
        None => wallet.node.data_dir().to_owned(),
        Some(nats) => nats.store().to_owned(),
    };
    flip_a_bit_of(&place, bytes);
    if let Some(nats) = &mut wallet.nats {
        nats.run();
    }
    let found = findings(&verified(&wallet, &["--checkpoint-key", &key], 3).await);
    assert!(
        (seq..=next as u64).contains(&found[0].0),
        "{seq}: {found:?}"
    );
    let verified = wallet.replay(&["verify"]).await.unwrap();
    assert_eq!(verified.code, 3, "{}", verified.stderr);
    assert!(
        verified.stdout.contains(&format!("sequence {seq}")),
        "{}",
        verified.stdout
    );
    let told = match backend {
        // Its owner compares every page with its checksum.
        Backend::Embedded => "damaged".to_owned(),
        // The server passes over what does not fit its checksum.
        Backend::JetStream => format!("sequence {next} on wallet.events.1.decided"),
    };
    assert_not_served(&mut wallet, "raw damage", &told).await;
}

/// In whatever file below a folder has these bytes.
fn flip_a_bit_of(folder: &Path, bytes: &[u8]) {
    let mut places = vec![folder.to_owned()];
    let mut flipped = 0;
    while let Some(place) = places.pop() {
        if place.is_dir() {
            places.extend(
                fs::read_dir(place)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        let mut file = fs::read(&place).unwrap();
        let found = file.windows(bytes.len()).position(|window| window == bytes);
        if let Some(at) = found {
            file[at + bytes.len() - 1] ^= 1;
            fs::write(&place, file).unwrap();
            flipped += 1;
        }
    }
    assert!(flipped > 0, "no file has it");
}

/// A node that reads the log anew says what it met, and ends or answers nothing from then on.
async fn assert_not_served(wallet: &mut Wallet, what: &str, told: &str) {
    forget_views(wallet);
    let before = wallet.node.log().len();
    let answers = wallet.node.start_closed().await.is_ok();
    until(&format!("{what}: {told:?} is told"), async || {
        wallet.node.log().split_off(before).contains(told)
    })
    .await;
    if answers {
        let token = Some(wallet.node.token());
        let client = wallet.node.client();
        let read = client.call("GET", "/v1/secret/data/app/1", token, ());
        // It may have ended by now.
        let status = read.await.map(|read| read.status);
        assert!(matches!(status, Ok(503) | Err(_)), "{what}: {status:?}");
    }
    wallet.node.kill9();
}

#[tokio::test(flavor = "multi_thread")]
async fn inv09_a_node_stops_at_a_checkpoint_that_is_not_true() {
    within_reason(async {
        let wallet = start(Backend::JetStream, |builder| {
            builder.env("BILLFOLD_CHECKPOINT_SECONDS", "3600")
        });
        let wallet = wallet.await;
        write(&wallet, 12).await;
        let key = key_of(&wallet).await;
        let context = Store::context(wallet.nats.as_ref().unwrap()).await;
        let stream = context.get_stream(STREAM).await.unwrap();
        until("there is a checkpoint", async || {
            stream
                .get_last_raw_message_by_subject("wallet.events.1.checkpoint")
                .await
                .is_ok()
        })
        .await;
        let last = stream
            .get_last_raw_message_by_subject("wallet.events.1.checkpoint")
            .await;
        let last = last.unwrap().payload;
        let before = Sealed::parse(&last).unwrap().header;
        let origin = KeyName::new(key.split('+').next().unwrap()).unwrap();
        let other = CheckpointSeed::danger_from_bytes(&tools::random());
        let forged = Checkpoint {
            origin: origin.clone(),
            size: stream.get_info().await.unwrap().state.last_sequence,
            root: Hash::leaf(b"another log"),
        };
        let forged = forged
            .sign(&Signer::of_checkpoints(origin, &other))
            .unwrap();
        let header = Header {
            previous: CommitHash::of(&last),
            writer: ProcessId::from_bytes(tools::random()),
            time: Millis(before.time.0 + 1),
            ..before
        };
        let statement = Statement::Checkpoint(forged.to_string());
        let bytes = commit::encode_statements(&header, &[statement]);
        let sent = context.publish(header.subject.to_string(), bytes).await;
        let seq = sent.unwrap().await.unwrap().sequence;
        until("the node has stopped", async || {
            let health = wallet
                .node
                .client()
                .call("GET", "/v1/sys/health", None, ())
                .await;
            health.is_ok_and(|health| health.status == 503)
        })
        .await;
        let log = wallet.node.log();
        assert!(
            log.contains(&format!("sequence {seq} on wallet.events.1.checkpoint")),
            "{log}"
        );
        assert!(log.contains("the checkpoint cannot be taken"), "{log}");
        let findings = findings(&verified(&wallet, &["--checkpoint-key", &key], 3).await);
        assert_eq!(findings[0].0, seq, "{findings:?}");
        let verified = wallet.replay(&["verify"]).await.unwrap();
        assert_eq!(verified.code, 3, "{}", verified.stdout);
        assert!(
            verified
                .stdout
                .contains(&format!("sequence {seq}: the checkpoint"))
        );
    })
    .await;
}
