//! What a mount should hold after a game of commands, kept in plain maps; and games made at random.

use std::collections::{BTreeMap, BTreeSet};

use billfold_core::{
    command::{Change, NewNames, NewSettings, What},
    id::MountId,
    names::Names,
};
use proptest::{collection::vec, prelude::*};

use super::node::{Node, names, put};

/// Few, so that games meet often; `a` is a secret and `a/` a folder beside it.
pub const PATHS: [&str; 7] = ["a", "a/b", "a/c", "b/c/d", "b/c/e", "b/x", "z"];

/// One command: all of its steps, or none.
pub type Command = Vec<Step>;

#[derive(Debug, Clone)]
pub struct Step {
    path: usize,
    wish: Wish,
}

#[derive(Debug, Clone)]
enum Wish {
    /// With the right version before it, a wrong one, or none named.
    Put(Option<bool>),
    DeleteCurrent,
    Delete(Vec<u32>),
    Undelete(Vec<u32>),
    Destroy(Vec<u32>),
    /// Another label, and how many versions to keep; with the right change before it, a wrong one, or
    /// none named.
    Describe(u8, u32, Option<bool>),
    Remove,
}

pub fn games() -> impl Strategy<Value = Vec<Command>> {
    let versions = || vec(1..5_u32, 1..4);
    let cas = || prop_oneof![6 => Just(None), 3 => Just(Some(true)), 1 => Just(Some(false))];
    let wish = prop_oneof![
        10 => cas().prop_map(Wish::Put),
        1 => Just(Wish::DeleteCurrent),
        1 => versions().prop_map(Wish::Delete),
        2 => versions().prop_map(Wish::Undelete),
        2 => versions().prop_map(Wish::Destroy),
        3 => (any::<u8>(), 0..4_u32, cas()).prop_map(|(label, max, cas)| Wish::Describe(label, max, cas)),
        3 => Just(Wish::Remove),
    ];
    let step = (0..PATHS.len(), wish).prop_map(|(path, wish)| Step { path, wish });
    vec(vec(step, 1..4), 1..25)
}

/// A secret as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Secret {
    pub label: Option<u8>,
    pub current: u32,
    pub described: u32,
    pub max: u32,
    pub versions: BTreeMap<u32, Version>,
}

/// A version as it should be. What is destroyed has no payload any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub payload: Option<Vec<u8>>,
    pub deleted: bool,
}

/// All secrets of a mount, by path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Model(pub BTreeMap<String, Secret>);

impl Model {
    /// The commands of this game, as they go to a node, and what each should answer: the versions
    /// that it writes, or none when it is refused.
    pub fn step(
        &mut self,
        node: &Node,
        mount: MountId,
        command: &Command,
    ) -> (Vec<Change>, Option<Vec<u32>>) {
        let (mut after, mut versions) = (self.clone(), Some(Vec::new()));
        let mut changes = Vec::new();
        for step in command {
            let path = PATHS[step.path];
            let secret = after.0.get(path);
            let (current, described) =
                secret.map_or((0, 0), |secret| (secret.current, secret.described));
            let (cas, is_right) = match step.wish {
                Wish::Put(Some(right)) => (Some(current + u32::from(!right)), right),
                Wish::Describe(_, _, Some(right)) => (Some(described + u32::from(!right)), right),
                _ => (None, true),
            };
            let payload = format!("{path} {}", current + 1).into_bytes();
            changes.push(node.change(mount, path, step.wish.what(path, cas, &payload)));
            let version = is_right.then(|| after.perform(path, &step.wish, payload));
            versions = versions.zip(version).map(|(mut all, one)| {
                all.push(one);
                all
            });
        }
        if versions.is_some() {
            *self = after;
        }
        (changes, versions)
    }

    fn perform(&mut self, path: &str, wish: &Wish, payload: Vec<u8>) -> u32 {
        match wish {
            Wish::Put(_) => {
                let secret = self.0.entry(path.to_owned()).or_default();
                secret.current += 1;
                let version = Version {
                    payload: Some(payload),
                    deleted: false,
                };
                secret.versions.insert(secret.current, version);
                secret.trim();
                return secret.current;
            }
            Wish::Describe(label, max, _) => {
                let secret = self.0.entry(path.to_owned()).or_default();
                secret.described += 1;
                (secret.label, secret.max) = (Some(*label), *max);
                secret.trim();
            }
            Wish::Remove => drop(self.0.remove(path)),
            Wish::DeleteCurrent => {
                let current = self.0.get(path).map_or(0, |secret| secret.current);
                self.each(path, &[current], |version| version.deleted = true);
            }
            Wish::Delete(versions) => self.each(path, versions, |version| version.deleted = true),
            Wish::Undelete(versions) => {
                self.each(path, versions, |version| version.deleted = false);
            }
            Wish::Destroy(versions) => self.each(path, versions, |version| version.payload = None),
        }
        0
    }

    /// Does this to those of the versions that are not destroyed.
    fn each(&mut self, path: &str, versions: &[u32], change: impl Fn(&mut Version)) {
        let Some(secret) = self.0.get_mut(path) else {
            return;
        };
        for number in versions {
            let version = secret.versions.get_mut(number);
            version
                .filter(|version| version.payload.is_some())
                .map(&change);
        }
    }

    /// Every folder that there ever was, by its path, and what is in it.
    pub fn folders(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut folders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for path in PATHS {
            let mut folder = String::new();
            for segment in path.split_inclusive('/') {
                let lines = folders.entry(folder.clone()).or_default();
                if self.0.contains_key(path) {
                    lines.insert(segment.to_owned());
                }
                folder.push_str(segment);
            }
        }
        folders
    }
}

impl Secret {
    fn trim(&mut self) {
        let max = if self.max == 0 { 10 } else { self.max as usize };
        while self.versions.len() > max {
            self.versions.pop_first();
        }
    }
}

impl Wish {
    fn what(&self, path: &str, cas: Option<u32>, payload: &[u8]) -> What {
        match self {
            Self::Put(_) => put(path, cas, payload),
            Self::DeleteCurrent => What::DeleteCurrent,
            Self::Delete(versions) => What::Delete(versions.clone()),
            Self::Undelete(versions) => What::Undelete(versions.clone()),
            Self::Destroy(versions) => What::Destroy(versions.clone()),
            Self::Describe(label, max, _) => What::ChangeMetadata {
                basis: None,
                metadata_cas: cas,
                settings: NewSettings {
                    max_versions: Some(*max),
                    ..NewSettings::default()
                },
                names: NewNames::Replace(Names {
                    custom: BTreeMap::from([("label".to_owned(), label.to_string())]),
                    ..names(path)
                }),
            },
            Self::Remove => What::DeleteMetadata,
        }
    }
}
