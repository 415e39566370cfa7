//! An HTTP client that sends whatever a test wants sent.

use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::PATIENCE;

/// What a request carries.
#[derive(Debug, Clone)]
pub enum Body {
    /// No body, and no content type.
    Nothing,
    /// A JSON document.
    Json(Value),
    /// These bytes, said to be JSON.
    Raw(Bytes),
}

impl Body {
    fn bytes(self) -> Option<Bytes> {
        match self {
            Self::Nothing => None,
            Self::Json(value) => Some(value.to_string().into()),
            Self::Raw(bytes) => Some(bytes),
        }
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::Nothing
    }
}

impl From<Value> for Body {
    fn from(value: Value) -> Self {
        Self::Json(value)
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self::Raw(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::Raw(text.into())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Raw(bytes.into())
    }
}

/// An HTTP answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub bytes: Bytes,
}

impl Reply {
    /// The body as JSON, or null when it is empty. Panics when it is neither.
    pub fn json(&self) -> Value {
        if self.bytes.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{}: {error} in {}", self.status, self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// One header, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// An HTTP client that follows no redirects and knows no proxy.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    address: SocketAddr,
    headers: HeaderMap,
}

impl Client {
    /// A client of the server at this address.
    pub fn new(address: SocketAddr) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .expect("an HTTP client can be made");
        Self {
            http,
            address,
            headers: HeaderMap::new(),
        }
    }

    /// A client that sends this header too.
    pub fn header(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
        client.headers.append(
            name,
            HeaderValue::from_str(value).expect("a header's value"),
        );
        client
    }

    /// One request. `path` begins with a slash and may have a query; the usual normalisation is done to it.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: impl Into<Body>,
    ) -> Result<Reply> {
        let method = reqwest::Method::from_bytes(method.as_bytes())?;
        let mut request = self
            .http
            .request(method, format!("http://{}{path}", self.address));
        request = request.headers(self.headers.clone());
        if let Some(token) = token {
            request = request.header("X-Vault-Token", token);
        }
        if let Some(bytes) = body.into().bytes() {
            request = request
                .header("Content-Type", "application/json")
                .body(bytes);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Reply {
            status,
            headers,
            bytes: response.bytes().await?,
        })
    }

    /// One request on a connection of its own, whose path goes out byte for byte as it is. A body is said to be JSON
    /// unless a header of this client says what it is.
    pub async fn call_raw(
        &self,
        method: &str,
        path: impl AsRef<[u8]>,
        token: Option<&str>,
        body: impl Into<Body>,
    ) -> Result<Reply> {
        let mut head = [method.as_bytes(), b" ", path.as_ref(), b" HTTP/1.1\r\n"].concat();
        let mut line = |name: &str, value: &[u8]| {
            head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        };
        line("Host", self.address.to_string().as_bytes());
        line("Connection", b"close");
        if let Some(token) = token {
            line("X-Vault-Token", token.as_bytes());
        }
        for (name, value) in &self.headers {
            line(name.as_str(), value.as_bytes());
        }
        let body = body.into().bytes();
        if let Some(body) = &body {
            if !self.headers.contains_key("content-type") {
                line("Content-Type", b"application/json");
            }
            line("Content-Length", body.len().to_string().as_bytes());
        }
        head.extend(b"\r\n");
        let is_head = method == "HEAD";
        let body = body.unwrap_or_default();
        timeout(PATIENCE, exchange(self.address, &head, &body, is_head)).await?
    }

    /// Sends exactly these bytes and returns all that comes back until the server closes.
    pub async fn send_bytes(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        timeout(PATIENCE, talk(self.address, bytes, b"")).await?
    }
}

async fn talk(address: SocketAddr, head: &[u8], body: &[u8]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let (mut from, mut to) = stream.split();
    // A server may refuse, and close, before it has read everything: what counts is what it says.
    let send = async {
        to.write_all(head).await?;
        to.write_all(body).await
    };
    let mut answer = Vec::new();
    let (sent, received) = tokio::join!(send, from.read_to_end(&mut answer));
    if answer.is_empty() {
        sent?;
        received?;
    }
    Ok(answer)
}

async fn exchange(address: SocketAddr, head: &[u8], body: &[u8], is_head: bool) -> Result<Reply> {
    let answer = talk(address, head, body).await?;
    parse(&answer, is_head)
}

fn parse(answer: &[u8], is_head: bool) -> Result<Reply> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end =
        end.ok_or_else(|| anyhow!("no HTTP answer: {:?}", String::from_utf8_lossy(answer)))?;
    let (head, rest) = (std::str::from_utf8(&answer[..end])?, &answer[end + 4..]);
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .unwrap_or_default()
        .split(' ')
        .nth(1)
        .context("a status line")?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .with_context(|| format!("header {line:?}"))?;
        headers.append(
            HeaderName::from_bytes(name.as_bytes())?,
            value.trim().parse()?,
        );
    }
    let chunked = headers
        .get("transfer-encoding")
        .is_some_and(|value| value == "chunked");
    let bytes = match chunked && !is_head {
        true => unchunk(rest)?,
        false => Bytes::copy_from_slice(rest),
    };
    Ok(Reply {
        status: status.parse()?,
        headers,
        bytes,
    })
}

fn unchunk(mut rest: &[u8]) -> Result<Bytes> {
    let mut bytes = Vec::new();
    loop {
        let end = rest
            .windows(2)
            .position(|two| two == b"\r\n")
            .context("a chunk's size")?;
        let size = std::str::from_utf8(&rest[..end])?
            .split(';')
            .next()
            .unwrap_or_default();
        let size = usize::from_str_radix(size.trim(), 16)?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Ok(bytes.into());
        }
        bytes.extend(rest.get(..size).context("a whole chunk")?);
        rest = rest.get(size + 2..).context("a chunk's end")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_chunks_is_put_together() {
        let answer = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nX: y: z\r\n\r\n4\r\n{\"a\"\r\n3;q\r\n:1}\r\n0\r\n\r\n";
        let reply = parse(answer, false).unwrap();
        assert_eq!((reply.status, reply.header("x")), (404, Some("y: z")));
        assert_eq!(reply.json(), serde_json::json!({ "a": 1 }));
        assert!(parse(b"nonsense", false).is_err());
        assert!(parse(&answer[..answer.len() - 8], false).is_err());
    }

    #[tokio::test]
    async fn a_raw_path_goes_out_as_it_is() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(listener.local_addr().unwrap()).header("X-Vault-Namespace", "n");
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                .await
                .unwrap();
            request.truncate(read);
            request
        });
        let path = b"/v1/secret//data/../%2e%2e/\xff%zz";
        let reply = client.call_raw("LIST", path, Some("t"), ()).await.unwrap();
        assert_eq!((reply.status, reply.json()), (204, Value::Null));
        let request = server.await.unwrap();
        assert!(request.starts_with(&[b"LIST ", path.as_slice(), b" HTTP/1.1\r\n"].concat()));
        let request = String::from_utf8_lossy(&request).to_lowercase();
        assert!(request.contains("x-vault-token: t\r\n"));
        assert!(request.contains("x-vault-namespace: n\r\n"));
    }
}
