//! What is sent to the endpoints of erasures and legal holds.

use billfold::http::endpoints::Endpoint;
use billfold_tests::wallet::command_id;
use serde_json::json;

use super::{Call, Plan};

impl Plan<'_> {
    pub(super) fn of_erasures(&self) -> Vec<Call> {
        let words = self.words;
        let path = self.path();
        let at = self.url(&path);
        let call = |path: String, status: u16| Call::new(self.verb, path, status..=status);
        let order = |path: &str| json!({ "path": path, "reason": words.word('n') });
        let secret = format!("secret/{path}");
        let (erase, holds) = ("/api/internal/wallet/erase", "/api/internal/wallet/holds");
        let send = |to: &str| {
            let sent = Call::new("POST", to, 200..=200);
            sent.body(order(&secret)).tells("pn")
        };
        // What is made by a command has its id.
        let id = command_id();
        let by_command = |to: &str| send(to).header("X-Billfold-Command-Id", id.as_str());
        let wrong = [
            json!({ "path": secret }),
            order(&format!("/{}", words.word('p'))),
            order(&words.word('p')),
            json!({ "path": secret, "reason": { words.word('n'): words.word('n') } }),
            json!({ "path": secret, "reason": "r", words.word('x'): words.word('x') }),
        ]
        .map(|body| call(at.clone(), 422).body(body));
        let unknown = || self.url(&words.word('x'));
        match self.route.endpoint {
            Endpoint::Erase => {
                let mut calls = vec![
                    self.write(&path),
                    send(erase),
                    call(at.clone(), 404).body(order(&secret)),
                    call(at.clone(), 422).body(
                        json!({ "path": secret, "reason": "r", "versions": words.word('x') }),
                    ),
                ];
                calls.extend(wrong);
                calls
            }
            Endpoint::Erasures => vec![
                self.write(&path),
                send(erase),
                call(at.clone(), 200).tells("n"),
                call(format!("{at}?path={secret}"), 200),
                call(format!("{at}?path={}", words.word('p')), 422),
                call(format!("{at}?path=secret/{}/", words.word('p')), 400),
                call(format!("{at}?limit={}", words.word('x')), 400),
                call(format!("{at}?after={}", words.word('x')), 400),
            ],
            Endpoint::ReadErasure => vec![
                self.write(&path),
                by_command(erase),
                call(self.url(&id), 200).tells("n"),
                call(unknown(), 400),
            ],
            Endpoint::PlaceHold => {
                let mut calls = vec![send(holds)];
                calls.extend(wrong);
                calls
            }
            Endpoint::Holds => vec![send(holds), call(at, 200).tells("pn")],
            Endpoint::ReadHold => vec![
                by_command(holds),
                call(self.url(&id), 200).tells("pn"),
                call(unknown(), 400),
            ],
            Endpoint::LiftHold => vec![
                self.write(&path),
                by_command(holds),
                Call::new("POST", erase, 403..=403).body(order(&secret)),
                call(self.url(&id), 204),
                call(self.url(&id), 404),
                call(unknown(), 400),
            ],
            other => panic!("{other:?} has no plan here"),
        }
    }
}
