//! CBOR (RFC 8949) for the inside of ciphertexts and stored values: one value, nothing behind it.

use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, Error as _, IgnoredAny, SeqAccess},
};

/// How deep a value may nest before it is refused.
const DEPTH: usize = 16;

/// Bytes that are not the one value that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the CBOR value that belongs here")]
pub struct Malformed;

/// The value's bytes.
///
/// # Panics
/// When a type says that a value of it has none: ours do not. Fewer bytes must not get into a log
/// that is for ever.
#[expect(
    clippy::expect_used,
    reason = "writing to memory does not fail, and our types serialise without conditions"
)]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    ciborium::into_writer(value, &mut bytes).expect("each value has its bytes");
    bytes
}

/// How many bytes [`encode`] makes of the value, without a copy of it.
#[expect(
    clippy::expect_used,
    reason = "counting does not fail, and our types serialise without conditions"
)]
pub(crate) fn size<T: Serialize>(value: &T) -> usize {
    let mut count = Count(0);
    ciborium::into_writer(value, &mut count).expect("each value has its bytes");
    count.0
}

/// Counts what is written.
struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The value of these bytes.
///
/// # Errors
/// When they are not exactly one value of this type.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Malformed> {
    match decode_first(bytes)? {
        (value, []) => Ok(value),
        _ => Err(Malformed),
    }
}

/// The first value of a CBOR sequence (RFC 8742), and what is behind it.
///
/// # Errors
/// When the bytes do not begin with a value of this type.
pub fn decode_first<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), Malformed> {
    let mut rest = bytes;
    let value =
        ciborium::de::from_reader_with_recursion_limit(&mut rest, DEPTH).map_err(|_| Malformed)?;
    Ok((value, rest))
}

/// The next field of an array that stands for a struct.
pub(crate) fn field<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(
    fields: &mut A,
) -> Result<T, A::Error> {
    fields
        .next_element()?
        .ok_or_else(|| A::Error::custom("a field is missing"))
}

/// Makes sure that the array ends: ciborium alone would leave what is behind the last field, or a
/// length that was never filled, to whatever is read next.
pub(crate) fn no_more<'de, A: SeqAccess<'de>>(fields: &mut A) -> Result<(), A::Error> {
    match fields.next_element::<IgnoredAny>()? {
        None => Ok(()),
        Some(IgnoredAny) => Err(A::Error::custom("there are more fields than belong here")),
    }
}

/// Serialises a struct as an array of its fields, in this order: the order is the format.
macro_rules! as_array {
    ($name:ident { $($field:ident),+ $(,)? }) => {
        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                ::serde::Serialize::serialize(&($(&self.$field,)+), serializer)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Fields;

                impl<'de> ::serde::de::Visitor<'de> for Fields {
                    type Value = $name;

                    fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                        f.write_str(concat!("the fields of ", stringify!($name)))
                    }

                    fn visit_seq<A: ::serde::de::SeqAccess<'de>>(
                        self,
                        mut fields: A,
                    ) -> Result<$name, A::Error> {
                        $(let $field = $crate::cbor::field(&mut fields)?;)+
                        $crate::cbor::no_more(&mut fields)?;
                        Ok($name { $($field),+ })
                    }
                }

                const COUNT: usize = [$(stringify!($field)),+].len();
                deserializer.deserialize_tuple(COUNT, Fields)
            }
        }
    };
}

pub(crate) use as_array;
