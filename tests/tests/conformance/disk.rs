//! A disk without space.

use std::time::Duration;

use billfold_core::id::Seq;
use billfold_streams::{embedded::Embedded, jetstream::JetStream, log::AppendError};
use billfold_tests::{
    nats::{NatsServer, Settings},
    tmpfs::Tmpfs,
};
use bytes::Bytes;

use crate::fixture::{
    DECIDED, Fixture, OnNats, OnRedb, append, config, everything, unique, within,
};

#[allow(async_fn_in_trait)]
pub trait OnDisk: Fixture {
    async fn on(disk: &Tmpfs) -> Self;
    /// What brings it back once there is space.
    async fn revive(&mut self);
    /// Whether it can refuse a commit for good when the disk is full.
    const REFUSES: bool;
}

impl OnDisk for OnRedb {
    const REFUSES: bool = true;

    async fn on(disk: &Tmpfs) -> Self {
        let dir = tempfile::tempdir_in(disk.path()).unwrap();
        Self::of(Embedded::open(dir.path()).unwrap(), dir)
    }

    async fn revive(&mut self) {}
}

impl OnDisk for OnNats {
    // It turns JetStream off, and what it could not write may still be in its memory.
    const REFUSES: bool = false;

    async fn on(disk: &Tmpfs) -> Self {
        let server = NatsServer::start_with(&Settings::default(), Some(&disk.path().join("store")));
        let open = JetStream::connect(config(server.url())).await.unwrap();
        Self { server, open }
    }

    async fn revive(&mut self) {
        self.restart(Duration::ZERO).await;
    }
}

pub async fn inv02_a_full_disk_loses_nothing<F: OnDisk>() {
    let Some(disk) = Tmpfs::mount_or_skip(64 << 10) else {
        return;
    };
    let mut fixture = F::on(&disk).await;
    let log = fixture.log();
    let (mut commits, mut last) = (Vec::new(), Seq::ZERO);
    for _ in 0..20 {
        let bytes = unique(2_000);
        last = append(&log, &DECIDED, last, bytes.clone()).await;
        commits.push(bytes);
    }
    for round in 0..3 {
        disk.fill();
        // Some space may be left inside the files.
        let mut refused: Option<Bytes> = None;
        for _ in 0..200 {
            let bytes = unique(100_000);
            match within(log.append(&DECIDED, last, bytes.clone())).await {
                Ok(seq) => {
                    last = seq;
                    commits.push(bytes);
                }
                Err(AppendError::Refused(_)) => {
                    refused = Some(bytes);
                    break;
                }
                Err(AppendError::Unknown(why)) if !F::REFUSES => {
                    assert!(!why.is_empty());
                    refused = Some(bytes);
                    break;
                }
                Err(other) => panic!("{round}: {other:?}"),
            }
        }
        let refused = refused.expect("a full disk takes no more");
        if F::REFUSES {
            // Nothing half done, and what is there can still be read.
            assert_eq!(log.last(&DECIDED).await.unwrap().unwrap().seq, last);
            assert_eq!(everything(&log).await.len(), commits.len());
        }
        disk.free();
        fixture.revive().await;
        last = append(&log, &DECIDED, last, refused.clone()).await;
        commits.push(refused);
        let stored: Vec<_> = everything(&log)
            .await
            .into_iter()
            .map(|m| m.bytes)
            .collect();
        assert_eq!(stored, commits);
    }
}
