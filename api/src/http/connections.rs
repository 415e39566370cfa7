//! How many connections there are at once, and for how long one may say nothing.

use std::{
    future::{Ready, ready},
    io,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use axum_server::{Server, accept::Accept};
use hyper_util::rt::TokioTimer;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_io_timeout::TimeoutStream;
use tower_http::add_extension::AddExtension;

/// How long the head of a request may take, from the end of the request before it: longer than
/// clients keep a connection that they do not use.
const HEAD: Duration = Duration::from_secs(120);
/// For how long a connection may say or take nothing, whatever it is at: longer than any answer
/// takes to begin.
const SILENCE: Duration = Duration::from_secs(15 * 60);
/// How many connections there are at most, if the process may open files enough.
const MOST: u64 = 10_000;
/// How many files of the process are not for connections: those of log, views and checkpoints, and
/// the way to NATS. A flood of connections must not take them.
const OTHER_FILES: u64 = 256;

/// Takes connections as far as there is room, and ends those that are silent.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    room: Arc<Semaphore>,
}

/// The place of one connection; it is free again when the connection ends.
type Place = Arc<OwnedSemaphorePermit>;

impl Connections {
    /// Room for as many as the process may open files for. It first asks for all that it may have.
    ///
    /// # Errors
    /// When the system does not tell.
    pub(super) fn new() -> io::Result<Self> {
        let files = getrlimit(Resource::Nofile);
        let all = Rlimit {
            current: files.maximum,
            maximum: files.maximum,
        };
        setrlimit(Resource::Nofile, all)?;
        Ok(Self::of(room(files.maximum)))
    }

    fn of(room: usize) -> Self {
        Self {
            room: Arc::new(Semaphore::new(room)),
        }
    }
}

fn room(files: Option<u64>) -> usize {
    let files = files.unwrap_or(u64::MAX);
    let left = files - OTHER_FILES.min(files / 2);
    usize::try_from(left.min(MOST)).unwrap_or(usize::MAX)
}

impl<S> Accept<TcpStream, S> for Connections {
    type Stream = Pin<Box<TimeoutStream<TcpStream>>>;
    type Service = AddExtension<S, Place>;
    type Future = Ready<io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
            metrics::counter!("billfold_connections_refused_total").increment(1);
            return ready(Err(io::ErrorKind::ConnectionRefused.into()));
        };
        let nodelay = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_read_timeout(Some(SILENCE));
        stream.set_write_timeout(Some(SILENCE));
        let service = AddExtension::new(service, Arc::new(place));
        ready(nodelay.map(|()| (Box::pin(stream), service)))
    }
}

/// Bounds the time that heads take. A connection of HTTP/2 is asked whether it is still there.
pub(super) fn bound<A: axum_server::Address, Acceptor>(
    mut server: Server<A, Acceptor>,
) -> Server<A, Acceptor> {
    let builder = server.http_builder();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD);
    server
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::get};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        time::Instant,
    };

    use super::*;

    async fn server(room: usize) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = axum_server::from_tcp(listener.into_std().unwrap()).unwrap();
        let server = bound(server.acceptor(Connections::of(room)));
        let app = Router::new().route("/", get(async || "here"));
        tokio::spawn(server.serve(app.into_make_service()));
        address
    }

    async fn ask(stream: &mut TcpStream) -> io::Result<String> {
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .await?;
        let mut answer = vec![0; 1 << 10];
        let length = stream.read(&mut answer).await?;
        answer.truncate(length);
        Ok(String::from_utf8(answer).unwrap())
    }

    #[test]
    fn a_flood_leaves_files_for_the_log() {
        assert_eq!(room(Some(1_024)), 768);
        assert_eq!(room(Some(100)), 50);
        assert_eq!(room(Some(1 << 20)), 10_000);
        assert_eq!(room(None), 10_000);
    }

    #[tokio::test]
    async fn there_is_room_for_some_and_again_for_others() {
        let address = server(2).await;
        let mut one = TcpStream::connect(address).await.unwrap();
        let mut two = TcpStream::connect(address).await.unwrap();
        for stream in [&mut one, &mut two] {
            assert!(ask(stream).await.unwrap().ends_with("here"));
        }
        let mut three = TcpStream::connect(address).await.unwrap();
        assert!(!ask(&mut three).await.is_ok_and(|answer| !answer.is_empty()));
        assert!(ask(&mut two).await.unwrap().ends_with("here"));
        drop(one);
        // The server comes to know of it in its own time.
        loop {
            let mut next = TcpStream::connect(address).await.unwrap();
            if ask(&mut next)
                .await
                .is_ok_and(|answer| answer.ends_with("here"))
            {
                break;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_silent_is_ended() {
        let address = server(8).await;
        for (said, longest) in [
            (&b""[..], SILENCE),
            (b"GET / HT", HEAD),
            (b"GET / HTTP/1.1\r\nhost: x\r\n", HEAD),
            (b"PRI * HTTP/2.0\r\n", SILENCE),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", SILENCE),
        ] {
            let begun = Instant::now();
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(said).await.unwrap();
            let mut rest = Vec::new();
            // How it is ended differs; that it is counts.
            let _ = stream.read_to_end(&mut rest).await;
            let took = begun.elapsed();
            let told = String::from_utf8_lossy(said);
            assert!(took >= HEAD, "{told:?} took {took:?}");
            assert!(took <= longest + HEAD, "{told:?} took {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_may_rest_between_two_requests() {
        let mut stream = TcpStream::connect(server(1).await).await.unwrap();
        for _ in 0..3 {
            assert!(ask(&mut stream).await.unwrap().ends_with("here"));
            tokio::time::sleep(HEAD - Duration::from_secs(1)).await;
        }
    }
}
