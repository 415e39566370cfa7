//! Targets over the network that are away, come back, or take nothing.

use std::{
    io::{self, Read},
    net::{TcpListener, UdpSocket},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use billfold_tests::{
    nats::{NatsServer, Settings},
    tools,
    wallet::{Backend, Wallet, within_reason},
};
use futures::StreamExt as _;
use serde_json::Value;

use super::{
    Place, all, assert_exported, live, place, put,
    running::{Running, until},
};

/// A syslog server that keeps what it takes, until it is dropped.
pub struct Syslog {
    taken: Arc<Mutex<Vec<String>>>,
    over: Arc<Mutex<bool>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Syslog {
    /// Listens, and ends each connection after so many messages.
    pub fn start(port: u16, each: usize) -> Self {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(Mutex::new(false));
        let (to, end) = (taken.clone(), over.clone());
        let deadline = Instant::now() + Duration::from_secs(60);
        let listener = loop {
            match TcpListener::bind(("127.0.0.1", port)) {
                Ok(listener) => break listener,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
        };
        listener.set_nonblocking(true).unwrap();
        let thread = thread::spawn(move || {
            while !*end.lock().unwrap() {
                let Ok((stream, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(2));
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                stream
                    .set_read_timeout(Some(Duration::from_millis(50)))
                    .unwrap();
                let mut reader = io::BufReader::new(stream);
                let mut count = 0;
                while count < each && !*end.lock().unwrap() {
                    match frame(&mut reader) {
                        Ok(Some(message)) => {
                            to.lock().unwrap().push(message);
                            count += 1;
                        }
                        Ok(None) => {}
                        Err(_) => break,
                    }
                }
            }
        });
        Self {
            taken,
            over,
            thread: Some(thread),
        }
    }

    pub fn messages(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        *self.over.lock().unwrap() = true;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The next message by octet counting; none when there is none at the moment.
fn frame(reader: &mut impl Read) -> io::Result<Option<String>> {
    let mut length = 0;
    let mut byte = [0; 1];
    loop {
        match reader.read(&mut byte) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) if byte[0] == b' ' => break,
            Ok(_) => length = length * 10 + usize::from(byte[0] - b'0'),
            Err(error) if length == 0 && error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(None);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    let (mut message, mut done) = (vec![0; length], 0);
    while done < length {
        match reader.read(&mut message[done..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(String::from_utf8(message).unwrap()))
}

/// Where the row of a syslog message stands in the log.
fn row(message: &str) -> Place {
    let (head, text) = message
        .split_once(" - {")
        .expect("no structured data, then JSON");
    let head: Vec<_> = head.split(' ').collect();
    let [priority, time, host, app, process, event] = head[..] else {
        panic!("{head:?}");
    };
    let row: Value = serde_json::from_str(&format!("{{{text}")).unwrap();
    assert!(matches!(priority, "<110>1" | "<109>1"), "{priority}");
    assert_eq!((host, app), ("-", "billfold"));
    assert_eq!(
        (time, process),
        (
            row["time"].as_str().unwrap(),
            row["writer"].as_str().unwrap()
        )
    );
    assert_eq!(event, row["event"]);
    assert!(!message.contains(char::is_control));
    place(&row)
}

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
        let mut exporter = Running::start(&wallet, &args);
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
        let exporter = Running::start(
            &wallet,
            &["export", "--format", "jsonl", "--to", &to, "--follow"],
        );
        let held = tokio::task::spawn_blocking(move || listener.accept().unwrap());
        live(&wallet, 0..30).await;
        let _held = held.await.unwrap();
        live(&wallet, 30..60).await;
        assert_eq!(exporter.errors(), "");
    })
    .await;
}

/// A server that shows a certificate for `localhost`, and what its first connections sent.
async fn secured(
    dir: &std::path::Path,
    connections: usize,
) -> (u16, tokio::task::JoinHandle<Vec<u8>>) {
    use tokio::io::AsyncReadExt as _;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("ca.pem"), made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let mut all = Vec::new();
        for _ in 0..connections {
            let (stream, _) = listener.accept().await.unwrap();
            // Who does not trust it goes away.
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read_to_end(&mut all).await;
            }
        }
        all
    });
    (port, serving)
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
        assert_eq!(missing.code, 1, "{}", missing.stderr);
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
    let mut exporter = Running::start(&wallet, &args);
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
    let mut exporter = Running::start(&wallet, &args);
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
