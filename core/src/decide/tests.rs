//! A small wallet to decide in: its keys, its log, and what was folded of it.

mod broken;
mod erasure;
mod examples;
mod fold;
mod grant;
mod keys;
mod model;
mod policies;
mod restore;
mod sequences;
mod tokens;
mod wishes;

use std::{cell::RefCell, collections::BTreeMap, convert::Infallible, rc::Rc};

use model::{MOUNTS, Step, ToDo, Wish};

use crate::{
    Millis, SecretBytes,
    command::{Action, Change, Command, NewKek, NewMount, NewNames, NewWallet, What},
    commit::Entry,
    decide::{Decision, Drawn, Error, Sealer, Supply, decide},
    event::{Actor, Fact, v1::MountKind},
    id::{CommandId, FactKeyId, MountId, PageId, PrincipalId, RecordId, Seq, TokenId, WalletId},
    keys::{CommandKey, Dek, IdKey, TokenMacKey, keyring::KekVersion, page::KeyRef},
    names::{MountNames, Names},
    state::{At, Digest, Key, Memory, Source, State, Value},
    test_entropy::Counter,
};

const WALLET: WalletId = WalletId::from_bytes([7; 16]);
const ROOT: Actor = Actor::Principal(
    PrincipalId::from_bytes([1; 16]),
    TokenId::from_bytes([2; 16]),
);
const STRANGER: Actor = Actor::Principal(
    PrincipalId::from_bytes([3; 16]),
    TokenId::from_bytes([4; 16]),
);
const START: u64 = 1_800_000_000_000;

/// Keys without end, few to a page, so that pages change often.
struct Pool {
    entropy: Counter,
    drawn: u32,
    left: u32,
    kek: KekVersion,
    given: BTreeMap<KeyRef, Dek>,
}

impl Pool {
    const PER_PAGE: u32 = 5;

    fn page(number: u32) -> PageId {
        let mut bytes = [0xbb; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        PageId::from_bytes(bytes)
    }

    fn current_page(&self) -> PageId {
        Self::page(self.drawn / Self::PER_PAGE)
    }
}

impl Supply for Pool {
    fn draw(&mut self) -> Option<Drawn> {
        self.left = self.left.checked_sub(1)?;
        let key = KeyRef {
            page: self.current_page(),
            slot: u8::try_from(self.drawn % Self::PER_PAGE).unwrap() * 51,
        };
        self.drawn += 1;
        let dek = Dek::generate(&mut self.entropy);
        let copy = Dek::danger_from_bytes(dek.expose());
        self.given.insert(key, copy);
        let kek = self.kek;
        Some(Drawn { key, dek, kek })
    }
}

/// A view that the decider reads while the fold goes on, as in a node.
#[derive(Clone, Debug, Default)]
struct View(Rc<RefCell<Memory>>);

impl Source for View {
    type Error = Infallible;

    fn get(&self, key: &Key) -> Result<Option<Value>, Infallible> {
        self.0.borrow().get(key)
    }

    fn commands_before(&self, time: Millis) -> Result<Vec<CommandId>, Infallible> {
        self.0.borrow().commands_before(time)
    }

    fn records_of(&self, mount: &MountId, most: usize) -> Result<Vec<RecordId>, Infallible> {
        self.0.borrow().records_of(mount, most)
    }
}

/// A commit, as far as the fold sees it.
#[derive(Clone, Debug)]
struct Logged {
    seq: Seq,
    at: At,
    entries: Vec<Entry>,
}

struct World {
    ids: IdKey,
    command_key: CommandKey,
    pool: Pool,
    entropy: Counter,
    view: View,
    digest: Digest,
    decider: State<View>,
    at: At,
    log: Vec<Logged>,
    /// What was decided since the last commit.
    waiting: Vec<Entry>,
    /// How much of the log the view has.
    folded: usize,
}

impl World {
    /// A wallet with two mounts, in which nothing was decided yet.
    fn new() -> Self {
        let mut entropy = Counter::new(11);
        let view = View::default();
        let mut world = Self {
            ids: IdKey::generate(&mut entropy),
            command_key: CommandKey::generate(&mut entropy),
            pool: Pool {
                entropy: Counter::new(12),
                drawn: 0,
                left: u32::MAX,
                kek: 1,
                given: BTreeMap::new(),
            },
            decider: State::over(view.clone(), Digest::default()),
            view,
            digest: Digest::default(),
            at: At {
                time: Millis(START),
            },
            log: Vec::new(),
            waiting: Vec::new(),
            folded: 0,
            entropy,
        };
        let token_mac = TokenMacKey::generate(&mut world.entropy).mac(b"hvs.root");
        let Actor::Principal(root, root_token) = ROOT else {
            unreachable!()
        };
        world.begin(START);
        world
            .decide(&system(Action::CreateWallet(NewWallet {
                wallet: WALLET,
                root,
                root_token,
                root_token_mac: token_mac,
                kek: new_kek(1),
                mounts: Vec::new(),
            })))
            .unwrap();
        world.commit(true);
        world
    }

    /// A commit begins, at a time that is not before the last.
    fn begin(&mut self, time: u64) {
        self.at.time = self.at.time.max(Millis(time));
        let at = self.at;
        let Ok(()) = self.decider.begin_commit(at);
        self.decider.keep();
    }

    fn decide(&mut self, command: &Command) -> Result<Decision, Error<Infallible>> {
        let mut sealer = Sealer::new(WALLET, &mut self.pool, &mut self.entropy);
        let decided = decide(
            &mut self.decider,
            self.at,
            command,
            &self.command_key,
            &mut sealer,
        );
        if let Ok(Decision::Events { entries, .. }) = &decided {
            self.waiting.extend(entries.iter().cloned());
        }
        decided
    }

    /// The commit ends. Unless it is `settled`, the next is decided while it is in flight.
    fn commit(&mut self, settled: bool) {
        let entries = std::mem::take(&mut self.waiting);
        if entries.is_empty() && !settled {
            return;
        }
        if !entries.is_empty() {
            self.log.push(Logged {
                seq: Seq(self.log.len() as u64 + 1),
                at: self.at,
                entries,
            });
        }
        if settled {
            self.fold_up_to(self.log.len());
            self.decider.rebase(self.digest);
        } else {
            // What flew before has landed; what was decided now takes off.
            let landed = self.log.len().saturating_sub(1);
            self.fold_up_to(landed.max(self.folded));
            self.decider.launch();
        }
    }

    fn fold_up_to(&mut self, count: usize) {
        for commit in &self.log[self.folded..count] {
            let mut state = State::over(self.view.clone(), self.digest);
            let changes = fold(&mut state, commit).unwrap();
            self.digest = state.digest();
            self.view.0.borrow_mut().absorb(changes);
        }
        self.folded = count;
    }

    fn command(&self, actor: Actor, id: Option<CommandId>, wish: &Wish) -> Command {
        let action = match wish {
            Wish::Enable(mount, settings) => Action::EnableMount(NewMount {
                mount: mount_id(*mount),
                kind: MountKind::KvV2,
                path: self.mount_path(*mount),
                settings: *settings,
                names: MountNames {
                    path: MOUNTS[*mount].to_owned(),
                    description: String::new(),
                },
            }),
            Wish::Tune(mount, settings) => Action::TuneMount {
                mount: mount_id(*mount),
                settings: (*settings).into(),
            },
            Wish::Disable(mount) => Action::DisableMount(mount_id(*mount)),
            Wish::Change(steps) => {
                Action::Change(steps.iter().map(|step| self.change(step)).collect())
            }
        };
        Command {
            id,
            actor,
            needs: Vec::new(),
            action,
        }
    }

    fn change(&self, step: &Step) -> Change {
        let names = |content: &model::Content| {
            let names = names(step.path, &content.label);
            if content.rename {
                NewNames::Replace(names)
            } else {
                NewNames::IfNew(names)
            }
        };
        Change {
            mount: mount_id(step.mount),
            record: self.record_id(step.mount, step.path),
            folders: self
                .ids
                .folders(mount_id(step.mount), &path_name(step.path)),
            what: match &step.to_do {
                ToDo::Put(cas, content) => What::Put {
                    cas: *cas,
                    basis: None,
                    payload: SecretBytes::copied_from(&content.payload),
                    names: names(content),
                },
                ToDo::DeleteCurrent => What::DeleteCurrent,
                ToDo::Delete(versions) => What::Delete(versions.clone()),
                ToDo::Undelete(versions) => What::Undelete(versions.clone()),
                ToDo::Destroy(versions) => What::Destroy(versions.clone()),
                ToDo::Configure(cas, settings, content) => What::ChangeMetadata {
                    basis: None,
                    metadata_cas: *cas,
                    settings: (*settings).into(),
                    names: names(content),
                },
                ToDo::Remove => What::DeleteMetadata,
            },
        }
    }

    fn record_id(&self, mount: usize, path: usize) -> RecordId {
        self.ids.record(mount_id(mount), &path_name(path))
    }

    /// The folders above, then the mount itself.
    fn mount_path(&self, mount: usize) -> Vec<RecordId> {
        let path = MOUNTS[mount];
        path.match_indices('/')
            .map(|(at, _)| self.ids.mount_path(&path[..=at]))
            .collect()
    }
}

/// One commit on top of a state; each fact goes through its encoding.
fn fold<S: Source>(
    state: &mut State<S>,
    commit: &Logged,
) -> Result<BTreeMap<Key, crate::state::Change>, crate::state::Error<S::Error>> {
    state
        .begin_commit(commit.at)
        .map_err(crate::state::Error::Source)?;
    for entry in &commit.entries {
        let fact = Fact::decode(&entry.fact.encode()).unwrap();
        assert_eq!(fact, entry.fact);
        state.apply(commit.at, &fact)?;
    }
    Ok(state.finish_commit(commit.seq))
}

fn system(action: Action) -> Command {
    Command {
        id: None,
        actor: Actor::System,
        needs: Vec::new(),
        action,
    }
}

fn new_kek(version: KekVersion) -> NewKek {
    NewKek {
        version,
        generation: 1,
        manager: "key-file".to_owned(),
        fact_key: epoch_id(version),
        compromised: false,
    }
}

/// The epoch that begins with a KEK version.
fn epoch_id(version: KekVersion) -> FactKeyId {
    let mut id = [9; 16];
    id[..4].copy_from_slice(&version.to_be_bytes());
    FactKeyId::from_bytes(id)
}

fn mount_id(mount: usize) -> MountId {
    MountId::from_bytes([u8::try_from(mount).unwrap() + 0x50; 16])
}

fn path_name(path: usize) -> String {
    format!("path/{path}")
}

fn names(path: usize, label: &str) -> Names {
    Names {
        path: path_name(path),
        custom: BTreeMap::from([("label".to_owned(), label.to_owned())]),
        credential: None,
    }
}

/// A UUID of version 7 that was made at this time.
fn command_id(made: u64, number: u16) -> CommandId {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&made.to_be_bytes()[2..]);
    bytes[6..8].copy_from_slice(&(0x7000 | number & 0xfff).to_be_bytes());
    bytes[8] = 0x80;
    CommandId::from_bytes(bytes)
}
