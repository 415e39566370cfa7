//! A log on NATS that was written anew with something changed, and a checkpoint that is not true.

use async_nats::jetstream::{self, stream::Stream};
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
use serde_json::Value;

use crate::setup::{attested, key_of, start, until, verified, write};

const STREAM: &str = "WALLET_EVENTS_1";

type Messages = Vec<(String, Bytes)>;

async fn context(wallet: &Wallet) -> jetstream::Context {
    let url = wallet.nats.as_ref().unwrap().url();
    jetstream::new(async_nats::connect(url).await.unwrap())
}

async fn everything(stream: &Stream) -> Messages {
    let last = stream.get_info().await.unwrap().state.last_sequence;
    let mut messages = Vec::new();
    for seq in 1..=last {
        let message = stream.get_raw_message(seq).await.unwrap();
        messages.push((message.subject.to_string(), message.payload));
    }
    messages
}

/// Writes the stream anew, as its administrator could.
async fn write_anew(context: &jetstream::Context, messages: &Messages) {
    let stream = context.get_stream(STREAM).await.unwrap();
    let config = stream.cached_info().config.clone();
    context.delete_stream(STREAM).await.unwrap();
    context.create_stream(config).await.unwrap();
    for (subject, bytes) in messages {
        let sent = context.publish(subject.clone(), bytes.clone()).await;
        sent.unwrap().await.unwrap();
    }
}

fn told(report: &Value) -> Vec<(u64, String)> {
    let findings = report["findings"].as_array().unwrap().iter();
    let told = findings.map(|finding| {
        let seq = finding["sequence"].as_u64().unwrap_or(0);
        (seq, finding["what"].as_str().unwrap().to_owned())
    });
    told.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn inv09_what_was_altered_is_found_by_public_keys_alone() {
    within_reason(async {
        let mut wallet = start(Backend::JetStream, |builder| builder).await;
        write(&wallet, 20).await;
        attested(&wallet).await;
        let key = key_of(&wallet).await;
        let by_key = ["--checkpoint-key", key.as_str()];
        wallet.node.stop().await.unwrap();
        let context = context(&wallet).await;
        let stream = context.get_stream(STREAM).await.unwrap();
        let whole = everything(&stream).await;
        write_anew(&context, &whole).await;
        verified(&wallet, &by_key, 0).await;

        let decided: Vec<usize> = (0..whole.len())
            .filter(|at| whole[*at].0.ends_with(".decided"))
            .collect();
        let (at, next) = (decided[4], decided[5]);
        let next_seq = next as u64 + 1;
        let attests = |told: &[(u64, String)]| {
            told.iter().any(|(seq, what)| {
                let here = whole.get(*seq as usize - 1);
                what.contains("was changed, removed or put in")
                    && here.is_some_and(|(subject, _)| subject.ends_with(".checkpoint"))
            })
        };

        let mut changed = whole.clone();
        let mut bytes = changed[at].1.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        changed[at].1 = bytes.into();
        write_anew(&context, &changed).await;
        let findings = told(&verified(&wallet, &by_key, 3).await);
        assert_eq!(findings[0].0, next_seq, "{findings:?}");
        let place = format!("the commit before it, at sequence {}", at + 1);
        assert!(findings[0].1.contains(&place), "{findings:?}");
        assert!(attests(&findings), "{findings:?}");

        let mut swapped = whole.clone();
        swapped.swap(at, next);
        write_anew(&context, &swapped).await;
        let findings = told(&verified(&wallet, &by_key, 3).await);
        assert_eq!(findings[0].0, at as u64 + 1, "{findings:?}");
        assert!(attests(&findings), "{findings:?}");

        let mut moved = whole.clone();
        moved[at].0 = format!("wallet.events.1.observed.{}", hex::encode([7; 16]));
        write_anew(&context, &moved).await;
        let findings = told(&verified(&wallet, &by_key, 3).await);
        let what = "the commit was written for wallet.events.1.decided";
        assert!(
            findings
                .iter()
                .any(|(seq, told)| *seq == at as u64 + 1 && told.contains(what))
        );

        let mut missing = whole.clone();
        missing.remove(at);
        write_anew(&context, &missing).await;
        let findings = told(&verified(&wallet, &by_key, 3).await);
        assert_eq!(findings[0].0, next_seq - 1, "{findings:?}");
        assert!(
            findings[0].1.contains("the chain is broken"),
            "{findings:?}"
        );

        // A node does not serve what was altered under it.
        write_anew(&context, &changed).await;
        std::fs::remove_dir_all(wallet.node.data_dir().join("audit")).unwrap();
        wallet.node.start_closed().await.unwrap();
        until("the node has stopped", async || {
            let health = wallet
                .node
                .client()
                .call("GET", "/v1/sys/health", None, ())
                .await;
            health.is_ok_and(|health| health.status == 503)
        })
        .await;
    })
    .await;
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
        let context = context(&wallet).await;
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
        let findings = told(&verified(&wallet, &["--checkpoint-key", &key], 3).await);
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
