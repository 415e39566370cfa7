//! Asking the index.

use billfold_core::{
    Millis, cbor,
    event::Fact,
    id::{FactKeyId, RequestId, Seq},
    names::{RequestNames, request_names_place},
};
use billfold_streams::custody::Custody;

use super::{
    index::{EVENTS, Events, Index, Kept, TERMS, Told},
    place::Place,
    postings::{Kind, Order, Postings},
    terms::{By, asked},
};
use crate::view;

/// How many steps a question usually takes at most: a step looks a place up in a list, or opens an
/// event.
pub const STEPS: usize = 100_000;

/// A question that took too many steps rests where the sequence is a multiple of this: the place where
/// it rests tells nobody where an event stands that he may not find.
pub const REST: u64 = 64;

/// A question to the index.
#[derive(Debug, Clone)]
pub struct Query {
    /// What to look for: events that all of these find; without any, all events.
    pub by: Vec<By>,
    /// From when on.
    pub from: Millis,
    /// Until before when.
    pub to: Millis,
    /// In which order.
    pub order: Order,
    /// Only behind this place, in that order.
    pub after: Option<Place>,
    /// How many rows at most.
    pub limit: usize,
    /// How many steps at most, [`STEPS`], and those that it takes from there to the next [`REST`].
    pub steps: usize,
}

/// Some of the answer.
#[derive(Debug, Default)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Row>,
    /// Behind which place to go on; none when there is no more. A page may be short, or empty, and
    /// go on all the same: a question takes so many steps at most.
    pub next: Option<Place>,
    /// How many steps it took.
    pub steps: usize,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The time of its commit.
    pub time: Millis,
    /// Where it stands.
    pub place: Place,
    /// What happened.
    pub fact: Fact,
    /// What a request named, and who sent it from where.
    pub names: Option<RequestNames>,
    /// What a request was answered.
    pub told: Option<Told>,
}

impl Index {
    /// The rows that fit.
    ///
    /// # Errors
    /// When the index is damaged.
    pub fn find(&self, custody: &Custody, query: &Query) -> Result<Page, view::Error> {
        let Some((start, end)) = self.span(query)? else {
            return Ok(Page::default());
        };
        let list = |prefix, kind| Postings::new(&self.tree, prefix, kind, query.order);
        let mut lists: Vec<Postings<'_>> = query
            .by
            .iter()
            .map(|by| list([TERMS, &by.term(self.key())].concat(), Kind::Listed))
            .collect();
        if lists.is_empty() {
            lists.push(list(EVENTS.to_vec(), Kind::Counted));
        }
        let search = Search {
            index: self,
            custody,
            query,
            lists,
            steps: 0,
            tired: None,
            open: None,
            page: Page::default(),
        };
        search.run(start, end)
    }

    /// The first and the last place that a question can find something at, in its order.
    fn span(&self, query: &Query) -> Result<Option<(Place, Place)>, view::Error> {
        let position = self.position();
        let Some(first) = self.first_of(query.from)? else {
            return Ok(None);
        };
        let low = Place::first_of(first);
        let behind = match self.end_of(query.to)? {
            Some(end) if end <= position => Place::first_of(end),
            _ => Place::first_of(position.next()),
        };
        let Some(high) = behind.before() else {
            return Ok(None);
        };
        let (low, high) = match (query.order, query.after) {
            (_, None) => (low, high),
            (Order::Oldest, Some(after)) => (low.max(after.next()), high),
            (Order::Newest, Some(after)) => match after.before() {
                Some(before) => (low, high.min(before)),
                None => return Ok(None),
            },
        };
        Ok((low <= high).then_some(match query.order {
            Order::Oldest => (low, high),
            Order::Newest => (high, low),
        }))
    }
}

/// A question at work.
struct Search<'a> {
    index: &'a Index,
    custody: &'a Custody,
    query: &'a Query,
    lists: Vec<Postings<'a>>,
    steps: usize,
    /// Where it had taken too many steps.
    tired: Option<Place>,
    /// The events that were opened last.
    open: Option<(Place, Events)>,
    page: Page,
}

/// What comes next.
enum Next {
    /// All lists have this place.
    Found(Place),
    /// Nothing any more.
    Nothing,
    /// Too many steps: what stands behind this place is for the next page.
    Tired(Place),
}

impl Search<'_> {
    fn run(mut self, start: Place, end: Place) -> Result<Page, view::Error> {
        let mut from = Some(start);
        while let Some(place) = from {
            let found = match self.agree(place, end)? {
                Next::Found(found) => found,
                Next::Nothing => break,
                Next::Tired(place) => {
                    self.page.next = Some(place);
                    break;
                }
            };
            self.steps += 1;
            if let Some(row) = self.row(found)? {
                if self.page.rows.len() >= self.query.limit {
                    self.page.next = self.page.rows.last().map(|row| row.place);
                    break;
                }
                self.page.rows.push(row);
            }
            from = self.forward(found);
        }
        self.page.steps = self.steps;
        Ok(self.page)
    }

    /// The next place that all lists have. Each list in turn leaps to where the one before it is, so
    /// the one with the fewest places leads.
    fn agree(&mut self, place: Place, end: Place) -> Result<Next, view::Error> {
        let (mut place, mut agreed, mut turn) = (place, 0, 0);
        while agreed < self.lists.len() {
            self.steps += 1;
            let list = self.lists.get_mut(turn);
            let Some(found) = list.map(|list| list.seek(place)).transpose()?.flatten() else {
                return Ok(Next::Nothing);
            };
            let is_beyond = match self.query.order {
                Order::Oldest => found > end,
                Order::Newest => found < end,
            };
            if is_beyond {
                return Ok(Next::Nothing);
            }
            agreed = if found == place { agreed + 1 } else { 1 };
            place = found;
            turn = (turn + 1) % self.lists.len();
            if self.steps >= self.query.steps
                && let Some(rest) = self.rest(place)
            {
                return Ok(Next::Tired(rest));
            }
        }
        Ok(Next::Found(place))
    }

    /// The place behind this one, in the question's order.
    fn forward(&self, place: Place) -> Option<Place> {
        match self.query.order {
            Order::Oldest => Some(place.next()),
            Order::Newest => place.before(),
        }
    }

    /// Where to rest, once it is tired and has come past such a place: nothing stands between that and
    /// the place where it is.
    fn rest(&mut self, place: Place) -> Option<Place> {
        let tired = *self.tired.get_or_insert(place);
        let stretch = |place: Place| place.seq.0 / REST;
        let first = |stretch: u64| Place::first_of(Seq(stretch.saturating_mul(REST)));
        (stretch(place) != stretch(tired)).then_some(())?;
        match self.query.order {
            Order::Oldest => first(stretch(place)).before(),
            Order::Newest => Some(first(stretch(place).saturating_add(1))),
        }
    }

    /// The event of a place, if it fits.
    fn row(&mut self, place: Place) -> Result<Option<Row>, view::Error> {
        let events = match self.open.take() {
            Some((open, events)) if events.are_of(open, place) => events,
            _ => self.index.events(place)?,
        };
        let (_, events) = self.open.insert((place, events));
        let time = events.time;
        if time < self.query.from || time >= self.query.to {
            return Ok(None);
        }
        let Kept { fact, names, told } = events.get(place.number)?;
        let outcome = told.as_ref().map(|told| told.outcome);
        if !self.query.by.iter().all(|by| by.fits(&fact, outcome)) {
            return Ok(None);
        }
        let names = match (asked(&fact), names) {
            (Some(asked), Some(sealed)) => {
                open_request(self.custody, &events.epochs, asked.request, &sealed)
            }
            _ => None,
        };
        Ok(Some(Row {
            time,
            place,
            fact,
            names,
            told,
        }))
    }
}

/// Opens what a request named; none without the key of its epoch.
pub(super) fn open_request(
    custody: &Custody,
    epochs: &[FactKeyId],
    request: RequestId,
    sealed: &[u8],
) -> Option<RequestNames> {
    let keys = custody.keys();
    epochs.iter().find_map(|id| {
        let place = request_names_place(custody.wallet(), *id, request);
        let plain = keys.epoch(id)?.request_names.open(&place, sealed).ok()?;
        cbor::decode(plain.expose()).ok()
    })
}
