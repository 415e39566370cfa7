//! Servers that misbehave: redirects, faults that pass, answers that make no sense.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use billfold_tests::{cli::Cli, wallet::within_reason};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

const TOKEN: &str = "hvs.canary-token";
const MOUNT: &str = r#"{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}"#;
const SECRET: &str =
    r#"{"data":{"data":{"k":"v"},"metadata":{"created_time":"2026-01-01T00:00:00Z","version":1}}}"#;

/// A server that answers each request by its number and its first line, and keeps what it was sent.
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answer: impl Fn(usize, &str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&seen), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&kept), Arc::clone(&answer)));
            }
        });
        Self { address, seen }
    }

    fn cli(&self) -> Cli {
        Cli::new(format!("http://{}", self.address)).env("BILLFOLD_TOKEN", TOKEN)
    }

    /// The first lines of all requests.
    fn lines(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .map(|request| request.lines().next().unwrap_or_default().to_owned())
            .collect()
    }
}

async fn serve(
    stream: TcpStream,
    seen: Arc<Mutex<Vec<String>>>,
    answer: Arc<impl Fn(usize, &str) -> String>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let (mut request, mut length) = (String::new(), 0);
    while !request.ends_with("\r\n\r\n") {
        let start = request.len();
        if stream.read_line(&mut request).await.ok()? == 0 {
            return None;
        }
        if let Some(told) = request[start..]
            .to_lowercase()
            .strip_prefix("content-length:")
        {
            length = told.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let reply = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone() + &String::from_utf8_lossy(&body));
        answer(seen.len(), request.lines().next()?)
    };
    stream.write_all(reply.as_bytes()).await.ok()
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
}

fn ok(body: &str) -> String {
    answer("200 OK", "", body)
}

/// What a server of secrets answers to a line.
fn sensible(line: &str) -> String {
    ok(if line.contains("/internal/ui/mounts/") {
        MOUNT
    } else {
        SECRET
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_never_follows_a_redirect_to_another_origin() {
    within_reason(async {
        let thief = Server::start(|_, line| sensible(line)).await;
        let to = thief.address;
        for status in [
            "301 Moved",
            "302 Found",
            "303 See Other",
            "307 Temporary",
            "308 Permanent",
        ] {
            let server = Server::start(move |_, line| match line.contains("/data/") {
                true => {
                    let path = line.split(' ').nth(1).unwrap();
                    answer(status, &format!("Location: http://{to}{path}\r\n"), "")
                }
                false => sensible(line),
            })
            .await;
            for args in [
                &["get", "secret/a"][..],
                &["put", "secret/a", "k=v", "--insecure-value"],
            ] {
                let ended = server.cli().run(args).await;
                assert_eq!(ended.code, 2, "{status} {args:?}: {ended:?}");
                assert!(ended.stderr.contains(&to.to_string()), "{ended:?}");
                assert!(!ended.stderr.contains(TOKEN), "{ended:?}");
            }
        }
        assert_eq!(thief.lines(), Vec::<String>::new());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_within_the_origin_is_followed_with_the_request_as_it_was() {
    within_reason(async {
        let moved = |line: &str| {
            if !line.contains("/data/old") {
                return sensible(line);
            }
            answer(
                "307 Temporary Redirect",
                "Location: /v1/secret/data/new\r\n",
                "",
            )
        };
        let server = Server::start(move |_, line| moved(line)).await;
        let cli = server.cli();
        assert_eq!(cli.ok(&["get", "secret/old", "-field=k"]).await, "v");
        let put = cli
            .run(&["put", "secret/old", "k=v", "--insecure-value"])
            .await;
        // The answer is one of a read; what counts is what was sent.
        let seen = server.seen.lock().unwrap().clone();
        let last = seen.last().unwrap();
        assert!(
            last.starts_with("PUT /v1/secret/data/new ") && last.contains(r#"{"k":"v"}"#),
            "{put:?} {last}"
        );
        assert!(seen.iter().all(|request| request.contains(TOKEN)));

        let circle =
            Server::start(|_, _| answer("307 Temporary Redirect", "Location: /v1/x\r\n", "")).await;
        assert_eq!(circle.cli().run(&["get", "secret/a"]).await.code, 2);
        assert!(circle.lines().len() < 10, "{:?}", circle.lines());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_asks_is_asked_again_and_what_changes_is_not() {
    within_reason(async {
        let busy = || {
            answer(
                "503 Service Unavailable",
                "",
                r#"{"errors":["wait a moment"]}"#,
            )
        };
        let server = Server::start(move |number, line| match number {
            1 | 3 => busy(),
            _ => sensible(line),
        })
        .await;
        assert_eq!(server.cli().ok(&["get", "secret/a", "-field=k"]).await, "v");
        assert_eq!(server.lines().len(), 4);

        let server = Server::start(move |_, line| match line.starts_with("GET") {
            true => sensible(line),
            false => busy(),
        })
        .await;
        for args in [
            &["put", "secret/a", "k=v", "--insecure-value"][..],
            &["rm", "secret/a"],
        ] {
            let ended = server.cli().run(args).await;
            assert!(
                ended.code == 2 && ended.stderr.contains("503: wait a moment"),
                "{ended:?}"
            );
        }
        let changes = server
            .lines()
            .iter()
            .filter(|line| !line.starts_with("GET"))
            .count();
        assert_eq!(changes, 2, "{:?}", server.lines());

        let server = Server::start(move |_, _| busy()).await;
        assert_eq!(server.cli().run(&["get", "secret/a"]).await.code, 2);
        assert_eq!(server.lines().len(), 3);

        // A change without an answer may have been made.
        let server = Server::start(|_, line| match line.starts_with("GET") {
            true => sensible(line),
            false => String::new(),
        })
        .await;
        let ended = server.cli().run(&["rm", "secret/a"]).await;
        assert!(
            ended.code == 2 && ended.stderr.contains("is not known"),
            "{ended:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_makes_no_sense_is_refused_and_not_repeated() {
    within_reason(async {
        for body in [
            "canary",
            r#"{"data":"canary"}"#,
            r#"{"data":{"data":"canary","metadata":{}}}"#,
            r#"{"data":{"data":{"k":"canary"},"metadata":{"created_time":"canary","version":"x"}}}"#,
            r#"{"canary":1}"#,
            "",
        ] {
            let server = Server::start(move |_, line| match line.contains("/data/") {
                true => ok(body),
                false => sensible(line),
            })
            .await;
            let ended = server.cli().run(&["get", "secret/a"]).await;
            assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{body}: {ended:?}");
            assert!(!ended.stderr.contains("canary") && !ended.stderr.is_empty(), "{ended:?}");
        }
        let server = Server::start(|_, line| match line.contains("/data/") {
            true => answer("400 Bad", "", "{\"errors\":[\"a\\u001b[2J\\u202e\"]}"),
            false => sensible(line),
        })
        .await;
        let ended = server.cli().run(&["get", "secret/a"]).await;
        assert!(ended.stderr.contains(r"400: a\u{1b}[2J\u{202e}"), "{ended:?}");
    })
    .await;
}
