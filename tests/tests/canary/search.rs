//! Words that stand nowhere else, and how to find them in whatever form.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::{
    Engine as _,
    engine::GeneralPurpose,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use billfold_tests::tools;

/// Makes words that begin alike. One kind of a word is a secret (`v`), a path (`p`), another name (`n`), a token (`t`),
/// or something that is only ever sent (`x`).
pub struct Words {
    /// 24 bytes that no other run has; the tildes make the alphabets of base64 differ.
    stem: String,
    count: AtomicU64,
}

impl Words {
    pub fn new() -> Self {
        let random = hex::encode(tools::random::<9>());
        let stem = format!("cn~~~{random}~");
        Self {
            stem,
            count: AtomicU64::new(0),
        }
    }

    /// A new word of a kind.
    pub fn word(&self, kind: char) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        format!("{}{kind}{count:04}", self.stem)
    }

    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub fn search(&self) -> Search {
        Search::of(self.stem.as_bytes())
    }
}

/// Looks for a stem: as it is, as hexadecimal digits, as base64 wherever it begins.
pub struct Search {
    forms: Vec<(String, Vec<u8>)>,
}

/// A place where the stem stands.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub form: String,
    pub at: usize,
    /// The kind of the word, if it can be read.
    pub kind: Option<char>,
}

impl Search {
    pub fn of(stem: &[u8]) -> Self {
        let mut forms = vec![
            ("raw".to_owned(), stem.to_vec()),
            ("hex".to_owned(), hex::encode(stem).into_bytes()),
            ("HEX".to_owned(), hex::encode_upper(stem).into_bytes()),
        ];
        for (name, engine) in ALPHABETS {
            for before in 0..3 {
                let form = (format!("{name}+{before}"), inner(engine, stem, before));
                // Both alphabets are alike where neither of their two letters stands.
                if forms.iter().all(|(_, known)| *known != form.1) {
                    forms.push(form);
                }
            }
        }
        Self { forms }
    }

    pub fn in_bytes(&self, bytes: &[u8]) -> Vec<Found> {
        let mut found = Vec::new();
        for (form, needle) in &self.forms {
            let mut from = 0;
            while let Some(at) = position(&bytes[from..], needle) {
                let at = from + at;
                let next = bytes.get(at + needle.len()).map(|byte| char::from(*byte));
                let kind = next.filter(|_| form == "raw");
                found.push(Found {
                    form: form.clone(),
                    at,
                    kind,
                });
                from = at + needle.len();
            }
        }
        found
    }

    /// All forms of a word, each between bytes of other things.
    pub fn disguises(word: &str) -> Vec<(String, Vec<u8>)> {
        let mut all = vec![
            ("raw".to_owned(), word.as_bytes().to_vec()),
            ("hex".to_owned(), hex::encode(word).into_bytes()),
            ("HEX".to_owned(), hex::encode_upper(word).into_bytes()),
        ];
        for (name, engine) in ALPHABETS {
            for before in 0..3 {
                let text = ["\u{1}".repeat(before), word.to_owned(), "!?".to_owned()].concat();
                all.push((format!("{name}+{before}"), engine.encode(text).into_bytes()));
            }
        }
        for (_, bytes) in &mut all {
            *bytes = [b"\xff\x00~", bytes.as_slice(), b"~\x00\xff"].concat();
        }
        all
    }
}

const ALPHABETS: [(&str, &GeneralPurpose); 2] = [
    ("base64", &BASE64_STANDARD_NO_PAD),
    ("base64url", &BASE64_URL_SAFE_NO_PAD),
];

/// The letters that the stem decides alone when some bytes come before it.
fn inner(engine: &GeneralPurpose, stem: &[u8], before: usize) -> Vec<u8> {
    let text = engine.encode([&[0; 3][..before], stem].concat());
    let (first, last) = ((before * 8).div_ceil(6), (before + stem.len()) * 8 / 6);
    text.as_bytes()[first..last].to_vec()
}

/// Where a needle stands. Its last byte is looked for first: a file is long, and mostly has none of it.
fn position(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let (last, front) = needle.split_last()?;
    let mut from = front.len();
    while let Some(step) = bytes.get(from..)?.iter().position(|byte| byte == last) {
        let end = from + step;
        if bytes[end - front.len()..end] == *front {
            return Some(end - front.len());
        }
        from = end + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_disguise_is_found_and_nothing_else() {
        let words = Words::new();
        let search = words.search();
        assert_eq!(search.forms.len(), 9, "both alphabets, all three places");
        for (form, bytes) in Search::disguises(&words.word('v')) {
            let found = search.in_bytes(&bytes);
            assert_eq!(found.len(), 1, "{form}: {found:?}");
            assert_eq!(found[0].form, form);
        }
        assert_eq!(search.in_bytes(Words::new().word('v').as_bytes()), []);
        let twice = [words.word('v'), words.word('p')].concat();
        let kinds: Vec<_> = search
            .in_bytes(twice.as_bytes())
            .iter()
            .map(|found| found.kind)
            .collect();
        assert_eq!(kinds, [Some('v'), Some('p')]);
    }
}
