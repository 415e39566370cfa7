//! What is sent to the endpoints of roles, cubbyholes and wrapped answers.

use billfold::http::endpoints::Endpoint;
use serde_json::json;

use super::{Call, Plan};

impl Plan<'_> {
    pub(super) fn of_roles(&self) -> Vec<Call> {
        let words = self.words;
        let name = words.word('p');
        let at = self.url(&name);
        let call = |path: String, status: u16| Call::new(self.verb, path, status..=status);
        let role = json!({ "allowed_policies": [words.word('n')] });
        let path = format!("/v1/auth/token/roles/{name}");
        let write = Call::new("POST", path, 204..=204).body(role.clone());
        match self.route.endpoint {
            Endpoint::TokenTidy => vec![call(at, 202)],
            Endpoint::TokenCreateByRole => vec![
                write,
                call(at.clone(), 200).tells("n"),
                call(at, 400).body(json!({ "policies": [words.word('n')] })),
                call(self.url(&words.word('x')), 400),
            ],
            Endpoint::TokenRoles => vec![write, call(at, 200).tells("p")],
            Endpoint::ReadTokenRole => vec![
                write,
                call(at, 200).tells("pn"),
                call(self.url(&words.word('x')), 404),
            ],
            Endpoint::WriteTokenRole => vec![
                call(at.clone(), 204).body(role),
                call(at.clone(), 400).body(json!({ "token_type": words.word('x') })),
                call(at.clone(), 400)
                    .body(json!({ "path_suffix": format!("/{}", words.word('x')) })),
                call(at, 400).body(json!({ "token_bound_cidrs": [words.word('x')] })),
            ],
            Endpoint::DeleteTokenRole => {
                vec![write, call(at, 204), call(self.url(&words.word('x')), 204)]
            }
            other => panic!("{other:?} has no plan here"),
        }
    }

    pub(super) fn of_cubbyholes(&self) -> Vec<Call> {
        let words = self.words;
        let path = self.path();
        let at = self.url(&path);
        let call = |path: String, status: u16| Call::new(self.verb, path, status..=status);
        let keep = Call::new("PUT", format!("/v1/cubbyhole/{path}"), 204..=204).body(self.secret());
        let is_get = self.verb == "GET";
        match self.route.endpoint {
            Endpoint::WrappingWrap => vec![
                // What was sent is not told again.
                call(at.clone(), 200)
                    .body(self.secret())
                    .header("X-Vault-Wrap-TTL", "1h"),
                call(at.clone(), 400).body(self.secret()),
                call(at.clone(), 413)
                    .body(self.large())
                    .header("X-Vault-Wrap-TTL", "1h"),
                call(at, 400)
                    .body(self.secret())
                    .header("X-Vault-Wrap-TTL", words.word('x')),
            ],
            // Root's own token wraps nothing.
            Endpoint::WrappingLookup if is_get => vec![call(at, 400)],
            Endpoint::WrappingUnwrap | Endpoint::WrappingRewrap | Endpoint::WrappingLookup => vec![
                call(at.clone(), 400),
                call(at.clone(), 400).body(json!({ "token": words.word('t') })),
                call(at, 400).body(json!({ "token": format!("hvs.{}", words.word('t')) })),
            ],
            Endpoint::CubbyholeRead => vec![
                keep,
                call(at, 200).tells("v"),
                call(self.url(&self.path()), 404),
            ],
            Endpoint::CubbyholeWrite => vec![
                call(at.clone(), 204).body(self.secret()),
                call(at.clone(), 204).body(self.secret()),
                call(at.clone(), 413).body(self.large()),
                call(at, 400).body(json!({})),
            ],
            Endpoint::CubbyholeDelete => {
                vec![keep, call(at, 204), call(self.url(&self.path()), 204)]
            }
            Endpoint::CubbyholeList => {
                let (folder, _) = path.split_once('/').unwrap();
                vec![keep, call(self.url(folder), 200).tells("p")]
            }
            other => panic!("{other:?} has no plan here"),
        }
    }
}
