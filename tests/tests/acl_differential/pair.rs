//! Both servers, and how a case is played against them.

use std::cell::Cell;

use billfold_tests::{
    billfold::{Billfold, Body, Client, Reply},
    openbao::OpenBao,
};
use serde_json::{Value, json};

use crate::{
    ask::{Before, Case, Sent, escaped},
    draft::Policy,
    intended::{self, Taken},
};

/// How much was compared.
#[derive(Debug, Default)]
pub struct Tally {
    pub capabilities: Cell<u32>,
    pub permitted: Cell<u32>,
    pub refused: Cell<u32>,
    pub refused_texts: Cell<u32>,
    pub intended: Cell<u32>,
}

/// One server.
struct Side {
    client: Client,
    root: String,
}

/// A token of one side, with its accessor.
struct Token {
    token: String,
    accessor: String,
}

/// A real OpenBao, and a Billfold beside it.
pub struct Pair {
    sides: [Side; 2],
    pub tally: Tally,
    /// They run as long as this does.
    _servers: (OpenBao, Billfold),
}

impl Pair {
    pub async fn start() -> Self {
        let high = Billfold::dev().env("BILLFOLD_PRINCIPAL_PER_SECOND", "10000000");
        let (openbao, billfold) = tokio::join!(OpenBao::dev("root"), high.spawn());
        let billfold = billfold.unwrap();
        let side = |client, root: &str| Side {
            client,
            root: root.to_owned(),
        };
        let pair = Self {
            sides: [
                side(openbao.client(), openbao.token()),
                side(billfold.client(), billfold.token()),
            ],
            tally: Tally::default(),
            _servers: (openbao, billfold),
        };
        let mount = json!({ "type": "kv", "options": { "version": "1" } });
        pair.prepared("PUT", "/v1/sys/mounts/one", Some(mount))
            .await;
        pair
    }

    /// Plays a case; what the two say of it differently, if anything.
    pub async fn play(&self, case: &Case) -> Result<(), String> {
        let mut names = Vec::new();
        for (at, policy) in case.policies.iter().enumerate() {
            let name = format!("policy-{at}");
            if !self.write(&name, case, policy).await? {
                return Ok(());
            }
            names.push(name);
        }
        let tokens = self.tokens(&names).await;
        self.compare_capabilities(case, &tokens).await?;
        for request in &case.requests {
            let sent = request.sent(&case.patterns);
            self.bring_about(&sent, request.before).await;
            self.compare_request(case, &sent, request.before, &tokens)
                .await?;
        }
        Ok(())
    }

    /// Writes a policy on both sides; whether both took it.
    async fn write(&self, name: &str, case: &Case, policy: &Policy) -> Result<bool, String> {
        let text = policy.text(&case.patterns);
        let path = format!("/v1/sys/policies/acl/{name}");
        let [bao, ours] = self
            .both("PUT", &path, self.roots(), None, |_| {
                json!({ "policy": text }).into()
            })
            .await;
        let differs = intended::taken(policy, &case.patterns);
        match (bao.status == 204, ours.status == 204, differs) {
            (true, true, None) => Ok(true),
            (false, false, _) => {
                count(&self.tally.refused_texts, 1);
                Ok(false)
            }
            (true, false, Some(Taken::ByOpenBao(_)))
            | (false, true, Some(Taken::ByBillfold(_))) => {
                count(&self.tally.intended, 1);
                Ok(false)
            }
            _ => Err(format!(
                "a policy: OpenBao {}, Billfold {}, intended: {differs:?}\n{text}",
                told(&bao),
                told(&ours)
            )),
        }
    }

    async fn tokens(&self, names: &[String]) -> [Token; 2] {
        let wish = json!({ "policies": names, "no_default_policy": true });
        let made = self
            .prepared("POST", "/v1/auth/token/create", Some(wish))
            .await;
        made.map(|reply| {
            let auth = &reply.json()["auth"];
            let text = |name: &str| auth[name].as_str().unwrap().to_owned();
            Token {
                token: text("client_token"),
                accessor: text("accessor"),
            }
        })
    }

    async fn compare_capabilities(&self, case: &Case, tokens: &[Token; 2]) -> Result<(), String> {
        let mut paths: Vec<String> = case
            .paths
            .iter()
            .map(|path| path.text(&case.patterns))
            .collect();
        paths.retain(|path| !path.is_empty());
        paths.sort();
        paths.dedup();
        if paths.is_empty() {
            return Ok(());
        }
        let own = [tokens[0].token.as_str(), tokens[1].token.as_str()];
        for (place, callers) in [
            ("capabilities", self.roots()),
            ("capabilities-accessor", self.roots()),
            ("capabilities-self", own),
        ] {
            let path = format!("/v1/sys/{place}");
            let told = self
                .both("POST", &path, callers, None, |side| {
                    let body = match place {
                        "capabilities" => json!({ "paths": paths, "token": tokens[side].token }),
                        "capabilities-self" => json!({ "paths": paths }),
                        _ => json!({ "paths": paths, "accessor": tokens[side].accessor }),
                    };
                    body.into()
                })
                .await;
            let [bao, ours] = told.map(|reply| (reply.status, reply.json()["data"].clone()));
            if bao.0 != ours.0 {
                return Err(format!("{place}: OpenBao {}, Billfold {}", bao.0, ours.0));
            }
            for path in paths.iter().filter(|_| bao.0 == 200) {
                let (bao, ours) = (&bao.1[path], &ours.1[path]);
                if bao != ours || !bao.is_array() {
                    return Err(format!(
                        "{place} of {path:?}: OpenBao {bao}, Billfold {ours}"
                    ));
                }
                count(&self.tally.capabilities, 1);
            }
        }
        Ok(())
    }

    /// Makes what is to be at the path of a request before it, as root.
    async fn bring_about(&self, sent: &Sent, before: Before) {
        if before == Before::Whatever {
            return;
        }
        if sent.path.starts_with("one/") {
            let path = format!("/v1/{}", escaped(sent.path.trim_end_matches('/')));
            match before {
                Before::Something => self.prepared("PUT", &path, Some(json!({ "v": "w" }))).await,
                _ => self.prepared("DELETE", &path, None).await,
            };
            return;
        }
        let Some((_, path)) = sent
            .path
            .strip_prefix("secret/")
            .and_then(|path| path.split_once('/'))
        else {
            return;
        };
        let path = escaped(path.trim_end_matches('/'));
        let place = |place: &str| format!("/v1/secret/{place}/{path}");
        self.prepared("DELETE", &place("metadata"), None).await;
        if before == Before::OnlyMetadata {
            let settings = json!({ "max_versions": 3 });
            self.prepared("PUT", &place("metadata"), Some(settings))
                .await;
        } else if before != Before::Nothing {
            let data = json!({ "data": { "x": "x" } });
            self.prepared("PUT", &place("data"), Some(data)).await;
        }
        if before == Before::Deleted {
            self.prepared("DELETE", &place("data"), None).await;
        }
        if before == Before::Destroyed {
            let versions = json!({ "versions": [1] });
            self.prepared("PUT", &place("destroy"), Some(versions))
                .await;
        }
    }

    async fn compare_request(
        &self,
        case: &Case,
        sent: &Sent,
        before: Before,
        tokens: &[Token; 2],
    ) -> Result<(), String> {
        let joint = if sent.query.is_empty() { "" } else { "?" };
        let path = format!("/v1/{}{joint}{}", escaped(&sent.path), sent.query);
        let callers = [tokens[0].token.as_str(), tokens[1].token.as_str()];
        let [bao, ours] = self
            .both(
                sent.verb,
                &path,
                callers,
                sent.wrap_ttl,
                |side| match &sent.body {
                    None => Body::Nothing,
                    Some(body) => {
                        let text = Value::Object(body.clone()).to_string();
                        let text = text.replace("TOKEN", &tokens[side].token);
                        text.replace("ACCESSOR", &tokens[side].accessor).into()
                    }
                },
            )
            .await;
        let is_refused = intended::is_refused_by_openbao(&bao);
        if !is_refused && ours.status == 403 && intended::may_be_refused(case, sent) {
            count(&self.tally.intended, 1);
            return Ok(());
        }
        if is_refused != (ours.status == 403) {
            let policies = case
                .policies
                .iter()
                .map(|policy| policy.text(&case.patterns));
            return Err(format!(
                "{} {path} with {:?}, wrapped for {:?}, {before:?} before: OpenBao {}, Billfold {}\n{}",
                sent.verb,
                sent.body,
                sent.wrap_ttl,
                told(&bao),
                told(&ours),
                policies.collect::<Vec<_>>().join("\n--\n"),
            ));
        }
        let tally = if is_refused {
            &self.tally.refused
        } else {
            &self.tally.permitted
        };
        count(tally, 1);
        Ok(())
    }

    /// A call by root that must be taken on both sides.
    async fn prepared(&self, verb: &str, path: &str, body: Option<Value>) -> [Reply; 2] {
        let body = |_| body.clone().map_or(Body::Nothing, Body::from);
        let replies = self.both(verb, path, self.roots(), None, body).await;
        for reply in &replies {
            assert!(reply.status < 300, "{verb} {path}: {}", told(reply));
        }
        replies
    }

    fn roots(&self) -> [&str; 2] {
        [&self.sides[0].root, &self.sides[1].root]
    }

    /// The same call on both sides at once.
    async fn both(
        &self,
        verb: &str,
        path: &str,
        tokens: [&str; 2],
        wrap_ttl: Option<&str>,
        body: impl Fn(usize) -> Body,
    ) -> [Reply; 2] {
        let call = async |side: usize| {
            let client = &self.sides[side].client;
            let client = match verb {
                "PATCH" => client.header("Content-Type", "application/merge-patch+json"),
                _ => client.clone(),
            };
            let client = match wrap_ttl {
                Some(ttl) => client.header("X-Vault-Wrap-TTL", ttl),
                None => client,
            };
            let called = client
                .call(verb, path, Some(tokens[side]), body(side))
                .await;
            called.unwrap_or_else(|error| panic!("{verb} {path}: {error:#}"))
        };
        let (bao, ours) = tokio::join!(call(0), call(1));
        [bao, ours]
    }
}

fn count(tally: &Cell<u32>, more: u32) {
    tally.set(tally.get() + more);
}

fn told(reply: &Reply) -> String {
    format!("{} {}", reply.status, reply.text().trim())
}
