//! The end of a process that is asked to end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use billfold_tests::wallet::{Backend, Wallet};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

const PATIENCE: Duration = Duration::from_secs(60);

pub async fn an_open_request_ends_before_the_process_does(backend: Backend) {
    let mut wallet = Wallet::serve(backend).await;
    let address = wallet.node.address();
    let body = json!({ "data": { "k": "late" } }).to_string();
    let head = format!(
        "POST /v1/secret/data/late HTTP/1.1\r\nHost: x\r\nX-Vault-Token: {}\r\nContent-Length: {}\r\n\r\n",
        wallet.node.token(),
        body.len()
    );
    let (first, rest) = body.split_at(7);
    // One that has begun, one that was served and is kept, one on which nothing was ever said.
    let mut open = TcpStream::connect(address).await.unwrap();
    open.write_all((head + first).as_bytes()).await.unwrap();
    let mut kept = TcpStream::connect(address).await.unwrap();
    kept.write_all(b"GET /v1/sys/health HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert!(kept.read(&mut [0; 1024]).await.unwrap() > 0);
    let mut silent = TcpStream::connect(address).await.unwrap();
    // Its head is read once a later request on another connection was answered and some time went by.
    assert_eq!(
        wallet.node.root("GET", "/v1/sys/mounts", ()).await.status,
        200
    );
    sleep(Duration::from_millis(500)).await;

    assert!(wallet.node.signal("TERM"));
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, refused)
        .await
        .expect("it takes no more connections");
    open.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, open.read_to_string(&mut answer))
        .await
        .expect("an answer")
        .unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.contains("\"version\":1"),
        "{answer}"
    );
    let began = Instant::now();
    assert_eq!(wallet.node.stop().await.unwrap(), 0);
    // Longer would mean that it waited until its time for stragglers was over.
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    for idle in [&mut kept, &mut silent] {
        assert_eq!(
            idle.read(&mut [0; 64]).await.unwrap_or(0),
            0,
            "an idle connection is closed"
        );
    }

    wallet.node.restart().await.unwrap();
    let read = wallet.node.root("GET", "/v1/secret/data/late", ()).await;
    assert_eq!(read.json()["data"]["data"]["k"], "late");
    wallet.assert_sound().await;
}

pub async fn inv02_what_was_acknowledged_before_the_end_is_there(backend: Backend) {
    let mut wallet = Wallet::serve(backend).await;
    let (stopped, acknowledged) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let (client, token) = (wallet.node.client(), wallet.node.token().to_owned());
        let (stopped, acknowledged) = (Arc::clone(&stopped), Arc::clone(&acknowledged));
        writers.spawn(async move {
            let mut done = Vec::new();
            for number in 0..100_000 {
                let path = format!("/v1/secret/data/w/{writer}-{number}");
                let body = json!({ "data": { "k": path } });
                match client.call("POST", &path, Some(&token), body).await {
                    Ok(reply) if reply.status == 200 => done.push(path),
                    // It was told to end, and says so; or it takes no connection any more.
                    Ok(reply) => assert_eq!(reply.status, 503, "{}", reply.text()),
                    Err(_) => {}
                }
                acknowledged.store(
                    acknowledged.load(Ordering::Relaxed).max(done.len()),
                    Ordering::Relaxed,
                );
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
            }
            done
        });
    }
    let enough = async {
        while acknowledged.load(Ordering::Relaxed) < 20 {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, enough)
        .await
        .expect("writes are acknowledged");
    assert_eq!(wallet.node.stop().await.unwrap(), 0);
    stopped.store(true, Ordering::Relaxed);
    let written: Vec<String> = writers.join_all().await.into_iter().flatten().collect();
    assert!(written.len() >= 20);

    wallet.node.restart().await.unwrap();
    for path in written {
        let read = wallet.node.root("GET", &path, ()).await;
        assert_eq!(read.status, 200, "{path}: {}", read.text());
        assert_eq!(read.json()["data"]["data"]["k"], path);
    }
    wallet.assert_sound().await;
}
