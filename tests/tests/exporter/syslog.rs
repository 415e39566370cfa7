//! Syslog servers, with TLS and without, and their messages.

use std::{
    io::{self, Read},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{Place, place};

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
pub fn frame(reader: &mut impl Read) -> io::Result<Option<String>> {
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
pub fn row(message: &str) -> Place {
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

/// A server that shows a certificate for `localhost`, and what its first connections sent.
pub async fn secured(
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
