//! A fact of every kind, each field with a value of its own, so that none can be taken for another.

use billfold_core::{
    Millis,
    event::{
        Actor, CommandRef, Event, Fact, SealedRef,
        v1::{
            CredentialWritten, EpochBegan, GenerationReplaced, KekCreated, KeksDestroyed,
            KeksRetired, KeyPageClosed, KeysDestroyed, KeysRewrapped, MetadataChanged,
            MetadataDeleted, MountDisabled, MountEnabled, MountKind, MountRenamed, MountTuned,
            NamesResealed, Operation, PayloadResealed, RequestsRefused, ResolutionRequested,
            Retired, RotationPolicy, RotationPolicySet, Settings, VersionsDeleted,
            VersionsDestroyed, VersionsUndeleted, WalletCreated, WalletSealed,
        },
    },
    id::{
        CommandId, FactKeyId, MountId, PageId, PrincipalId, RecordId, RequestId, TokenId, WalletId,
    },
    keys::page::KeyRef,
};

use crate::{facts_of_access, facts_of_erasure, grants};

pub(crate) fn key(page: u8, slot: u8) -> KeyRef {
    KeyRef {
        page: PageId::from_bytes([page; 16]),
        slot,
    }
}

pub(crate) fn sealed(page: u8, slot: u8, hash: u8) -> SealedRef {
    let mut bytes = [hash; 32];
    bytes[0] = 0;
    let key = key(page, slot);
    // The hash's type is the reader's own; all that is needed of it is that it comes from bytes.
    let hash = bytes.into();
    SealedRef { key, hash }
}

const RECORD: RecordId = RecordId::from_bytes([0x11; 16]);
const MOUNT: MountId = MountId::from_bytes([0x22; 16]);
pub(crate) const SETTINGS: Settings = Settings {
    max_versions: 7,
    cas_required: true,
    delete_version_after: 86_400_000,
    metadata_cas_required: true,
};

pub(crate) fn root() -> Actor {
    Actor::Principal(
        PrincipalId::from_bytes([0x33; 16]),
        TokenId::from_bytes([0x44; 16]),
    )
}

/// Every fact, by the name of its vector.
pub(crate) fn all() -> Vec<(&'static str, Fact)> {
    let mut facts = of_the_wallet();
    facts.extend(facts_of_access::all());
    facts.extend(facts_of_erasure::all());
    facts.extend(grants::facts());
    facts.extend(of_secrets());
    facts.extend(of_requests());
    facts
}

pub(crate) fn fact(actor: Actor, event: Event) -> Fact {
    Fact {
        actor,
        command: None,
        event,
    }
}

fn next_kek() -> KekCreated {
    KekCreated {
        version: 2,
        generation: 2,
        manager: "key-file".to_owned(),
        fact_key: FactKeyId::from_bytes([0x78; 16]),
        compromised: true,
    }
}

fn of_the_wallet() -> Vec<(&'static str, Fact)> {
    let created = WalletCreated {
        wallet: WalletId::from_bytes([0x55; 16]),
        root: PrincipalId::from_bytes([0x33; 16]),
        root_token: TokenId::from_bytes([0x44; 16]),
        root_token_mac: sealed(0x66, 1, 0xa1),
    };
    let kek = KekCreated {
        version: 1,
        generation: 2,
        manager: "key-file".to_owned(),
        fact_key: FactKeyId::from_bytes([0x77; 16]),
        compromised: false,
    };
    let closed = KeyPageClosed {
        page: PageId::from_bytes([0x66; 16]),
    };
    let destroyed = KeysDestroyed {
        keys: vec![key(0x66, 0), key(0x67, 255)],
    };
    let enabled = MountEnabled {
        mount: MOUNT,
        kind: MountKind::KvV2,
        path: vec![
            RecordId::from_bytes([0x88; 16]),
            RecordId::from_bytes([0x89; 16]),
        ],
        settings: SETTINGS,
        names: sealed(0x66, 2, 0xa2),
    };
    let tuned = MountTuned {
        mount: MOUNT,
        settings: SETTINGS,
    };
    let disabled = MountDisabled { mount: MOUNT };
    let renamed = MountRenamed {
        mount: MOUNT,
        path: vec![RecordId::from_bytes([0x8a; 16])],
        names: sealed(0x66, 3, 0xa3),
        retired_names: key(0x66, 2),
    };
    let first = MountEnabled {
        kind: MountKind::KvV1,
        ..enabled.clone()
    };
    vec![
        (
            "wallet-created",
            fact(Actor::System, Event::WalletCreated(created)),
        ),
        ("kek-created", fact(Actor::System, Event::KekCreated(kek))),
        (
            "key-page-closed",
            fact(Actor::System, Event::KeyPageClosed(closed)),
        ),
        (
            "keys-destroyed",
            fact(Actor::System, Event::KeysDestroyed(destroyed)),
        ),
        ("kek-rotated", fact(root(), Event::KekCreated(next_kek()))),
        (
            "keys-rewrapped",
            fact(
                Actor::System,
                Event::KeysRewrapped(KeysRewrapped {
                    version: 2,
                    pages: vec![PageId::from_bytes([0x66; 16])],
                }),
            ),
        ),
        (
            "keks-retired",
            fact(root(), Event::KeksRetired(KeksRetired { version: 1 })),
        ),
        (
            "keks-destroyed",
            fact(
                Actor::System,
                Event::KeksDestroyed(KeksDestroyed { version: 1 }),
            ),
        ),
        (
            "generation-replaced",
            fact(
                root(),
                Event::GenerationReplaced(GenerationReplaced {
                    generation: 3,
                    manager: "shamir".to_owned(),
                    severs: true,
                }),
            ),
        ),
        (
            "wallet-sealed",
            fact(root(), Event::WalletSealed(WalletSealed { generation: 3 })),
        ),
        (
            "rotation-policy-set",
            fact(
                root(),
                Event::RotationPolicySet(RotationPolicySet {
                    policy: RotationPolicy {
                        enabled: true,
                        max_age: 7_776_000_000,
                        max_wraps: 1_000_000,
                    },
                }),
            ),
        ),
        (
            "epoch-began",
            fact(
                Actor::System,
                Event::EpochBegan(EpochBegan {
                    fact_key: FactKeyId::from_bytes([0x79; 16]),
                }),
            ),
        ),
        ("mount-enabled", fact(root(), Event::MountEnabled(enabled))),
        (
            "mount-enabled-kv-1",
            fact(root(), Event::MountEnabled(first)),
        ),
        ("mount-renamed", fact(root(), Event::MountRenamed(renamed))),
        ("mount-tuned", fact(root(), Event::MountTuned(tuned))),
        (
            "mount-disabled",
            fact(root(), Event::MountDisabled(disabled)),
        ),
    ]
}

fn of_secrets() -> Vec<(&'static str, Fact)> {
    let retired = |version, slot| Retired {
        version,
        key: key(0x66, slot),
    };
    let first = CredentialWritten {
        record: RECORD,
        mount: MOUNT,
        version: 1,
        payload: sealed(0x66, 3, 0xa3),
        names: Some(sealed(0x66, 4, 0xa4)),
        retired_names: None,
        deletes_at: None,
        trimmed: Vec::new(),
    };
    let later = CredentialWritten {
        version: 300,
        retired_names: Some(key(0x66, 5)),
        deletes_at: Some(Millis(1_800_000_000_123)),
        trimmed: vec![retired(290, 6), retired(291, 7)],
        ..first.clone()
    };
    let command = CommandRef {
        id: CommandId::from_bytes([
            0x01, 0xa3, 0x18, 0x5c, 0x50, 0x00, 0x70, 1, 0x80, 2, 3, 4, 5, 6, 7, 8,
        ]),
        fingerprint: [0x99; 16].into(),
    };
    let deleted = VersionsDeleted {
        record: RECORD,
        versions: vec![1, 24, 256, 65_536, u32::MAX],
    };
    let undeleted = VersionsUndeleted {
        record: RECORD,
        versions: vec![2],
    };
    let destroyed = VersionsDestroyed {
        record: RECORD,
        versions: vec![retired(2, 8), retired(3, 9)],
    };
    let changed = MetadataChanged {
        record: RECORD,
        mount: MOUNT,
        settings: SETTINGS,
        names: Some(sealed(0x66, 10, 0xa5)),
        retired_names: Some(key(0x66, 4)),
        trimmed: vec![retired(1, 3)],
    };
    let removed = MetadataDeleted {
        record: RECORD,
        keys: vec![key(0x66, 11), key(0x66, 10)],
    };
    vec![
        (
            "credential-written",
            fact(root(), Event::CredentialWritten(first)),
        ),
        (
            "credential-written-again",
            Fact {
                command: Some(command),
                ..fact(root(), Event::CredentialWritten(later))
            },
        ),
        (
            "versions-deleted",
            fact(root(), Event::VersionsDeleted(deleted)),
        ),
        (
            "versions-undeleted",
            fact(root(), Event::VersionsUndeleted(undeleted)),
        ),
        (
            "versions-destroyed",
            fact(root(), Event::VersionsDestroyed(destroyed)),
        ),
        (
            "metadata-changed",
            fact(root(), Event::MetadataChanged(changed)),
        ),
        (
            "payload-resealed",
            fact(
                Actor::System,
                Event::PayloadResealed(PayloadResealed {
                    record: RECORD,
                    version: 3,
                    payload: sealed(0x68, 4, 0xa6),
                    retired: key(0x66, 4),
                }),
            ),
        ),
        (
            "names-resealed",
            fact(
                Actor::System,
                Event::NamesResealed(NamesResealed {
                    record: RECORD,
                    version: 2,
                    names: sealed(0x68, 5, 0xa7),
                    retired: key(0x66, 5),
                }),
            ),
        ),
        (
            "metadata-deleted",
            fact(root(), Event::MetadataDeleted(removed)),
        ),
    ]
}

fn of_requests() -> Vec<(&'static str, Fact)> {
    let operations = [
        ("resolution-requested-read-data", Operation::ReadData),
        (
            "resolution-requested-read-metadata",
            Operation::ReadMetadata,
        ),
        ("resolution-requested-list", Operation::List),
        (
            "resolution-requested-list-credentials",
            Operation::ListCredentials,
        ),
        ("resolution-requested-read-mounts", Operation::ReadMounts),
        ("resolution-requested-read-audit", Operation::ReadAudit),
        ("resolution-requested-scan", Operation::Scan),
        ("resolution-requested-read-subkeys", Operation::ReadSubkeys),
        (
            "resolution-requested-read-settings",
            Operation::ReadSettings,
        ),
        ("resolution-requested-read-system", Operation::ReadSystem),
        ("resolution-requested-list-system", Operation::ListSystem),
        ("resolution-requested-ask-system", Operation::AskSystem),
        ("resolution-requested-patch-data", Operation::PatchData),
        (
            "resolution-requested-patch-metadata",
            Operation::PatchMetadata,
        ),
        ("resolution-requested-refused", Operation::Refused),
        (
            "resolution-requested-read-cubbyhole",
            Operation::ReadCubbyhole,
        ),
        (
            "resolution-requested-list-cubbyhole",
            Operation::ListCubbyhole,
        ),
        ("resolution-requested-list-details", Operation::ListDetails),
        ("resolution-requested-scan-details", Operation::ScanDetails),
        ("resolution-requested-restore-data", Operation::RestoreData),
    ];
    let asked = operations.map(|(name, operation)| {
        let about_one = matches!(operation, Operation::ReadData | Operation::ReadMetadata);
        let event = ResolutionRequested {
            request: RequestId::from_bytes([0xbb; 16]),
            operation,
            mount: (about_one
                || matches!(
                    operation,
                    Operation::List
                        | Operation::Scan
                        | Operation::ListDetails
                        | Operation::ScanDetails
                ))
            .then_some(MOUNT),
            record: about_one.then_some(RECORD),
            version: (operation == Operation::ReadData).then_some(3),
            wrap_ttl: (operation == Operation::ReadData).then_some(60_000),
            names: [0xa6; 32].into(),
        };
        (name, fact(root(), Event::ResolutionRequested(event)))
    });
    let refused = RequestsRefused {
        count: 1000,
        over_bound: 970,
        since: Millis(1_800_000_000_456),
    };
    let refused = fact(Actor::Anonymous, Event::RequestsRefused(refused));
    asked
        .into_iter()
        .chain([("requests-refused", refused)])
        .collect()
}
