//! Path patterns: exact paths, prefixes that end in `*`, and `+` for any one segment.

use std::cmp::Reverse;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::error::Fault;

/// A pattern as a policy states it, without a slash at its beginning.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Pattern(String);

/// How a pattern is looked up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// It is the path.
    Exact,
    /// What stands before its `*` begins the path.
    Prefix,
    /// Its segments are compared one by one.
    Segments,
}

/// How far a pattern that matches goes before others: by where its first wildcard stands, whether
/// it is no prefix, how few `+` it has, how long it is, and last by its letters.
type Rank<'a> = (usize, bool, Reverse<usize>, usize, &'a str);

impl Pattern {
    /// The pattern of this text. One slash at its beginning is dropped.
    ///
    /// # Errors
    /// On a template, and where `*` follows a `+`.
    pub fn new(text: &str) -> Result<Self, Fault> {
        if text.contains("{{") || text.contains("}}") {
            return Err(Fault::Template);
        }
        let text = text.strip_prefix('/').unwrap_or(text);
        if text.contains("+*") {
            return Err(Fault::Wildcard);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn kind(&self) -> Kind {
        if self.0 == "+" || self.0.contains("/+") || self.0.starts_with("+/") {
            Kind::Segments
        } else if self.0.ends_with('*') {
            Kind::Prefix
        } else {
            Kind::Exact
        }
    }

    /// It without the `*` at its end, and whether there was one.
    pub(super) fn stem(&self) -> (&str, bool) {
        match self.0.strip_suffix('*') {
            Some(stem) => (stem, true),
            None => (&self.0, false),
        }
    }

    /// Whether a path matches segment by segment.
    pub(super) fn matches_segments(&self, path: &str) -> bool {
        let (stem, open) = self.stem();
        let mut parts = path.split('/');
        let mut wanted = stem.split('/').peekable();
        while let Some(want) = wanted.next() {
            let Some(part) = parts.next() else {
                return false;
            };
            let last = wanted.peek().is_none();
            if want == "+" || want == part || (open && last && part.starts_with(want)) {
                continue;
            }
            return false;
        }
        open || parts.next().is_none()
    }

    /// Whether some path below this folder may match segment by segment. The folder's path ends
    /// with a slash.
    pub(super) fn leads_into(&self, folder: &str) -> bool {
        let (stem, open) = self.stem();
        let mut wanted = stem.split('/').peekable();
        folder.trim_end_matches('/').split('/').all(|part| {
            let Some(want) = wanted.next() else {
                return false;
            };
            let last = wanted.peek().is_none();
            want == "+" || want == part || (open && last && part.starts_with(want))
        })
    }

    /// Its rank among those that match.
    pub(super) fn rank(&self) -> Rank<'_> {
        let (stem, open) = self.stem();
        let (first, wildcards) = match self.kind() {
            // A plus that stands within a segment counts here, too.
            Kind::Segments => (
                stem.find('+').unwrap_or(stem.len()),
                stem.split('/').filter(|segment| *segment == "+").count(),
            ),
            Kind::Exact | Kind::Prefix => (stem.len(), 0),
        };
        (first, !open, Reverse(wildcards), stem.len(), stem)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // A slash may stand first: it was the second one of two.
        if text.contains("{{") || text.contains("}}") || text.contains("+*") {
            return Err(D::Error::custom("not a pattern"));
        }
        Ok(Self(text))
    }
}
