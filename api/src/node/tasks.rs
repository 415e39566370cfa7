//! The tasks of a node: they end with it, and it does not serve without one of them.

use std::sync::Arc;

use billfold_projector::Keychain;
use tokio::task::JoinSet;

/// Tasks that run as long as this is there.
#[derive(Debug)]
pub(super) struct Tasks {
    running: JoinSet<()>,
    keychain: Arc<Keychain>,
}

impl Tasks {
    pub(super) fn new(keychain: Arc<Keychain>) -> Self {
        Self {
            running: JoinSet::new(),
            keychain,
        }
    }

    /// Runs a task. When it panics, what it does for the node is not done any more, and the node
    /// stops to serve: it would go on without checkpoints, say, and look as sound as before.
    pub(super) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let watch = Watch {
            name,
            keychain: Arc::clone(&self.keychain),
        };
        self.running.spawn(async move {
            let _watch = watch;
            task.await;
        });
    }

    /// Ends all of them, wherever they wait.
    pub(super) async fn stop(mut self) {
        self.running.shutdown().await;
    }
}

/// Stops the node when the task that has it panics.
struct Watch {
    name: &'static str,
    keychain: Arc<Keychain>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keychain
                .stop(format!("this node has a fault: {} panicked", self.name));
        }
    }
}
