//! Reads JSON. Keys that stand twice are kept, so that nothing is lost unseen.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};

use super::{
    error::{Fault, ParseError, Place},
    source::{Block, Member, Node},
};

/// The paths of a text.
pub(super) fn blocks(text: &str) -> Result<Vec<Block>, ParseError> {
    let root: Node = serde_json::from_str(text)
        .map_err(|error| Fault::Json.at(Place::Line(error.line().max(1))))?;
    let Node::Object(members) = root else {
        return Err(Fault::Json.at(Place::Text));
    };
    let mut blocks = Vec::new();
    for (key, value) in members {
        match (key.as_str(), value) {
            ("path", Node::Object(paths)) => push(&mut blocks, paths)?,
            ("path", Node::List(lists)) if !lists.is_empty() => {
                for list in lists {
                    match list {
                        Node::Object(paths) => push(&mut blocks, paths)?,
                        _ => return Err(Fault::PathForm.at(Place::Text)),
                    }
                }
            }
            ("path", _) => return Err(Fault::PathForm.at(Place::Text)),
            // A policy's name is that under which it is stored; what the text says is a remark.
            ("name", Node::Text(_)) => {}
            ("name", other) => {
                other.text("name").map_err(|fault| fault.at(Place::Text))?;
            }
            _ => return Err(Fault::UnknownTopKey.at(Place::Text)),
        }
    }
    Ok(blocks)
}

fn push(blocks: &mut Vec<Block>, paths: Vec<(String, Node)>) -> Result<(), ParseError> {
    for (pattern, value) in paths {
        let place = Place::Path(blocks.len() + 1);
        let Node::Object(members) = value else {
            return Err(Fault::PathForm.at(place));
        };
        let member = |(key, value)| Member { place, key, value };
        blocks.push(Block {
            place,
            pattern,
            members: members.into_iter().map(member).collect(),
        });
    }
    Ok(())
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E: Error>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }

            fn visit_bool<E: Error>(self, bool: bool) -> Result<Node, E> {
                Ok(Node::Bool(bool))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Node, E> {
                Ok(Node::Number(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Node, E> {
                Ok(i64::try_from(number).map_or(Node::Fraction, Node::Number))
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Node, E> {
                Ok(Node::Fraction)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
                Ok(Node::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
                let mut nodes = Vec::new();
                while let Some(node) = seq.next_element()? {
                    nodes.push(node);
                }
                Ok(Node::List(nodes))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Node::Object(members))
            }
        }

        deserializer.deserialize_any(Any)
    }
}
