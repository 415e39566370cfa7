//! A policy's text once it is read, whichever language it is written in.

use super::error::{Fault, Place};

/// The braces of one `path`.
pub(super) struct Block {
    pub(super) place: Place,
    pub(super) pattern: String,
    pub(super) members: Vec<Member>,
}

/// A key with its value.
pub(super) struct Member {
    pub(super) place: Place,
    pub(super) key: String,
    pub(super) value: Node,
}

/// A value. Neither language can nest deeper than its reader permits.
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(i64),
    /// A number that is not whole, or is out of bounds.
    Fraction,
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    /// It as text.
    pub(super) fn text(&self, key: &'static str) -> Result<&str, Fault> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(Fault::Type {
                key,
                wanted: "text",
            }),
        }
    }

    /// It as a list of texts.
    pub(super) fn texts(&self, key: &'static str) -> Result<Vec<&str>, Fault> {
        let fault = Fault::Type {
            key,
            wanted: "a list of texts",
        };
        let Self::List(nodes) = self else {
            return Err(fault);
        };
        nodes
            .iter()
            .map(|node| node.text(key).map_err(|_| fault.clone()))
            .collect()
    }

    /// It as a number from zero up, which may be written as text.
    pub(super) fn count(&self, key: &'static str) -> Result<u32, Fault> {
        let number = match self {
            Self::Number(number) => u32::try_from(*number).ok(),
            Self::Text(text) if !text.starts_with('+') => text.parse().ok(),
            _ => None,
        };
        number.ok_or(Fault::Type {
            key,
            wanted: "a whole number that is not negative",
        })
    }
}
