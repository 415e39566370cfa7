//! Policies as they were written, and until when they are there.

use crate::{Millis, cbor::as_array, policy::Policy};

/// A policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredPolicy {
    /// Its text, as it was sent.
    pub text: String,
    /// What the text says.
    pub policy: Policy,
    /// How often it was written since it was last absent, counted from 1.
    pub version: u32,
    /// When it was last written.
    pub modified: Millis,
    /// When it ends by itself.
    pub expires: Option<Millis>,
    /// Whether the next write must say which version it follows.
    pub cas_required: bool,
}

as_array!(StoredPolicy {
    text,
    policy,
    version,
    modified,
    expires,
    cas_required
});

impl StoredPolicy {
    /// Whether it has ended by itself at this time: then it is as if it were not there.
    #[must_use]
    pub fn has_ended(&self, time: Millis) -> bool {
        self.expires.is_some_and(|expires| expires <= time)
    }
}
