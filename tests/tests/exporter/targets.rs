//! Targets over the network that are away, come back, or take nothing.

use std::{
    net::{TcpListener, UdpSocket},
    time::{Duration, Instant},
};

use billfold_tests::{
    nats::{NatsServer, Settings},
    running::{Running, until},
    tools,
    wallet::{Backend, Wallet, within_reason},
};
use futures::StreamExt as _;

use super::{
    Place, all, assert_exported, live, place, put,
    syslog::{Syslog, frame, row, secured},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_target_gets_everything_once_it_is_back() {
    within_reason(async {
        let wallet = Wallet::dev(Backend::Embedded).await;
        let port = tools::free_port();
        let to = format!("syslog:127.0.0.1:{port}");
        let dir = tempfile::tempdir().unwrap();
        let position = dir.path().join("position");
        live(&wallet, 0..3).await;
        let args = [
            "export",
            "--format",
            "jsonl",
            "--to",
            &to,
            "--follow",
            "--position",
        ];
        let args = [&args[..], &[position.to_str().unwrap()]].concat();
        let mut exporter = Running::start(wallet.replay_command(&args));
        until("a notice", || {
            exporter.errors().matches("trying again in").count() > 1
        })
        .await;
        assert!(exporter.errors().contains("Connection refused"));
        assert!(!position.exists(), "nothing was taken");

        let there = Syslog::start(port, usize::MAX);
        let expected = all(&wallet).await;
        until("all rows", || there.messages().len() >= expected.len()).await;
        assert!(exporter.errors().contains("takes events again"));
        let mut found: Vec<_> = there
            .messages()
            .iter()
            .map(|message| row(message))
            .collect();
        drop(there);

        // It goes, and comes back: what it took for certain does not come again.
        until("the position", || position.exists()).await;
        live(&wallet, 3..6).await;
        until("another notice", || {
            let errors = exporter.errors();
            let back = errors.find("takes events again").unwrap();
            errors[back..].contains("trying again in")
        })
        .await;
        let there = Syslog::start(port, usize::MAX);
        let expected = all(&wallet).await;
        let last = *expected.last().unwrap();
        until("the last row", || {
            there.messages().iter().any(|m| row(m) == last)
        })
        .await;
        found.extend(there.messages().iter().map(|message| row(message)));
        assert_exported(&found, &expected);
        assert_eq!(exporter.end("TERM").await, 0);
        drop(there);

        // Without --follow, it does not wait for ever.
        let args = ["export", "--format", "ocsf", "--to", &to, "--patience", "0"];
        let ended = wallet.replay(&args).await.unwrap();
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(
            ended.stderr.contains("the target takes nothing"),
            "{}",
            ended.stderr
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_target_delays_nobody() {
    within_reason(async {
        let wallet = Wallet::dev(Backend::Embedded).await;
        // It takes connections, and never reads.
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let to = format!("syslog:tcp://{}", listener.local_addr().unwrap());
        let args = ["export", "--format", "jsonl", "--to", &to, "--follow"];
        let exporter = Running::start(wallet.replay_command(&args));
        let held = tokio::task::spawn_blocking(move || listener.accept().unwrap());
        live(&wallet, 0..30).await;
        let _held = held.await.unwrap();
        live(&wallet, 30..60).await;
        assert_eq!(exporter.errors(), "");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_syslog_server_is_trusted_for_its_certificate() {
    within_reason(async {
        let wallet = Wallet::dev(Backend::Embedded).await;
        live(&wallet, 0..3).await;
        let dir = tempfile::tempdir().unwrap();
        let (port, serving) = secured(dir.path(), 2).await;
        let to = format!("syslog:tls://localhost:{port}");
        let args = [
            "export",
            "--format",
            "jsonl",
            "--to",
            &to,
            "--patience",
            "0",
        ];
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let [other_file, file] = ["other.pem", "ca.pem"].map(|name| dir.path().join(name));
        std::fs::write(&other_file, other.cert.pem()).unwrap();
        let trusting = async |file: &std::path::Path| {
            let trust = ["--to-ca-file", file.to_str().unwrap()];
            wallet.replay(&[&args[..], &trust].concat()).await.unwrap()
        };
        let refused = trusting(&other_file).await;
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(refused.stderr.contains("certificate"), "{}", refused.stderr);
        let expected = all(&wallet).await;
        trusting(&file).await.success().unwrap();
        let sent = serving.await.unwrap();
        let (mut reader, mut found) = (&sent[..], Vec::new());
        while let Ok(Some(message)) = frame(&mut reader) {
            found.push(row(&message));
        }
        assert_eq!(found, expected);
        let missing = trusting(&dir.path().join("none.pem")).await;
        assert_eq!(missing.code, 2, "{}", missing.stderr);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_hold_a_message_each() {
    within_reason(async {
        let wallet = Wallet::dev(Backend::Embedded).await;
        put(&wallet, "app").await;
        let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let to = format!("syslog:udp://{}", socket.local_addr().unwrap());
        let args = [
            "export",
            "--format",
            "jsonl",
            "--to",
            &to,
            "--kind",
            "CredentialWritten",
        ];
        wallet.replay(&args).await.unwrap().success().unwrap();
        let mut bytes = [0; 65_536];
        let length = socket.recv(&mut bytes).unwrap();
        let message = std::str::from_utf8(&bytes[..length]).unwrap();
        let expected = all(&wallet).await;
        assert!(expected.contains(&row(message)), "{message}");
        assert!(message.contains(" CredentialWritten - {"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_no_datagram_holds_goes_out_without_its_lists() {
    const SECRETS: usize = 2_100;
    within_reason(async {
        let wallet = Wallet::dev(Backend::Embedded).await;
        let names: Vec<_> = (0..SECRETS).map(|number| format!("app/{number}")).collect();
        let puts = names.iter().map(|name| put(&wallet, name));
        let _: Vec<()> = futures::stream::iter(puts)
            .buffer_unordered(32)
            .collect()
            .await;
        // A socket holds few datagrams.
        let from = all(&wallet).await.last().unwrap().0.to_string();
        let order = serde_json::json!({ "path": "secret/app/", "reason": "they left us" });
        let url = "/api/internal/wallet/erase";
        let erased = wallet.node.root("POST", url, order).await;
        assert_eq!(erased.status, 200, "{}", erased.text());
        put(&wallet, "behind").await;
        let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let to = format!("syslog:udp://{}", socket.local_addr().unwrap());
        let mark = format!("records:{SECRETS}");
        let export = async |to: &str, format: &str| {
            let args = ["export", "--format", format, "--to", to];
            let kinds = ["--kind", "ErasureOrdered,CredentialWritten"];
            let from = ["--from", &from];
            let ended = wallet.replay(&[&args[..], &kinds, &from].concat()).await;
            ended.unwrap().success().unwrap().stdout
        };
        for format in ["jsonl", "csv", "ocsf"] {
            let whole = export("stdout", format).await;
            let whole = whole.lines().find(|line| line.contains("ErasureOrdered"));
            assert!(whole.is_some_and(|line| line.len() > 65_507 && !line.contains(&mark)));
            export(&to, format).await;
            let next = || {
                let mut bytes = [0; 65_536];
                let length = socket.recv(&mut bytes).expect("a datagram");
                String::from_utf8(bytes[..length].to_vec()).unwrap()
            };
            let mut message = next();
            while !message.contains(" ErasureOrdered - ") {
                message = next();
            }
            let text = message.split_once(" - billfold ").unwrap().1;
            let text = text.split_once(" - ").unwrap().1;
            if format == "csv" {
                assert!(text.ends_with(&format!(",{mark}")), "{text}");
                assert_eq!(text.split(',').count(), billfold_replay::FIELDS.len());
            } else {
                let row: serde_json::Value = serde_json::from_str(text).unwrap();
                let told = match format {
                    "ocsf" => {
                        super::ocsf::check(&row);
                        &row["unmapped"]
                    }
                    _ => &row,
                };
                assert_eq!(told["left_out"], serde_json::json!([mark]));
                assert!(row["records"].is_null(), "{row}");
            }
            let behind = next();
            assert!(behind.contains(" CredentialWritten - "), "{behind}");
        }
    })
    .await;
}

async fn stream(nats: &NatsServer) -> async_nats::jetstream::stream::Stream {
    let client = async_nats::connect(nats.url()).await.unwrap();
    let context = async_nats::jetstream::new(client);
    let config = async_nats::jetstream::stream::Config {
        name: "AUDIT".to_owned(),
        subjects: vec!["audit.>".to_owned()],
        ..Default::default()
    };
    context.get_or_create_stream(config).await.unwrap()
}

async fn stored(nats: &NatsServer) -> Vec<Place> {
    let mut stream = stream(nats).await;
    let count = stream.info().await.unwrap().state.messages as usize;
    let consumer = stream
        .create_consumer(async_nats::jetstream::consumer::pull::OrderedConfig::default())
        .await
        .unwrap();
    let messages = consumer.messages().await.unwrap().take(count);
    let rows = messages.map(|message| {
        let message = message.unwrap();
        place(&serde_json::from_slice(&message.payload).unwrap())
    });
    rows.collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_into_one_stream_lose_nothing_to_each_other() {
    within_reason(async {
        let wallet = Wallet::dev(Backend::Embedded).await;
        live(&wallet, 0..3).await;
        let nats = NatsServer::start_with(&Settings::default(), None);
        let mut made = stream(&nats).await;
        let url = nats.url();
        let mut export = async |format, to, more: &[&str]| {
            let args = ["export", "--format", format, "--to", to, "--to-nats", &url];
            let ended = wallet.replay(&[&args[..], more].concat()).await.unwrap();
            ended.success().unwrap();
            made.info().await.unwrap().state.messages as usize
        };
        let every = all(&wallet).await.len();
        let written = ["--kind", "CredentialWritten"];
        let mut expected = 0;
        for (format, to, more, count) in [
            ("jsonl", "nats:audit.all", &[][..], every),
            ("jsonl", "nats:audit.written", &written, 3),
            ("ocsf", "nats:audit.all", &[], every),
            ("jsonl", "nats:audit.all", &["--names"], every),
            ("jsonl", "nats:audit.all", &written, 3),
        ] {
            expected += count;
            assert_eq!(export(format, to, more).await, expected, "{to} {more:?}");
            // The same once more is a repeat.
            assert_eq!(export(format, to, more).await, expected, "{to} {more:?}");
        }
    })
    .await;
}

async fn a_stream_has_every_row_though_its_server_crashes(backend: Backend) {
    let mut wallet = Wallet::serve(backend).await;
    let own = match backend {
        Backend::Embedded => Some(NatsServer::start_with(&Settings::default(), None)),
        Backend::JetStream => None,
    };
    let mut own = own;
    let dir = tempfile::tempdir().unwrap();
    let position = dir.path().join("position");
    let url = own.as_ref().map(NatsServer::url);
    let mut args = vec!["export", "--format", "jsonl", "--to", "nats:audit.billfold"];
    args.extend(["--follow", "--position", position.to_str().unwrap()]);
    args.extend(url.iter().flat_map(|url| ["--to-nats", url]));
    live(&wallet, 0..5).await;
    let mut exporter = Running::start(wallet.replay_command(&args));
    // There is no such stream yet.
    until("a notice", || {
        exporter.errors().contains("no stream takes this subject")
    })
    .await;
    let server = |wallet: &Wallet, own: &Option<NatsServer>| {
        own.as_ref()
            .or(wallet.nats.as_ref())
            .map(NatsServer::url)
            .unwrap()
    };
    assert!(server(&wallet, &own).starts_with("nats://"));
    let made = stream(own.as_ref().or(wallet.nats.as_ref()).unwrap()).await;
    drop(made);
    until("the position", || position.exists()).await;
    own.as_mut().or(wallet.nats.as_mut()).unwrap().crash();
    live(&wallet, 5..10).await;
    exporter.kill();
    live(&wallet, 10..12).await;
    let mut exporter = Running::start(wallet.replay_command(&args));
    let expected = all(&wallet).await;
    let last = *expected.last().unwrap();
    let deadline = Instant::now() + Duration::from_secs(90);
    let found = loop {
        let found = stored(own.as_ref().or(wallet.nats.as_ref()).unwrap()).await;
        if found.contains(&last) {
            break found;
        }
        assert!(
            Instant::now() < deadline,
            "{} rows: {}",
            found.len(),
            exporter.errors()
        );
    };
    assert_exported(&found, &expected);
    assert_eq!(exporter.end("INT").await, 0);
    // The wallet's own subjects are none for rows.
    let args = [
        "export",
        "--format",
        "jsonl",
        "--to",
        "nats:wallet.events.1.decided",
    ];
    let refused = wallet.replay(&args).await.unwrap();
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    wallet.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_every_row_of_an_embedded_log() {
    let test = a_stream_has_every_row_though_its_server_crashes(Backend::Embedded);
    within_reason(test).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_every_row_of_a_log_beside_it() {
    let test = a_stream_has_every_row_though_its_server_crashes(Backend::JetStream);
    within_reason(test).await;
}
