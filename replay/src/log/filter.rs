//! Which events are told: by what they are about, who acted, and what came of it.

use std::str::FromStr;

use billfold_core::{
    event::{Event, v1::Operation},
    id::{MountId, RecordId},
    keys::IdKey,
    state::{Source, State},
};

use super::{Line, Name, line::VOID};

/// What a request can be answered, in the words of [`billfold_core::judge::Verdict::name`]; and that
/// nothing was, where a record came behind the end of its epoch.
pub const OUTCOMES: [&str; 6] = ["permitted", "denied", "absent", "deleted", "unknown", VOID];

/// Which events are told: those for which all of it holds. What is not said excludes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// What they are about.
    pub path: Option<PathFilter>,
    /// The principal that acted, by the first digits of its id.
    pub principal: Option<Digits>,
    /// The token that they are by or about, by the first digits of its accessor.
    pub token: Option<Digits>,
    /// The execution that the request was made for.
    pub execution: Option<String>,
    /// One of these kinds of events or operations.
    pub kinds: Vec<Kind>,
    /// One of these answers, of [`OUTCOMES`].
    pub outcomes: Vec<Outcome>,
}

impl Filter {
    /// Whether it asks for what names tell.
    pub(super) const fn looks_at_names(&self) -> bool {
        self.path.is_some() || self.execution.is_some()
    }

    /// Whether an event may pass, as far as its kind and its actor say.
    pub(super) fn may_pass(&self, line: &Line) -> bool {
        let is_by = |digits: &Digits| line.principal.is_some_and(|id| digits.begin(id));
        let is_of = |digits: &Digits| {
            let tokens = line.token.iter().chain(&line.tokens);
            tokens.into_iter().any(|id| digits.begin(id))
        };
        let is_request = line.operation.is_some();
        self.principal.as_ref().is_none_or(is_by)
            && self.token.as_ref().is_none_or(is_of)
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind.is(line)))
            && (is_request || line.void || self.outcomes.is_empty())
            && (is_request || self.execution.is_none())
    }

    /// Whether an event passes that may, once its answer is known, but for its path.
    pub(super) fn passes(&self, line: &Line) -> bool {
        let answered = || line.outcome();
        let is_answer = || answered().is_some_and(|told| self.outcomes.iter().any(|o| o.0 == told));
        let is_for = |execution: &String| line.execution.as_ref() == Some(execution);
        (self.outcomes.is_empty() || is_answer()) && self.execution.as_ref().is_none_or(is_for)
    }
}

impl Filter {
    /// Whether an event passes whose outcome nobody can tell, by the names that are known.
    pub(super) fn passes_untold(&self, line: &Line) -> bool {
        let is_about = |path: &PathFilter| told(line).is_some_and(|told| path.is(&told));
        self.may_pass(line) && self.passes(line) && self.path.as_ref().is_none_or(is_about)
    }
}

/// The first digits of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digits(String);

impl Digits {
    fn begin(&self, id: impl std::fmt::Display) -> bool {
        id.to_string().starts_with(&self.0)
    }
}

impl FromStr for Digits {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.to_lowercase();
        let are_digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match (1..=32).contains(&text.len()) && are_digits {
            true => Ok(Self(text)),
            false => Err("an id is 32 hexadecimal digits, of which the first may be enough"),
        }
    }
}

/// A kind of event, or an operation of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind(&'static str);

impl Kind {
    /// The names that there are.
    pub fn all() -> impl Iterator<Item = &'static str> {
        let events = Event::KINDS.iter().map(|(_, name)| *name);
        events.chain(Operation::all().map(Operation::name))
    }

    fn is(self, line: &Line) -> bool {
        line.event == self.0 || line.operation == Some(self.0)
    }
}

impl FromStr for Kind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::all().find(|name| name.eq_ignore_ascii_case(text));
        found
            .map(Self)
            .ok_or("there is no such kind of event, and no such operation: see --help")
    }
}

/// What a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome(&'static str);

impl FromStr for Outcome {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let meant = match text {
            "allowed" => "permitted",
            other => other,
        };
        let found = OUTCOMES.iter().find(|name| **name == meant);
        found
            .map(|name| Self(name))
            .ok_or_else(|| format!("an outcome is one of {}", OUTCOMES.join(", ")))
    }
}

/// A path with its mount, or a folder and all that is below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathFilter {
    path: String,
    is_folder: bool,
}

impl FromStr for PathFilter {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim_matches('/').is_empty() || text.starts_with('/') {
            true => Err("a path begins with its mount, without a slash before it"),
            false => Ok(Self {
                path: text.to_owned(),
                is_folder: text.ends_with('/'),
            }),
        }
    }
}

/// What is known of a place in the log besides the names in it.
pub(super) struct Here<'a, S> {
    pub(super) state: &'a State<S>,
    pub(super) ids: &'a IdKey,
    /// The mount that the event is about or in.
    pub(super) mount: Option<MountId>,
}

impl PathFilter {
    /// Whether an event is about this path; none where only a path could tell that is erased.
    pub(super) fn holds<S: Source>(
        &self,
        line: &Line,
        event: &Event,
        here: &Here<'_, S>,
    ) -> Result<Option<bool>, S::Error> {
        if let Some(told) = told(line) {
            return Ok(Some(self.is(&told)));
        }
        let Some((mount, above)) = mount_of(event, here)? else {
            return Ok(Some(false));
        };
        // What is erased is still known by its blinded ids.
        let is_at = |path: &str| above.last() == Some(&here.ids.mount_path(path));
        if self.is_folder && above.contains(&here.ids.mount_path(&self.path)) {
            return Ok(Some(true));
        }
        let ends = self.path.match_indices('/').map(|(at, _)| at + 1);
        let mut places = ends.filter_map(|end| self.path.split_at_checked(end));
        let Some((_, below)) = places.find(|(path, _)| is_at(path)) else {
            return Ok(Some(false));
        };
        if self.is_folder {
            return Ok(line.record.is_none().then_some(false));
        }
        let record = here.ids.record(mount, below);
        Ok(Some(
            line.record == Some(record) || line.records.contains(&record),
        ))
    }

    /// The same, once a later event told the path below the mount.
    pub(super) fn holds_below<S: Source>(
        &self,
        event: &Event,
        here: &Here<'_, S>,
        path: &str,
    ) -> Result<bool, S::Error> {
        let Some((_, above)) = mount_of(event, here)? else {
            return Ok(false);
        };
        let ends = self.path.match_indices('/').map(|(at, _)| at + 1);
        let mut places = ends.filter_map(|end| self.path.split_at_checked(end));
        let place = places.find(|(mount, _)| above.last() == Some(&here.ids.mount_path(mount)));
        Ok(place.is_some_and(|(_, below)| path.starts_with(below)))
    }

    fn is(&self, path: &str) -> bool {
        match self.is_folder {
            true => path.starts_with(&self.path),
            false => path == self.path,
        }
    }
}

/// The whole path of what an event is about, if names tell it.
fn told(line: &Line) -> Option<String> {
    let open = |name: &Option<Name>| match name {
        None => Some(String::new()),
        Some(Name::Open(name)) => Some(name.clone()),
        Some(Name::Erased) => None,
    };
    let path = open(&line.mount_path)? + &open(&line.path)?;
    (!path.is_empty()).then_some(path)
}

/// The mount that an event is about or in, and its blinded path as it is before the event.
fn mount_of<S: Source>(
    event: &Event,
    here: &Here<'_, S>,
) -> Result<Option<(MountId, Vec<RecordId>)>, S::Error> {
    if let Event::MountEnabled(event) = event {
        return Ok(Some((event.mount, event.path.clone())));
    }
    let Some(mount) = here.mount else {
        return Ok(None);
    };
    let found = here.state.mount(&mount)?;
    Ok(found.map(|found| (mount, found.path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_exact_or_of_a_folder() {
        let is = |filter: &str, path: &str| filter.parse::<PathFilter>().unwrap().is(path);
        assert!(is("secret/app", "secret/app"));
        assert!(!is("secret/app", "secret/app/db") && !is("secret/app", "secret/ap"));
        assert!(is("secret/app/", "secret/app/db") && is("secret/app/", "secret/app/"));
        assert!(!is("secret/app/", "secret/app") && !is("secret/app/", "secret/apple"));
        for bad in ["", "/", "//", "/secret/app"] {
            assert!(bad.parse::<PathFilter>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_known_is_no_filter() {
        assert_eq!("read-data".parse(), Ok(Kind("read-data")));
        assert_eq!("credentialwritten".parse(), Ok(Kind("CredentialWritten")));
        assert!("CredentialRead".parse::<Kind>().is_err());
        assert_eq!("allowed".parse(), Ok(Outcome("permitted")));
        let refused = "fine".parse::<Outcome>().unwrap_err();
        assert!(refused.contains("permitted, denied"), "{refused}");
        assert_eq!("0AF".parse(), Ok(Digits("0af".to_owned())));
        for bad in ["", "0x1", "g", "000000000000000000000000000000000"] {
            assert!(bad.parse::<Digits>().is_err(), "{bad}");
        }
    }
}
