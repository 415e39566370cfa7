//! The vectors of the fold: logs, their states and digests.

use billfold_core::event::{
    CommandRef, Event, Fact,
    v1::{
        ErasedRecord, ErasureOrdered, KeysDestroyed, MetadataChanged, MetadataDeleted, Retired,
        VersionsDestroyed,
    },
};

use crate::{
    facts,
    file::Vector,
    made::{MOUNT, Made, OPENS, RECORD},
    made_commits::{entry, key_ref, written},
    read,
};

/// The order of the vectors of facts.
fn order() -> ErasureOrdered {
    let found = facts::all()
        .into_iter()
        .find_map(|(_, fact)| match fact.event {
            Event::ErasureOrdered(event) => Some(event),
            _ => None,
        });
    found.unwrap()
}

pub(crate) fn folded() -> Made {
    let start = 1_800_000_000_000_u64;
    let of = |name: &str| {
        let known = facts::all();
        let found = known.into_iter().find(|(known, _)| *known == name);
        found.unwrap().1
    };
    let with_command = |mut fact: Fact| {
        fact.command = Some(CommandRef {
            id: "01a3185c-5000-7001-8002-030405060708".parse().unwrap(),
            fingerprint: [0x99; 16].into(),
        });
        fact
    };
    let destroyed = Event::VersionsDestroyed(VersionsDestroyed {
        record: RECORD,
        versions: vec![Retired {
            version: 1,
            key: key_ref(8),
        }],
    });
    let mut first = written(4, b"payload", Some(b"names")).fact;
    if let Event::CredentialWritten(event) = &mut first.event {
        event.version = 1;
    }
    let described_once = Event::MetadataChanged(MetadataChanged {
        record: RECORD,
        mount: MOUNT,
        settings: facts::SETTINGS,
        names: None,
        retired_names: None,
        trimmed: Vec::new(),
    });
    let gone = Event::KeysDestroyed(KeysDestroyed {
        keys: vec![key_ref(8)],
    });
    let commits = [
        (1, start, vec![of("wallet-created"), of("kek-created")]),
        (2, start, vec![of("mount-enabled")]),
        (5, start + 1, vec![with_command(first)]),
        (
            6,
            start + 2,
            vec![entry(destroyed, None, None).fact, of("key-page-closed")],
        ),
        (9, start + 3, vec![entry(gone, None, None).fact]),
        (
            10,
            start + 48 * 3_600_000 + 5 * 60_000 + 1,
            vec![of("mount-tuned")],
        ),
        (
            11,
            start + 48 * 3_600_000 + 5 * 60_000 + 2,
            vec![of("mount-tuned")],
        ),
    ];
    // A policy is written, written again and deleted; then it begins anew.
    let policies = [
        (1, start, vec![of("wallet-created"), of("kek-created")]),
        (2, start + 1, vec![of("policy-written")]),
        (4, start + 2, vec![of("policy-written")]),
        (
            5,
            start + 3,
            vec![of("policy-deleted"), of("policy-written")],
        ),
    ];
    // One that ends is written again before, and cleared away with the next that is written after.
    let ending = [
        (1, start, vec![of("wallet-created"), of("kek-created")]),
        (
            2,
            start + 1,
            vec![of("policy-written-ending"), of("policy-written")],
        ),
        (3, start + 9, vec![of("policy-written-ending")]),
        (4, start + 10, vec![of("policy-written")]),
    ];
    let mut named = of("names-granted");
    if let Event::NamesGranted(event) = &mut named.event {
        event.part = 2;
    }
    // The keys come under a second KEK version, and the first one goes.
    let rotated = [
        (1, start, vec![of("wallet-created"), of("kek-created")]),
        (2, start + 1, vec![of("mount-enabled")]),
        (3, start + 2, vec![of("kek-rotated")]),
        (4, start + 3, vec![of("key-page-closed")]),
        (5, start + 4, vec![of("keys-rewrapped")]),
        (6, start + 5, vec![of("keks-retired")]),
        (7, start + 6, vec![of("keks-destroyed")]),
        (8, start + 7, vec![of("generation-replaced")]),
        (9, start + 8, vec![of("rotation-policy-set")]),
        (11, start + 9, vec![of("epoch-began")]),
    ];
    // An auditor is granted the first epoch once it is closed, and names.
    let granted = [
        (1, start, vec![of("wallet-created"), of("kek-created")]),
        (2, start + 1, vec![of("auditor-granted")]),
        (3, start + 2, vec![of("kek-rotated")]),
        (4, start + 3, vec![of("epochs-granted")]),
        (6, start + 4, vec![named]),
        (7, start + 5, vec![of("grant-ended")]),
    ];
    // What is erased by order leaves its receipt; a hold that is lifted leaves nothing.
    let keys = vec![key_ref(8), key_ref(9)];
    let erased = Event::ErasureOrdered(ErasureOrdered {
        records: vec![ErasedRecord {
            record: RECORD,
            whole: true,
            versions: vec![1],
        }],
        ..order()
    });
    let removed = Event::MetadataDeleted(MetadataDeleted {
        record: RECORD,
        keys,
    });
    let both = vec![
        entry(erased, None, None).fact,
        entry(removed, None, None).fact,
    ];
    let mut ordered: Vec<_> = commits.iter().take(3).cloned().collect();
    ordered.extend([
        (6, start + 2, vec![of("hold-placed")]),
        (7, start + 3, both),
        (8, start + 4, vec![of("hold-lifted")]),
    ]);
    let cases = [
        ("wallet", 1, "a wallet"),
        (
            "secret",
            3,
            "a wallet with a mount and a secret, written by a command with an id",
        ),
        (
            "destroyed",
            5,
            "the secret's version is destroyed, and its key",
        ),
        (
            "not-yet-forgotten",
            6,
            "the command's id is at the end of its time",
        ),
        ("forgotten", 7, "the command's id is forgotten"),
    ]
    .map(|(case, count, comment)| (case, &commits[..count], comment));
    let described = commits.iter().take(3).cloned();
    let described: Vec<_> = described
        .chain([(6, start + 2, vec![entry(described_once, None, None).fact])])
        .collect();
    let others = [
        (
            "metadata",
            &described[..],
            "the metadata of a secret was changed once",
        ),
        (
            "rotated",
            &rotated[..5],
            "a second KEK version, and all keys under it",
        ),
        (
            "first-kek-destroyed",
            &rotated[..9],
            "the first KEK version was destroyed, and the unseal generation replaced",
        ),
        (
            "epoch",
            &rotated[..],
            "a third epoch, which began without a KEK version",
        ),
        (
            "grant",
            &granted[..5],
            "an auditor has the keys of an epoch, and names",
        ),
        ("grant-ended", &granted[..], "and then the grant is over"),
        ("policy", &policies[..], "a policy that was deleted before"),
        (
            "hold",
            &ordered[..4],
            "nothing in a folder of the mount may be lost",
        ),
        (
            "erasure",
            &ordered[..],
            "the secret is erased by order, and the hold is lifted",
        ),
        (
            "policy-ending",
            &ending[..3],
            "a policy that ends, and was written twice",
        ),
        (
            "policy-ended",
            &ending[..],
            "a policy that ended before another was written",
        ),
    ];
    let made = cases
        .into_iter()
        .chain(others)
        .map(|(case, commits, comment)| {
            let vector = commits.iter().fold(
                Vector::new(comment, OPENS, Vec::new()),
                |vector, (seq, time, facts)| {
                    let facts: String = facts
                        .iter()
                        .map(|fact| format!(" {}", hex::encode(fact.encode())))
                        .collect();
                    vector.with("commit", format!("{seq} {time}{facts}"))
                },
            );
            let (digest, entries) = read::fold(&vector);
            let mut vector = entries
                .iter()
                .fold(vector, |vector, entry| vector.with("entry", entry));
            vector.body = hex::decode(digest.to_string()).unwrap();
            (case, vector)
        });
    made.collect()
}
