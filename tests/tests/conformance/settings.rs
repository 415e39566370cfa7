//! What the wallet demands of a NATS server, and the hand-over.

use std::time::Duration;

use async_nats::jetstream::stream;
use billfold_core::id::Seq;
use billfold_streams::{
    jetstream::{Config, ConnectError, Credentials, JetStream},
    log::AppendError,
    settle::{SettleError, append_settled},
};
use billfold_tests::nats::{NatsServer, Settings};
use bytes::Bytes;
use futures::StreamExt;

use crate::fixture::{DECIDED, append, config, everything, process, unique, within};

fn production(server: &NatsServer) -> Config {
    Config {
        production: true,
        ..config(server.url())
    }
}

fn doubts(result: Result<JetStream, ConnectError>) -> String {
    match result {
        Err(ConnectError::Unsafe(doubts)) => doubts.join("\n"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn production_wants_proof_of_synced_writes() {
    let server = NatsServer::start();
    let told = doubts(JetStream::connect(production(&server)).await);
    assert!(
        told.contains("sync_interval: always") && told.contains("attest"),
        "{told}"
    );
    let proven = Config {
        monitoring_urls: vec![server.monitoring_url()],
        ..production(&server)
    };
    JetStream::connect(proven.clone()).await.unwrap();
    JetStream::connect(Config {
        attest_sync_always: true,
        ..production(&server)
    })
    .await
    .unwrap();
    // A proof of another server is none.
    let other = NatsServer::start();
    let elsewhere = Config {
        monitoring_urls: vec![other.monitoring_url()],
        ..production(&server)
    };
    assert!(doubts(JetStream::connect(elsewhere).await).contains("other servers"));
    let nowhere = Config {
        monitoring_urls: vec!["http://127.0.0.1:1".into()],
        ..proven
    };
    assert!(doubts(JetStream::connect(nowhere).await).contains("127.0.0.1:1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_syncs_later_is_refused_in_production_alone() {
    let server = NatsServer::start_with(
        &Settings {
            sync_always: false,
            ..Settings::default()
        },
        None,
    );
    let monitoring_urls = vec![server.monitoring_url()];
    // What was seen to be wrong, no word of the operator covers.
    let attested = Config {
        monitoring_urls,
        attest_sync_always: true,
        ..production(&server)
    };
    assert!(doubts(JetStream::connect(attested.clone()).await).contains("does not sync"));
    JetStream::connect(Config {
        production: false,
        ..attested
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsafe_stream_is_refused_in_production_alone() {
    let server = NatsServer::start();
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = async_nats::jetstream::new(client);
    let unsafe_stream = stream::Config {
        name: "WALLET_EVENTS_1".into(),
        subjects: vec!["wallet.events.1.>".into()],
        max_age: Duration::from_secs(3600),
        ..stream::Config::default()
    };
    context.create_stream(unsafe_stream).await.unwrap();
    let attested = Config {
        attest_sync_always: true,
        ..production(&server)
    };
    let told = doubts(JetStream::connect(attested).await);
    for fault in ["deny_delete", "deny_purge", "limit on age", "discards old"] {
        assert!(told.contains(fault), "{fault} in {told}");
    }
    JetStream::connect(config(server.url())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_with_holes_is_refused() {
    let server = NatsServer::start();
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = async_nats::jetstream::new(client);
    let open = stream::Config {
        name: "WALLET_EVENTS_1".into(),
        subjects: vec!["wallet.events.1.>".into()],
        ..stream::Config::default()
    };
    let stream = context.create_stream(open).await.unwrap();
    let log = JetStream::connect(config(server.url()))
        .await
        .unwrap()
        .log();
    let mut last = Seq::ZERO;
    for _ in 0..5 {
        last = append(&log, &DECIDED, last, unique(10)).await;
    }
    stream.delete_message(3).await.unwrap();
    let holed = log.read(crate::fixture::ALL, Seq::ZERO).await;
    assert!(matches!(
        holed.err(),
        Some(billfold_streams::log::Error::Damaged { at: Seq(3), .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_made_only_on_demand() {
    let server = NatsServer::start();
    let absent = JetStream::connect(Config {
        create: false,
        ..config(server.url())
    })
    .await;
    assert!(
        matches!(absent, Err(ConnectError::Missing(_))),
        "{absent:?}"
    );
    let log = JetStream::connect(config(server.url()))
        .await
        .unwrap()
        .log();
    append(&log, &DECIDED, Seq::ZERO, unique(10)).await;
    let there = JetStream::connect(Config {
        create: false,
        ..config(server.url())
    })
    .await
    .unwrap();
    assert_eq!(everything(&there.log()).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_used_and_never_told() {
    let users = "accounts { A { jetstream: enabled, users: [{user: wallet, password: sesame}] } }";
    let server = NatsServer::start_with(
        &Settings {
            extra: users.into(),
            ..Settings::default()
        },
        None,
    );
    let as_user = |password: &str| {
        let credentials = Credentials::User {
            user: "wallet".into(),
            password: password.to_owned(),
        };
        Config {
            credentials,
            ..config(server.url())
        }
    };
    JetStream::connect(as_user("sesame")).await.unwrap();
    let refused = JetStream::connect(as_user("mustard")).await.unwrap_err();
    assert!(
        matches!(refused, ConnectError::Unavailable(_)),
        "{refused:?}"
    );
    assert!(!refused.to_string().contains("mustard"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_limit_on_messages_is_followed() {
    let settings = Settings {
        max_payload: 65_536,
        ..Settings::default()
    };
    let server = NatsServer::start_with(&settings, None);
    let log = JetStream::connect(config(server.url()))
        .await
        .unwrap()
        .log();
    assert!(log.max_message() < 65_536 && log.max_message() > 60_000);
    let seq = append(&log, &DECIDED, Seq::ZERO, unique(log.max_message())).await;
    let refused = log
        .append(&DECIDED, seq, unique(log.max_message() + 1))
        .await;
    assert!(
        matches!(refused, Err(AppendError::TooLarge { .. })),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_room_refuses_for_good() {
    let settings = Settings {
        max_file_store: "1MB".into(),
        ..Settings::default()
    };
    let server = NatsServer::start_with(&settings, None);
    let log = JetStream::connect(config(server.url()))
        .await
        .unwrap()
        .log();
    let mut last = Seq::ZERO;
    let refused = within(async {
        loop {
            match append_settled(&*log, &DECIDED, last, unique(200_000), |_| {}).await {
                Ok(seq) => last = seq,
                Err(error) => break error,
            }
        }
    })
    .await;
    assert!(matches!(refused, SettleError::Refused(_)), "{refused:?}");
    assert!(last > Seq(2));
    assert_eq!(everything(&log).await.len() as u64, last.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_handed_over() {
    let server = NatsServer::start();
    let mine = JetStream::connect(config(server.url()))
        .await
        .unwrap()
        .courier();
    let theirs = JetStream::connect(config(server.url()))
        .await
        .unwrap()
        .courier();
    let (me, nobody) = (process(), process());
    let mut inbox = mine.inbox(me).await.unwrap();
    let working = tokio::spawn(async move {
        let first = inbox.next().await.unwrap();
        assert_eq!(first.bytes, "one");
        first.reply.send(Bytes::from_static(b"done")).unwrap();
        // The second is dropped without an answer.
        assert_eq!(inbox.next().await.unwrap().bytes, "two");
    });
    let answer = within(theirs.hand_over(me, Bytes::from_static(b"one")))
        .await
        .unwrap();
    assert_eq!(answer, "done");
    within(theirs.hand_over(me, Bytes::from_static(b"two")))
        .await
        .unwrap_err();
    working.await.unwrap();
    within(theirs.hand_over(nobody, Bytes::from_static(b"three")))
        .await
        .unwrap_err();
}
