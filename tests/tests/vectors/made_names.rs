//! The vectors of names.

use std::collections::BTreeMap;

use billfold_core::{
    cbor,
    names::{CredentialNames, ErasureNames, HoldNames, MountNames, Names, RequestNames},
};

use crate::{
    diagnostic::notation,
    file::Vector,
    made::{Made, NO_PARSE, OPENS},
};

pub(crate) fn names() -> Made {
    let text = |text: &str| text.to_owned();
    let vector = |kind: &str, comment: &str, bytes: Vec<u8>| {
        Vector::new(comment, OPENS, bytes.clone())
            .with("type", kind)
            .with("notation", notation(&bytes).unwrap())
    };
    let record = Names {
        path: text("team/db"),
        custom: BTreeMap::from([(text("a"), text("1")), (text("owner"), text("Zoë"))]),
        credential: None,
    };
    let credential = Names {
        custom: BTreeMap::new(),
        credential: Some(CredentialNames {
            kind: text("postgres"),
            description: Some(text("the main database")),
            tags: vec![text("prod"), text("eu")],
            meta: Some(text("{\"n\":1}")),
        }),
        ..record.clone()
    };
    let mount = MountNames {
        path: text("secret/"),
        description: text("the team's"),
    };
    let request = RequestNames {
        path: Some(text("team/none")),
        client: text("192.0.2.1"),
        execution: Some(text("execution-7")),
    };
    let unnamed = RequestNames {
        path: None,
        execution: None,
        ..request.clone()
    };
    let erasure = ErasureNames {
        reason: text("the customer left"),
    };
    let hold = HoldNames {
        path: text("team/"),
        reason: text("Müller gegen Schmidt"),
    };
    let record = vector(
        "record",
        "a secret's path and metadata",
        cbor::encode(&record),
    );
    vec![
        (
            "trailing",
            record.but("a byte stands behind the end", NO_PARSE, |b| b.push(0)),
        ),
        (
            "unfilled-array",
            record.but("the array says that it has four elements", NO_PARSE, |b| {
                b[0] = 0x84
            }),
        ),
        (
            "not-utf-8",
            record.but("the path is not UTF-8", NO_PARSE, |b| b[2] = 0xff),
        ),
        ("record", record),
        (
            "credential",
            vector("record", "a credential's names", cbor::encode(&credential)),
        ),
        (
            "mount",
            vector("mount", "a mount's names", cbor::encode(&mount)),
        ),
        (
            "erasure",
            vector("erasure", "why something is erased", cbor::encode(&erasure)),
        ),
        (
            "hold",
            vector("hold", "what a hold is on, and why", cbor::encode(&hold)),
        ),
        (
            "request",
            vector("request", "what a request named", cbor::encode(&request)),
        ),
        (
            "request-unnamed",
            vector(
                "request",
                "a request without a path of its own",
                cbor::encode(&unnamed),
            ),
        ),
    ]
}
