//! What the wallet should do, written again without events, keys or layers: the KV rules of OpenBao
//! over plain maps.

use std::collections::BTreeMap;

use crate::{
    Millis,
    command::Done,
    decide::{Refusal, tests::ROOT},
    event::{Actor, v1::Settings},
    id::CommandId,
};

const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;

/// The paths of the mounts that tests play with; the second lies inside the first.
pub(super) const MOUNTS: [&str; 3] = ["a/", "a/b/", "c/"];
/// How many paths there are in each mount.
pub(super) const PATHS: usize = 2;

/// A wish as tests make them up.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    Enable(usize, Settings),
    Tune(usize, Settings),
    Disable(usize),
    Change(Vec<Step>),
}

#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) mount: usize,
    pub(super) path: usize,
    pub(super) to_do: ToDo,
}

#[derive(Clone, Debug)]
pub(super) enum ToDo {
    Put(Option<u32>, Content),
    DeleteCurrent,
    Delete(Vec<u32>),
    Undelete(Vec<u32>),
    Destroy(Vec<u32>),
    Configure(Option<u32>, Settings, Content),
    Remove,
}

/// What is secret in a wish: its fingerprint must not cover it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) payload: Vec<u8>,
    pub(super) label: String,
    pub(super) rename: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) mounts: BTreeMap<usize, Settings>,
    pub(super) secrets: BTreeMap<(usize, usize), Secret>,
    commands: BTreeMap<CommandId, Remembered>,
}

#[derive(Clone, Debug)]
pub(super) struct Secret {
    pub(super) settings: Settings,
    pub(super) configured: u32,
    pub(super) label: String,
    pub(super) current: u32,
    pub(super) versions: BTreeMap<u32, Written>,
}

#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) payload: Vec<u8>,
    pub(super) created: u64,
    pub(super) deletion: Option<u64>,
    pub(super) destroyed: bool,
}

impl Written {
    pub(super) fn readable(&self, now: u64) -> bool {
        !self.destroyed && self.deletion.is_none_or(|at| at > now)
    }
}

#[derive(Clone, Debug)]
struct Remembered {
    what: String,
    done: Done,
}

/// What a command should lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done(Vec<u32>),
    Already(Done),
    Refused(Refusal),
}

impl Model {
    pub(super) fn perform(
        &mut self,
        now: u64,
        actor: Actor,
        id: Option<CommandId>,
        wish: &Wish,
    ) -> Outcome {
        if actor != ROOT {
            return Outcome::Refused(Refusal::Denied);
        }
        let what = format!("{actor:?} {}", without_content(wish));
        if let Some(outcome) = id.and_then(|id| self.known(now, id, &what)) {
            return outcome;
        }
        let mut after = self.clone();
        match after.attempt(now, wish) {
            Err(refusal) => Outcome::Refused(refusal),
            Ok((versions, happened)) => {
                // A command that changed nothing left no event, so nothing remembers it.
                if let Some(id) = id.filter(|_| happened) {
                    let done = Done {
                        time: Millis(now),
                        versions: versions.clone(),
                    };
                    after.commands.insert(id, Remembered { what, done });
                }
                *self = after;
                Outcome::Done(versions)
            }
        }
    }

    /// The model never forgets an id, so it notices one that is taken twice.
    fn known(&self, now: u64, id: CommandId, what: &str) -> Option<Outcome> {
        let known = self.commands.get(&id);
        let kept = |known: &&Remembered| known.done.time.0 + 48 * HOUR + 5 * MINUTE >= now;
        if let Some(known) = known.filter(kept) {
            return Some(if known.what == what {
                Outcome::Already(known.done.clone())
            } else {
                Outcome::Refused(Refusal::CommandReused)
            });
        }
        let made = id.made_at().map_or(u64::MAX, |made| made.0);
        if made + 48 * HOUR < now || made > now + 5 * MINUTE {
            return Some(Outcome::Refused(Refusal::CommandTime));
        }
        assert!(known.is_none(), "a command would be done twice");
        None
    }

    fn attempt(&mut self, now: u64, wish: &Wish) -> Result<(Vec<u32>, bool), Refusal> {
        match wish {
            Wish::Enable(mount, settings) => {
                let overlaps = |other: &usize| {
                    let (a, b) = (MOUNTS[*mount], MOUNTS[*other]);
                    a.starts_with(b) || b.starts_with(a)
                };
                if self.mounts.keys().any(overlaps) {
                    return Err(Refusal::MountTaken);
                }
                self.mounts.insert(*mount, *settings);
            }
            Wish::Tune(mount, settings) => {
                *self.mounts.get_mut(mount).ok_or(Refusal::NoMount)? = *settings;
            }
            Wish::Disable(mount) => {
                self.mounts.remove(mount).ok_or(Refusal::NoMount)?;
                if self.secrets.keys().any(|(of, _)| of == mount) {
                    return Err(Refusal::NotEmpty);
                }
            }
            Wish::Change(steps) if steps.is_empty() => return Err(Refusal::Empty),
            Wish::Change(steps) => {
                let mut versions = Vec::new();
                let mut happened = false;
                for step in steps {
                    let (version, changed) = self.step(now, step)?;
                    versions.push(version);
                    happened |= changed;
                }
                return Ok((versions, happened));
            }
        }
        Ok((Vec::new(), true))
    }

    fn step(&mut self, now: u64, step: &Step) -> Result<(u32, bool), Refusal> {
        let mount = *self.mounts.get(&step.mount).ok_or(Refusal::NoMount)?;
        let place = (step.mount, step.path);
        let secret = self.secrets.get_mut(&place);
        let changed = match (&step.to_do, secret) {
            (ToDo::Put(cas, content), secret) => {
                let own = secret
                    .as_ref()
                    .map_or(Settings::default(), |secret| secret.settings);
                let current = secret.as_ref().map_or(0, |secret| secret.current);
                if cas.is_some_and(|cas| cas != current) {
                    return Err(Refusal::CasMismatch);
                }
                if cas.is_none() && (own.cas_required || mount.cas_required) {
                    return Err(Refusal::CasRequired);
                }
                let secret = self.secret(place, content);
                secret.current += 1;
                let after = shorter(own.delete_version_after, mount.delete_version_after);
                let written = Written {
                    payload: content.payload.clone(),
                    created: now,
                    deletion: after.map(|after| now + after),
                    destroyed: false,
                };
                secret.versions.insert(secret.current, written);
                secret.trim(mount);
                return Ok((secret.current, true));
            }
            (ToDo::Configure(cas, settings, content), secret) => {
                let own = secret
                    .as_ref()
                    .map_or(Settings::default(), |secret| secret.settings);
                if cas.is_none() && (own.metadata_cas_required || mount.metadata_cas_required) {
                    return Err(Refusal::MetadataCasRequired);
                }
                match (cas, secret) {
                    (Some(1..), None) => return Err(Refusal::MetadataCasNew),
                    (Some(cas), Some(secret)) if *cas != secret.configured => {
                        return Err(Refusal::MetadataCasMismatch);
                    }
                    _ => {}
                }
                let secret = self.secret(place, content);
                secret.settings = *settings;
                secret.configured += 1;
                secret.trim(mount);
                true
            }
            (_, None) => false,
            (ToDo::DeleteCurrent, Some(secret)) => secret.delete(now, &[secret.current]),
            (ToDo::Delete(versions), Some(secret)) => secret.delete(now, versions),
            (ToDo::Undelete(versions), Some(secret)) => secret.undelete(versions),
            (ToDo::Destroy(versions), Some(secret)) => secret.destroy(versions),
            (ToDo::Remove, Some(_)) => self.secrets.remove(&place).is_some(),
        };
        Ok((0, changed))
    }

    fn secret(&mut self, place: (usize, usize), content: &Content) -> &mut Secret {
        let secret = self.secrets.entry(place).or_insert_with(|| Secret {
            settings: Settings::default(),
            configured: 0,
            label: content.label.clone(),
            current: 0,
            versions: BTreeMap::new(),
        });
        if content.rename {
            secret.label.clone_from(&content.label);
        }
        secret
    }
}

impl Secret {
    fn trim(&mut self, mount: Settings) {
        let max = match self.settings.max_versions.max(mount.max_versions) {
            0 => 10,
            max => max as usize,
        };
        while self.versions.len() > max {
            self.versions.pop_first();
        }
    }

    fn delete(&mut self, now: u64, versions: &[u32]) -> bool {
        self.each(versions, |version| {
            let fits = version.readable(now);
            if fits {
                version.deletion = Some(now);
            }
            fits
        })
    }

    fn undelete(&mut self, versions: &[u32]) -> bool {
        self.each(versions, |version| {
            !version.destroyed && version.deletion.take().is_some()
        })
    }

    fn destroy(&mut self, versions: &[u32]) -> bool {
        self.each(versions, |version| {
            !std::mem::replace(&mut version.destroyed, true)
        })
    }

    fn each(&mut self, versions: &[u32], change: impl Fn(&mut Written) -> bool) -> bool {
        let mut changed = false;
        for number in versions {
            changed |= self.versions.get_mut(number).is_some_and(&change);
        }
        changed
    }
}

/// The shorter of two times that are set.
fn shorter(a: u64, b: u64) -> Option<u64> {
    match (a, b) {
        (0, 0) => None,
        (0, b) => Some(b),
        (a, 0) => Some(a),
        (a, b) => Some(a.min(b)),
    }
}

fn without_content(wish: &Wish) -> String {
    let mut wish = wish.clone();
    if let Wish::Change(steps) = &mut wish {
        for step in steps {
            if let ToDo::Put(_, content) | ToDo::Configure(_, _, content) = &mut step.to_do {
                *content = Content {
                    payload: Vec::new(),
                    label: String::new(),
                    rename: false,
                };
            }
        }
    }
    format!("{wish:?}")
}
