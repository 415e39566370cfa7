//! Auditor grants, as the state keeps them.

use std::collections::BTreeMap;

use serde_bytes::ByteArray;

use crate::{Millis, cbor::as_array, event::Actor, id::GrantId, state::Epoch};

/// An auditor's grant while it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The auditor's public key.
    pub recipient: ByteArray<32>,
    /// From when on.
    pub from: Millis,
    /// Until when; none is for as long as it stands.
    pub to: Option<Millis>,
    /// Whether epochs are granted when they begin.
    pub live: bool,
    /// Whether names are granted.
    pub names: bool,
    /// When it was granted.
    pub granted: Millis,
    /// By whom.
    pub actor: Actor,
    /// How many parts of it are in the log.
    pub parts: u32,
    /// The number of the last epoch that is granted; 0 is none.
    pub last_epoch: u32,
    /// Up to when all that came to be is named; none before the first table is complete.
    pub named: Option<Millis>,
    /// When the last epoch ended that is granted, or was granted if it goes on; 0 for none.
    pub covers: Millis,
}

as_array!(Grant {
    recipient,
    from,
    to,
    live,
    names,
    granted,
    actor,
    parts,
    last_epoch,
    named,
    covers
});

impl Grant {
    /// Whether an epoch is to be granted, and is not yet: it overlaps the span, and is closed unless
    /// the grant is a live one.
    #[must_use]
    pub fn is_due(&self, epoch: &Epoch) -> bool {
        let begins_in_time = self.to.is_none_or(|to| epoch.began < to);
        let ends_in_time = epoch.ended.map_or(self.live, |ended| ended >= self.from);
        epoch.number > self.last_epoch && begins_in_time && ends_in_time
    }

    /// Whether a table of names may be granted: there is none yet, or epochs came after it.
    #[must_use]
    pub fn wants_names(&self) -> bool {
        self.names && self.named.is_none_or(|named| named < self.covers)
    }

    /// Up to when names are to be granted that are not yet: of what came to be by the end of the last
    /// epoch that is granted, and of the span. Without an epoch there is nothing to be named.
    #[must_use]
    pub fn names_due(&self) -> Option<Millis> {
        let end = self.to.map_or(self.covers, |to| to.min(self.covers));
        let is_due = self.last_epoch > 0 && self.named.is_none_or(|named| named < end);
        (self.names && is_due).then_some(end)
    }
}

/// All grants that stand.
pub type Grants = BTreeMap<GrantId, Grant>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Seq;

    #[test]
    fn whole_epochs_that_overlap_the_span_are_granted() {
        let grant = |to, live, last_epoch| Grant {
            recipient: ByteArray::new([1; 32]),
            from: Millis(100),
            to,
            live,
            names: false,
            granted: Millis(150),
            actor: Actor::System,
            parts: 0,
            last_epoch,
            named: None,
            covers: Millis(0),
        };
        let epoch = |number, began, ended: Option<u64>| Epoch {
            number,
            seq: Seq(1),
            began: Millis(began),
            ended: ended.map(Millis),
        };
        let closed = grant(Some(Millis(200)), false, 0);
        assert!(!closed.is_due(&epoch(1, 50, Some(99))), "before");
        assert!(closed.is_due(&epoch(1, 50, Some(100))), "its last moment");
        assert!(closed.is_due(&epoch(2, 120, Some(130))));
        assert!(closed.is_due(&epoch(2, 199, Some(300))));
        assert!(!closed.is_due(&epoch(2, 200, Some(300))), "behind");
        assert!(!closed.is_due(&epoch(2, 150, None)), "it goes on");
        assert!(grant(None, true, 0).is_due(&epoch(2, 150, None)));
        assert!(!grant(None, true, 2).is_due(&epoch(2, 150, Some(160))));
        assert!(grant(None, false, 2).is_due(&epoch(3, 900, Some(901))));
        let mut named = grant(None, false, 2);
        assert!(!named.wants_names(), "it is without");
        named.names = true;
        assert!(named.wants_names());
        named.named = Some(Millis(50));
        assert!(!named.wants_names());
        named.covers = Millis(51);
        assert!(named.wants_names(), "a later epoch is granted");
    }

    #[test]
    fn names_are_due_as_far_as_epochs_are_granted_and_the_span_goes() {
        let grant = |to, last_epoch, named, covers| Grant {
            recipient: ByteArray::new([1; 32]),
            from: Millis(100),
            to,
            live: false,
            names: true,
            granted: Millis(150),
            actor: Actor::System,
            parts: 0,
            last_epoch,
            named,
            covers: Millis(covers),
        };
        let due = |to: Option<u64>, last, named: Option<u64>, covers| {
            let due = grant(to.map(Millis), last, named.map(Millis), covers).names_due();
            due.map(|due| due.0)
        };
        assert_eq!(due(None, 0, None, 0), None, "no epoch is granted");
        assert_eq!(due(None, 1, None, 300), Some(300));
        assert_eq!(due(None, 1, Some(300), 300), None, "they are complete");
        assert_eq!(due(None, 2, Some(300), 400), Some(400));
        assert_eq!(due(Some(350), 2, Some(300), 400), Some(350));
        assert_eq!(due(Some(350), 2, Some(350), 400), None, "the span is over");
        assert_eq!(due(Some(900), 2, None, 400), Some(400));
        let without = Grant {
            names: false,
            ..grant(None, 1, None, 300)
        };
        assert_eq!(without.names_due(), None);
    }
}
