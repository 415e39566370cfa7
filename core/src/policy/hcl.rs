//! Reads HCL. The reader of the language bounds how deep a text nests.

use std::ops::Range;

use hcl::edit::{
    Span,
    expr::{Expression, Object, ObjectKey},
    parser::parse_body,
    structure::{Attribute, Block as Written, BlockLabel, Body, Structure},
};

use super::{
    error::{Fault, ParseError, Place},
    lines::{self, Broken},
    source::{Block, Member, Node},
};

/// The paths of a text.
pub(super) fn blocks(text: &str) -> Result<Vec<Block>, ParseError> {
    let reader = Reader(lines::broken(text));
    let body = parse_body(&reader.0.text).map_err(|error| {
        let line = reader.0.line(error.location().offset());
        Fault::Hcl.at(Place::Line(line))
    })?;
    let mut blocks = Vec::new();
    for structure in &body {
        match structure {
            Structure::Block(block) if block.ident.as_str() == "path" => {
                blocks.push(reader.block(block)?);
            }
            // A policy's name is that under which it is stored; what the text says is a remark.
            Structure::Attribute(attribute) if attribute.key.as_str() == "name" => {
                let place = reader.place(attribute.span());
                let name = reader.node(&attribute.value, place)?;
                name.text("name").map_err(|fault| fault.at(place))?;
            }
            Structure::Attribute(attribute) if attribute.key.as_str() == "path" => {
                return Err(Fault::PathForm.at(reader.place(attribute.span())));
            }
            other => return Err(Fault::UnknownTopKey.at(reader.place(other.span()))),
        }
    }
    Ok(blocks)
}

struct Reader(Broken);

impl Reader {
    fn place(&self, span: Option<Range<usize>>) -> Place {
        span.map_or(Place::Text, |span| Place::Line(self.0.line(span.start)))
    }

    /// The text as it is written. HCL's two versions read some spellings differently, and a policy
    /// must not mean different things to its author and to us.
    fn written(&self, span: Option<Range<usize>>) -> &str {
        span.and_then(|span| self.0.text.get(span)).unwrap_or("")
    }

    fn is_plain(&self, span: Option<Range<usize>>) -> bool {
        let written = self.written(span);
        !written.contains("${") && !written.contains("%{")
    }

    fn block(&self, block: &Written) -> Result<Block, ParseError> {
        let place = self.place(block.span());
        let [label] = block.labels.as_slice() else {
            return Err(Fault::PathForm.at(place));
        };
        let pattern = match label {
            BlockLabel::Ident(ident) => ident.as_str(),
            BlockLabel::String(text) if self.is_plain(label.span()) => text.as_str(),
            BlockLabel::String(_) => return Err(Fault::NotPlain.at(place)),
        };
        Ok(Block {
            place,
            pattern: pattern.to_owned(),
            members: self.members(&block.body)?,
        })
    }

    fn members(&self, body: &Body) -> Result<Vec<Member>, ParseError> {
        body.iter()
            .map(|structure| self.member(structure))
            .collect()
    }

    fn member(&self, structure: &Structure) -> Result<Member, ParseError> {
        let place = self.place(structure.span());
        let (key, value) = match structure {
            Structure::Attribute(Attribute { key, value, .. }) => (key, self.node(value, place)?),
            // `allowed_parameters { … }` says the same as `allowed_parameters = { … }`.
            Structure::Block(block) => {
                if !block.labels.is_empty() {
                    return Err(Fault::UnknownKey.at(place));
                }
                let members = self.members(&block.body)?;
                let object = members.into_iter().map(|m| (m.key, m.value)).collect();
                (&block.ident, Node::Object(object))
            }
        };
        Ok(Member {
            place,
            key: key.as_str().to_owned(),
            value,
        })
    }

    fn node(&self, expression: &Expression, place: Place) -> Result<Node, ParseError> {
        let place = match self.place(expression.span()) {
            Place::Text => place,
            place => place,
        };
        Ok(match expression {
            Expression::Null(_) => Node::Null,
            Expression::Bool(bool) => Node::Bool(*bool.value()),
            Expression::Number(number) => {
                let written = self.written(expression.span());
                let digits = written.trim_start_matches('-').as_bytes();
                if matches!(digits, [b'0', b'0'..=b'9', ..]) {
                    return Err(Fault::Octal.at(place));
                }
                number.value().as_i64().map_or(Node::Fraction, Node::Number)
            }
            Expression::String(text) if self.is_plain(expression.span()) => {
                Node::Text(text.value().clone())
            }
            // A minus belongs to the number.
            Expression::UnaryOp(_) => self.negative(expression, place)?,
            Expression::Array(array) => Node::List(
                array
                    .iter()
                    .map(|item| self.node(item, place))
                    .collect::<Result<_, _>>()?,
            ),
            Expression::Object(object) => Node::Object(self.object(object, place)?),
            _ => return Err(Fault::NotPlain.at(place)),
        })
    }

    fn negative(&self, expression: &Expression, place: Place) -> Result<Node, ParseError> {
        let written = self.written(expression.span());
        match written.parse::<i64>() {
            Ok(number) if !written.starts_with("-0") => Ok(Node::Number(number)),
            _ => Err(Fault::NotPlain.at(place)),
        }
    }

    fn object(&self, object: &Object, place: Place) -> Result<Vec<(String, Node)>, ParseError> {
        let mut members = Vec::with_capacity(object.len());
        for (key, value) in object {
            let key = match key {
                ObjectKey::Ident(ident) => ident.as_str().to_owned(),
                ObjectKey::Expression(expression) => match self.node(expression, place)? {
                    Node::Text(text) => text,
                    _ => return Err(Fault::NotPlain.at(place)),
                },
            };
            members.push((key, self.node(value.expr(), place)?));
        }
        Ok(members)
    }
}
