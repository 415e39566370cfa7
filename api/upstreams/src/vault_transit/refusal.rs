//! What a transit engine's refusal means. Its own words are looked at, and never passed on.

use std::path::Path;

use billfold_core::keys::manager::Error;
use reqwest::StatusCode;
use serde::Deserialize;

use super::NAME;

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    errors: Vec<String>,
}

/// What the status and the words of an answer mean.
pub(super) fn refused(status: StatusCode, body: &[u8], token_file: &Path) -> Error {
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    let errors = refusal.map(|refusal| refusal.errors).unwrap_or_default();
    let says = |words: &str| errors.iter().any(|error| error.contains(words));
    let key = |told: &str| Error::Key(NAME, told.to_owned());
    match status {
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Error::Denied(
            NAME,
            format!(
                "the token in {} is not valid, or may not encrypt and decrypt with the key",
                token_file.display()
            ),
        ),
        StatusCode::NOT_FOUND => key("there is no transit engine at the mount"),
        StatusCode::BAD_REQUEST if says("too old") => Error::TooOld(
            NAME,
            "min_decryption_version is above the version that wrapped the wallet's key",
        ),
        StatusCode::BAD_REQUEST if says("soft-deleted") => key("it is deleted"),
        StatusCode::BAD_REQUEST if says("key not found") => key("there is no such key"),
        StatusCode::BAD_REQUEST if says("not supported for key type") => {
            key("it is not of a type that encrypts")
        }
        StatusCode::BAD_REQUEST
            if says("message authentication failed")
                || says("invalid ciphertext")
                || says("version is too new") =>
        {
            Error::WrongKey(NAME)
        }
        StatusCode::SERVICE_UNAVAILABLE if says("sealed") => {
            Error::Unavailable(NAME, "it is sealed".to_owned())
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Error::Unavailable(NAME, format!("it answered {}", status.as_u16()))
        }
        status if status.is_redirection() => key(
            "the server redirects, and a token goes nowhere else: set the address that it names",
        ),
        status => key(&format!("the server answered {}", status.as_u16())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, error: &str) -> Error {
        let body = serde_json::json!({ "errors": [error] }).to_string();
        let status = StatusCode::from_u16(status).unwrap();
        refused(status, body.as_bytes(), Path::new("/run/token"))
    }

    #[test]
    fn what_passes_by_itself_is_told_from_what_does_not() {
        for (status, error, expected) in [
            (
                403,
                "permission denied",
                "the token in /run/token is not valid",
            ),
            (404, "no handler for route", "no transit engine"),
            (400, "encryption key not found", "no such key"),
            (400, "refusing to use soft-deleted key", "deleted"),
            (
                400,
                "ciphertext or signature version is disallowed by policy (too old)",
                "min_decryption_version",
            ),
            (
                400,
                "message decryption not supported for key type ed25519",
                "not of a type",
            ),
            (503, "Vault is sealed", "it is sealed"),
            (502, "hvs.canary", "it answered 502"),
            (429, "hvs.canary", "it answered 429"),
            (307, "hvs.canary", "redirects"),
            (418, "hvs.canary", "the server answered 418"),
        ] {
            let found = told(status, error);
            assert!(found.to_string().contains(expected), "{found}");
            assert!(!found.to_string().contains("canary"), "{found}");
            assert!(found.may_pass(), "{found}");
        }
        for error in [
            "cipher: message authentication failed",
            "invalid ciphertext: no prefix",
        ] {
            assert!(matches!(told(400, error), Error::WrongKey(NAME)));
        }
    }
}
