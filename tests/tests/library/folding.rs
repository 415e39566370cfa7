//! The fold of a log, done in several ways that must agree.

use std::{cell::RefCell, collections::BTreeMap, path::Path, sync::Arc};

use billfold_core::{
    Millis,
    id::{CommandId, MountId, PageId, RecordId, Seq, TokenId},
    state::{At, Digest, Key, Memory, Source, State, Value},
};
use billfold_projector::{
    Fold, View,
    chain::{Chains, Opened, open},
};
use billfold_streams::{
    EventLog,
    custody::Custody,
    log::{Filter, Message},
};
use futures::StreamExt as _;

use super::node::{GENERATION, PATIENCE};

/// All that the log holds now.
pub async fn everything(log: &Arc<dyn EventLog>) -> Vec<Message> {
    let all = Filter::All(GENERATION);
    let head = log.head(all).await.unwrap();
    if head == Seq::ZERO {
        return Vec::new();
    }
    let mut tail = log.read(all, Seq::ZERO).await.unwrap();
    let mut messages: Vec<Message> = Vec::new();
    while messages.last().is_none_or(|last| last.seq < head) {
        let next = tokio::time::timeout(PATIENCE, tail.next()).await;
        messages.push(next.expect("in time").expect("it goes on").unwrap());
    }
    messages
}

/// The `decided` commits of a log, each held against the one before it.
pub fn decided(custody: &Custody, messages: &[Message]) -> Vec<Opened> {
    let mut chains = Chains::default();
    let mut decided = Vec::new();
    for message in messages {
        let opened = open(custody, message).unwrap();
        chains.follow(&opened).unwrap();
        if opened.header.subject.is_decided() {
            decided.push(opened);
        }
    }
    decided
}

/// Folds into a view in `dir`. It is closed and opened again before each commit whose number
/// `stops` says yes to, and written to before each that `writes` says yes to.
pub async fn into_view(
    dir: &Path,
    custody: &Arc<Custody>,
    decided: &[Opened],
    stops: impl Fn(usize) -> bool,
    writes: impl Fn(usize) -> bool,
) -> Arc<View> {
    let open = || {
        let view = Arc::new(View::open(dir, custody, 16 << 20).unwrap());
        let fold = Fold::over(Arc::clone(&view), Arc::clone(custody));
        (view, fold)
    };
    let (mut view, mut fold) = open();
    for (number, commit) in decided.iter().enumerate() {
        if stops(number) || writes(number) {
            fold.write().unwrap();
        }
        if stops(number) {
            drop((view, fold));
            (view, fold) = open();
            let before = number.checked_sub(1).and_then(|last| decided.get(last));
            let before = before.map_or(Seq::ZERO, |last| last.seq);
            assert_eq!(view.head().seq, before, "it is where it was closed");
        }
        fold.add(commit).await.unwrap();
    }
    fold.write().unwrap();
    drop(fold);
    view
}

/// Folds in memory.
pub fn in_memory(decided: &[Opened]) -> (Memory, Digest) {
    let memory = Cell(RefCell::default());
    let mut state = State::over(&memory, Digest::default());
    for commit in decided {
        let at = At {
            time: commit.header.time,
        };
        let Ok(()) = state.begin_commit(at);
        for entry in &commit.entries {
            state.apply(at, &entry.fact).unwrap();
        }
        let changes = state.finish_commit(commit.seq);
        memory.0.borrow_mut().absorb(changes);
        let digest = state.digest();
        state.rebase(digest);
    }
    let digest = state.digest();
    (memory.0.into_inner(), digest)
}

struct Cell(RefCell<Memory>);

impl Source for Cell {
    type Error = std::convert::Infallible;

    fn get(&self, key: &Key) -> Result<Option<Value>, Self::Error> {
        self.0.borrow().get(key)
    }

    fn commands_before(&self, time: Millis) -> Result<Vec<CommandId>, Self::Error> {
        self.0.borrow().commands_before(time)
    }

    fn records_of(&self, mount: &MountId, most: usize) -> Result<Vec<RecordId>, Self::Error> {
        self.0.borrow().records_of(mount, most)
    }
}

/// Whether a view holds exactly these entries, and nothing beside them that does not belong there.
pub fn assert_holds(view: &View, memory: &Memory, what: &str) {
    let mut records: BTreeMap<RecordId, Value> = BTreeMap::new();
    let mut pages: BTreeMap<PageId, Value> = BTreeMap::new();
    let mut tokens: BTreeMap<TokenId, Value> = BTreeMap::new();
    for (key, value) in memory.entries() {
        let found = view.get(key).unwrap();
        assert_eq!(found.as_ref(), Some(value), "{what}: {key:?}");
        match key {
            Key::Record(id) => drop(records.insert(*id, value.clone())),
            Key::Page(id) => drop(pages.insert(*id, value.clone())),
            Key::Token(id) => drop(tokens.insert(*id, value.clone())),
            Key::Wallet
            | Key::Mounts
            | Key::Command(_)
            | Key::Policies
            | Key::Cubbyhole(_)
            | Key::TokenRoles
            | Key::Erasure(_)
            | Key::Holds
            | Key::Epoch(_)
            | Key::Grants => {}
        }
    }
    let in_view: BTreeMap<_, _> = view
        .records()
        .map(|item| item.map(|(id, stored)| (id, Value::Record(stored.record))))
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(in_view, records, "{what}: records");
    let in_view: BTreeMap<_, _> = view
        .pages()
        .map(|item| item.map(|(id, page)| (id, Value::Page(page))))
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(in_view, pages, "{what}: pages");
    let in_view: BTreeMap<_, _> = view
        .tokens()
        .map(|item| item.map(|(id, token)| (id, Value::Token(Box::new(token)))))
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(in_view, tokens, "{what}: tokens");
}
