//! Writes and audited reads through the library, beside raw appends to the same log.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use billfold::{
    config::{KeyManagerName, Settings},
    node::{self, Backend, Node},
    seal::NewShares,
    wallet::{Caller, Mount, Put, Step, Wallet},
};
use billfold_core::{
    SecretBytes,
    id::{ProcessId, Seq},
    subject::{Generation, Subject},
};
use billfold_projector::keychain::Progress;
use billfold_tests::{
    bench::{Rate, Span, Turn, run},
    tools,
};
use bytes::Bytes;

/// A message as large as a commit of one write.
const RAW: usize = 600;

pub(crate) const TOKEN: &str = "bench-root-token";

/// A backend of the log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    JetStream,
    Embedded,
}

/// What was measured with a number of clients.
pub(crate) struct Line {
    pub(crate) clients: usize,
    pub(crate) raw: Rate,
    pub(crate) writes: Rate,
    pub(crate) reads: Rate,
}

/// Progress that nobody looks at.
pub(crate) struct Silent;

impl Progress for Silent {
    fn at(&self, _done: Seq, _total: Seq) {}
    fn caught_up(&self, _commits: u64) {}
}

pub(crate) fn settings(dir: &std::path::Path, url: Option<&str>) -> Settings {
    Settings {
        data_dir: dir.to_owned(),
        nats_url: url.map(str::to_owned),
        key_manager: Some(KeyManagerName::DevFile),
        ..Settings::default()
    }
}

/// Measures with the wallet's log on one place and the raw one on another.
pub(crate) async fn measure(
    kind: Kind,
    [url, raw_url]: &[String; 2],
    clients: &[usize],
    time: Duration,
) -> Vec<Line> {
    let (dir, raw_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let on = |dir: &tempfile::TempDir, url: &str| {
        settings(dir.path(), (kind == Kind::JetStream).then_some(url))
    };
    let raw_backend = Backend::open(&on(&raw_dir, raw_url), true).await.unwrap();
    let settings = on(&dir, url);
    let backend = Backend::open(&settings, true).await.unwrap();
    node::create(
        &settings,
        &backend,
        TOKEN,
        NewShares::Recovery(None),
        Box::new(Silent),
    )
    .await
    .unwrap();
    let node = Node::open(&settings, &backend, Box::new(Silent))
        .await
        .unwrap();
    let wallet = Arc::clone(node.wallet());
    let (mount, _) = wallet.mount_of("secret/x").await.unwrap().unwrap();
    let mut lines = Vec::new();
    for &clients in clients {
        let raw = raw(&raw_backend, clients, time).await;
        let writes = writes(&wallet, &mount, clients, time).await;
        let reads = reads(&wallet, &mount, clients, time).await;
        eprintln!(
            "{clients} clients: raw {:.0}/s, writes {:.0}/s, reads {:.0}/s",
            raw.per_second, writes.per_second, reads.per_second
        );
        lines.push(Line {
            clients,
            raw,
            writes,
            reads,
        });
    }
    drop(wallet);
    node.stop().await;
    lines
}

/// Each client appends to a subject of its own, as the log allows it at its fastest.
async fn raw(backend: &Backend, clients: usize, time: Duration) -> Rate {
    let log = backend.log();
    run(clients, span(time), move |_| {
        let log = Arc::clone(&log);
        let process = ProcessId::from_bytes(tools::random());
        let subject = Subject::Observed(Generation::FIRST, process);
        let message = Bytes::from(vec![7; RAW]);
        let last = Arc::new(std::sync::atomic::AtomicU64::new(0));
        move |_| {
            let (log, message, last) = (Arc::clone(&log), message.clone(), Arc::clone(&last));
            Box::pin(async move {
                let before = Seq(last.load(Ordering::Relaxed));
                let seq = log.append(&subject, before, message).await.unwrap();
                last.store(seq.0, Ordering::Relaxed);
            }) as Turn
        }
    })
    .await
}

pub(crate) async fn writes(
    wallet: &Arc<Wallet>,
    mount: &Mount,
    clients: usize,
    time: Duration,
) -> Rate {
    let (wallet, mount) = (Arc::clone(wallet), mount.clone());
    run(clients, span(time), move |client| {
        let (wallet, mount, caller) = (Arc::clone(&wallet), mount.clone(), caller(&wallet));
        move |turn: u64| {
            let (wallet, mount, caller) = (Arc::clone(&wallet), mount.clone(), caller.clone());
            Box::pin(async move {
                let path = path(client, turn);
                let data =
                    SecretBytes::copied_from(br#"{"password":"correct horse battery staple"}"#);
                let put = Step::Put(Put {
                    cas: None,
                    data,
                    credential: None,
                });
                wallet
                    .change(&caller, &mount, &path, put, None)
                    .await
                    .unwrap();
            }) as Turn
        }
    })
    .await
}

pub(crate) async fn reads(
    wallet: &Arc<Wallet>,
    mount: &Mount,
    clients: usize,
    time: Duration,
) -> Rate {
    let (wallet, mount) = (Arc::clone(wallet), mount.clone());
    run(clients, span(time), move |client| {
        let (wallet, mount, caller) = (Arc::clone(&wallet), mount.clone(), caller(&wallet));
        move |turn: u64| {
            let (wallet, mount, caller) = (Arc::clone(&wallet), mount.clone(), caller.clone());
            Box::pin(async move {
                let caller = Caller {
                    request: Wallet::new_request(),
                    ..caller.clone()
                };
                // Paths that were written just before.
                wallet
                    .read(&caller, &mount, &path(client, turn % 8), None)
                    .await
                    .unwrap();
            }) as Turn
        }
    })
    .await
}

fn span(time: Duration) -> Span {
    Span {
        warm_up: Duration::ZERO,
        time,
    }
}

/// A thousand paths to a client: new ones at first, then new versions.
fn path(client: usize, turn: u64) -> String {
    format!("bench/client-{client}/secret-{}", turn % 1000)
}

pub(crate) fn caller(wallet: &Wallet) -> Caller {
    Caller {
        actor: wallet.root_actor(),
        request: Wallet::new_request(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        execution: None,
        parameters: None,
        wrap_ttl: None,
    }
}
