//! Checkpoints and proofs for whoever checks the log from outside.

use billfold_core::{
    event::v1::Operation as Asked,
    id::Seq,
    proof::{Hash, history::Attested},
};

use super::{At, Caller, Error, Wallet};
use crate::node::checkpointer;

/// A checkpoint, and the key that signs those to come.
#[derive(Debug)]
pub struct NewestCheckpoint {
    /// The newest one; none before the first.
    pub newest: Option<Attested>,
    /// The key that signs now, as C2SP writes verifier keys.
    pub key: String,
    /// The notes by which each key gave way to the next.
    pub key_changes: Vec<String>,
}

/// What proves that a message is in the tree.
#[derive(Debug)]
pub struct Inclusion {
    /// Its leaf.
    pub leaf: Hash,
    /// The size of the tree.
    pub size: u64,
    /// The root of the tree.
    pub root: Hash,
    /// The proof.
    pub proof: Vec<Hash>,
}

/// What proves that a tree grew out of another.
#[derive(Debug)]
pub struct Consistency {
    /// The root of the one before.
    pub from_root: Hash,
    /// The root of the later one.
    pub to_root: Hash,
    /// The proof.
    pub proof: Vec<Hash>,
}

impl From<checkpointer::Error> for Error {
    fn from(error: checkpointer::Error) -> Self {
        match error {
            checkpointer::Error::Custody(error) => error.into(),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl Wallet {
    /// The key that signs checkpoints, as C2SP writes verifier keys.
    ///
    /// # Errors
    /// When it is not among the wallet's.
    pub fn checkpoint_key(&self) -> Result<String, Error> {
        Ok(self.notary.key()?)
    }

    /// The newest checkpoint that this node has read.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded.
    pub async fn checkpoint(
        &self,
        caller: &Caller,
        path: &str,
    ) -> Result<At<NewestCheckpoint>, Error> {
        let looked = self.look_at_system(caller, Asked::ReadSystem, path).await?;
        self.tree_at(looked.value).await?;
        let status = self.notary.tree.status();
        Ok(At {
            seq: looked.seq,
            value: NewestCheckpoint {
                newest: status.history().newest().cloned(),
                key: self.checkpoint_key()?,
                key_changes: self.notary.tree.key_changes()?,
            },
        })
    }

    /// What proves that the message at `seq` is among the first `size`: those of the newest
    /// checkpoint, if no size is given.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded, or the tree is not as large.
    pub async fn inclusion(
        &self,
        caller: &Caller,
        path: &str,
        seq: Seq,
        size: Option<u64>,
    ) -> Result<At<Inclusion>, Error> {
        let looked = self.look_at_system(caller, Asked::ReadSystem, path).await?;
        let size = self.checked_size("size", size, looked.value).await?;
        if seq == Seq::ZERO || seq.0 > size {
            return Err(Error::Invalid(
                "seq is not among the messages of that size".to_owned(),
            ));
        }
        let tree = &self.notary.tree;
        let (leaf, proof) = tree.inclusion(seq, size)?;
        Ok(At {
            seq: looked.seq,
            value: Inclusion {
                leaf,
                size,
                root: tree.root::<Error>(size)?,
                proof,
            },
        })
    }

    /// What proves that the first `to` messages begin with the first `from`.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded, or the tree is not as large.
    pub async fn consistency(
        &self,
        caller: &Caller,
        path: &str,
        from: u64,
        to: Option<u64>,
    ) -> Result<At<(u64, Consistency)>, Error> {
        let looked = self.look_at_system(caller, Asked::ReadSystem, path).await?;
        let to = self.checked_size("to", to, looked.value).await?;
        if from > to {
            return Err(Error::Invalid("from is above to".to_owned()));
        }
        let tree = &self.notary.tree;
        let proven = Consistency {
            from_root: tree.root::<Error>(from)?,
            to_root: tree.root::<Error>(to)?,
            proof: tree.consistency(from, to)?,
        };
        Ok(At {
            seq: looked.seq,
            value: (to, proven),
        })
    }

    /// Waits until the tree has read this far.
    async fn tree_at(&self, wanted: Seq) -> Result<(), Error> {
        self.index_at(wanted).await?;
        let reading = tokio::time::timeout(self.patience, self.notary.tree.read_up_to(wanted));
        let late = |_| Error::Unavailable("the tree is behind the log".to_owned());
        reading.await.map_err(late)
    }

    /// The size that is asked about. What stood in the log before the question's own record is waited
    /// for.
    async fn checked_size(
        &self,
        name: &str,
        size: Option<u64>,
        recorded: Seq,
    ) -> Result<u64, Error> {
        self.tree_at(Seq(size.unwrap_or(0).min(recorded.0))).await?;
        let status = self.notary.tree.status();
        let size = match size {
            Some(size) => size,
            None if status.history().size() == 0 => return Err(Error::Absent),
            None => status.history().size(),
        };
        match size {
            0 => Err(Error::Invalid(format!("{name} is at least 1"))),
            size if size > status.size() => Err(Error::Invalid(format!(
                "{name} is above the {} messages that this node has in its tree",
                status.size()
            ))),
            size => Ok(size),
        }
    }

    /// Lets another key sign checkpoints from here on: that key.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded, or the change cannot be stated.
    pub async fn rotate_checkpoint_key(
        &self,
        caller: &Caller,
        path: &str,
    ) -> Result<At<String>, Error> {
        let looked = self.look_at_system(caller, Asked::AskSystem, path).await?;
        // A node that has just begun may not have read what there is to attest.
        self.tree_at(looked.value).await?;
        let stated = async {
            loop {
                let read = self.notary.tree.status().head().seq;
                match self.notary.change_key().await {
                    Err(checkpointer::Error::Conflict) => {
                        let mut status = self.notary.tree.watch();
                        let moved = status.wait_for(|status| status.head().seq > read).await;
                        if moved.is_err() {
                            return Err(Error::Unavailable("this node is stopping".to_owned()));
                        }
                    }
                    other => return Ok(other?),
                }
            }
        };
        let stated = tokio::time::timeout(self.patience, stated).await;
        let (key, seq) = stated.map_err(|_| Error::Unknown)??;
        Ok(At { seq, value: key })
    }
}
