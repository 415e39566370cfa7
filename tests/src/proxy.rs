//! A TCP proxy on loopback that drops or holds back bytes on demand.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// What happens to bytes of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// They go through.
    Pass,
    /// They vanish.
    Drop,
    /// They wait for [`Flow::Pass`], in order.
    Hold,
}

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    present: Arc<Mutex<Switches>>,
    accepting: JoinHandle<()>,
}

/// The connections that were made since the last [`Proxy::strand`].
#[derive(Debug, Clone)]
struct Switches {
    to_server: watch::Sender<Flow>,
    to_client: watch::Sender<Flow>,
    /// Whether the client's side is closed.
    closed: watch::Sender<bool>,
}

impl Switches {
    fn new() -> Self {
        Self {
            to_server: watch::Sender::new(Flow::Pass),
            to_client: watch::Sender::new(Flow::Pass),
            closed: watch::Sender::new(false),
        }
    }
}

/// Connections whose clients are gone, and whose held bytes can still reach the server.
#[derive(Debug)]
pub struct Stranded(Switches);

impl Stranded {
    /// Lets through what they hold.
    pub fn release(self) {
        self.0.to_server.send_replace(Flow::Pass);
    }
}

impl Proxy {
    /// A proxy before `127.0.0.1:port`.
    pub async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let present = Arc::new(Mutex::new(Switches::new()));
        let switches = present.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let switches = switches.lock().expect("never poisoned").clone();
                if let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await {
                    // Small messages go out at once, as without a proxy.
                    client.set_nodelay(true).expect("a live socket");
                    server.set_nodelay(true).expect("a live socket");
                    tokio::spawn(connect(client, server, switches));
                }
            }
        });
        Self {
            address,
            present,
            accepting,
        }
    }

    /// Where NATS clients connect.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Decides on what clients send from now on.
    pub fn to_server(&self, flow: Flow) {
        self.present
            .lock()
            .expect("never poisoned")
            .to_server
            .send_replace(flow);
    }

    /// Decides on what servers send from now on.
    pub fn to_client(&self, flow: Flow) {
        self.present
            .lock()
            .expect("never poisoned")
            .to_client
            .send_replace(flow);
    }

    /// Closes all connections towards the clients. What they sent and is held can be released
    /// later; connections that come now pass everything.
    pub fn strand(&self) -> Stranded {
        let mut present = self.present.lock().expect("never poisoned");
        let old = std::mem::replace(&mut *present, Switches::new());
        old.closed.send_replace(true);
        Stranded(old)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        let _ = self.strand();
    }
}

async fn connect(client: TcpStream, server: TcpStream, switches: Switches) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (upward, downward) = (
        switches.to_server.subscribe(),
        switches.to_client.subscribe(),
    );
    let closed = switches.closed.subscribe();
    tokio::spawn(pump(from_server, to_client, downward, closed.clone(), true));
    // Its end of the connection to the server is kept until what is held was released.
    pump(from_client, to_server, upward, closed, false).await;
}

/// Moves bytes until either side is closed; `down` towards the client.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut flow: watch::Receiver<Flow>,
    mut closed: watch::Receiver<bool>,
    down: bool,
) {
    let mut held = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        if *flow.borrow_and_update() == Flow::Pass && !held.is_empty() {
            if to.write_all(&held).await.is_err() {
                return;
            }
            held.clear();
        }
        let read = tokio::select! {
            changed = flow.changed() => if changed.is_ok() { continue } else { return },
            _ = closed.wait_for(|closed| *closed) => break,
            read = from.read(&mut buffer) => read,
        };
        let Ok(count @ 1..) = read else { break };
        let now = *flow.borrow();
        match now {
            Flow::Drop => {}
            Flow::Hold => held.extend_from_slice(&buffer[..count]),
            Flow::Pass => {
                // What was held goes first.
                held.extend_from_slice(&buffer[..count]);
                if to.write_all(&held).await.is_err() {
                    return;
                }
                held.clear();
            }
        }
    }
    if down || held.is_empty() {
        return;
    }
    drop(from);
    if flow.wait_for(|flow| *flow == Flow::Pass).await.is_ok() {
        let _ = to.write_all(&held).await;
        // Time for the server to read it, before the closed connection takes it away.
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    }
}
