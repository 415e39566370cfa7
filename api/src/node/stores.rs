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
pub(super) async fn open_audit(
    settings: &Settings,
    custody: &Arc<Custody>,
) -> Result<Arc<audit::Index>, Error> {
    /// The index is written in large batches and seldom read.
    const CACHE: u64 = 16 << 20;
    let dir = settings.data_dir.join("audit");
    Ok(audit::open(&dir, custody, CACHE).await?)
}

/// The tree in its folder.
pub(super) async fn open_tree(
    settings: &Settings,
    backend: &Backend,
    custody: &Arc<Custody>,
) -> Result<Arc<Tree>, Error> {
    /// Proofs read a few tiles each.
    const CACHE: u64 = 16 << 20;
    let dir = settings.data_dir.join("tree");
    Ok(tree::open(&dir, custody, backend.generation(), CACHE).await?)
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
