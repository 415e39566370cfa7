//! Messages and answers that are lost, or late, on the way to a NATS server.

use std::time::{Duration, Instant};

use billfold_core::id::Seq;
use billfold_streams::{
    jetstream::JetStream,
    keys::{Revision, Slot},
    log::AppendError,
    settle::{SettleError, append_settled},
};
use billfold_tests::{
    nats::NatsServer,
    proxy::{Flow, Proxy},
};

use crate::fixture::{DECIDED, append, ask, config, everything, page, settle, unique, within};

/// A server, a writer behind a proxy, and one with a way of its own.
struct Setting {
    server: NatsServer,
    proxy: Proxy,
    far: JetStream,
    near: JetStream,
}

async fn setting() -> Setting {
    let server = NatsServer::start();
    let proxy = Proxy::before(server.port()).await;
    let near = JetStream::connect(config(server.url())).await.unwrap();
    let far = JetStream::connect(config(proxy.url())).await.unwrap();
    Setting {
        server,
        proxy,
        far,
        near,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv02_a_lost_acknowledgement_is_settled() {
    let Setting {
        server: _server,
        proxy,
        far,
        near,
    } = setting().await;
    let (log, commit) = (far.log(), unique(300));
    proxy.to_client(Flow::Drop);
    let lost = within(log.append(&DECIDED, Seq::ZERO, commit.clone())).await;
    assert!(matches!(lost, Err(AppendError::Unknown(_))), "{lost:?}");
    assert_eq!(everything(&near.log()).await.len(), 1, "it had landed");
    proxy.strand();
    let settled = settle(&log, &DECIDED, Seq::ZERO, commit).await;
    assert_eq!(settled, Ok(Seq(1)));
    assert_eq!(everything(&near.log()).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_lost_on_the_way_is_sent_again() {
    let Setting {
        server: _server,
        proxy,
        far,
        near,
    } = setting().await;
    let log = far.log();
    proxy.to_server(Flow::Drop);
    let mut unknown = 0;
    let settling = append_settled(&*log, &DECIDED, Seq::ZERO, unique(300), |_| {
        unknown += 1;
        // The line is repaired once the first loss was noticed.
        proxy.strand();
    });
    assert_eq!(within(settling).await, Ok(Seq(1)));
    assert!(unknown > 0);
    assert_eq!(everything(&near.log()).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_message_finds_its_place_taken_by_its_own_resend() {
    let Setting {
        server: _server,
        proxy,
        far,
        near,
    } = setting().await;
    let (log, commit) = (far.log(), unique(300));
    proxy.to_server(Flow::Hold);
    let lost = within(log.append(&DECIDED, Seq::ZERO, commit.clone())).await;
    assert!(matches!(lost, Err(AppendError::Unknown(_))), "{lost:?}");
    let late = proxy.strand();
    assert_eq!(everything(&near.log()).await.len(), 0, "it is held back");
    let settled = settle(&log, &DECIDED, Seq::ZERO, commit).await;
    assert_eq!(settled, Ok(Seq(1)));
    late.release();
    tokio::time::sleep(Duration::from_millis(500)).await;
    append(&log, &DECIDED, Seq(1), unique(10)).await;
    assert_eq!(everything(&near.log()).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_lands_late_is_recognised() {
    let Setting {
        server: _server,
        proxy,
        far,
        near,
    } = setting().await;
    let (log, commit) = (far.log(), unique(300));
    proxy.to_server(Flow::Hold);
    let lost = within(log.append(&DECIDED, Seq::ZERO, commit.clone())).await;
    assert!(matches!(lost, Err(AppendError::Unknown(_))), "{lost:?}");
    proxy.strand().release();
    let near_log = near.log();
    within(async {
        while ask(|| near_log.last(&DECIDED)).await.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let settled = settle(&log, &DECIDED, Seq::ZERO, commit).await;
    assert_eq!(settled, Ok(Seq(1)));
    assert_eq!(everything(&near.log()).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_message_loses_to_another_writer() {
    let Setting {
        server: _server,
        proxy,
        far,
        near,
    } = setting().await;
    let (log, commit, theirs) = (far.log(), unique(300), unique(300));
    proxy.to_server(Flow::Hold);
    let lost = within(log.append(&DECIDED, Seq::ZERO, commit.clone())).await;
    assert!(matches!(lost, Err(AppendError::Unknown(_))), "{lost:?}");
    let late = proxy.strand();
    append(&near.log(), &DECIDED, Seq::ZERO, theirs.clone()).await;
    late.release();
    let settled = settle(&log, &DECIDED, Seq::ZERO, commit).await;
    assert_eq!(settled, Err(SettleError::Conflict));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let stored: Vec<_> = everything(&near.log())
        .await
        .into_iter()
        .map(|m| m.bytes)
        .collect();
    assert_eq!(stored, [theirs]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_told_in_time_and_gets_nothing_later() {
    let Setting {
        mut server, near, ..
    } = setting().await;
    let log = near.log();
    append(&log, &DECIDED, Seq::ZERO, unique(10)).await;
    server.kill();
    // The first may still find the old connection; none waits much longer than its patience.
    let begun = Instant::now();
    let failed = within(log.append(&DECIDED, Seq(1), unique(10))).await;
    assert!(
        matches!(
            failed,
            Err(AppendError::Unknown(_) | AppendError::Refused(_))
        ),
        "{failed:?}"
    );
    let refused = within(log.append(&DECIDED, Seq(1), unique(10))).await;
    assert!(
        matches!(refused, Err(AppendError::Refused(_))),
        "{refused:?}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(40),
        "{:?}",
        begun.elapsed()
    );
    server.run();
    let last = settle(&log, &DECIDED, Seq(1), unique(10)).await;
    // What was refused never comes; what is unknown may have come first.
    let unknown = matches!(failed, Err(AppendError::Unknown(_)));
    assert!(
        matches!(last, Ok(Seq(2))) || unknown && matches!(last, Err(SettleError::Conflict)),
        "{last:?}"
    );
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(everything(&log).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_page_whose_acknowledgement_is_lost_is_settled() {
    let Setting {
        server: _server,
        proxy,
        far,
        near,
    } = setting().await;
    let (keys, slot, bytes) = (far.keys(), Slot::Page(page()), unique(300));
    proxy.to_client(Flow::Drop);
    let writing = tokio::spawn({
        let bytes = bytes.clone();
        async move { keys.write(slot, Revision::NONE, bytes).await }
    });
    within(async {
        while !matches!(near.keys().read(slot).await, Ok(Some(_))) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    proxy.strand();
    let revision = within(writing).await.unwrap().unwrap();
    let stored = near.keys().read(slot).await.unwrap().unwrap();
    assert_eq!((stored.revision, stored.bytes), (revision, bytes));
    assert_eq!(near.keys().writings(slot).await.unwrap(), 1);
}
