//! Listings that are gathered from the view while the follower goes on.
//!
//! The view keeps no older state of itself. So a listing is of its place in the log only as long as
//! nothing is written to the view: requests behind it are judged meanwhile, and the next write waits
//! until it is gathered.

use std::sync::Arc;

use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinSet,
};

use super::{Judged, Material, Outcome};
use crate::{
    aside::aside,
    view::{self, Found, View},
};

/// How many listings are gathered at once.
const AT_ONCE: usize = 4;

/// What of the view a listing is of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Listed {
    /// The lines of a folder, by its blinded id and depth.
    Folder([u8; 16], usize),
    /// All records below a folder, by its blinded id.
    Everything([u8; 16]),
}

/// Listings that are being gathered.
pub(super) struct Gathering {
    view: Arc<View>,
    tasks: JoinSet<Result<(), view::Error>>,
    turns: Arc<Semaphore>,
}

impl Gathering {
    pub(super) fn of(view: Arc<View>) -> Self {
        Self {
            view,
            tasks: JoinSet::new(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Begins to gather a listing for a request that was judged.
    pub(super) fn begin(
        &mut self,
        listed: Listed,
        mut judged: Judged,
        waiting: oneshot::Sender<Outcome>,
    ) {
        let (view, turns) = (Arc::clone(&self.view), Arc::clone(&self.turns));
        self.tasks.spawn(async move {
            let _turn = turns.acquire_owned().await;
            aside(move || {
                if !waiting.is_closed() {
                    judged.material = Material::Lines(gather(&view, listed)?);
                    let _ = waiting.send(Outcome::Judged(Box::new(judged)));
                }
                Ok(())
            })
            .await
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Waits until one of them is gathered.
    pub(super) async fn one(&mut self) -> Result<(), view::Error> {
        match self.tasks.join_next().await {
            None => Ok(()),
            Some(Ok(gathered)) => gathered,
            Some(Err(error)) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Nobody cancels them but a runtime that ends.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Waits until all of them are gathered.
    pub(super) async fn all(&mut self) -> Result<(), view::Error> {
        while !self.is_empty() {
            self.one().await?;
        }
        Ok(())
    }
}

fn gather(view: &View, listed: Listed) -> Result<Found, view::Error> {
    match listed {
        Listed::Folder(folder, depth) => view.list(&folder, depth),
        Listed::Everything(folder) => view.all_below(&folder),
    }
}
