//! What a request must hold to besides the capability.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Map, Value as Json};

use super::{
    engine::{Operation, Request},
    value::{self, Parameters},
};
use crate::cbor::as_array;

/// The parameter that bounds a listing.
const LIMIT: &str = "limit";

/// Bounds on parameters, response wrapping and listings. None is the default.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Conditions {
    /// Parameters that may be given, with their values; none of them, and all may.
    pub allowed: Parameters,
    /// Parameters that may not be given, with their values; a name `*` means all.
    pub denied: Parameters,
    /// Parameters that must be given.
    pub required: BTreeSet<String>,
    /// The answer must be wrapped for so many milliseconds or more; never 0.
    pub min_wrap: Option<u64>,
    /// The answer must be wrapped for so many milliseconds or fewer; never 0.
    pub max_wrap: Option<u64>,
    /// A listing holds so many names or fewer; never 0.
    pub page: Option<u32>,
}

as_array!(Conditions {
    allowed,
    denied,
    required,
    min_wrap,
    max_wrap,
    page
});

impl Conditions {
    /// Whether there are any, in the form that reading a text gives them.
    pub(super) fn is_canonical(&self) -> bool {
        *self != Self::default()
            && self.min_wrap != Some(0)
            && self.max_wrap != Some(0)
            && self.page != Some(0)
            && self
                .allowed
                .keys()
                .chain(self.denied.keys())
                .chain(&self.required)
                .all(|name| value::lower(name) == *name)
    }

    /// Adds those of another rule. Bounds become the lower of two, parameters are united.
    pub(super) fn merge(&mut self, more: &Self) {
        value::merge(&mut self.allowed, &more.allowed);
        value::merge(&mut self.denied, &more.denied);
        self.required.extend(more.required.iter().cloned());
        self.min_wrap = lower(self.min_wrap, more.min_wrap);
        self.max_wrap = lower(self.max_wrap, more.max_wrap);
        self.page = lower(self.page, more.page);
    }

    /// Whether a request holds to them.
    pub(super) fn hold(&self, request: &Request<'_>) -> bool {
        self.wrapping_holds(request.wrap_ttl)
            && match request.operation {
                Operation::Create | Operation::Read | Operation::Update | Operation::Patch => {
                    self.parameters_hold(request.parameters)
                }
                Operation::List | Operation::Scan => self.page_holds(request.parameters),
                Operation::Delete => true,
            }
    }

    fn wrapping_holds(&self, wrap: Option<Duration>) -> bool {
        let reaches = |least| wrap.is_some_and(|wrap| wrap >= Duration::from_millis(least));
        let stays = |most| wrap.is_some_and(|wrap| wrap <= Duration::from_millis(most));
        self.min_wrap.is_none_or(reaches) && self.max_wrap.is_none_or(stays)
    }

    fn parameters_hold(&self, given: Option<&Map<String, Json>>) -> bool {
        let Some(given) = given else {
            return true;
        };
        if given.is_empty() {
            return self.required.is_empty();
        }
        // The required name must stand there in lower case, as in OpenBao.
        self.required.iter().all(|name| given.contains_key(name))
            && value::none_denied(&self.denied, given)
            && value::all_allowed(&self.allowed, given)
    }

    fn page_holds(&self, given: Option<&Map<String, Json>>) -> bool {
        let (Some(most), Some(given)) = (self.page, given) else {
            return true;
        };
        let number = match given.get(LIMIT) {
            // Who does not ask for pages gets the first one, unless the policy wants to be asked.
            None => return !self.required.contains(LIMIT),
            Some(Json::String(text)) if text == "max" => return true,
            Some(Json::String(text)) => text.parse().ok(),
            Some(other) => other.as_i64(),
        };
        // Zero would mean all of them.
        number.is_some_and(|number| number > 0 && number <= i64::from(most))
    }
}

fn lower<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
