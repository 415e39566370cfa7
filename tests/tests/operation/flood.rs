//! More connections than there is room for.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use billfold_tests::{
    billfold::{Billfold, Client},
    tools,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::sleep,
};

use crate::{
    process::{PATIENCE, Process, command_with_files, health},
    start::write_key,
};

/// How many files the server may open, and how many connections it is shown.
const FILES: u32 = 300;
const FLOOD: usize = 600;

/// One connection, and no other beside it.
struct Kept(TcpStream);

impl Kept {
    /// What is answered, head and all.
    async fn ask(&mut self, method: &str, path: &str, body: &str) -> String {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: wallet\r\nX-Vault-Token: root-token\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.0.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        loop {
            let mut bytes = [0; 1 << 12];
            let length = self.0.read(&mut bytes).await.unwrap();
            assert_ne!(length, 0, "it was ended: {answer}");
            answer.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
            let Some((head, rest)) = answer.split_once("\r\n\r\n") else {
                continue;
            };
            let mut fields = head.lines();
            let length: usize = fields
                .find_map(|field| {
                    field
                        .to_lowercase()
                        .strip_prefix("content-length: ")?
                        .parse()
                        .ok()
                })
                .unwrap();
            if rest.len() == length {
                return answer;
            }
        }
    }

    async fn put(&mut self, value: usize) {
        let body = json!({ "data": { "value": value } }).to_string();
        let written = self.ask("POST", "/v1/secret/data/kept", &body).await;
        assert!(written.starts_with("HTTP/1.1 200 "), "{written}");
    }
}

/// Who was there before the flood is served through it, and whoever comes after it again: the log's
/// own files are not for connections.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_connections_leaves_the_log_alone() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let key = home.path().join("wallet.key");
    write_key(&key);
    let builder = Billfold::serve()
        .data_dir(at("data"))
        .key_file(&key)
        .root_token("root-token");
    builder.init().await.unwrap().success().unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], tools::free_port()));
    let process = Process::of(command_with_files(
        FILES,
        "serve",
        &[
            ("BILLFOLD_LISTEN", &address.to_string()),
            ("BILLFOLD_DATA_DIR", &at("data")),
            ("BILLFOLD_KEY_MANAGER", "key-file"),
            ("BILLFOLD_KEY_FILE", &at("wallet.key")),
            ("BILLFOLD_CHECKPOINT_SECONDS", "1"),
        ],
    ));
    process.told("\"serving\"", 1).await;
    health(address, 200).await;
    let mut kept = Kept(TcpStream::connect(address).await.unwrap());
    kept.put(0).await;

    let mut flood = JoinSet::new();
    for _ in 0..FLOOD {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // One that is refused is at its end at once; one that is not says nothing, and waits.
        flood.spawn(async move { stream.read(&mut [0]).await.map_or(0, |length| length) });
    }
    let until = Instant::now() + PATIENCE;
    let mut refused = 0;
    while refused < FLOOD - FILES as usize {
        assert!(Instant::now() < until, "{refused} of {FLOOD} are refused");
        match tokio::time::timeout(PATIENCE, flood.join_next()).await {
            Ok(Some(ended)) => assert_eq!(ended.unwrap(), 0),
            other => panic!("{refused} of {FLOOD} are refused: {other:?}"),
        }
        refused += 1;
    }
    for value in 1..50 {
        kept.put(value).await;
    }
    let numbers = kept.ask("GET", "/metrics", "").await;
    let counted = numbers
        .lines()
        .find_map(|line| line.strip_prefix("billfold_connections_refused_total "))
        .unwrap()
        .parse::<usize>()
        .unwrap();
    assert!(counted >= refused, "{counted} of {refused} are counted");

    drop(flood);
    let until = Instant::now() + PATIENCE;
    while Client::new(address)
        .call("GET", "/v1/sys/health", None, ())
        .await
        .is_err()
    {
        assert!(Instant::now() < until, "nobody is served after the flood");
        sleep(Duration::from_millis(50)).await;
    }
}
