//! New shares in the place of those there are: enough old ones permit it, and, if it is asked for,
//! enough new ones have to be shown before the old ones are worth nothing.

use billfold_core::keys::{
    RecoveryKey,
    recovery::Recovery,
    share::{Counts, Purpose, Set, Share},
};
use billfold_upstreams::Shamir;
use uuid::Uuid;

use super::{Collected, Error, Known, Lock};

/// Which shares are to be new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// What opens the wallet.
    Root,
    /// What proves who may act for its operators.
    Recovery,
}

/// New shares that are being made.
#[derive(Debug)]
pub(super) struct Rotation {
    target: Target,
    old: Collected,
    counts: Counts,
    confirm: bool,
    made: Option<Made>,
}

/// A key that has shares already and nothing under it yet.
#[derive(Debug)]
pub enum NewKey {
    /// It will open the wallet.
    Unseal(Shamir),
    /// It will be the recovery key.
    Recovery(RecoveryKey, Recovery),
}

#[derive(Debug)]
struct Made {
    key: NewKey,
    shown: Collected,
}

/// How far a rotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotationProgress {
    /// What tells it from others.
    pub nonce: Uuid,
    /// The counts that are to be.
    pub counts: Counts,
    /// How many of the old shares there are.
    pub shares: u8,
    /// Whether new shares have to be shown.
    pub confirm: bool,
    /// What tells the showing from others, and how many there are.
    pub shown: Option<(Uuid, u8)>,
}

const VERIFY: &str = "this verify operation";

impl Rotation {
    /// Whose shares it takes.
    pub(super) const fn set(&self) -> Set {
        self.old.set()
    }

    fn progress(&self) -> RotationProgress {
        let shown = self.made.as_ref();
        RotationProgress {
            nonce: self.old.nonce(),
            counts: self.counts,
            shares: self.old.count(),
            confirm: self.confirm,
            shown: shown.map(|made| (made.shown.nonce(), made.shown.count())),
        }
    }
}

impl Lock {
    /// How far the rotation is; none when there is none.
    #[must_use]
    pub fn rotation(&self, target: Target) -> Option<RotationProgress> {
        let rotation = self.rotations();
        let rotation = rotation
            .as_ref()
            .filter(|rotation| rotation.target == target);
        rotation.map(Rotation::progress)
    }

    /// Begins a rotation.
    ///
    /// # Errors
    /// When one is under way, or there are no shares that could permit it.
    pub fn begin_rotation(
        &self,
        known: &Known,
        target: Target,
        counts: Counts,
        confirm: bool,
    ) -> Result<(), Error> {
        let (set, needed) = known.set().zip(known.counts()).ok_or(Error::NoRecovery)?;
        let mut rotation = self.rotations();
        if rotation.is_some() {
            return Err(Error::RotationUnderWay);
        }
        *rotation = Some(Rotation {
            target,
            old: Collected::new(set, needed),
            counts,
            confirm,
            made: None,
        });
        Ok(())
    }

    /// Gives a rotation up.
    pub fn cancel_rotation(&self, target: Target) {
        self.rotations()
            .take_if(|rotation| rotation.target == target);
    }

    /// Takes an old share; with enough of them, they come out.
    ///
    /// # Errors
    /// When it is not for this rotation, or no share of this wallet.
    pub fn add_to_rotation(
        &self,
        target: Target,
        nonce: &str,
        share: Share,
    ) -> Result<Option<Vec<Share>>, Error> {
        let mut rotation = self.rotations();
        let rotation = of(&mut rotation, target)?;
        if let Some(made) = &rotation.made {
            return Err(Error::ConfirmFirst(made.shown.nonce()));
        }
        let expected = rotation.old.nonce();
        if nonce != expected.to_string() {
            return Err(Error::OtherNonce("rotation", expected));
        }
        if rotation.old.holds(&share) {
            return Err(Error::HeldAlready("rotation"));
        }
        Ok(match rotation.old.add(share)? {
            true => Some(rotation.old.take_shares()),
            false => None,
        })
    }

    /// Keeps the new key until enough of its shares are shown. None is needed when that was not asked
    /// for: then the rotation ends, and the key comes out.
    ///
    /// # Errors
    /// When the rotation was given up meanwhile.
    pub fn keep_new_key(
        &self,
        target: Target,
        nonce: &str,
        known: &Known,
        key: NewKey,
    ) -> Result<Result<NewKey, Uuid>, Error> {
        let mut rotations = self.rotations();
        let rotation = of(&mut rotations, target)?;
        if rotation.old.nonce().to_string() != nonce || rotation.made.is_some() {
            return Err(Error::NoRotation);
        }
        if !rotation.confirm {
            *rotations = None;
            return Ok(Ok(key));
        }
        let set = match &key {
            NewKey::Unseal(_) => {
                let next = known.generation.number.saturating_add(1);
                Set::of(Purpose::Unseal, known.wallet(), next)
            }
            NewKey::Recovery(_, kept) => Set::of(Purpose::Recovery, known.wallet(), kept.number),
        };
        let shown = Collected::new(set, rotation.counts);
        let nonce = shown.nonce();
        rotation.made = Some(Made { key, shown });
        Ok(Err(nonce))
    }

    /// Takes a new share. With enough of them the rotation ends, and the key comes out if they make
    /// it; otherwise they are forgotten.
    ///
    /// # Errors
    /// When it is not for this rotation, or the shares do not make the key.
    pub fn show_to_rotation(
        &self,
        target: Target,
        nonce: &str,
        share: Share,
    ) -> Result<Option<NewKey>, Error> {
        let mut rotations = self.rotations();
        let rotation = of(&mut rotations, target)?;
        let counts = rotation.counts;
        let made = rotation.made.as_mut().ok_or(Error::NoRotation)?;
        let expected = made.shown.nonce();
        if nonce != expected.to_string() {
            return Err(Error::OtherNonce(VERIFY, expected));
        }
        if !made.shown.add(share)? {
            return Ok(None);
        }
        let shares = made.shown.take_shares();
        made.shown = Collected::new(made.shown.set(), counts);
        if !made.key.is_made_of(counts, &shares) {
            return Err(Error::WrongShares);
        }
        let ended = rotations.take();
        Ok(ended.and_then(|ended| ended.made).map(|made| made.key))
    }

    /// Forgets the new shares that were shown.
    ///
    /// # Errors
    /// When none can be shown.
    pub fn restart_showing(&self, target: Target) -> Result<RotationProgress, Error> {
        let mut rotations = self.rotations();
        let rotation = of(&mut rotations, target)?;
        let made = rotation.made.as_mut().ok_or(Error::NoRotation)?;
        made.shown = Collected::new(made.shown.set(), rotation.counts);
        Ok(rotation.progress())
    }
}

impl NewKey {
    pub(super) fn is_made_of(&self, counts: Counts, shares: &[Share]) -> bool {
        match self {
            Self::Unseal(key) => Shamir::of(counts, shares).is_ok_and(|made| made.is(key)),
            Self::Recovery(key, _) => {
                let made = billfold_upstreams::shamir::recovery_key(counts, shares);
                made.is_ok_and(|made| made.is(key))
            }
        }
    }
}

fn of(rotation: &mut Option<Rotation>, target: Target) -> Result<&mut Rotation, Error> {
    let rotation = rotation.as_mut();
    rotation
        .filter(|rotation| rotation.target == target)
        .ok_or(Error::NoRotation)
}
