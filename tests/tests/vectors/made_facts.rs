//! The vectors of facts.

use billfold_core::{cbor, event::CommandRef};

use crate::{
    diagnostic::notation,
    facts,
    file::Vector,
    made::{Made, NO_PARSE, OPENS, RECORD},
};

pub(crate) fn facts() -> Made {
    let known = facts::all();
    let of = |name: &str| {
        let found = known.iter().find(|(known, _)| *known == name);
        found.unwrap().1.clone()
    };
    let mut made: Made = known
        .iter()
        .map(|(name, fact)| {
            let bytes = fact.encode();
            let vector = Vector::new("a fact in its plain bytes", OPENS, bytes.clone())
                .with("fact", name)
                .with("kind", fact.event.kind())
                .with("event", fact.event.name())
                .with("notation", notation(&bytes).unwrap());
            (*name, vector)
        })
        .collect();
    let corrupt = |comment: &str, fact: Vec<u8>| Vector::new(comment, NO_PARSE, fact);
    let deleted = of("versions-deleted");
    let enabled = of("mount-enabled").encode();
    let asked = of("resolution-requested-list").encode();
    let head = |kind: u16, actor: (u8, Option<u8>, Option<u8>)| {
        cbor::encode(&(kind, actor, None::<CommandRef>))
    };
    let system = (0, None, None);
    let body = cbor::encode(&(RECORD, vec![1_u32]));
    let changed = |bytes: &[u8], from: &[u8], to: &[u8]| {
        let at = bytes.windows(from.len()).position(|window| window == from);
        let mut bytes = bytes.to_vec();
        bytes[at.unwrap()..][..to.len()].copy_from_slice(to);
        bytes
    };
    made.extend([
        (
            "unknown-kind",
            corrupt("kind 999", [head(999, system), body.clone()].concat()),
        ),
        (
            "kind-zero",
            corrupt(
                "kind 0 is never used",
                [head(0, system), body.clone()].concat(),
            ),
        ),
        (
            "unknown-actor",
            corrupt("actor 3", [head(21, (3, None, None)), body].concat()),
        ),
        (
            "unknown-mount-kind",
            // The mount's id stands before its kind.
            corrupt(
                "a mount of kind 9",
                changed(&enabled, &[0x22, 0x01], &[0x22, 0x09]),
            ),
        ),
        (
            "unknown-operation",
            corrupt(
                "operation 23",
                changed(&asked, &[0xbb, 0x03], &[0xbb, 0x17]),
            ),
        ),
        (
            "trailing",
            corrupt(
                "a value stands behind the body",
                [deleted.encode(), vec![0xf6]].concat(),
            ),
        ),
        (
            "more-fields",
            corrupt(
                "the body has a field too many",
                [head(21, system), cbor::encode(&(RECORD, vec![1_u32], 1))].concat(),
            ),
        ),
        (
            "fewer-fields",
            corrupt(
                "the body has a field too few",
                [head(21, system), cbor::encode(&(RECORD,))].concat(),
            ),
        ),
        ("no-body", corrupt("there is no body", head(21, system))),
        ("no-bytes", corrupt("nothing at all", Vec::new())),
    ]);
    made
}
