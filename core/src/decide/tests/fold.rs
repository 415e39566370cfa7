//! Facts that no node would write: the fold refuses what does not follow, never panics, and comes to
//! the same however much of it is in layers.

use proptest::{collection::vec, option, prelude::*};
use serde_bytes::ByteArray;

use crate::{
    Millis,
    commit::Entry,
    decide::tests::{Logged, command_id, fold},
    event::{
        Actor, CommandRef, Event, Fact, SealedRef,
        v1::{self, MountKind, Operation, Retired, Settings},
    },
    id::{
        ErasureId, FactKeyId, GrantId, HoldId, MountId, PageId, PrincipalId, RecordId, RequestId,
        Seq, TokenId, WalletId,
    },
    keys::page::KeyRef,
    policy::Policy,
    state::{At, Digest, Memory, State},
};

/// Few different bytes, so that ids meet.
fn few() -> impl Strategy<Value = [u8; 16]> {
    (0..2_u8).prop_map(|byte| [byte; 16])
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![20 => 0..4_u32, 1 => Just(u32::MAX)]
}

fn time() -> impl Strategy<Value = Millis> {
    let steps = prop_oneof![0..5000_u64, Just(48 * 3_600_000), Just(48 * 3_660_000)];
    prop_oneof![10 => steps, 1 => Just(u64::MAX)].prop_map(Millis)
}

fn key() -> impl Strategy<Value = KeyRef> {
    (few(), prop_oneof![0..12_u8, Just(255)]).prop_map(|(page, slot)| KeyRef {
        page: PageId::from_bytes(page),
        slot,
    })
}

/// The keys that [`beginning`] uses.
fn first_key(slot: u8) -> KeyRef {
    KeyRef {
        page: PageId::from_bytes([0; 16]),
        slot,
    }
}

fn sealed() -> impl Strategy<Value = SealedRef> {
    key().prop_map(|key| SealedRef {
        key,
        hash: ByteArray::new([5; 32]),
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    (number(), any::<bool>(), any::<u64>(), any::<bool>()).prop_map(
        |(max_versions, cas_required, delete_version_after, metadata_cas_required)| Settings {
            max_versions,
            cas_required,
            delete_version_after,
            metadata_cas_required,
        },
    )
}

fn retired() -> impl Strategy<Value = Vec<Retired>> {
    vec(
        (number(), key()).prop_map(|(version, key)| Retired { version, key }),
        0..3,
    )
}

prop_compose! {
    fn written()(
        (record, mount) in (few(), few()),
        version in number(),
        payload in sealed(),
        names in proptest::option::of(sealed()),
        retired_names in proptest::option::weighted(0.2, key()),
        deletes_at in proptest::option::of(time()),
        trimmed in prop_oneof![3 => Just(Vec::new()), 1 => retired()],
    ) -> v1::CredentialWritten {
        v1::CredentialWritten {
            record: RecordId::from_bytes(record),
            mount: MountId::from_bytes(mount),
            version,
            payload,
            names,
            retired_names,
            deletes_at,
            trimmed,
        }
    }
}

prop_compose! {
    fn changed()(
        (record, mount) in (few(), few()),
        settings in settings(),
        names in proptest::option::of(sealed()),
        retired_names in proptest::option::of(key()),
        trimmed in retired(),
    ) -> v1::MetadataChanged {
        v1::MetadataChanged {
            record: RecordId::from_bytes(record),
            mount: MountId::from_bytes(mount),
            settings,
            names,
            retired_names,
            trimmed,
        }
    }
}

prop_compose! {
    fn asked()(
        request in few(),
        operation in prop::sample::select(vec![
            Operation::ReadData, Operation::ReadMetadata, Operation::List,
            Operation::ListCredentials, Operation::ReadMounts, Operation::ReadAudit,
            Operation::ReadCubbyhole, Operation::ListCubbyhole,
        ]),
        mount in proptest::option::of(few()),
        record in proptest::option::of(few()),
        version in proptest::option::of(number()),
    ) -> v1::ResolutionRequested {
        v1::ResolutionRequested {
            request: RequestId::from_bytes(request),
            operation,
            mount: mount.map(MountId::from_bytes),
            record: record.map(RecordId::from_bytes),
            version,
            wrap_ttl: version.map(u64::from),
            names: ByteArray::new([6; 32]),
        }
    }
}

fn wallet_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (few(), sealed()).prop_map(|(id, root_token_mac)| {
            Event::WalletCreated(v1::WalletCreated {
                wallet: WalletId::from_bytes(id),
                root: PrincipalId::from_bytes(id),
                root_token: TokenId::from_bytes(id),
                root_token_mac,
            })
        }),
        (number(), number(), few()).prop_map(|(version, generation, id)| {
            Event::KekCreated(v1::KekCreated {
                version,
                generation,
                manager: "key-file".to_owned(),
                fact_key: FactKeyId::from_bytes(id),
                compromised: version == 2,
            })
        }),
        few().prop_map(|page| {
            let page = PageId::from_bytes(page);
            Event::KeyPageClosed(v1::KeyPageClosed { page })
        }),
        vec(key(), 0..3).prop_map(|keys| Event::KeysDestroyed(v1::KeysDestroyed { keys })),
        kek_event(),
    ]
}

fn kek_event() -> impl Strategy<Value = Event> {
    let pages = vec(few().prop_map(PageId::from_bytes), 0..3);
    prop_oneof![
        (number(), pages).prop_map(|(version, pages)| {
            Event::KeysRewrapped(v1::KeysRewrapped { version, pages })
        }),
        number().prop_map(|generation| Event::WalletSealed(v1::WalletSealed { generation })),
        few().prop_map(|id| {
            let fact_key = FactKeyId::from_bytes(id);
            Event::EpochBegan(v1::EpochBegan { fact_key })
        }),
        number().prop_map(|version| Event::KeksRetired(v1::KeksRetired { version })),
        number().prop_map(|version| Event::KeksDestroyed(v1::KeksDestroyed { version })),
        number().prop_map(|generation| {
            let manager = "shamir".to_owned();
            Event::GenerationReplaced(v1::GenerationReplaced {
                generation,
                manager,
                severs: generation == 2,
            })
        }),
        (any::<bool>(), 0..2_u64).prop_map(|(enabled, max_age)| {
            let policy = v1::RotationPolicy {
                enabled,
                max_age,
                ..v1::RotationPolicy::default()
            };
            Event::RotationPolicySet(v1::RotationPolicySet { policy })
        }),
    ]
}

fn grant_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (few(), any::<bool>()).prop_map(|(id, all)| {
            Event::AuditorGranted(v1::AuditorGranted {
                grant: GrantId::from_bytes(id),
                recipient: ByteArray::new([7; 32]),
                from: Millis(0),
                to: None,
                live: all,
                names: true,
            })
        }),
        (few(), number(), prop_oneof![Just([3; 16]), few()]).prop_map(|(id, part, epoch)| {
            Event::EpochsGranted(v1::EpochsGranted {
                grant: GrantId::from_bytes(id),
                part,
                epochs: vec![FactKeyId::from_bytes(epoch)],
                sealed: ByteArray::new([8; 32]),
            })
        }),
        (few(), number(), option::of(time())).prop_map(|(id, part, up_to)| {
            Event::NamesGranted(v1::NamesGranted {
                grant: GrantId::from_bytes(id),
                part,
                up_to,
                sealed: ByteArray::new([8; 32]),
            })
        }),
        few().prop_map(|id| {
            let grant = GrantId::from_bytes(id);
            Event::GrantEnded(v1::GrantEnded { grant })
        }),
    ]
}

fn mount_event() -> impl Strategy<Value = Event> {
    let path = vec(few().prop_map(RecordId::from_bytes), 0..3);
    prop_oneof![
        4 => (few(), path, settings(), sealed()).prop_map(
            |(mount, path, settings, names)| {
                Event::MountEnabled(v1::MountEnabled {
                    mount: MountId::from_bytes(mount),
                    kind: MountKind::KvV2,
                    path,
                    settings,
                    names,
                })
            }
        ),
        1 => (few(), settings()).prop_map(|(mount, settings)| {
            let mount = MountId::from_bytes(mount);
            Event::MountTuned(v1::MountTuned { mount, settings })
        }),
        1 => few().prop_map(|mount| {
            let mount = MountId::from_bytes(mount);
            Event::MountDisabled(v1::MountDisabled { mount })
        }),
        2 => (few(), few(), sealed(), prop_oneof![key(), Just(first_key(21))]).prop_map(
            |(mount, path, names, retired_names)| {
                Event::MountRenamed(v1::MountRenamed {
                    mount: MountId::from_bytes(mount),
                    path: vec![RecordId::from_bytes(path)],
                    names,
                    retired_names,
                })
            }
        ),
    ]
}

fn few_names() -> impl Strategy<Value = Vec<String>> {
    vec(
        prop_oneof![Just("default".to_owned()), Just("team".to_owned())],
        0..3,
    )
}

fn token_event() -> impl Strategy<Value = Event> {
    let token = || few().prop_map(TokenId::from_bytes);
    let created = (
        token(),
        option::of(token()),
        few_names(),
        0..3_u32,
        sealed(),
        sealed(),
    );
    let created = created.prop_map(|(token, parent, policies, uses, mac, names)| {
        Event::TokenCreated(v1::TokenCreated {
            token,
            principal: PrincipalId::from_bytes(*token.as_bytes()),
            parent,
            policies,
            ttl: 5,
            expires: Some(Millis(5)),
            explicit_max_ttl: 0,
            period: 0,
            renewable: true,
            uses,
            cidrs: Vec::new(),
            role: None,
            wraps: None,
            mac,
            names,
        })
    });
    let keys = prop_oneof![vec(key(), 0..3), Just(vec![first_key(22), first_key(23)])];
    let ended = (vec((token(), keys), 1..3), any::<bool>());
    let policy = prop_oneof![Just("team"), Just("other")].prop_map(str::to_owned);
    prop_oneof![
        2 => created,
        1 => (token(), time()).prop_map(|(token, expires)| {
            Event::TokenRenewed(v1::TokenRenewed { token, expires })
        }),
        2 => token().prop_map(|token| Event::TokenUsed(v1::TokenUsed { token })),
        2 => ended.prop_map(|(ended, leaves_orphans)| {
            let tokens = ended.into_iter().map(|(token, keys)| v1::EndedToken { token, keys });
            Event::TokensEnded(v1::TokensEnded { tokens: tokens.collect(), leaves_orphans, unwrapped: None })
        }),
        1 => (policy.clone(), option::of(time()), any::<bool>()).prop_map(
            |(name, expires, cas_required)| Event::PolicyWritten(v1::PolicyWritten {
                name,
                text: "path \"a/*\" { capabilities = [\"read\"] }".to_owned(),
                policy: Policy::default(),
                expires,
                cas_required,
            }),
        ),
        1 => policy.prop_map(|name| Event::PolicyDeleted(v1::PolicyDeleted { name })),
    ]
}

fn cubbyhole_event() -> impl Strategy<Value = Event> {
    // The token that is there from the beginning, or another.
    let token = || prop_oneof![Just([0; 16]), Just([1; 16]), few()].prop_map(TokenId::from_bytes);
    let entry = || few().prop_map(RecordId::from_bytes);
    let written = (
        token(),
        entry(),
        sealed(),
        option::of(sealed()),
        option::of(key()),
    );
    let written = written.prop_map(|(token, entry, payload, names, retired)| {
        Event::CubbyholeWritten(v1::CubbyholeWritten {
            token,
            entry,
            payload,
            names,
            retired,
        })
    });
    let keys = prop_oneof![vec(key(), 0..3), Just(vec![first_key(24), first_key(25)])];
    let deleted = (token(), entry(), keys).prop_map(|(token, entry, keys)| {
        Event::CubbyholeDeleted(v1::CubbyholeDeleted { token, entry, keys })
    });
    prop_oneof![2 => written, 1 => deleted]
}

fn role_event() -> impl Strategy<Value = Event> {
    let name = || prop_oneof![Just("team"), Just("other")].prop_map(str::to_owned);
    let written = (name(), few_names()).prop_map(|(name, allowed)| {
        let role = v1::TokenRole {
            allowed,
            ..v1::TokenRole::default()
        };
        Event::TokenRoleWritten(v1::TokenRoleWritten { name, role })
    });
    let deleted = name().prop_map(|name| Event::TokenRoleDeleted(v1::TokenRoleDeleted { name }));
    prop_oneof![written, deleted]
}

fn erasure_event() -> impl Strategy<Value = Event> {
    let erased = (few(), any::<bool>(), vec(1..3_u32, 0..2));
    let erased = erased.prop_map(|(record, whole, versions)| v1::ErasedRecord {
        record: RecordId::from_bytes(record),
        whole,
        versions,
    });
    let ordered = (few(), few(), vec(erased, 0..2), sealed());
    let ordered = ordered.prop_map(|(erasure, mount, records, names)| {
        Event::ErasureOrdered(v1::ErasureOrdered {
            erasure: ErasureId::from_bytes(erasure),
            mount: MountId::from_bytes(mount),
            records,
            names,
        })
    });
    let placed = (few(), few(), any::<bool>(), sealed());
    let placed = placed.prop_map(|(hold, place, is_folder, names)| {
        Event::HoldPlaced(v1::HoldPlaced {
            hold: HoldId::from_bytes(hold),
            mount: MountId::from_bytes([0; 16]),
            place: RecordId::from_bytes(place),
            is_folder,
            names,
        })
    });
    let lifted = (few(), prop_oneof![key(), Just(first_key(26))]).prop_map(|(hold, key)| {
        Event::HoldLifted(v1::HoldLifted {
            hold: HoldId::from_bytes(hold),
            retired_names: key,
        })
    });
    prop_oneof![ordered, placed, lifted]
}

fn event() -> impl Strategy<Value = Event> {
    let versions = || (few().prop_map(RecordId::from_bytes), vec(number(), 0..3));
    prop_oneof![
        2 => wallet_event(),
        2 => grant_event(),
        2 => mount_event(),
        3 => token_event(),
        3 => cubbyhole_event(),
        1 => role_event(),
        2 => erasure_event(),
        6 => written().prop_map(Event::CredentialWritten),
        2 => changed().prop_map(Event::MetadataChanged),
        1 => versions().prop_map(|(record, versions)| {
            Event::VersionsDeleted(v1::VersionsDeleted { record, versions })
        }),
        1 => versions().prop_map(|(record, versions)| {
            Event::VersionsUndeleted(v1::VersionsUndeleted { record, versions })
        }),
        2 => (few(), retired()).prop_map(|(record, versions)| {
            let record = RecordId::from_bytes(record);
            Event::VersionsDestroyed(v1::VersionsDestroyed { record, versions })
        }),
        2 => (few(), sealed(), prop_oneof![key(), Just(first_key(0))]).prop_map(
            |(record, payload, retired)| {
                Event::PayloadResealed(v1::PayloadResealed {
                    record: RecordId::from_bytes(record),
                    version: 1,
                    payload,
                    retired,
                })
            }
        ),
        2 => (few(), sealed(), prop_oneof![key(), Just(first_key(1))]).prop_map(
            |(record, names, retired)| {
                Event::NamesResealed(v1::NamesResealed {
                    record: RecordId::from_bytes(record),
                    version: 1,
                    names,
                    retired,
                })
            }
        ),
        1 => (few(), prop_oneof![vec(key(), 0..3), Just(vec![first_key(0), first_key(1)])]).prop_map(|(record, keys)| {
            let record = RecordId::from_bytes(record);
            Event::MetadataDeleted(v1::MetadataDeleted { record, keys })
        }),
        1 => asked().prop_map(Event::ResolutionRequested),
        1 => (number(), number(), time()).prop_map(|(count, over_bound, since)| {
            Event::RequestsRefused(v1::RequestsRefused { count, over_bound, since })
        }),
    ]
}

fn fact() -> impl Strategy<Value = Fact> {
    let actor = prop_oneof![
        Just(Actor::System),
        Just(Actor::Anonymous),
        (few(), few()).prop_map(|(a, b)| Actor::Principal(
            PrincipalId::from_bytes(a),
            TokenId::from_bytes(b)
        )),
    ];
    let command = (0..3_u16, 0..2_u8).prop_map(|(number, print)| CommandRef {
        id: command_id(1, number),
        fingerprint: ByteArray::new([print; 16]),
    });
    (actor, proptest::option::of(command), event()).prop_map(|(actor, command, event)| Fact {
        actor,
        command,
        event,
    })
}

/// A wallet with a mount and a record's first version, so that some of what follows fits.
fn beginning() -> Vec<Logged> {
    let id = [0; 16];
    let key = |slot| SealedRef {
        key: first_key(slot),
        hash: ByteArray::new([5; 32]),
    };
    let events = [
        Event::WalletCreated(v1::WalletCreated {
            wallet: WalletId::from_bytes(id),
            root: PrincipalId::from_bytes(id),
            root_token: TokenId::from_bytes(id),
            root_token_mac: key(20),
        }),
        kek_created(1),
        Event::MountEnabled(v1::MountEnabled {
            mount: MountId::from_bytes(id),
            kind: MountKind::KvV2,
            path: vec![RecordId::from_bytes([9; 16])],
            settings: Settings::default(),
            names: key(21),
        }),
        Event::TokenCreated(v1::TokenCreated {
            token: TokenId::from_bytes([1; 16]),
            principal: PrincipalId::from_bytes(id),
            parent: None,
            policies: Vec::new(),
            ttl: 0,
            expires: None,
            explicit_max_ttl: 0,
            period: 0,
            renewable: false,
            uses: 9,
            cidrs: Vec::new(),
            role: None,
            wraps: None,
            mac: key(22),
            names: key(23),
        }),
        Event::CubbyholeWritten(v1::CubbyholeWritten {
            token: TokenId::from_bytes(id),
            entry: RecordId::from_bytes(id),
            payload: key(24),
            names: Some(key(25)),
            retired: None,
        }),
        Event::HoldPlaced(v1::HoldPlaced {
            hold: HoldId::from_bytes(id),
            mount: MountId::from_bytes(id),
            place: RecordId::from_bytes(id),
            is_folder: false,
            names: key(26),
        }),
        Event::AuditorGranted(v1::AuditorGranted {
            grant: GrantId::from_bytes(id),
            recipient: ByteArray::new([7; 32]),
            from: Millis(0),
            to: None,
            live: true,
            names: true,
        }),
        Event::CredentialWritten(v1::CredentialWritten {
            record: RecordId::from_bytes(id),
            mount: MountId::from_bytes(id),
            version: 1,
            payload: key(0),
            names: Some(key(1)),
            retired_names: None,
            deletes_at: None,
            trimmed: Vec::new(),
        }),
    ];
    commits(events.into_iter().map(|event| (Millis(0), system(event))))
}

/// The same, and then a rotation that left no key under the first KEK version.
fn rotated() -> Vec<Logged> {
    let page = PageId::from_bytes([0; 16]);
    let pages = vec![page];
    let events = [
        Event::KeyPageClosed(v1::KeyPageClosed { page }),
        kek_created(2),
        Event::KeysRewrapped(v1::KeysRewrapped { version: 2, pages }),
    ];
    let more = commits(events.into_iter().map(|event| (Millis(0), system(event))));
    [beginning(), more].concat()
}

fn kek_created(version: u32) -> Event {
    Event::KekCreated(v1::KekCreated {
        version,
        generation: 1,
        manager: "key-file".to_owned(),
        fact_key: FactKeyId::from_bytes([u8::try_from(version).unwrap() + 2; 16]),
        compromised: false,
    })
}

const fn system(event: Event) -> Fact {
    Fact {
        actor: Actor::System,
        command: None,
        event,
    }
}

fn commits(facts: impl IntoIterator<Item = (Millis, Fact)>) -> Vec<Logged> {
    let commit = |(time, fact)| Logged {
        seq: Seq(1),
        at: At { time },
        entries: vec![Entry {
            fact,
            names: None,
            payload: None,
        }],
    };
    facts.into_iter().map(commit).collect()
}

/// Folds what fits and skips what is refused, which no projector may; the digest, and which fit.
fn fold_what_fits(log: &[Logged], absorb: impl Fn(usize) -> bool) -> (Digest, Vec<bool>) {
    let mut view = Memory::default();
    let mut waiting = Vec::new();
    let mut state = State::over(view.clone(), Digest::default());
    let mut fits = Vec::new();
    for (at, commit) in log.iter().enumerate() {
        let folded = fold(&mut state, commit);
        fits.push(folded.is_ok());
        match folded {
            Ok(changes) => waiting.push(changes),
            Err(_) => state.undo(),
        }
        if absorb(at) {
            waiting.drain(..).for_each(|changes| view.absorb(changes));
            state = State::over(view.clone(), state.digest());
        }
    }
    (state.digest(), fits)
}

proptest! {
    #[test]
    fn inv08_any_facts_fold_to_the_same_in_any_layers_and_none_panics(
        facts in vec((time(), fact()), 1..40),
        cuts in vec(any::<bool>(), 40),
        late in any::<bool>(),
    ) {
        let mut log = if late { rotated() } else { beginning() };
        log.extend(commits(facts));
        let whole = fold_what_fits(&log, |_| false);
        prop_assert_eq!(&whole, &fold_what_fits(&log, |_| true));
        prop_assert_eq!(&whole, &fold_what_fits(&log, |at| cuts[at % cuts.len()]));
    }

    #[test]
    fn every_fact_survives_its_encoding_and_no_bytes_panic(
        fact in fact(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        noise in vec(any::<u8>(), 0..80),
    ) {
        let bytes = fact.encode();
        prop_assert_eq!(Fact::decode(&bytes), Ok(fact));
        let mut longer = bytes.clone();
        longer.push(byte);
        prop_assert!(Fact::decode(&longer).is_err());
        prop_assert!(Fact::decode(&bytes[..at.index(bytes.len())]).is_err());
        let mut changed = bytes;
        let at = at.index(changed.len());
        changed[at] = byte;
        for bytes in [changed, noise] {
            if let Ok(fact) = Fact::decode(&bytes) {
                let mut log = beginning();
                log.extend(commits([(Millis(1), fact)]));
                fold_what_fits(&log, |_| false);
            }
        }
    }
}

#[test]
fn random_facts_of_every_kind_are_folded() {
    // The properties above say nothing if no fact ever fits.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = vec((time(), fact()), 40);
    let mut fitted = std::collections::BTreeSet::new();
    for turn in 0..400 {
        let facts = strategy.new_tree(&mut runner).unwrap();
        let mut log = if turn % 2 == 0 {
            beginning()
        } else {
            rotated()
        };
        log.extend(commits(proptest::strategy::ValueTree::current(&facts)));
        let (_, fits) = fold_what_fits(&log, |_| false);
        let kinds = log.iter().zip(fits).filter(|(_, fits)| *fits);
        fitted.extend(kinds.map(|(commit, _)| commit.entries[0].fact.event.kind()));
    }
    let all: Vec<_> = Event::KINDS.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(fitted.into_iter().collect::<Vec<_>>(), all);
}
