//! What does not follow from the state before it stops the fold (invariant 9): one case for each
//! rule.

use serde_bytes::ByteArray;

use crate::{
    commit::Entry,
    decide::tests::{Logged, START, World, command_id, examples, fold},
    event::{
        Actor, CommandRef, Event, Fact, SealedRef,
        v1::{
            CredentialWritten, EpochBegan, ErasedRecord, ErasureOrdered, HoldLifted, HoldPlaced,
            KeyPageClosed, KeysDestroyed, MetadataChanged, MetadataDeleted, MountDisabled,
            MountEnabled, MountKind, MountTuned, Retired, Settings, VersionsDeleted,
            VersionsDestroyed, WalletCreated,
        },
    },
    id::{
        ErasureId, FactKeyId, HoldId, MountId, PageId, PrincipalId, RecordId, Seq, TokenId,
        WalletId,
    },
    keys::page::KeyRef,
    state::{PageUse, State},
};

/// A wallet with a secret, and what the fold says to one more fact.
struct Stage {
    world: World,
    mount: MountId,
    record: RecordId,
}

impl Stage {
    fn new() -> Self {
        let mut world = examples::mounted();
        examples::write(&mut world, 0);
        let record = world.record_id(0, 0);
        Self {
            world,
            mount: super::mount_id(0),
            record,
        }
    }

    /// Folds commits of these facts; how many were taken before one was refused.
    fn taken(&self, commits: &[&[Fact]]) -> usize {
        let mut state = State::over(self.world.view.clone(), self.world.digest);
        let folded = commits.iter().map(|facts| {
            let entries = facts.iter().map(|fact| Entry {
                fact: fact.clone(),
                names: None,
                payload: None,
            });
            let commit = Logged {
                seq: Seq(50),
                at: self.world.at,
                entries: entries.collect(),
            };
            fold(&mut state, &commit)
        });
        folded.take_while(Result::is_ok).count()
    }

    fn takes(&self, event: Event) -> bool {
        self.taken(&[&[system(event)]]) == 1
    }

    fn second(&self) -> CredentialWritten {
        CredentialWritten {
            record: self.record,
            mount: self.mount,
            version: 2,
            payload: sealed(1, 0),
            names: None,
            retired_names: None,
            deletes_at: None,
            trimmed: Vec::new(),
        }
    }

    fn changed(&self) -> MetadataChanged {
        MetadataChanged {
            record: self.record,
            mount: self.mount,
            settings: Settings::default(),
            names: None,
            retired_names: None,
            trimmed: Vec::new(),
        }
    }

    /// The keys of the secret's first version, and of its names.
    fn keys(&self) -> (KeyRef, KeyRef) {
        let record = self.world.decider.record(&self.record).unwrap().unwrap();
        (record.versions[0].key, record.names.key)
    }
}

fn key(page: u8, slot: u8) -> KeyRef {
    KeyRef {
        page: PageId::from_bytes([page; 16]),
        slot,
    }
}

fn sealed(page: u8, slot: u8) -> SealedRef {
    SealedRef {
        key: key(page, slot),
        hash: ByteArray::new([5; 32]),
    }
}

fn system(event: Event) -> Fact {
    Fact {
        actor: Actor::System,
        command: None,
        event,
    }
}

#[test]
fn inv09_wallets_and_mounts_that_do_not_follow() {
    let stage = Stage::new();
    let wallet = WalletCreated {
        wallet: WalletId::default(),
        root: PrincipalId::default(),
        root_token: TokenId::default(),
        root_token_mac: sealed(1, 0),
    };
    assert!(!stage.takes(Event::WalletCreated(wallet)), "a second one");
    for (version, fits) in [(1, false), (2, true), (3, false)] {
        let event = crate::event::v1::KekCreated {
            version,
            generation: 1,
            manager: String::new(),
            fact_key: FactKeyId::from_bytes([u8::try_from(version).unwrap(); 16]),
            compromised: false,
        };
        assert_eq!(stage.takes(Event::KekCreated(event)), fits, "{version}");
    }
    let began = |fact_key| stage.takes(Event::EpochBegan(EpochBegan { fact_key }));
    assert!(began(FactKeyId::from_bytes([0xef; 16])));
    assert!(!began(super::epoch_id(1)), "a second time");
    let enabled = |mount, path| {
        stage.takes(Event::MountEnabled(MountEnabled {
            mount,
            kind: MountKind::KvV2,
            path,
            settings: Settings::default(),
            names: sealed(1, 0),
        }))
    };
    let (here, inside) = (stage.world.mount_path(0), stage.world.mount_path(1));
    let other = MountId::from_bytes([0xee; 16]);
    assert!(enabled(other, stage.world.mount_path(2)));
    assert!(!enabled(stage.mount, stage.world.mount_path(2)), "its id");
    assert!(!enabled(other, here), "its place");
    assert!(!enabled(other, inside), "inside it");
    let (settings, mount) = (Settings::default(), stage.mount);
    assert!(stage.takes(Event::MountTuned(MountTuned { mount, settings })));
    assert!(stage.takes(Event::MountDisabled(MountDisabled { mount })));
    let mount = other;
    assert!(!stage.takes(Event::MountTuned(MountTuned { mount, settings })));
    assert!(!stage.takes(Event::MountDisabled(MountDisabled { mount })));
}

#[test]
fn inv09_writes_that_do_not_follow() {
    let stage = Stage::new();
    let (payload, names) = stage.keys();
    let written = |event| stage.takes(Event::CredentialWritten(event));
    let second = stage.second();
    assert!(written(second.clone()));
    let others: [(&str, CredentialWritten); 8] = [
        (
            "a version again",
            CredentialWritten {
                version: 1,
                ..second.clone()
            },
        ),
        (
            "a version left out",
            CredentialWritten {
                version: 3,
                ..second.clone()
            },
        ),
        (
            "no mount",
            CredentialWritten {
                mount: MountId::default(),
                ..second.clone()
            },
        ),
        (
            "a new record without names",
            CredentialWritten {
                record: RecordId::default(),
                version: 1,
                ..second.clone()
            },
        ),
        (
            "names that replace none",
            CredentialWritten {
                names: Some(sealed(1, 1)),
                ..second.clone()
            },
        ),
        (
            "names that replace others",
            CredentialWritten {
                names: Some(sealed(1, 1)),
                retired_names: Some(payload),
                ..second.clone()
            },
        ),
        (
            "old names without new",
            CredentialWritten {
                retired_names: Some(names),
                ..second.clone()
            },
        ),
        (
            "a version that is not there",
            CredentialWritten {
                trimmed: vec![Retired {
                    version: 9,
                    key: payload,
                }],
                ..second.clone()
            },
        ),
    ];
    for (why, event) in others {
        assert!(!written(event), "{why}");
    }
    let changed = |event| stage.takes(Event::MetadataChanged(event));
    assert!(changed(stage.changed()));
    assert!(!changed(MetadataChanged {
        mount: MountId::default(),
        ..stage.changed()
    }));
    let wrong_key = vec![Retired {
        version: 1,
        key: names,
    }];
    assert!(!changed(MetadataChanged {
        trimmed: wrong_key,
        ..stage.changed()
    }));
}

#[test]
fn inv07_keys_are_used_once_and_given_up_once() {
    let stage = Stage::new();
    let (payload, names) = stage.keys();
    let written = |payload| CredentialWritten {
        payload,
        ..stage.second()
    };
    let taken = |events: &[Event]| {
        let facts: Vec<_> = events.iter().cloned().map(system).collect();
        let commits: Vec<_> = facts.iter().map(std::slice::from_ref).collect();
        stage.taken(&commits)
    };
    let again = |version, payload| {
        Event::CredentialWritten(CredentialWritten {
            version,
            ..written(payload)
        })
    };
    let destroyed = |versions: &[(u32, KeyRef)]| {
        let versions = versions.iter().map(|(version, key)| Retired {
            version: *version,
            key: *key,
        });
        let (record, versions) = (stage.record, versions.collect());
        Event::VersionsDestroyed(VersionsDestroyed { record, versions })
    };
    let confirmed = |keys: &[KeyRef]| {
        Event::KeysDestroyed(KeysDestroyed {
            keys: keys.to_vec(),
        })
    };
    let reused = SealedRef {
        key: payload,
        ..sealed(1, 0)
    };
    assert_eq!(
        taken(&[again(2, sealed(1, 0)), again(3, sealed(1, 0))]),
        1,
        "live"
    );
    let dying = destroyed(&[(1, payload)]);
    assert_eq!(taken(&[dying.clone(), again(2, reused)]), 1, "dying");
    assert_eq!(
        taken(&[dying.clone(), confirmed(&[payload]), again(2, reused)]),
        2,
        "gone"
    );
    let page = PageId::from_bytes([1; 16]);
    let closed = Event::KeyPageClosed(KeyPageClosed { page });
    assert_eq!(taken(&[closed, again(2, sealed(1, 0))]), 1, "closed");
    assert_eq!(taken(&[dying.clone(), dying.clone()]), 1, "destroyed twice");
    assert_eq!(taken(&[destroyed(&[(1, payload), (1, payload)])]), 0);
    assert_eq!(taken(&[destroyed(&[(1, names)])]), 0, "another's key");
    assert_eq!(taken(&[destroyed(&[(0, payload)])]), 0, "no such version");
    assert_eq!(taken(&[confirmed(&[payload])]), 0, "live");
    assert_eq!(taken(&[confirmed(&[key(9, 9)])]), 0, "never used");
    assert_eq!(
        taken(&[dying, confirmed(&[payload]), confirmed(&[payload])]),
        2
    );
    let removed = |keys| {
        Event::MetadataDeleted(MetadataDeleted {
            record: stage.record,
            keys,
        })
    };
    assert_eq!(taken(&[removed(vec![payload, names])]), 1);
    for keys in [
        vec![],
        vec![payload],
        vec![names, payload],
        vec![payload, names, names],
    ] {
        assert_eq!(taken(&[removed(keys)]), 0);
    }
}

#[test]
fn inv09_changes_of_what_is_not_there() {
    let stage = Stage::new();
    let deleted = |record, versions: &[u32]| {
        let versions = versions.to_vec();
        stage.takes(Event::VersionsDeleted(VersionsDeleted { record, versions }))
    };
    assert!(deleted(stage.record, &[1]));
    assert!(!deleted(stage.record, &[1, 2]));
    assert!(!deleted(RecordId::default(), &[]));
}

#[test]
fn inv09_erasures_and_holds_that_do_not_follow() {
    let stage = Stage::new();
    let ordered = |record, mount, whole, versions: &[u32]| {
        Event::ErasureOrdered(ErasureOrdered {
            erasure: ErasureId::default(),
            mount,
            records: vec![ErasedRecord {
                record,
                whole,
                versions: versions.to_vec(),
            }],
            names: sealed(1, 0),
        })
    };
    let (record, mount) = (stage.record, stage.mount);
    let whole = ordered(record, mount, true, &[1]);
    assert!(stage.takes(whole.clone()));
    assert!(stage.takes(ordered(record, mount, false, &[1])));
    assert!(
        !stage.takes(ordered(record, mount, false, &[2])),
        "not there"
    );
    assert!(
        !stage.takes(ordered(record, mount, false, &[1, 1])),
        "twice"
    );
    assert!(!stage.takes(ordered(record, mount, true, &[])), "not whole");
    assert!(!stage.takes(ordered(RecordId::default(), mount, true, &[])));
    assert!(!stage.takes(ordered(record, MountId::default(), true, &[1])));
    let again = match ordered(record, mount, true, &[1]) {
        Event::ErasureOrdered(event) => Event::ErasureOrdered(ErasureOrdered {
            names: sealed(1, 1),
            ..event
        }),
        other => other,
    };
    assert_eq!(
        stage.taken(&[&[system(whole)], &[system(again)]]),
        1,
        "its id"
    );
    let placed = |mount, slot| {
        Event::HoldPlaced(HoldPlaced {
            hold: HoldId::default(),
            mount,
            place: record,
            is_folder: false,
            names: sealed(1, slot),
        })
    };
    let lifted = |slot| {
        Event::HoldLifted(HoldLifted {
            hold: HoldId::default(),
            retired_names: key(1, slot),
        })
    };
    assert!(!stage.takes(placed(MountId::default(), 0)), "no mount");
    assert!(!stage.takes(lifted(0)), "no hold");
    let first = [system(placed(mount, 0))];
    assert_eq!(stage.taken(&[&first, &[system(lifted(0))]]), 2);
    assert_eq!(stage.taken(&[&first, &[system(lifted(1))]]), 1, "its key");
    assert_eq!(
        stage.taken(&[&first, &[system(placed(mount, 1))]]),
        1,
        "its id"
    );
}

#[test]
fn inv09_a_command_id_stands_in_one_commit_only() {
    let stage = Stage::new();
    let with = |version, slot, print| {
        let event = CredentialWritten {
            version,
            payload: sealed(1, slot),
            ..stage.second()
        };
        let fingerprint = ByteArray::new([print; 16]);
        let id = command_id(START, 1);
        Fact {
            command: Some(CommandRef { id, fingerprint }),
            ..system(Event::CredentialWritten(event))
        }
    };
    let (second, third) = (with(2, 0, 1), with(3, 1, 1));
    assert_eq!(stage.taken(&[&[second.clone(), third.clone()]]), 1);
    assert_eq!(stage.taken(&[std::slice::from_ref(&second), &[third]]), 1);
    assert_eq!(stage.taken(&[&[second, with(3, 1, 2)]]), 0, "another print");
}

#[test]
fn inv07_a_page_keeps_what_is_used_and_what_may_still_be() {
    let page = |closed, live: u8, dying: u8, gone: u8| PageUse {
        closed,
        live: [live].into_iter().collect(),
        dying: [dying].into_iter().collect(),
        gone: [gone].into_iter().collect(),
        kek: 1,
        first_kek: 1,
    };
    let kept = |page: &PageUse| -> Vec<bool> { (0..4).map(|slot| page.keeps(slot)).collect() };
    assert_eq!(kept(&page(false, 0, 1, 2)), [true, false, false, true]);
    assert_eq!(kept(&page(true, 0, 1, 2)), [true, false, false, false]);
}
