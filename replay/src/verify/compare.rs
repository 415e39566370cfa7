//! A node's view held against the fold: it has to be what the fold makes of the same log.
//!
//! sled writes when it opens a view, so what is opened is a copy, in a temporary folder.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::Path,
    time::SystemTime,
};

use billfold_core::id::Seq;
use billfold_projector::{
    View,
    chain::Opened,
    view::{self, Meta},
};
use billfold_streams::custody::Custody;
use serde::Serialize;

use super::Findings;
use crate::{Check, Error, Finding, Walk, source::temporary_folder};

/// The file of a view that its owner locks.
const DATABASE: &str = "db";
/// What the copy may keep in memory, in bytes.
const CACHE: u64 = 16 << 20;

/// What became of comparing a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ViewState {
    /// There is none, or it is empty.
    None,
    /// A server has it open: it was not compared.
    InUse,
    /// It does not open: it was not compared, and its node will rebuild it.
    Unusable {
        /// Why.
        why: String,
    },
    /// It is behind where the walk broke off, or the walk did not come to it.
    NotReached {
        /// Where the view is.
        sequence: Seq,
    },
    /// It is what the fold makes of the log up to its place.
    Equal {
        /// Where the view is.
        sequence: Seq,
    },
    /// It is not.
    Differs {
        /// Where the view is.
        sequence: Seq,
    },
}

/// A view that is to be compared.
#[derive(Debug)]
pub(super) struct Comparison {
    meta: Meta,
    pub(super) state: ViewState,
}

impl Comparison {
    /// Looks where the view in this folder is.
    pub(super) fn of(dir: Option<&Path>, custody: &Custody) -> Result<Self, Error> {
        let (meta, state) = match dir {
            Some(dir) => look(dir, custody)?,
            None => (Meta::default(), ViewState::None),
        };
        Ok(Self { meta, state })
    }

    /// Compares, if the walk is where the view is: the commit was folded already.
    pub(super) fn at(&mut self, walk: &Walk, opened: &Opened, findings: &mut Findings) {
        let head = self.meta.head;
        let waiting = matches!(self.state, ViewState::NotReached { .. });
        if !waiting || opened.seq < head.seq {
            return;
        }
        let what = if walk.head().seq != head.seq {
            Some("the view has applied it, but it decided nothing".to_owned())
        } else if opened.hash != head.hash {
            let (theirs, ours) = (head.hash, opened.hash);
            Some(format!(
                "the view has commit {theirs:?} here, the log has {ours:?}"
            ))
        } else if walk.state().digest() != self.meta.digest {
            let (theirs, ours) = (self.meta.digest, walk.state().digest());
            Some(format!(
                "the view's digest is {theirs}, that of the fold is {ours}"
            ))
        } else {
            None
        };
        let sequence = head.seq;
        self.state = match what {
            None => ViewState::Equal { sequence },
            Some(what) => {
                findings.push(Finding::new(Check::View, sequence, what));
                ViewState::Differs { sequence }
            }
        };
    }

    /// The walk has come to the log's end.
    pub(super) fn finish(&mut self, end: Seq, findings: &mut Findings) {
        if let ViewState::NotReached { sequence } = self.state {
            let what = format!(
                "the view has applied it, but the log ends at {end}: the log was rolled back"
            );
            findings.push(Finding::new(Check::View, sequence, what));
            self.state = ViewState::Differs { sequence };
        }
    }
}

fn look(dir: &Path, custody: &Custody) -> Result<(Meta, ViewState), Error> {
    let unusable = |why: String| (Meta::default(), ViewState::Unusable { why });
    let copy = temporary_folder()?;
    match copy_view(dir, copy.path()) {
        Ok(Copied::Whole) => {}
        Ok(Copied::Nothing) => return Ok((Meta::default(), ViewState::None)),
        Ok(Copied::InUse) => return Ok((Meta::default(), ViewState::InUse)),
        Err(error) => return Ok(unusable(format!("it cannot be copied: {error}"))),
    }
    match View::open(copy.path(), custody, CACHE) {
        Ok(view) => {
            let meta = view.meta();
            let sequence = meta.head.seq;
            let state = if sequence == Seq::ZERO {
                ViewState::None
            } else {
                ViewState::NotReached { sequence }
            };
            Ok((meta, state))
        }
        Err(view::Error::OtherWallet(_)) => Ok(unusable("it belongs to another wallet".to_owned())),
        Err(view::Error::Unusable(why)) => Ok(unusable(why)),
        Err(other) => Ok(unusable(other.to_string())),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Copied {
    Whole,
    Nothing,
    InUse,
}

/// Copies a view that no server has open, before or after.
fn copy_view(from: &Path, to: &Path) -> io::Result<Copied> {
    let database = from.join(DATABASE);
    let Some(before) = unlocked_state(&database)? else {
        return Ok(if database.exists() {
            Copied::InUse
        } else {
            Copied::Nothing
        });
    };
    copy_folder(from, to)?;
    // A server that came meanwhile has locked it, or left its traces.
    Ok(if unlocked_state(&database)? == Some(before) {
        Copied::Whole
    } else {
        Copied::InUse
    })
}

/// Size and time of a file that nobody has locked. The look takes a shared lock for a moment.
fn unlocked_state(path: &Path) -> io::Result<Option<(u64, SystemTime)>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => file.unlock()?,
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let metadata = file.metadata()?;
    Ok(Some((metadata.len(), metadata.modified()?)))
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&target)?;
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
