//! What is sent to the endpoints of auditor grants.

use billfold::http::endpoints::Endpoint;
use billfold_core::grant::AuditorSecret;
use billfold_streams::entropy::Os;
use billfold_tests::wallet::command_id;
use serde_json::json;

use super::{Call, Plan};

impl Plan<'_> {
    pub(super) fn of_grants(&self) -> Vec<Call> {
        let words = self.words;
        let grants = "/api/internal/wallet/auditor-grants";
        let call = |path: String, status: u16| Call::new(self.verb, path, status..=status);
        let recipient = AuditorSecret::generate(&mut Os::new()).public().unwrap();
        let recipient = recipient.to_string();
        // What is made by a command has its id.
        let id = command_id();
        let grant = || {
            let sent = Call::new("POST", grants, 200..=200);
            sent.body(json!({ "recipient": recipient }))
                .header("X-Billfold-Command-Id", id.as_str())
        };
        match self.route.endpoint {
            Endpoint::GrantAuditor => {
                let wrong = [
                    json!({}),
                    json!({ "recipient": words.word('x') }),
                    json!({ "recipient": { words.word('x'): words.word('x') } }),
                    json!({ "recipient": recipient, "from": words.word('x') }),
                    json!({ "recipient": recipient, "to": words.word('x') }),
                    json!({ "recipient": recipient, "live": words.word('x') }),
                    json!({ "recipient": recipient, words.word('x'): words.word('x') }),
                ];
                let wrong = wrong.map(|body| call(grants.to_owned(), 422).body(body));
                let mut calls = vec![self.write(&self.path()), grant()];
                calls.extend(wrong);
                calls
            }
            Endpoint::AuditorGrants => vec![grant(), call(grants.to_owned(), 200)],
            Endpoint::RevokeAuditor => vec![
                grant(),
                call(self.url(&id), 204),
                call(self.url(&id), 404),
                call(self.url(&words.word('x')), 400),
            ],
            other => panic!("{other:?} has no plan here"),
        }
    }
}
