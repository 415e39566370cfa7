//! A line of the table.

use billfold_tests::{billfold::Body, wallet::Wallet};
use serde_json::{Value, json};

/// Stands wherever a call has room for something of its own: no answer may repeat it.
pub const WORD: &str = "nightjar";

/// What is sent, and what it is answered.
#[derive(Debug, Clone)]
pub struct Case {
    name: String,
    method: &'static str,
    path: Vec<u8>,
    token: Token,
    headers: Vec<(&'static str, String)>,
    body: Body,
    status: u16,
    told: Told,
}

/// Who sends it.
#[derive(Debug, Clone)]
enum Token {
    Root,
    None,
    Other(&'static str),
}

/// What the body of an answer is.
#[derive(Debug, Clone, Copy)]
pub enum Told {
    /// One error, in these words.
    Error(&'static str),
    /// One error that has these words in it.
    Mentions(&'static str),
    /// That there is nothing: no error, or only the name of the status.
    Nothing,
    /// A version without its data.
    Metadata,
    /// No JSON: no handler saw the request.
    Refused,
    /// The path to which the client is sent.
    Elsewhere(&'static str),
}

pub const DENIED: Told = Told::Error("permission denied");
pub const MALFORMED: Told = Told::Error("failed to decode JSON input");
pub const CAS: Told = Told::Error("check-and-set parameter did not match the current version");
pub const OPERATION: Told = Told::Error("1 error occurred:\n\t* unsupported operation\n\n");

impl Case {
    pub fn new(method: &'static str, path: impl Into<Vec<u8>>, status: u16, told: Told) -> Self {
        let path = path.into();
        let name = format!("{method} {}", String::from_utf8_lossy(&path));
        Self {
            name,
            method,
            path,
            token: Token::Root,
            headers: Vec::new(),
            body: Body::Nothing,
            status,
            told,
        }
    }

    pub fn named(self, name: &str) -> Self {
        Self {
            name: format!("{}: {name}", self.name),
            ..self
        }
    }

    pub fn body(self, body: impl Into<Body>) -> Self {
        Self {
            body: body.into(),
            ..self
        }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn token(self, token: &'static str) -> Self {
        Self {
            token: Token::Other(token),
            ..self
        }
    }

    pub fn no_token(self) -> Self {
        Self {
            token: Token::None,
            ..self
        }
    }

    /// Sends it; what is wrong about the answer, if anything is.
    pub async fn run(&self, wallet: &Wallet) -> Result<(), String> {
        let mut client = wallet.node.client();
        for (name, value) in &self.headers {
            client = client.header(name, value);
        }
        let token = match self.token {
            Token::Root => Some(wallet.node.token()),
            Token::None => None,
            Token::Other(token) => Some(token),
        };
        let sent = client
            .call_raw(self.method, &self.path, token, self.body.clone())
            .await;
        let reply = sent.map_err(|error| format!("{}: {error:#}", self.name))?;
        let told = format!("{}\n    {} {}", self.name, reply.status, reply.text());
        if reply.status != self.status {
            return Err(format!(
                "{told}    expected {} {:?}",
                self.status, self.told
            ));
        }
        let head = format!(
            "{:?}",
            reply
                .headers
                .iter()
                .filter(|(name, _)| *name != "location")
                .collect::<Vec<_>>()
        );
        if reply.text().contains(WORD) || head.contains(WORD) {
            return Err(format!("{told}    it repeats what was sent"));
        }
        let fits = match (self.told, serde_json::from_slice::<Value>(&reply.bytes)) {
            (Told::Refused, Err(_)) => true,
            (Told::Elsewhere(path), _) => reply.header("location") == Some(path),
            (told, Ok(body)) => self.fits(told, &body),
            _ => self.method == "HEAD" && reply.bytes.is_empty(),
        };
        fits.then_some(())
            .ok_or(format!("{told}    expected {:?}", self.told))
    }

    fn fits(&self, told: Told, body: &Value) -> bool {
        if let Told::Metadata = told {
            return body["data"]["data"].is_null() && body["data"]["metadata"]["version"] == 1;
        }
        let word = match (self.path.starts_with(b"/api"), told) {
            // The wallet's own door has one word for each status, where there is nothing else to say.
            (true, Told::Nothing) => {
                return body["status"] == self.status && body["error"].is_string();
            }
            (true, _) => {
                let known = body.as_object().is_some_and(|body| body.len() == 2);
                let word = body["error"]
                    .as_str()
                    .filter(|_| known && body["status"] == self.status);
                word.map(str::to_owned)
            }
            (false, Told::Nothing) => return *body == json!({ "errors": [] }),
            (false, _) => {
                let word = body["errors"][0].as_str();
                word.filter(|word| *body == json!({ "errors": [word] }))
                    .map(str::to_owned)
            }
        };
        word.is_some_and(|word| match told {
            Told::Error(expected) => word == expected,
            Told::Mentions(part) => word.contains(part),
            _ => false,
        })
    }
}
