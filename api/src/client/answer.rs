//! What a server answered.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::Error;

/// An answer. Its body is wiped when it is dropped.
pub struct Answer {
    status: u16,
    body: Zeroizing<Vec<u8>>,
}

/// What Vault puts around each answer.
#[derive(Deserialize, Default)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    auth: Option<&'a RawValue>,
    warnings: Option<Vec<String>>,
    errors: Option<Vec<String>>,
}

/// What Billfold's own door answers instead of `errors`.
#[derive(Deserialize)]
struct Problem {
    error: String,
    /// The secrets that are to blame.
    #[serde(default)]
    refused: Vec<Blamed>,
}

#[derive(Deserialize)]
struct Blamed {
    path: String,
    why: String,
}

impl Answer {
    pub(super) fn new(status: u16, body: Zeroizing<Vec<u8>>) -> Result<Self, Error> {
        let answer = Self { status, body };
        // A deleted version is answered 404 with its state: whoever asked for it looks at that.
        let states = status == 404
            && answer
                .envelope()
                .is_ok_and(|envelope| envelope.data.is_some());
        if (200..300).contains(&status) || states {
            return Ok(answer);
        }
        Err(Error::Answered {
            status,
            told: answer.told(),
        })
    }

    /// Whether what was asked for is not there any more; [`Answer::data`] says what was.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        self.status == 404
    }

    /// The whole body.
    ///
    /// # Errors
    /// When it is not text.
    pub fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.body).map_err(|_| Error::Malformed("it is not UTF-8"))
    }

    /// The JSON text under `data`.
    ///
    /// # Errors
    /// When there is none.
    pub fn data(&self) -> Result<&str, Error> {
        let data = self.envelope()?.data;
        data.map(RawValue::get)
            .ok_or(Error::Malformed("it has no data"))
    }

    /// The JSON text under `auth`.
    ///
    /// # Errors
    /// When there is none.
    pub fn auth(&self) -> Result<&str, Error> {
        let auth = self.envelope()?.auth;
        auth.map(RawValue::get)
            .ok_or(Error::Malformed("it has no auth"))
    }

    /// What the server warns of.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let envelope = self.envelope().unwrap_or_default();
        envelope.warnings.unwrap_or_default()
    }

    fn envelope(&self) -> Result<Envelope<'_>, Error> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Envelope::default());
        }
        serde_json::from_slice(&self.body).map_err(|_| Error::Malformed("it is not JSON"))
    }

    /// Why a request was refused, in the server's words.
    fn told(&self) -> Vec<String> {
        let errors = self.envelope().ok().and_then(|envelope| envelope.errors);
        let problem = || {
            let problem: Problem = serde_json::from_slice(&self.body).ok()?;
            let blamed = problem.refused.into_iter();
            let blamed = blamed.map(|Blamed { path, why }| format!("{path}: {why}"));
            Some([problem.error].into_iter().chain(blamed).collect())
        };
        errors.or_else(problem).unwrap_or_default()
    }
}

/// Reads a part of an answer.
pub(super) fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Error> {
    // What went wrong is not told: it would repeat a value.
    serde_json::from_str(json).map_err(|_| Error::Malformed("it has another form"))
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Result<Answer, Error> {
        Answer::new(status, Zeroizing::new(body.as_bytes().to_vec()))
    }

    #[test]
    fn errors_are_the_server_s_words() {
        for (body, told) in [
            (
                r#"{"errors":["one","two"]}"#,
                "the server answered 400: one; two",
            ),
            (r#"{"error":"e"}"#, "the server answered 400: e"),
            (
                r#"{"error":"e","refused":[{"path":"s/a","why":"w"}]}"#,
                "the server answered 400: e; s/a: w",
            ),
            ("<html>canary</html>", "the server answered 400"),
            ("", "the server answered 400"),
        ] {
            assert_eq!(answer(400, body).unwrap_err().to_string(), told);
        }
        assert!(answer(404, r#"{"errors":[]}"#).is_err());
    }

    #[test]
    fn an_answer_s_parts_are_found_and_never_shown() {
        let body = r#"{"data":{"k":"canary"},"auth":null,"warnings":["w"]}"#;
        let answer = answer(200, body).unwrap();
        assert_eq!(answer.data().unwrap(), r#"{"k":"canary"}"#);
        assert_eq!(answer.warnings(), ["w"]);
        assert!(answer.auth().is_err());
        assert_eq!(format!("{answer:?}"), "Answer(200, 52 bytes)");
        let told = read::<u8>(answer.data().unwrap()).unwrap_err();
        assert!(!format!("{told:?}").contains("canary"));
    }
}
