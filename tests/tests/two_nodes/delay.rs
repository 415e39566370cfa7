//! A link that takes its time: every byte arrives later by the same delay, and in order.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

/// A slow link that stands until it is dropped.
#[derive(Debug)]
pub struct SlowLink {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl SlowLink {
    /// A link to `127.0.0.1:port` that takes `delay` each way.
    pub async fn to(port: u16, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await {
                    client.set_nodelay(true).unwrap();
                    server.set_nodelay(true).unwrap();
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    tokio::spawn(carry(from_client, to_server, delay));
                    tokio::spawn(carry(from_server, to_client, delay));
                }
            }
        });
        Self { address, accepting }
    }

    /// Where NATS clients connect.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }
}

impl Drop for SlowLink {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Reads at once and writes later, so that the delay is no limit on what is under way.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) {
    let (sender, mut under_way) = mpsc::channel::<(Instant, Vec<u8>)>(4096);
    let writing = tokio::spawn(async move {
        while let Some((due, bytes)) = under_way.recv().await {
            sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let bytes = buffer[..count].to_vec();
        if sender.send((Instant::now() + delay, bytes)).await.is_err() {
            break;
        }
    }
    drop(sender);
    let _ = writing.await;
}
