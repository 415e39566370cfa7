//! `kill -9` of what holds the log, while it is written.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use billfold_core::{id::Seq, subject::Subject};
use billfold_streams::{EventLog, embedded::Embedded, settle::append_settled};
use bytes::Bytes;
use tempfile::TempDir;

use crate::fixture::{
    DECIDED, Fixture, OnNats, OnRedb, append, everything, observed, process, unique, within,
};

/// What was acknowledged before the end.
pub type Acknowledged = BTreeMap<Seq, Bytes>;

/// How many acknowledgements to wait for before the end.
const ENOUGH: usize = 300;
const CHILD: &str = "BILLFOLD_TEST_EMBEDDED_WRITER";

pub async fn inv02_acknowledged_commits_outlive_a_crash<F: Crashes>() {
    let (acknowledged, fixture) = F::crash_while_writing().await;
    assert!(acknowledged.len() >= ENOUGH);
    let log = fixture.log();
    let messages = everything(&log).await;
    for (seq, bytes) in &acknowledged {
        let there = &messages[usize::try_from(seq.0).unwrap() - 1];
        assert_eq!((there.seq, &there.bytes), (*seq, bytes));
    }
    // What was on its way may be there, whole, or not.
    assert!(messages.len() - acknowledged.len() <= WRITERS);
    let last = log
        .last(&DECIDED)
        .await
        .unwrap()
        .map_or(Seq::ZERO, |message| message.seq);
    let next = append(&log, &DECIDED, last, unique(10)).await;
    assert_eq!(next, Seq(messages.len() as u64 + 1));
}

const WRITERS: usize = 6;

/// Writes on several subjects at once, and tells what was acknowledged, until it is stopped.
async fn write(log: Arc<dyn EventLog>, tell: impl Fn(Seq, Bytes) + Clone + Send + 'static) {
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (log, tell) = (log.clone(), tell.clone());
        let subject: Subject = if writer == 0 {
            DECIDED
        } else {
            observed(process())
        };
        writers.spawn(async move {
            let mut last = Seq::ZERO;
            loop {
                let bytes = unique(16 + writer * 900);
                // The first attempt that fails is the crash.
                let Ok(seq) = log.append(&subject, last, bytes.clone()).await else {
                    return;
                };
                tell(seq, bytes);
                last = seq;
            }
        });
    }
    writers.join_all().await;
}

#[allow(async_fn_in_trait)]
pub trait Crashes: Fixture {
    /// Ends the owner of the files with SIGKILL while it writes, and opens them again.
    async fn crash_while_writing() -> (Acknowledged, Self);
}

impl Crashes for OnNats {
    async fn crash_while_writing() -> (Acknowledged, Self) {
        let mut fixture = Self::new().await;
        let acknowledged = Arc::new(Mutex::new(Acknowledged::new()));
        let all = acknowledged.clone();
        let writing = tokio::spawn(write(fixture.log(), move |seq, bytes| {
            all.lock().unwrap().insert(seq, bytes);
        }));
        within(async {
            while acknowledged.lock().unwrap().len() < ENOUGH {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        fixture.server.kill();
        within(writing).await.unwrap();
        fixture.server.run();
        let acknowledged = acknowledged.lock().unwrap().clone();
        within(async {
            while fixture.log().now().await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        (acknowledged, fixture)
    }
}

impl Crashes for OnRedb {
    async fn crash_while_writing() -> (Acknowledged, Self) {
        let dir = tempfile::tempdir().unwrap();
        let acknowledged = tokio::task::spawn_blocking({
            let path = dir.path().to_owned();
            move || {
                let mut child = Command::new(std::env::current_exe().unwrap())
                    .args([
                        "--exact",
                        "crash::embedded_writer",
                        "--ignored",
                        "--nocapture",
                    ])
                    .env(CHILD, &path)
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap();
                let mut acknowledged = Acknowledged::new();
                let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
                for line in &mut lines {
                    acknowledged.extend(parse(&line.unwrap()));
                    if acknowledged.len() == ENOUGH {
                        child.kill().unwrap();
                    }
                }
                child.wait().unwrap();
                acknowledged
            }
        })
        .await
        .unwrap();
        (acknowledged, Self::open(dir))
    }
}

/// A line of the child, unless it was cut off in the middle, or is the test runner's.
fn parse(line: &str) -> Option<(Seq, Bytes)> {
    let (seq, bytes) = line
        .strip_prefix("acknowledged ")?
        .strip_suffix('.')?
        .split_once(' ')?;
    Some((Seq(seq.parse().ok()?), hex::decode(bytes).ok()?.into()))
}

impl OnRedb {
    fn open(dir: TempDir) -> Self {
        Self::of(Embedded::open(dir.path()).unwrap(), dir)
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the process that the crash test kills"]
async fn embedded_writer() {
    let Ok(dir) = std::env::var(CHILD) else {
        return;
    };
    let log = Embedded::open(dir.as_ref()).unwrap().log();
    println!();
    write(log, |seq, bytes| {
        let line = format!("acknowledged {seq} {}.\n", hex::encode(bytes));
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_go_on_over_restarts_of_the_server() {
    let mut fixture = OnNats::new().await;
    let log = fixture.log();
    let writing = tokio::spawn(async move {
        let (mut last, mut commits, mut unknown) = (Seq::ZERO, Vec::new(), 0);
        while commits.len() < 1_000 || unknown == 0 {
            let bytes = unique(200);
            let settled = append_settled(&*log, &DECIDED, last, bytes.clone(), |_| unknown += 1);
            match settled.await {
                Ok(seq) => {
                    last = seq;
                    commits.push(bytes);
                }
                // Nobody was there to take it for as long as an attempt waits.
                Err(error) => assert!(error.to_string().contains("connection"), "{error}"),
            }
        }
        commits
    });
    for round in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        if round == 1 {
            fixture.server.stop();
        } else {
            fixture.server.kill();
        }
        tokio::time::sleep(Duration::from_millis(100 * round)).await;
        fixture.server.run();
    }
    let commits = within(writing).await.unwrap();
    let messages = everything(&fixture.log()).await;
    let stored: Vec<_> = messages.into_iter().map(|message| message.bytes).collect();
    assert_eq!(stored, commits, "each once, in order");
}
