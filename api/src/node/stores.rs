//! What a node keeps in its data folder besides the view.

use std::sync::Arc;

use billfold_projector::{
    Tree, audit,
    tree::{self, Kept},
};
use billfold_streams::custody::Custody;

use super::{Backend, Error};
use crate::config::Settings;

/// The audit index in its folder.
pub(super) fn open_audit(
    settings: &Settings,
    custody: &Custody,
) -> Result<Arc<audit::Index>, Error> {
    /// The index is written in large batches and seldom read.
    const CACHE: u64 = 16 << 20;
    Ok(audit::open(
        &settings.data_dir.join("audit"),
        custody,
        CACHE,
    )?)
}

/// The tree in its folder.
pub(super) fn open_tree(
    settings: &Settings,
    backend: &Backend,
    custody: &Custody,
) -> Result<Arc<Tree>, Error> {
    /// Proofs read a few tiles each.
    const CACHE: u64 = 16 << 20;
    Ok(tree::open(
        &settings.data_dir.join("tree"),
        custody,
        backend.generation(),
        CACHE,
    )?)
}

/// Where checkpoints are kept outside the log: beside the views, and where the operator says.
pub(super) fn kept(settings: &Settings) -> Vec<Kept> {
    let beside = settings.data_dir.join("checkpoint");
    let elsewhere = settings.checkpoint_file.clone();
    std::iter::once(beside)
        .chain(elsewhere)
        .map(Kept::at)
        .collect()
}
