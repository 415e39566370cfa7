//! A change of the key manager: enough of today's shares permit it, if there are any, and enough of
//! the new ones have to be shown, if there are to be any, before anything is changed.

use billfold_core::keys::{
    manager::GenerationId,
    share::{Counts, Purpose, Set, Share},
};
use uuid::Uuid;

use super::{Collected, Error, Known, Lock, NewKey};

/// A change of the key manager that is under way.
#[derive(Debug)]
pub(super) struct Change {
    nonce: Uuid,
    /// The generation that is to be replaced.
    generation: GenerationId,
    /// Today's shares; none when there are none, or no more are needed.
    permits: Option<Collected>,
    /// Today's shares, as long as there are any.
    set: Option<Set>,
    counts: Option<Counts>,
    made: Option<Made>,
}

#[derive(Debug)]
struct Made {
    key: NewKey,
    shown: Collected,
}

/// What a change of the key manager waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// Shares that there are today.
    Permission,
    /// New shares.
    Confirmation,
}

/// How far a change of the key manager is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeProgress {
    /// What tells it from others.
    pub nonce: Uuid,
    /// What it waits for.
    pub awaited: Awaited,
    /// How many shares there are of it.
    pub shares: u8,
    /// How many it takes.
    pub required: u8,
}

/// What is to be done next for a change of the key manager.
#[derive(Debug)]
pub enum Step {
    /// More shares are needed.
    Wait(ChangeProgress),
    /// Enough of today's shares are there: they have to be proven.
    Prove(Vec<Share>),
    /// Enough of the new ones were shown: with this key it is done.
    Finish(NewKey),
}

impl Change {
    /// Whether it is about another wallet, generation or set of shares than these.
    pub(super) fn is_stale(&self, known: Option<&Known>) -> bool {
        known.is_none_or(|known| known.generation != self.generation || known.set() != self.set)
    }

    fn progress(&self) -> Option<ChangeProgress> {
        let (awaited, collected) = match (&self.permits, &self.made) {
            (Some(permits), _) => (Awaited::Permission, permits),
            (None, Some(made)) => (Awaited::Confirmation, &made.shown),
            (None, None) => return None,
        };
        Some(ChangeProgress {
            nonce: self.nonce,
            awaited,
            shares: collected.count(),
            required: collected.counts().threshold(),
        })
    }
}

impl Lock {
    /// How far the change of the key manager is; none when there is none.
    #[must_use]
    pub fn change(&self) -> Option<ChangeProgress> {
        self.changes().as_ref().and_then(Change::progress)
    }

    /// Begins a change of the key manager, with new shares of these counts if there are to be any.
    /// Says what it waits for; nothing, when nobody has shares today.
    ///
    /// # Errors
    /// When one is under way.
    pub fn begin_change(
        &self,
        known: &Known,
        counts: Option<Counts>,
    ) -> Result<(Uuid, Option<ChangeProgress>), Error> {
        let mut change = self.changes();
        if change.is_some() {
            return Err(Error::ChangeUnderWay);
        }
        let permits = known.set().zip(known.counts());
        let begun = change.insert(Change {
            nonce: Uuid::new_v4(),
            generation: known.generation,
            permits: permits.map(|(set, counts)| Collected::new(set, counts)),
            set: known.set(),
            counts,
            made: None,
        });
        Ok((begun.nonce, begun.progress()))
    }

    /// Gives the change of the key manager up.
    pub fn cancel_change(&self) {
        *self.changes() = None;
    }

    /// Takes a share: one of today's, or a new one once those are made. New ones that do not make
    /// the key are forgotten.
    ///
    /// # Errors
    /// When it is not for this change, or no share that is awaited.
    pub fn add_to_change(&self, nonce: &str, share: Share) -> Result<Step, Error> {
        let mut changes = self.changes();
        let change = changes.as_mut().ok_or(Error::NoChange)?;
        let expected = change.nonce;
        if nonce != expected.to_string() {
            return Err(Error::OtherNonce(
                "this change of the key manager",
                expected,
            ));
        }
        let enough = match (&mut change.permits, &mut change.made) {
            (Some(collected), _)
            | (
                None,
                Some(Made {
                    shown: collected, ..
                }),
            ) => collected.add(share)?,
            (None, None) => return Err(Error::NoChange),
        };
        if !enough {
            return change.progress().map(Step::Wait).ok_or(Error::NoChange);
        }
        if let Some(permits) = &mut change.permits {
            return Ok(Step::Prove(permits.take_shares()));
        }
        let made = change.made.as_mut().ok_or(Error::NoChange)?;
        let (set, counts) = (made.shown.set(), made.shown.counts());
        let shares = made.shown.take_shares();
        if !made.key.is_made_of(counts, &shares) {
            made.shown = Collected::new(set, counts);
            return Err(Error::WrongShares);
        }
        let ended = changes.take().and_then(|change| change.made);
        ended
            .map(|made| Step::Finish(made.key))
            .ok_or(Error::NoChange)
    }

    /// The change is permitted: the counts of the new shares, if there are to be any. Without, it
    /// ends here.
    ///
    /// # Errors
    /// When it was given up meanwhile.
    pub fn permit_change(&self, nonce: Uuid) -> Result<Option<Counts>, Error> {
        let mut changes = self.changes();
        let change = changes.as_mut().filter(|change| change.nonce == nonce);
        let change = change.ok_or(Error::NoChange)?;
        change.permits = None;
        match change.counts {
            Some(counts) => Ok(Some(counts)),
            None => {
                *changes = None;
                Ok(None)
            }
        }
    }

    /// Keeps the new key until enough of its shares are shown.
    ///
    /// # Errors
    /// When the change was given up meanwhile.
    pub fn keep_changed_key(
        &self,
        nonce: Uuid,
        known: &Known,
        key: NewKey,
    ) -> Result<ChangeProgress, Error> {
        let mut changes = self.changes();
        let change = changes.as_mut().filter(|change| change.nonce == nonce);
        let change = change.ok_or(Error::NoChange)?;
        let counts = change.counts.ok_or(Error::NoChange)?;
        let set = match &key {
            NewKey::Unseal(_) => {
                let next = known.generation.number.saturating_add(1);
                Set::of(Purpose::Unseal, known.wallet(), next)
            }
            NewKey::Recovery(_, kept) => Set::of(Purpose::Recovery, known.wallet(), kept.number),
        };
        change.made = Some(Made {
            key,
            shown: Collected::new(set, counts),
        });
        change.progress().ok_or(Error::NoChange)
    }

    /// Forgets the shares that permit the change: they were not those of the wallet.
    pub fn refuse_change(&self, known: &Known, nonce: &str) {
        let mut changes = self.changes();
        let change = changes
            .as_mut()
            .filter(|change| change.nonce.to_string() == nonce);
        if let Some(change) = change {
            let permits = known.set().zip(known.counts());
            change.permits = permits.map(|(set, counts)| Collected::new(set, counts));
        }
    }
}
