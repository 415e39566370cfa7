//! Three NATS servers, one of which dies while commits are written.

use std::time::Duration;

use async_nats::jetstream;
use billfold_core::id::Seq;
use billfold_streams::{
    jetstream::{Config, JetStream},
    keys::{Revision, Slot},
};
use billfold_tests::nats::NatsCluster;

use crate::fixture::{ALL, DECIDED, append, config, everything, page, take, unique, within};

async fn connect(config: &Config) -> JetStream {
    // A cluster that has just started elects its leaders first.
    within(async {
        loop {
            match JetStream::connect(config.clone()).await {
                Ok(open) => break open,
                Err(error) => eprintln!("not yet: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    })
    .await
}

/// The number of the server that leads the log's stream.
async fn leader(cluster: &NatsCluster, of: usize) -> Option<usize> {
    let client = async_nats::connect(cluster.servers[of].url()).await.ok()?;
    let stream = jetstream::new(client)
        .get_stream("WALLET_EVENTS_1")
        .await
        .ok()?;
    let leader = stream.cached_info().cluster.as_ref()?.leader.clone()?;
    leader.strip_prefix('n')?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn inv02_commits_and_tails_go_on_when_the_leader_dies() {
    let mut cluster = NatsCluster::start();
    // In production, with proof of synced writes from each of the three.
    let strict = Config {
        replicas: 3,
        production: true,
        monitoring_urls: cluster.monitoring_urls(),
        ..config(cluster.url())
    };
    let open = connect(&strict).await;
    let log = open.log();
    let mut tail = log.read(ALL, Seq::ZERO).await.unwrap();
    let slot = Slot::Page(page());
    let mut key = open
        .keys()
        .write(slot, Revision::NONE, unique(100))
        .await
        .unwrap();
    let (mut commits, mut last) = (Vec::new(), Seq::ZERO);
    for round in 0..4_usize {
        let dead = match round {
            1 | 2 => {
                let other = leader(&cluster, 0).await.unwrap();
                cluster.servers[other].kill();
                Some(other)
            }
            _ => None,
        };
        for _ in 0..50 {
            let bytes = unique(300);
            last = append(&log, &DECIDED, last, bytes.clone()).await;
            commits.push(bytes);
        }
        key = within(async {
            loop {
                match open.keys().write(slot, key, unique(100)).await {
                    Ok(key) => break key,
                    Err(error) => eprintln!("not yet: {error}"),
                }
            }
        })
        .await;
        let read: Vec<_> = take(&mut tail, 50)
            .await
            .into_iter()
            .map(|m| m.bytes)
            .collect();
        assert_eq!(read, commits[commits.len() - 50..], "{round}");
        if let Some(dead) = dead {
            cluster.servers[dead].run();
        }
    }
    let stored: Vec<_> = everything(&log)
        .await
        .into_iter()
        .map(|m| m.bytes)
        .collect();
    assert_eq!(stored, commits);
    assert_eq!(open.keys().erase_older(slot).await.unwrap(), 4);
    assert_eq!(open.keys().writings(slot).await.unwrap(), 1);
}
