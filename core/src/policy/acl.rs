//! Access control lists: the rules of several policies as one.

use std::{collections::BTreeMap, ops::Bound};

use super::{
    Capabilities, Conditions, Decision, Engine, Operation, Pattern, Policy, ROOT, Request, Rule,
    pattern::Kind,
};
use crate::Millis;

/// The rules of several policies, merged by pattern.
#[derive(Clone, Debug, Default)]
pub struct Acl {
    names: Vec<String>,
    root: bool,
    exact: BTreeMap<String, Entry>,
    /// By what stands before the `*`. Bytes, since a prefix may end anywhere.
    prefixes: BTreeMap<Vec<u8>, Entry>,
    segments: BTreeMap<Pattern, Entry>,
    valid_until: Option<Millis>,
}

/// What all policies say of one pattern.
#[derive(Clone, Debug)]
struct Entry {
    rule: Rule,
    /// Which policy said what: its place among the names.
    said: Vec<(usize, Capabilities)>,
}

impl Acl {
    /// The policies with their names, at this time: what has expired does not count.
    ///
    /// No name is special here: who has the policy [`ROOT`] gets [`Acl::root`].
    #[must_use]
    pub fn new<'a>(
        policies: impl IntoIterator<Item = (&'a str, &'a Policy)>,
        time: Millis,
    ) -> Self {
        let mut acl = Self::default();
        for (place, (name, policy)) in policies.into_iter().enumerate() {
            acl.names.push(name.to_owned());
            for rule in policy.rules() {
                if let Some(expires) = rule.expires {
                    if time > expires {
                        continue;
                    }
                    acl.valid_until = Some(acl.valid_until.map_or(expires, |t| t.min(expires)));
                }
                acl.add(place, rule);
            }
        }
        acl
    }

    /// Permits everything.
    #[must_use]
    pub fn root() -> Self {
        Self {
            names: vec![ROOT.to_owned()],
            root: true,
            ..Self::default()
        }
    }

    /// The last moment for which it stands: after it, a rule in it has expired and a new one must
    /// be made. Nothing, if nothing in it expires.
    #[must_use]
    pub const fn valid_until(&self) -> Option<Millis> {
        self.valid_until
    }

    /// Whether it grants anything on a mount, in it, or on what it is in. The mount's path ends
    /// with a slash.
    #[must_use]
    pub fn reaches(&self, mount: &str) -> bool {
        if self.root || self.capabilities(mount).grants() {
            return true;
        }
        let grants = |entry: &Entry| entry.rule.capabilities.grants();
        let exact = self
            .exact
            .range::<str, _>((Bound::Included(mount), Bound::Unbounded));
        let mut exact = exact.take_while(|(path, _)| path.starts_with(mount));
        let mount_bytes = mount.as_bytes();
        let prefixes = self
            .prefixes
            .range::<[u8], _>((Bound::Included(mount_bytes), Bound::Unbounded));
        let mut prefixes = prefixes.take_while(|(prefix, _)| prefix.starts_with(mount_bytes));
        let mut segments = self.segments.iter();
        exact.any(|(_, entry)| grants(entry))
            || prefixes.any(|(_, entry)| grants(entry))
            || segments.any(|(pattern, entry)| pattern.leads_into(mount) && grants(entry))
    }

    fn add(&mut self, place: usize, rule: &Rule) {
        let (stem, _) = rule.pattern.stem();
        let said = (place, rule.capabilities);
        let known = match rule.pattern.kind() {
            Kind::Exact => self.exact.get_mut(stem),
            Kind::Prefix => self.prefixes.get_mut(stem.as_bytes()),
            Kind::Segments => self.segments.get_mut(&rule.pattern),
        };
        if let Some(entry) = known {
            entry.rule.merge(rule);
            match entry.said.last_mut() {
                // One policy may speak of a pattern twice, with different expiries.
                Some((last, capabilities)) if *last == place => {
                    *capabilities = capabilities.and(rule.capabilities);
                }
                _ => entry.said.push(said),
            }
            return;
        }
        let entry = Entry {
            rule: rule.clone(),
            said: vec![said],
        };
        match rule.pattern.kind() {
            Kind::Exact => drop(self.exact.insert(stem.to_owned(), entry)),
            Kind::Prefix => drop(self.prefixes.insert(stem.as_bytes().to_owned(), entry)),
            Kind::Segments => drop(self.segments.insert(rule.pattern.clone(), entry)),
        }
    }

    /// The one entry that decides on a path: an exact one, or else that of the highest rank. Where
    /// names are listed, what is said of the folder without its slash counts if nothing is said
    /// of it with its slash.
    fn entry(&self, path: &str, operation: Operation) -> Option<&Entry> {
        let path = path.trim_start_matches('/');
        let lists = matches!(operation, Operation::List | Operation::Scan);
        let bare = path.strip_suffix('/').filter(|_| lists);
        if let Some(entry) = self.exact.get(path) {
            return Some(entry);
        }
        if let Some(entry) = bare.and_then(|bare| self.exact.get(bare)) {
            return Some(entry);
        }
        self.by_wildcard(path)
            .or_else(|| bare.and_then(|bare| self.by_wildcard(bare)))
    }

    fn by_wildcard(&self, path: &str) -> Option<&Entry> {
        self.segments
            .values()
            .filter(|entry| entry.rule.pattern.matches_segments(path))
            .chain(self.longest_prefix(path.as_bytes()))
            .max_by(|one, other| one.rule.pattern.rank().cmp(&other.rule.pattern.rank()))
    }

    /// The entry of the longest prefix that begins the path. Every prefix of the path sorts at or
    /// before it, and begins whatever sorts between; so what is left shrinks to what is common.
    fn longest_prefix(&self, path: &[u8]) -> Option<&Entry> {
        let mut path = path;
        loop {
            let (prefix, entry) = self
                .prefixes
                .range::<[u8], _>((Bound::Unbounded, Bound::Included(path)))
                .next_back()?;
            if path.starts_with(prefix) {
                return Some(entry);
            }
            let common = path.iter().zip(prefix).take_while(|(a, b)| a == b).count();
            path = path.get(..common)?;
        }
    }

    /// The names of the policies that said one of these, each once.
    fn who(&self, entry: &Entry, said: Capabilities) -> Vec<&str> {
        entry
            .said
            .iter()
            .filter(|(_, capabilities)| capabilities.holds(said))
            .filter_map(|(place, _)| self.names.get(*place))
            .map(String::as_str)
            .collect()
    }
}

impl Engine for Acl {
    fn authorise(&self, request: &Request<'_>) -> Decision<'_> {
        let refused = Decision {
            permitted: false,
            policies: Vec::new(),
            page: None,
        };
        if self.root {
            return Decision {
                permitted: true,
                policies: vec![ROOT],
                ..refused
            };
        }
        let Some(entry) = self.entry(request.path, request.operation) else {
            return refused;
        };
        let rule = &entry.rule;
        if rule.capabilities.denies() {
            return Decision {
                policies: self.who(entry, Capabilities::DENY),
                ..refused
            };
        }
        let wanted = request.operation.capability();
        if !rule.capabilities.holds(wanted) {
            return refused;
        }
        let sudo = !request.needs_sudo || rule.capabilities.holds(Capabilities::SUDO);
        let held = rule.conditions.as_ref().is_none_or(|c| c.hold(request));
        let lists = matches!(request.operation, Operation::List | Operation::Scan);
        let page = |conditions: &Conditions| conditions.page.filter(|_| lists);
        Decision {
            permitted: sudo && held,
            policies: self.who(entry, wanted),
            page: rule.conditions.as_ref().and_then(page),
        }
    }

    fn capabilities(&self, path: &str) -> Capabilities {
        if self.root {
            return Capabilities::ROOT;
        }
        // Asked as for a listing, so that a folder is found with its slash and without.
        self.entry(path, Operation::List)
            .map_or(Capabilities::NONE, |entry| entry.rule.capabilities)
    }
}
