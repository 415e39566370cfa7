//! `X-Vault-Index`: the place in the log that an answer rests on, which clients carry to their next
//! request.
//!
//! Its form is that of Vault, since Vault's clients compare two of them: base64 of
//! `v1:<wallet>:<sequence>:0:`, where Vault has a MAC behind the last colon. It grants nothing, so
//! there is none here (`docs/wire-format.md`).

use axum::http::{HeaderMap, HeaderValue, StatusCode};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use billfold_core::id::Seq;

use super::Failure;
use crate::{
    v1,
    wallet::{Wallet, wallet_uuid},
};

pub(super) const HEADER: &str = "x-vault-index";

/// The longest that is looked at, in bytes.
const LONGEST: usize = 256;

/// The index of a place in a wallet's log.
pub(super) fn of(wallet: &str, seq: Seq) -> String {
    STANDARD.encode(format!("v1:{wallet}:{}:0:", seq.0))
}

/// Names a place in an answer.
pub(super) fn name(headers: &mut HeaderMap, wallet: &Wallet, seq: Seq) {
    if let Ok(value) = HeaderValue::try_from(of(&wallet_uuid(wallet), seq)) {
        headers.insert(HEADER, value);
    }
}

/// Holds a request until this node has come to the places that it names.
pub(super) async fn reach(wallet: &Wallet, headers: &HeaderMap) -> Result<(), Failure> {
    let own = wallet_uuid(wallet);
    let mut wanted = None;
    for value in headers.get_all(HEADER) {
        wanted = wanted.max(seq_of(value.as_bytes(), &own)?);
    }
    let Some(seq) = wanted else { return Ok(()) };
    match wallet.has_reached(seq).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::new(
            StatusCode::PRECONDITION_FAILED,
            "required index state not present",
        )),
        Err(error) => Err(v1::failure(&error)),
    }
}

/// The place that an index names; nothing where none is stated.
fn seq_of(value: &[u8], own: &str) -> Result<Option<Seq>, Failure> {
    let malformed = || Failure::bad("failed to decode \"X-Vault-Index\"");
    if value.is_empty() {
        return Ok(None);
    }
    if value.len() > LONGEST {
        return Err(malformed());
    }
    let bytes = STANDARD.decode(value).map_err(|_| malformed())?;
    let text = str::from_utf8(&bytes).map_err(|_| malformed())?;
    let Some(("v1", wallet, seq, "0", "")) = parts(text) else {
        return Err(malformed());
    };
    // One number has one form.
    let is_plain = seq.bytes().all(|byte| byte.is_ascii_digit()) && !seq.starts_with("00");
    let seq = seq.parse().ok().filter(|_| is_plain);
    let seq = seq.ok_or_else(malformed)?;
    if wallet != own {
        return Err(Failure::bad("X-Vault-Index is of another wallet"));
    }
    Ok(Some(Seq(seq)))
}

fn parts(text: &str) -> Option<(&str, &str, &str, &str, &str)> {
    let mut parts = text.split(':');
    let found = (
        parts.next()?,
        parts.next()?,
        parts.next()?,
        parts.next()?,
        parts.next()?,
    );
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "01020304-0506-0708-090a-0b0c0d0e0f10";

    fn read(text: &str) -> Result<Option<Seq>, String> {
        let read = seq_of(STANDARD.encode(text).as_bytes(), OWN);
        read.map_err(|failure| format!("{} {}", failure.status.as_u16(), failure.told.unwrap()))
    }

    #[test]
    fn an_index_is_read_as_it_was_written() {
        for seq in [Seq(0), Seq(7), Seq(u64::MAX)] {
            assert_eq!(seq_of(of(OWN, seq).as_bytes(), OWN).unwrap(), Some(seq));
        }
        // The example of docs/wire-format.md.
        assert_eq!(
            of(OWN, Seq(42)),
            "djE6MDEwMjAzMDQtMDUwNi0wNzA4LTA5MGEtMGIwYzBkMGUwZjEwOjQyOjA6"
        );
        assert_eq!(seq_of(b"", OWN).unwrap(), None);
    }

    #[test]
    fn what_is_no_index_of_this_wallet_is_refused() {
        let malformed = Err("400 failed to decode \"X-Vault-Index\"".to_owned());
        for text in [
            String::new() + "v2:" + OWN + ":1:0:",
            format!("v1:{OWN}:1:0"),
            format!("v1:{OWN}:1:0::"),
            format!("v1:{OWN}:1:1:"),
            format!("v1:{OWN}:1:0:00"),
            format!("v1:{OWN}:-1:0:"),
            format!("v1:{OWN}:+1:0:"),
            format!("v1:{OWN}:007:0:"),
            format!("v1:{OWN}:18446744073709551616:0:"),
            format!("v1:{OWN}::0:"),
        ] {
            assert_eq!(read(&text), malformed, "{text}");
        }
        let other = read("v1:11111111-0506-0708-090a-0b0c0d0e0f10:1:0:");
        assert_eq!(
            other,
            Err("400 X-Vault-Index is of another wallet".to_owned())
        );
        let read = |bytes: &[u8]| seq_of(bytes, OWN).is_err();
        assert!(read(b"abc") && read(b"\xff") && read(&[b'A'; LONGEST + 4]));
    }
}
