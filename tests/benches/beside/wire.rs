//! HTTP/1.1 over one connection that stays open, with as little work as possible: the client shares the cores with the
//! server that is measured.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A client's connection.
pub(crate) struct Connection {
    address: SocketAddr,
    /// The lines of the head that are the same in each request.
    always: String,
    stream: Option<TcpStream>,
    out: Vec<u8>,
    input: Vec<u8>,
}

impl Connection {
    /// Connects with the first request.
    pub(crate) fn new(address: SocketAddr, token: &str) -> Self {
        Self {
            address,
            always: format!("Host: {address}\r\nX-Vault-Token: {token}\r\n"),
            stream: None,
            out: Vec::new(),
            input: Vec::new(),
        }
    }

    /// Sends a request and waits for all of its answer: the status, and the answer as it came.
    pub(crate) async fn call(&mut self, method: &str, path: &str, body: &[u8]) -> (u16, &[u8]) {
        self.out.clear();
        self.out.extend_from_slice(method.as_bytes());
        self.out.push(b' ');
        self.out.extend_from_slice(path.as_bytes());
        self.out.extend_from_slice(b" HTTP/1.1\r\n");
        self.out.extend_from_slice(self.always.as_bytes());
        if !body.is_empty() {
            let length = body.len();
            let kind = format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
            self.out.extend_from_slice(kind.as_bytes());
        }
        self.out.extend_from_slice(b"\r\n");
        self.out.extend_from_slice(body);
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(self.address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                none.insert(stream)
            }
        };
        stream.write_all(&self.out).await.unwrap();
        self.input.clear();
        loop {
            let read = stream.read_buf(&mut self.input).await.unwrap();
            assert!(read > 0, "the server closed a connection");
            if let Some(status) = whole(&self.input) {
                return (status, &self.input);
            }
        }
    }
}

/// The status of an answer, once all of it is there.
fn whole(input: &[u8]) -> Option<u16> {
    let end = find(input, b"\r\n\r\n")? + 4;
    let (head, body) = input.split_at(end);
    let head = std::str::from_utf8(head).expect("a head is text");
    let status = head[9..12].parse().expect("a status");
    let is_whole = match (header(head, "content-length"), status) {
        (_, 204) => true,
        (Some(length), _) => body.len() >= length.parse::<usize>().expect("a length"),
        (None, _) => last_chunk_came(body),
    };
    is_whole.then_some(status)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (known, value) = line.split_once(':')?;
        known.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn last_chunk_came(mut body: &[u8]) -> bool {
    while let Some(end) = find(body, b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).expect("a size is text");
        let size = usize::from_str_radix(size.trim(), 16).expect("a chunk's size");
        let next = end + 2 + size + 2;
        if size == 0 {
            return body.len() >= next;
        }
        let Some(rest) = body.get(next..) else {
            return false;
        };
        body = rest;
    }
    false
}

/// Where something first stands.
pub(crate) fn find(all: &[u8], what: &[u8]) -> Option<usize> {
    let first = what[0];
    let mut from = 0;
    while let Some(at) = all[from..].iter().position(|byte| *byte == first) {
        if all[from + at..].starts_with(what) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}
