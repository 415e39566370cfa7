//! One request and its answer: redirects, repeats, bounds.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use bytes::Bytes;
use reqwest::{
    StatusCode, Url,
    header::{CONTENT_TYPE, HeaderValue, LOCATION},
};
use zeroize::{Zeroize as _, Zeroizing};

use super::{Answer, Client, Error};
use crate::http::reply::Wiped;

/// How long an answer may be, in bytes.
const LONGEST: usize = 64 * 1024 * 1024;
/// How often a redirect is followed.
const REDIRECTS: usize = 3;
/// How often a request that only asks is made again.
const REPEATS: usize = 2;
/// How long to wait before the first repeat.
const PAUSE: Duration = Duration::from_millis(100);

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// Asks. It may be made again.
    Get,
    /// Changes.
    Post,
    /// Changes, where the API names this verb alone.
    Put,
    /// Deletes.
    Delete,
}

/// A request, before it is known where it goes and with which token.
pub struct Request {
    method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Bytes>,
}

impl Request {
    /// Asks for what is at a path, given by its segments.
    pub fn get<S: Into<String>>(path: impl IntoIterator<Item = S>) -> Self {
        Self::new(Method::Get, path)
    }

    /// Changes what is at a path.
    pub fn post<S: Into<String>>(path: impl IntoIterator<Item = S>) -> Self {
        Self::new(Method::Post, path)
    }

    /// A request without query and body.
    pub fn new<S: Into<String>>(method: Method, path: impl IntoIterator<Item = S>) -> Self {
        Self {
            method,
            path: path.into_iter().map(Into::into).collect(),
            query: Vec::new(),
            body: None,
        }
    }

    /// With one more parameter in the query.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// With a body of JSON, which is wiped once it is sent.
    #[must_use]
    pub fn body(mut self, json: Zeroizing<Vec<u8>>) -> Self {
        self.body = Some(Bytes::from_owner(Wiped(json)));
        self
    }

    /// With a body that is made from a value.
    #[must_use]
    pub fn json<T: serde::Serialize>(self, value: &T) -> Self {
        let mut body = Zeroizing::new(Vec::with_capacity(16 * 1024));
        // Our requests are plain structs: they serialise, and writing to memory does not fail.
        let written = serde_json::to_writer(&mut *body, value);
        debug_assert!(written.is_ok());
        self.body(body)
    }
}

impl Client {
    /// Makes a request, and again if it only asks and the server cannot answer at the moment.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn send(&self, request: Request) -> Result<Answer, Error> {
        if request.method != Method::Get {
            return self.attempt(&request).await;
        }
        let pauses = ExponentialBuilder::new()
            .with_min_delay(PAUSE)
            .with_max_times(REPEATS)
            .with_jitter();
        (|| self.attempt(&request)).retry(pauses).when(passes).await
    }

    async fn attempt(&self, request: &Request) -> Result<Answer, Error> {
        let mut url = self.address.url(&request.path, &request.query);
        for _ in 0..=REDIRECTS {
            let mut response = self
                .prepare(request, url.clone())?
                .send()
                .await
                .map_err(|error| self.unanswered(request, error))?;
            let status = response.status();
            if !status.is_redirection() {
                let body = read(&mut response).await;
                let body = body.map_err(|failed| match failed {
                    Some(error) => self.unanswered(request, error),
                    None => Error::Malformed("it is too long"),
                })?;
                return Answer::new(status.as_u16(), body);
            }
            let location = response.headers().get(LOCATION);
            url = self.follow(request, status, &url, location)?;
        }
        Err(Error::Malformed("it redirects again and again"))
    }

    fn prepare(&self, request: &Request, url: Url) -> Result<reqwest::RequestBuilder, Error> {
        let mut builder = match request.method {
            Method::Get => self.http.get(url),
            Method::Post => self.http.post(url),
            Method::Put => self.http.put(url),
            Method::Delete => self.http.delete(url),
        };
        // Vault's agents want to see that no browser was led here.
        builder = builder.header("X-Vault-Request", "true");
        if let Some(token) = &self.token {
            builder = builder.header("X-Vault-Token", token.header()?);
        }
        if let Some(namespace) = &self.namespace {
            builder = builder.header("X-Vault-Namespace", namespace);
        }
        if let Some(body) = &request.body {
            builder = builder
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(body.clone());
        }
        Ok(builder)
    }

    /// Where a redirect leads, if the token may go there and the request stays what it is.
    fn follow(
        &self,
        request: &Request,
        status: StatusCode,
        from: &Url,
        location: Option<&HeaderValue>,
    ) -> Result<Url, Error> {
        let location = location.and_then(|location| location.to_str().ok());
        let to = location.and_then(|location| from.join(location).ok());
        let to = to.ok_or(Error::Malformed("it redirects nowhere"))?;
        if !self.address.is_origin_of(&to) {
            return Err(Error::Elsewhere(to.origin().ascii_serialization()));
        }
        let keeps = matches!(
            status,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
        );
        if request.method != Method::Get && !keeps {
            return Err(Error::Malformed("it redirects a change"));
        }
        Ok(to)
    }

    fn unanswered(&self, request: &Request, error: reqwest::Error) -> Error {
        let (address, source) = (self.address.to_string(), error.without_url());
        // What was never connected was never sent.
        if request.method == Method::Get || source.is_connect() || source.is_builder() {
            Error::Unanswered { address, source }
        } else {
            Error::Unknown { address, source }
        }
    }
}

/// Whether a failure is one of those that pass. A request that took all its time is not repeated.
fn passes(error: &Error) -> bool {
    match error {
        Error::Answered { status, .. } => matches!(status, 429 | 502 | 503 | 504),
        Error::Unanswered { source, .. } => !source.is_timeout(),
        _ => false,
    }
}

/// Reads an answer's body into memory that is wiped; none is the error of a body that is too long.
async fn read(
    response: &mut reqwest::Response,
) -> Result<Zeroizing<Vec<u8>>, Option<reqwest::Error>> {
    let expected = response.content_length().unwrap_or_default();
    let expected = usize::try_from(expected).unwrap_or(LONGEST);
    let mut body = Zeroizing::new(Vec::with_capacity(expected.clamp(4096, LONGEST)));
    while let Some(chunk) = response.chunk().await.map_err(Some)? {
        if body.len() + chunk.len() > LONGEST {
            return Err(None);
        }
        if body.len() + chunk.len() > body.capacity() {
            // Growing in place would leave a copy behind.
            let mut larger = Zeroizing::new(Vec::with_capacity(body.capacity() * 2 + chunk.len()));
            larger.extend_from_slice(&body);
            body = larger;
        }
        body.extend_from_slice(&chunk);
        if let Ok(mut chunk) = chunk.try_into_mut() {
            chunk.as_mut().zeroize();
        }
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Choices, Settings, Variables};

    fn client() -> Client {
        let choices = Choices {
            address: Some("https://vault:8200".to_owned()),
            ..Choices::default()
        };
        let settings = Settings::read(choices, &Variables::from([])).unwrap();
        Client::new(settings).unwrap()
    }

    fn follow(request: &Request, status: StatusCode, location: &'static str) -> Result<Url, Error> {
        let from = Url::parse("https://vault:8200/v1/a").unwrap();
        let location = HeaderValue::from_static(location);
        client().follow(request, status, &from, Some(&location))
    }

    #[test]
    fn a_redirect_stays_with_its_origin() {
        let (get, put) = (Request::get(["a"]), Request::new(Method::Put, ["a"]));
        let kept = StatusCode::TEMPORARY_REDIRECT;
        for location in ["/v1/b", "b", "https://vault:8200/v1/b"] {
            for request in [&get, &put] {
                let to = follow(request, kept, location).unwrap();
                assert_eq!(to.as_str(), "https://vault:8200/v1/b");
            }
        }
        for location in [
            "http://vault:8200/v1/b",
            "https://other:8200/v1/b",
            "//other/v1/b",
            "https://vault:8200@other/",
            "https://vault/v1/b",
        ] {
            let error = follow(&get, kept, location).unwrap_err();
            assert!(matches!(error, Error::Elsewhere(_)), "{location}: {error}");
        }
        assert!(follow(&get, StatusCode::FOUND, "b").is_ok());
        assert!(follow(&put, StatusCode::FOUND, "b").is_err());
    }
}
