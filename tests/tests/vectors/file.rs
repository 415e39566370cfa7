//! A vector's file: `key: value` lines, an empty line, the bytes in hexadecimal.

use std::fmt;

const BYTES_PER_LINE: usize = 32;

/// A vector: what it says of itself, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vector {
    fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Vector {
    /// A vector that says what it is and how reading it ends.
    pub(crate) fn new(comment: &str, expect: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self {
            fields: Vec::new(),
            body,
        }
        .with("comment", comment)
        .with("expect", expect)
    }

    pub(crate) fn with(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.fields.push((key.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn with_hex(self, key: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.with(key, hex::encode(bytes))
    }

    /// The same, with another comment and end, and changed bytes.
    pub(crate) fn but(
        &self,
        comment: &str,
        expect: &str,
        change: impl FnOnce(&mut Vec<u8>),
    ) -> Self {
        let mut other = self.clone();
        for (key, value) in &mut other.fields {
            match key.as_str() {
                "comment" => comment.clone_into(value),
                "expect" => expect.clone_into(value),
                _ => {}
            }
        }
        change(&mut other.body);
        other
    }

    /// The same, with another value of a field.
    pub(crate) fn replacing(mut self, key: &str, value: impl fmt::Display) -> Self {
        let field = self.fields.iter_mut().find(|(known, _)| known == key);
        field.unwrap().1 = value.to_string();
        self
    }

    /// Every value of a field that may repeat.
    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let fields = self.fields.iter().filter(move |(known, _)| known == key);
        fields.map(|(_, value)| value.as_str())
    }

    /// The value of a field that stands there once.
    pub(crate) fn one<'a>(&'a self, key: &'a str) -> &'a str {
        let mut values = self.all(key);
        match (values.next(), values.next()) {
            (Some(value), None) => value,
            _ => panic!("one field {key} is needed"),
        }
    }

    /// The bytes of a field that stands there once.
    pub(crate) fn hex(&self, key: &str) -> Vec<u8> {
        hex::decode(self.one(key)).unwrap()
    }

    /// The bytes of a field of fixed size.
    pub(crate) fn fixed<const N: usize>(&self, key: &str) -> [u8; N] {
        self.hex(key).try_into().unwrap()
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (head, body) = text.split_once("\n\n").ok_or("no empty line")?;
        let fields = head.lines().map(|line| {
            // A value may be empty.
            let (key, value) = line.split_once(':').ok_or("a line without a key")?;
            Ok((key.to_owned(), value.trim_start().to_owned()))
        });
        let body: String = body.lines().collect();
        Ok(Self {
            fields: fields.collect::<Result<_, String>>()?,
            body: hex::decode(body).map_err(|error| error.to_string())?,
        })
    }
}

impl fmt::Display for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, value) in &self.fields {
            writeln!(f, "{}", format!("{key}: {value}").trim_end())?;
        }
        writeln!(f)?;
        for line in self.body.chunks(BYTES_PER_LINE) {
            writeln!(f, "{}", hex::encode(line))?;
        }
        Ok(())
    }
}
