//! Why a text is no policy. Nothing of the text is repeated: it names what is secret.

use std::fmt;

/// Where a fault is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In the text as a whole.
    Text,
    /// In this line, from 1.
    Line(usize),
    /// In this path of a JSON text, from 1 in the order of the text.
    Path(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("policy"),
            Self::Line(line) => write!(f, "policy, line {line}"),
            Self::Path(number) => write!(f, "policy, path number {number}"),
        }
    }
}

/// A text that is no policy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{place}: {fault}")]
pub struct ParseError {
    /// Where.
    pub place: Place,
    /// Why.
    pub fault: Fault,
}

/// What is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It is too long.
    #[error("longer than {} bytes", super::TEXT_LIMIT)]
    TooLong,
    /// It has too many paths.
    #[error("more than {} paths", super::RULE_LIMIT)]
    TooManyPaths,
    /// It is not HCL.
    #[error("not valid HCL")]
    Hcl,
    /// It is not JSON.
    #[error("not valid JSON, or nested too deeply")]
    Json,
    /// A value is computed, or put together from parts.
    #[error(
        "a value must be plain: templates, functions, operators and heredocs are not supported"
    )]
    NotPlain,
    /// A number begins with a zero, which some read as octal.
    #[error("a number must not begin with a zero")]
    Octal,
    /// The text holds more than paths.
    #[error("unknown key: a policy holds `path` and `name`")]
    UnknownTopKey,
    /// A path holds a key that does not exist.
    #[error("unknown key in a path")]
    UnknownKey,
    /// A key stands twice where it can stand once.
    #[error("a key stands twice")]
    Twice,
    /// A path is not as it should be.
    #[error("a path is written as `path \"secret/data/app\" {{ … }}`")]
    PathForm,
    /// A pattern holds a template.
    #[error("templates in paths are not supported")]
    Template,
    /// `*` stands after `+`.
    #[error("`+*` is not a wildcard: `+` stands for a whole segment")]
    Wildcard,
    /// A value is of another type.
    #[error("`{key}` must be {wanted}")]
    Type {
        /// The key.
        key: &'static str,
        /// What its value must be.
        wanted: &'static str,
    },
    /// There is no such capability.
    #[error(
        "unknown capability: there are create, read, update, patch, delete, list, scan, sudo and deny"
    )]
    Capability,
    /// There is no such short form.
    #[error("unknown `policy`: there are read, write, sudo and deny")]
    ShortForm,
    /// The key exists, and Billfold does not support it.
    #[error("`{0}` is not supported")]
    Unsupported(&'static str),
    /// A time span is not as it should be.
    #[error("`{0}` must be a time span such as 90, \"90s\", \"15m\", \"1h30m\" or \"2d\"")]
    Span(&'static str),
    /// The bounds on wrapping exclude everything.
    #[error("`max_wrapping_ttl` is less than `min_wrapping_ttl`")]
    WrapOrder,
    /// A moment is not as it should be.
    #[error(
        "`expiration` must be a moment such as \"2030-01-31T12:00:00Z\", or seconds since 1970"
    )]
    Moment,
}

impl Fault {
    /// The fault at this place.
    pub(super) const fn at(self, place: Place) -> ParseError {
        ParseError { place, fault: self }
    }
}
