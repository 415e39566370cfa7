//! Commands at random, through the server: secrets of both kinds, mounts, policies, tokens, roles, keys,
//! holds and erasures.

use billfold_tests::{tools::Rng, wallet::Wallet};
use serde_json::{Value, json};

const PATHS: [&str; 9] = [
    "a",
    "a/b",
    "a/c",
    "b/c/d",
    "b/x",
    "long/way/down",
    "z",
    "z/z",
    "ü",
];
const POLICIES: [&str; 6] = ["alpha", "beta", "gamma", "delta", "eps", "zeta"];
const ROLES: [&str; 3] = ["worker", "runner", "web"];

pub struct Mount {
    /// With a slash at its end.
    pub path: String,
    pub is_v2: bool,
}

pub struct Token {
    pub accessor: String,
    secret: String,
}

/// What a wallet has, as far as commands need to know.
pub struct Life {
    rng: Rng,
    pub mounts: Vec<Mount>,
    pub tokens: Vec<Token>,
    holds: Vec<String>,
    made: u64,
    /// How many commands were not refused.
    pub done: u64,
}

impl Life {
    pub fn new(rng: Rng) -> Self {
        let secret = Mount {
            path: "secret/".to_owned(),
            is_v2: true,
        };
        Self {
            rng,
            mounts: vec![secret],
            tokens: Vec::new(),
            holds: Vec::new(),
            made: 0,
            done: 0,
        }
    }

    pub fn paths() -> &'static [&'static str] {
        &PATHS
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.rng.below(all.len() as u64) as usize]
    }

    fn number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }

    /// A mount of this kind, if there is one.
    fn mount(&mut self, is_v2: bool) -> Option<String> {
        let fit: Vec<String> = self
            .mounts
            .iter()
            .filter(|mount| mount.is_v2 == is_v2)
            .map(|mount| mount.path.clone())
            .collect();
        let at = self.rng.below(fit.len().max(1) as u64) as usize;
        fit.get(at).cloned()
    }

    fn versions(&mut self) -> Value {
        let first = 1 + self.rng.below(4);
        json!([first, first + self.rng.below(3)])
    }

    /// One command.
    pub async fn go_on(&mut self, wallet: &Wallet) {
        let draw = self.rng.below(1000);
        let done = match draw {
            0..700 => self.secret(wallet, draw).await,
            700..760 => self.mounts(wallet, draw).await,
            760..960 => self.access(wallet, draw).await,
            _ => self.keys(wallet, draw).await,
        };
        self.done += u64::from(done.is_some());
    }

    async fn secret(&mut self, wallet: &Wallet, draw: u64) -> Option<Value> {
        let path = self.one_of(&PATHS);
        let value = self.number();
        if (300..380).contains(&draw) {
            let mount = self.mount(false)?;
            let url = format!("/v1/{mount}{path}");
            return match draw % 5 {
                0 => call(wallet, "DELETE", &url, Value::Null).await,
                _ => call(wallet, "PUT", &url, json!({ "n": value })).await,
            };
        }
        let mount = self.mount(true)?;
        let at = |what: &str| format!("/v1/{mount}{what}/{path}");
        match draw {
            0..300 => {
                call(
                    wallet,
                    "POST",
                    &at("data"),
                    json!({ "data": { "n": value } }),
                )
                .await
            }
            380..430 => call(wallet, "DELETE", &at("data"), Value::Null).await,
            430..480 => {
                let body = json!({ "versions": self.versions() });
                call(wallet, "POST", &at("delete"), body).await
            }
            480..530 => {
                let body = json!({ "versions": self.versions() });
                call(wallet, "POST", &at("undelete"), body).await
            }
            530..580 => {
                let body = json!({ "versions": self.versions() });
                call(wallet, "POST", &at("destroy"), body).await
            }
            580..640 => {
                let body = json!({
                    "custom_metadata": { "owner": format!("team {value}"), "n": value.to_string() },
                    "max_versions": self.rng.below(7),
                    "delete_version_after": self.one_of(&["0s", "90m", "36h"]),
                });
                call(wallet, "POST", &at("metadata"), body).await
            }
            640..660 => {
                let body = json!({ "max_versions": self.rng.below(9), "cas_required": false });
                call(wallet, "POST", &at("metadata"), body).await
            }
            _ => call(wallet, "DELETE", &at("metadata"), Value::Null).await,
        }
    }

    async fn mounts(&mut self, wallet: &Wallet, draw: u64) -> Option<Value> {
        let number = self.number();
        let at = self.rng.below(self.mounts.len() as u64) as usize;
        let path = self.mounts[at].path.clone();
        match draw {
            700..720 => {
                let body = json!({ "description": format!("number {number}") });
                call(wallet, "POST", &format!("/v1/sys/mounts/{path}tune"), body).await
            }
            720..730 => {
                let mount = self.mount(true)?;
                let body = json!({
                    "max_versions": self.rng.below(8),
                    "delete_version_after": self.one_of(&["0s", "48h"]),
                });
                call(wallet, "POST", &format!("/v1/{mount}config"), body).await
            }
            730..742 => {
                let to = format!("moved-{number}/");
                let body = json!({ "from": path, "to": to });
                let moved = call(wallet, "POST", "/v1/sys/remount", body).await?;
                self.mounts[at].path = to;
                Some(moved)
            }
            742..755 if self.mounts.len() < 5 => {
                let (path, is_v2) = (format!("m-{number}/"), self.rng.below(2) == 0);
                let body = json!({
                    "type": "kv",
                    "options": { "version": if is_v2 { "2" } else { "1" } },
                    "description": "one more",
                });
                let made = call(wallet, "POST", &format!("/v1/sys/mounts/{path}"), body).await?;
                self.mounts.push(Mount { path, is_v2 });
                Some(made)
            }
            _ if self.mounts.len() > 2 => {
                let url = format!("/v1/sys/mounts/{}", path.trim_end_matches('/'));
                let gone = call(wallet, "DELETE", &url, Value::Null).await?;
                self.mounts.remove(at);
                Some(gone)
            }
            _ => None,
        }
    }

    async fn access(&mut self, wallet: &Wallet, draw: u64) -> Option<Value> {
        let number = self.number();
        match draw {
            760..810 => {
                let url = format!("/v1/sys/policies/acl/{}", self.one_of(&POLICIES));
                let rule = format!("path \"secret/data/{number}\" {{ capabilities = [\"read\"] }}");
                call(wallet, "PUT", &url, json!({ "policy": rule })).await
            }
            810..830 => {
                let url = format!("/v1/sys/policies/acl/{}", self.one_of(&POLICIES));
                call(wallet, "DELETE", &url, Value::Null).await
            }
            830..870 if self.tokens.len() < 8 => {
                let mut body = json!({
                    "policies": [self.one_of(&POLICIES)],
                    "ttl": self.one_of(&["1h", "30h"]),
                    "display_name": format!("t{number}"),
                    "meta": { "n": number.to_string() },
                    "no_parent": self.rng.below(2) == 0,
                });
                match self.rng.below(3) {
                    0 => body["num_uses"] = json!(5),
                    1 => body["period"] = json!("2h"),
                    _ => {}
                }
                let made = call(wallet, "POST", "/v1/auth/token/create", body).await?;
                let text = |name: &str| made["auth"][name].as_str().unwrap().to_owned();
                self.tokens.push(Token {
                    accessor: text("accessor"),
                    secret: text("client_token"),
                });
                Some(made)
            }
            870..895 if !self.tokens.is_empty() => {
                let at = self.rng.below(self.tokens.len() as u64) as usize;
                let token = self.tokens.remove(at);
                let body = json!({ "accessor": token.accessor });
                call(wallet, "POST", "/v1/auth/token/revoke-accessor", body).await
            }
            895..915 if !self.tokens.is_empty() => {
                let at = self.rng.below(self.tokens.len() as u64) as usize;
                let body = json!({ "accessor": self.tokens[at].accessor, "increment": "2h" });
                call(wallet, "POST", "/v1/auth/token/renew-accessor", body).await
            }
            915..930 if !self.tokens.is_empty() => {
                let at = self.rng.below(self.tokens.len() as u64) as usize;
                let (client, secret) = (wallet.node.client(), self.tokens[at].secret.clone());
                let url = "/v1/auth/token/lookup-self";
                let reply = client.call("GET", url, Some(&secret), ()).await.unwrap();
                if reply.status != 200 {
                    // Its uses were spent.
                    self.tokens.remove(at);
                }
                (reply.status == 200).then(|| reply.json())
            }
            930..950 => {
                let url = format!("/v1/auth/token/roles/{}", self.one_of(&ROLES));
                let body = json!({
                    "allowed_policies": [self.one_of(&POLICIES)],
                    "orphan": self.rng.below(2) == 0,
                    "token_period": self.one_of(&["0s", "3h"]),
                    "path_suffix": format!("s{number}"),
                });
                call(wallet, "POST", &url, body).await
            }
            _ => {
                let url = format!("/v1/auth/token/roles/{}", self.one_of(&ROLES));
                call(wallet, "DELETE", &url, Value::Null).await
            }
        }
    }

    async fn keys(&mut self, wallet: &Wallet, draw: u64) -> Option<Value> {
        let (number, path) = (self.number(), self.one_of(&PATHS));
        let api = "/api/internal/wallet";
        match draw {
            960..965 => call(wallet, "POST", &format!("{api}/rotate-kek"), json!({})).await,
            965..980 => {
                let mount = self.mount(true)?;
                let body =
                    json!({ "path": format!("{mount}{path}"), "reason": format!("why {number}") });
                call(wallet, "POST", &format!("{api}/erase"), body).await
            }
            980..990 if self.holds.len() < 3 => {
                let mount = self.mount(true)?;
                let body =
                    json!({ "path": format!("{mount}{path}"), "reason": format!("case {number}") });
                let placed = call(wallet, "POST", &format!("{api}/holds"), body).await?;
                self.holds.push(placed["id"].as_str().unwrap().to_owned());
                Some(placed)
            }
            _ if !self.holds.is_empty() => {
                let at = self.rng.below(self.holds.len() as u64) as usize;
                let id = self.holds.remove(at);
                call(wallet, "DELETE", &format!("{api}/holds/{id}"), Value::Null).await
            }
            _ => None,
        }
    }
}

/// What it was answered, unless it was refused.
async fn call(wallet: &Wallet, method: &str, path: &str, body: Value) -> Option<Value> {
    let reply = match body {
        Value::Null => wallet.node.root(method, path, ()).await,
        body => wallet.node.root(method, path, body).await,
    };
    let (status, text) = (reply.status, reply.text());
    let is_refusal = matches!(status, 400 | 403 | 404 | 409 | 410 | 422);
    assert!(
        matches!(status, 200 | 204) || is_refusal,
        "{method} {path}: {status} {text}"
    );
    (!is_refusal).then(|| reply.json())
}
