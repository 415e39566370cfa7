//! Listings that are gathered while others write.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use billfold_core::{command::Action, id::Seq};
use billfold_projector::keychain::{Judged, Material};
use billfold_tests::{nats::NatsServer, tools};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::node::{Setup, put};

/// How many secrets there are before: gathering them takes longer than a commit.
const BEFORE: u64 = 400;
/// How many are added in one commit.
const AT_ONCE: usize = 50;

fn lines(judged: &Judged) -> u64 {
    let Material::Lines(lines) = &judged.material else {
        panic!("{:?}", judged.verdict)
    };
    lines.len() as u64
}

/// Another node adds secrets all the time. A listing has those that stand before its own record, no
/// more and no less, and so have the listings and reads beside it.
#[tokio::test(flavor = "multi_thread")]
async fn inv03_a_listing_is_of_its_own_place() {
    let dir = TempDir::new().unwrap();
    let nats = NatsServer::start();
    let setup = Setup::jetstream(&nats.url(), &dir.path().join("key")).await;
    let writer = Arc::new(setup.create().await);
    let reader = Arc::new(setup.start().await);
    let mount = writer.mount("secret/");
    let mut made: Vec<(Seq, u64)> = Vec::new();
    for first in (0..BEFORE).step_by(AT_ONCE) {
        let changes = (first..).take(AT_ONCE).map(|number| {
            let path = format!("before-{number}");
            writer.change(mount, &path, put(&path, None, b"x"))
        });
        let action = Action::Change(changes.collect());
        let done = writer.order(None, writer.root(), action).await.unwrap();
        made.push((done.seq, AT_ONCE as u64));
    }
    reader.keychain_at(made.last().unwrap().0).await;

    let goes_on = Arc::new(AtomicBool::new(true));
    let writing = tokio::spawn({
        let (writer, goes_on) = (Arc::clone(&writer), Arc::clone(&goes_on));
        async move {
            let mut made = Vec::new();
            while goes_on.load(Ordering::SeqCst) {
                let path = format!("meanwhile-{}", made.len());
                let done = writer.put(mount, &path, None, b"x").await.unwrap();
                made.push((done.seq, 1));
            }
            made
        }
    });
    let mut asking = JoinSet::new();
    for task in 0..3 {
        let reader = Arc::clone(&reader);
        let record = reader.custody.keys().id.record(mount, "before-7");
        asking.spawn(async move {
            let mut found = Vec::new();
            for _ in 0..if tools::full() { 300 } else { 20 } {
                if task == 0 {
                    let read = reader.ask(record).await.unwrap();
                    assert_eq!(read.verdict.name(), "permitted");
                }
                let listed = reader.list(mount).await.unwrap();
                found.push((listed.seq, lines(&listed)));
            }
            found
        });
    }
    let found = asking.join_all().await.concat();
    goes_on.store(false, Ordering::SeqCst);
    made.extend(writing.await.unwrap());
    for (seq, lines) in &found {
        let stand_before = made.iter().filter(|(made, _)| made <= seq);
        let stand_before: u64 = stand_before.map(|(_, count)| count).sum();
        assert_eq!(*lines, stand_before, "at {seq}");
    }
    let most = found.iter().map(|(_, lines)| lines).max().unwrap();
    assert!(*most > BEFORE, "some were added meanwhile");
}
