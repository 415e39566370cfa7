//! Asking the index.

use billfold_core::{
    Millis,
    event::Fact,
    id::{PrincipalId, RecordId, Seq},
};

use super::index::{BY_PRINCIPAL, BY_RECORD, Facts, Index, of_place, place_of};
use crate::view::{self, damaged};

/// How far behind the end of a span commits of that span may still stand: the clocks of the nodes
/// agree within seconds.
const SKEW: u64 = 60_000;

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Everything.
    All,
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
    pub after: Option<(Seq, u16)>,
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
    /// The rows that fit, in the order of the log.
    ///
    /// # Errors
    /// When the index is damaged.
    pub fn find(&self, query: &Query) -> Result<Vec<Row>, view::Error> {
        let mut found = Found {
            index: self,
            query,
            open: None,
            rows: Vec::new(),
        };
        let Some(first) = self.first_of(query.from)? else {
            return Ok(Vec::new());
        };
        // Behind the last row of the page before, or from the first that may fit.
        let start = match query.after {
            Some((seq, number)) if seq >= first => (seq, number.saturating_add(1)),
            _ => (first, 0),
        };
        match query.by {
            By::All => found.all(start)?,
            By::Record(id) => found.posted(BY_RECORD, id.as_bytes(), start)?,
            By::Principal(id) => found.posted(BY_PRINCIPAL, id.as_bytes(), start)?,
        }
        Ok(found.rows)
    }
}

/// A query at work.
struct Found<'a> {
    index: &'a Index,
    query: &'a Query,
    /// The commit that was looked at last.
    open: Option<(Seq, Facts)>,
    rows: Vec<Row>,
}

impl Found<'_> {
    fn all(&mut self, (mut seq, mut number): (Seq, u16)) -> Result<(), view::Error> {
        let end = self.index.position();
        while seq <= end {
            if !self.take(seq, number)? {
                return Ok(());
            }
            let more = |(_, facts): &(Seq, Facts)| usize::from(number) + 1 < facts.facts.len();
            (seq, number) = if self.open.as_ref().is_some_and(more) {
                (seq, number + 1)
            } else {
                (seq.next(), 0)
            };
        }
        Ok(())
    }

    fn posted(&mut self, kind: &[u8], id: &[u8], start: (Seq, u16)) -> Result<(), view::Error> {
        let about = [kind, id].concat();
        let from = [about.as_slice(), &place_of(start.0, start.1)].concat();
        let to = [about.as_slice(), &[u8::MAX; 10]].concat();
        // The posting that begins before the start may reach over it.
        let tree = &self.index.tree;
        let before = tree.range(about.as_slice()..from.as_slice()).next_back();
        for item in before.into_iter().chain(tree.range(from..=to)) {
            let (_, places) = item?;
            for place in places.chunks(10) {
                let (seq, number) = of_place(place).ok_or_else(|| damaged("a posting"))?;
                if (seq, number) >= start && !self.take(seq, number)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Takes a fact if it fits; says whether there may be more.
    fn take(&mut self, seq: Seq, number: u16) -> Result<bool, view::Error> {
        if self.rows.len() >= self.query.limit {
            return Ok(false);
        }
        let facts = match self.open.take() {
            Some((open, facts)) if open == seq => facts,
            _ => self.index.facts(seq)?,
        };
        let time = facts.time;
        if self.query.from <= time && time < self.query.to {
            // A page may end with the last fact of a commit.
            if let Some(fact) = facts.facts.get(usize::from(number)) {
                self.rows.push(Row {
                    time,
                    seq,
                    number,
                    fact: fact.clone(),
                });
            }
        }
        self.open = Some((seq, facts));
        Ok(time < self.query.to.plus(SKEW))
    }
}
