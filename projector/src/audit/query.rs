//! Asking the index.

use std::ops::Bound;

use billfold_core::{
    Millis,
    event::Fact,
    id::{PrincipalId, RecordId, Seq},
};

use super::index::{At, BY_PRINCIPAL, BY_RECORD, FACTS, Index, at};
use crate::view::{self, damaged};

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Everything.
    Time,
    /// What concerns a record.
    Record(RecordId),
    /// What a principal did.
    Principal(PrincipalId),
}

/// A question to the index.
#[derive(Debug, Clone, Copy)]
pub struct Query {
    /// What to look for.
    pub by: By,
    /// From when on.
    pub from: Millis,
    /// Until before when.
    pub to: Millis,
    /// Only behind this row: the last one of the page before.
    pub after: Option<(Millis, Seq, u16)>,
    /// How many rows at most.
    pub limit: usize,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The time of its commit.
    pub time: Millis,
    /// The sequence of its commit.
    pub seq: Seq,
    /// Its number in the commit.
    pub number: u16,
    /// What happened.
    pub fact: Fact,
}

impl Index {
    /// The rows that fit, oldest first.
    ///
    /// # Errors
    /// When the index is damaged.
    pub fn find(&self, query: &Query) -> Result<Vec<Row>, view::Error> {
        let prefix = match &query.by {
            By::Time => FACTS.to_vec(),
            By::Record(id) => [BY_RECORD, id.as_bytes()].concat(),
            By::Principal(id) => [BY_PRINCIPAL, id.as_bytes()].concat(),
        };
        let key = |at: At| [prefix.as_slice(), &at].concat();
        let first = at(query.from, Seq::ZERO, 0);
        let start = match query.after {
            Some((time, seq, number)) => {
                let after = at(time, seq, usize::from(number));
                if after >= first {
                    Bound::Excluded(key(after))
                } else {
                    Bound::Included(key(first))
                }
            }
            None => Bound::Included(key(first)),
        };
        let end = Bound::Excluded(key(at(query.to, Seq::ZERO, 0)));
        if query.from >= query.to
            || matches!((&start, &end), (Bound::Excluded(a), Bound::Excluded(b)) if a >= b)
        {
            return Ok(Vec::new());
        }
        let places = self.tree.range((start, end)).keys().take(query.limit);
        places.map(|key| self.row(&key?, prefix.len())).collect()
    }

    fn row(&self, key: &[u8], prefix: usize) -> Result<Row, view::Error> {
        let wrong = || damaged("a place");
        let place = key.get(prefix..).ok_or_else(wrong)?;
        let (time, rest) = place.split_first_chunk::<8>().ok_or_else(wrong)?;
        let (seq, rest) = rest.split_first_chunk::<8>().ok_or_else(wrong)?;
        let number = rest.try_into().map_err(|_| wrong())?;
        let key = [FACTS, place].concat();
        let sealed = self.tree.get(&key)?.ok_or_else(|| damaged("a fact"))?;
        let fact = Fact::decode(&self.unseal(&key, &sealed)?).map_err(|_| damaged("a fact"))?;
        Ok(Row {
            time: Millis(u64::from_be_bytes(*time)),
            seq: Seq(u64::from_be_bytes(*seq)),
            number: u16::from_be_bytes(number),
            fact,
        })
    }
}
