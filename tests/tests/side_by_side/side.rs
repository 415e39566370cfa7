//! One of the two servers, and what it has taught.

use std::{collections::BTreeMap, time::Duration};

use billfold_tests::billfold::{Body, Client, Reply};
use serde_json::Value;
use tokio::time::sleep;

use super::script::Call;

/// What OpenBao says of an engine that it has just set up, for a moment.
const SETTING_UP: &str = "Upgrading from non-versioned to versioned data";

/// A server, and the values that it gave to variables.
pub struct Side {
    client: Client,
    variables: BTreeMap<String, String>,
}

impl Side {
    /// A server whose root token is the variable `root`. `nobody` is the token that no server gave.
    pub fn new(client: Client, root_token: &str) -> Self {
        let variables = [
            ("root", root_token),
            ("nobody", "s.NobodyWasEverGivenThisTok"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            client,
            variables: BTreeMap::from(variables),
        }
    }

    /// Sends a call with this side's own values in it.
    pub async fn play(&self, call: &Call) -> Reply {
        loop {
            let reply = self.send(call).await;
            if !reply.text().contains(SETTING_UP) {
                return reply;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn send(&self, call: &Call) -> Reply {
        let mut client = self.client.clone();
        for (name, value) in &call.headers {
            client = client.header(name, &self.filled(value));
        }
        // Both servers merge into what is there; whoever sends it says so.
        let says_type = |(name, _): &(String, String)| name.eq_ignore_ascii_case("content-type");
        if call.method == "PATCH" && !call.headers.iter().any(says_type) {
            client = client.header("Content-Type", "application/merge-patch+json");
        }
        let token = call
            .token
            .as_ref()
            .map(|name| self.filled(&format!("${name}")));
        let body = call.body.as_deref().map(|body| self.filled(body));
        let body = body.map_or(Body::Nothing, Body::from);
        let path = self.filled(&call.path);
        let sent = client.call_raw(&call.method, path, token.as_deref(), body);
        sent.await
            .unwrap_or_else(|error| panic!("{}: {error:#}", call.name))
    }

    /// Learns what a call's answer teaches. A value that is not there leaves its variable without one.
    pub fn learn(&mut self, call: &Call, reply: &Reply) {
        let Ok(json) = serde_json::from_slice::<Value>(&reply.bytes) else {
            return;
        };
        for (name, field) in &call.learned {
            let found = field.split('.').try_fold(&json, |json, name| match json {
                Value::Array(items) => items.get(name.parse::<usize>().ok()?),
                json => json.get(name),
            });
            if let Some(text) = found.and_then(Value::as_str) {
                self.variables.insert(name.clone(), text.to_owned());
            }
        }
    }

    /// Whether a variable has a value.
    pub fn knows(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }

    /// A text of this side with the names of variables in place of their values.
    pub fn named(&self, text: &str) -> String {
        let values = self.variables.iter().filter(|(_, value)| !value.is_empty());
        values.fold(text.to_owned(), |text, (name, value)| {
            text.replace(value, &format!("${name}"))
        })
    }

    /// A text with the values of variables in place of their names: the longest name first, since one may begin with
    /// another.
    fn filled(&self, text: &str) -> String {
        let mut variables: Vec<_> = self.variables.iter().collect();
        variables.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        variables
            .into_iter()
            .fold(text.to_owned(), |text, (name, value)| {
                text.replace(&format!("${name}"), value)
            })
    }
}
