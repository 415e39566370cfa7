//! What it costs to keep the tree, to prove something by it, and to verify a log by public keys.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use billfold::{
    node::{self, Backend},
    seal::NewShares,
};
use billfold_core::{
    Millis,
    commit::{self, CommitHash, Header},
    id::{ProcessId, Seq},
    proof::{Checkpoint, Signer, Statement, VerifierKey, statement::KeyChange},
    subject::{Generation, Subject},
};
use billfold_projector::tree;
use billfold_replay::integrity;
use billfold_streams::{
    EventLog,
    custody::Custody,
    entropy::Os,
    log::{Filter, Message},
};
use billfold_tests::tools;
use bytes::Bytes;
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};

use super::{
    load::{Silent, settings},
    rebuild::{Filling, fill, read_raw},
};

/// How many messages the tree takes at once, as the projector gives them.
const CHUNK: usize = 1024;
/// How many proofs are timed.
const PROOFS: u64 = 2_000;

/// What was measured.
pub(crate) struct Proven {
    pub(crate) commits: u64,
    pub(crate) bytes: u64,
    pub(crate) raw: Duration,
    pub(crate) hashed: Duration,
    pub(crate) verified: Duration,
    pub(crate) upkeep: Duration,
    pub(crate) leaves: u64,
    pub(crate) inclusion: [Duration; 2],
    pub(crate) consistency: [Duration; 2],
    pub(crate) grown: Duration,
}

/// A log of so many commits, and a tree of so many leaves.
pub(crate) async fn measure(url: &str, commits: u64, leaves: u64) -> Proven {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), Some(url));
    let backend = Backend::open(&settings, true).await.unwrap();
    let shares = NewShares::Recovery(None);
    let created = node::create(
        &settings,
        &backend,
        "bench-root-token",
        shares,
        Box::new(Silent),
    );
    created.await.unwrap();
    let manager = billfold_upstreams::DevFile::open(&settings.dev_key(), false, &mut Os::new());
    let process = ProcessId::from_bytes(tools::random());
    let custody = Custody::open(backend.keys(), &manager.unwrap(), process).await;
    let custody = Arc::new(custody.unwrap());
    let filling = Filling {
        events: commits,
        singles: commits,
        secrets: commits.min(10_000),
        from: Millis(2_000_000_000_000),
    };
    fill(url, &backend, &custody, filling).await;
    eprintln!("the log is filled: {commits} commits");
    let log = backend.log();
    let (upkeep, hashed, key) = attest(&log, &custody, &dir.path().join("tree")).await;
    eprintln!("the log is attested");
    let (raw, bytes) = read_raw(url).await;
    let began = Instant::now();
    let report = integrity::verify(&log, &[key], &[], &mut |_, _| ()).await;
    let verified = began.elapsed();
    let report = report.unwrap();
    assert!(report.sound, "{:?}", report.findings);
    assert!(report.attested > commits);
    eprintln!("the log is verified");
    let (grown, inclusion, consistency) = prove(&custody, &dir.path().join("large"), leaves).await;
    Proven {
        commits: report.size,
        bytes,
        raw,
        hashed,
        verified,
        upkeep,
        leaves,
        inclusion,
        consistency,
        grown,
    }
}

/// Takes all messages into a tree and states its root. Gives the time that the tree took, and the
/// time of one SHA-256 over the same bytes.
async fn attest(
    log: &Arc<dyn EventLog>,
    custody: &Arc<Custody>,
    dir: &std::path::Path,
) -> (Duration, Duration, VerifierKey) {
    let all = Filter::All(Generation::FIRST);
    let end = log.head(all).await.unwrap();
    let tree = tree::open(dir, custody, Generation::FIRST, 16 << 20)
        .await
        .unwrap();
    let (mut upkeep, mut hashed) = (Duration::ZERO, Duration::ZERO);
    let mut tail = log.read(all, Seq::ZERO).await.unwrap().ready_chunks(CHUNK);
    while tree.status().size() < end.0 {
        let messages = tail.next().await.unwrap();
        let messages: Vec<Message> = messages.into_iter().map(Result::unwrap).collect();
        let began = Instant::now();
        for message in &messages {
            std::hint::black_box(Sha256::digest(&message.bytes));
        }
        hashed += began.elapsed();
        let began = Instant::now();
        tree.add(&messages).unwrap();
        upkeep += began.elapsed();
    }
    let signer = custody.checkpoint_signer(Generation::FIRST, None).unwrap();
    let checkpoint = Checkpoint {
        origin: tree.origin().clone(),
        size: tree.status().size(),
        root: tree.status().root(),
    };
    let text = |note: Option<billfold_core::proof::Note>| note.unwrap().to_string();
    let statements = [
        Statement::KeyChange(text(KeyChange::sign(&signer, &signer))),
        Statement::Checkpoint(text(checkpoint.sign(&signer))),
    ];
    let header = Header {
        wallet: custody.wallet(),
        subject: Subject::Checkpoint(Generation::FIRST),
        previous: CommitHash::NONE,
        writer: custody.process(),
        time: Millis(2_100_000_000_000),
        fact_keys: Vec::new(),
    };
    let bytes = commit::encode_statements(&header, &statements);
    log.append(&header.subject, Seq::ZERO, bytes).await.unwrap();
    (upkeep, hashed, Signer::verifier(&signer))
}

/// Grows a tree of so many leaves, and times proofs at random places: p50 and p99.
async fn prove(
    custody: &Arc<Custody>,
    dir: &std::path::Path,
    leaves: u64,
) -> (Duration, [Duration; 2], [Duration; 2]) {
    let tree = tree::open(dir, custody, Generation::FIRST, 16 << 20)
        .await
        .unwrap();
    let subject = Subject::Observed(Generation::FIRST, custody.process());
    let bytes = Bytes::from_static(&[7; 64]);
    let began = Instant::now();
    let mut next = 1;
    while next <= leaves {
        let last = leaves.min(next + CHUNK as u64 - 1);
        let message = |seq| Message {
            seq: Seq(seq),
            subject,
            bytes: bytes.clone(),
        };
        tree.add(&(next..=last).map(message).collect::<Vec<_>>())
            .unwrap();
        next = last + 1;
    }
    tree.flush().unwrap();
    let grown = began.elapsed();
    let random = |below: u64| u64::from_be_bytes(tools::random()) % below;
    let timed = |prove: &dyn Fn()| {
        let one = |_| {
            let began = Instant::now();
            prove();
            began.elapsed()
        };
        let mut took: Vec<Duration> = (0..PROOFS).map(one).collect();
        took.sort_unstable();
        [took[took.len() / 2], took[took.len() * 99 / 100]]
    };
    let inclusion = timed(&|| {
        let proof = tree.inclusion(Seq(1 + random(leaves)), leaves).unwrap();
        std::hint::black_box(proof);
    });
    let consistency = timed(&|| {
        let proof = tree.consistency(1 + random(leaves - 1), leaves).unwrap();
        std::hint::black_box(proof);
    });
    (grown, inclusion, consistency)
}
