//! Epochs of facts, as the state keeps them.

use crate::{Millis, cbor::as_array, id::Seq};

/// A span of the log whose facts are under one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Epoch {
    /// Counted from 1, in the order in which they began.
    pub number: u32,
    /// The commit that it began with; the facts of that one are under the key before.
    pub seq: Seq,
    /// When that was.
    pub began: Millis,
    /// When the next one began; none for the current one.
    pub ended: Option<Millis>,
}

as_array!(Epoch {
    number,
    seq,
    began,
    ended
});

impl Epoch {
    /// Its place is known once its commit is whole.
    pub(super) fn begins_at(&mut self, seq: Seq) {
        if self.seq == Seq::ZERO {
            self.seq = seq;
        }
    }
}
