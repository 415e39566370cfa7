//! What became of the wallet's keys, by the log alone: the life of every KEK version, and of one
//! DEK.
//!
//! Neither needs a key that can be erased: all of it stands in facts.

mod dek;
mod keks;

use billfold_core::{Millis, id::Seq, keys::page::KeyRef};
use billfold_projector::chain::Opened;
use serde::Serialize;

use crate::report::as_text;

pub use dek::{DekLife, DekStep, Happened, dek};
pub use keks::{GenerationLife, KekLife, Keks, Span, keks};

/// Where in the log something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct When {
    /// The sequence of the commit.
    pub sequence: Seq,
    /// The time of the commit, in RFC 3339 with milliseconds.
    #[serde(serialize_with = "as_text")]
    pub time: Millis,
}

impl When {
    const fn of(opened: &Opened) -> Self {
        Self {
            sequence: opened.seq,
            time: opened.header.time,
        }
    }
}

/// A key by its id, which is that of its page and its slot in it.
#[must_use]
pub fn parse(id: &str) -> Option<KeyRef> {
    let (page, slot) = id.split_once('.')?;
    let is_number = slot.bytes().all(|byte| byte.is_ascii_digit());
    Some(KeyRef {
        page: page.parse().ok()?,
        slot: slot.parse().ok().filter(|_| is_number)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_page_and_slot() {
        let page = "0123456789abcdef0123456789abcdef";
        let key = parse(&format!("{page}.255")).unwrap();
        assert_eq!(key.to_string(), format!("{page}.255"));
        for bad in [
            "",
            "7",
            page,
            ".7",
            "12.7",
            &format!("{page}.256"),
            &format!("{page}.+7"),
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
