//! Where Billfold means to differ from OpenBao, and so is not compared with it: the list in
//! `core/src/policy.rs`, in terms of what is made here. Whatever is not here must be the same.

use std::collections::BTreeMap;

use billfold_tests::billfold::Reply;
use serde_json::Value;

use crate::{
    ask::{Case, Sent},
    draft::{Form, Policy, Rule},
};

/// Which server takes a policy that the other one refuses, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    ByOpenBao(&'static str),
    ByBillfold(&'static str),
}

/// Where the two read the text of a policy differently.
pub fn taken(policy: &Policy, patterns: &[String]) -> Option<Taken> {
    let rules = || policy.rules.iter();
    if rules().any(|rule| {
        let pattern: &String = rule.pattern.get(patterns);
        rule.has_expired() && pattern.contains("+*")
    }) {
        return Some(Taken::ByOpenBao(
            "a wildcard that is none is refused, in a rule that has expired as in any other",
        ));
    }
    if rules().any(|rule| {
        let least = rule
            .least_wrap
            .is_some_and(|text| text.contains(['3', '5']));
        let excluding = least && rule.most_wrap == Some("\"2s\"");
        excluding && (rule.denies() || rule.has_expired())
    }) {
        return Some(Taken::ByOpenBao(
            "bounds that exclude everything are refused, in a rule that denies as in any other",
        ));
    }
    if policy.form != (Form::Json { apart: false }) && policy.form != (Form::Json { apart: true }) {
        return None;
    }
    rules().any(Rule::is_all_maps).then_some(Taken::ByBillfold(
        "OpenBao's reader takes a JSON object of objects alone for as many with longer names; such a rule grants nothing",
    ))
}

/// Whether OpenBao refuses what is asked for. Who may not make an orphan is told 400 there, and here
/// 403 like everybody who may not do what they ask for.
pub fn is_refused_by_openbao(reply: &Reply) -> bool {
    reply.status == 403
        || reply.status == 400
            && reply
                .text()
                .contains("root or sudo privileges required to create orphan token")
}

/// Whether Billfold may refuse a request that OpenBao permits. OpenBao shows a mount to whoever has a
/// rule with a wildcard that the mount's path matches, even if it grants nothing or denies.
pub fn may_be_refused(case: &Case, sent: &Sent) -> bool {
    let mut rules = case.policies.iter().flat_map(|policy| &policy.rules);
    sent.path.starts_with("sys/internal/ui/mounts/")
        && rules.any(|rule| {
            let pattern: &String = rule.pattern.get(&case.patterns);
            pattern.contains(['*', '+']) && (rule.grants_nothing() || rule.denies())
        })
}

/// Two names of parameters that differ in their case alone are one, and given twice: refused, where
/// OpenBao takes one of them, and not always the same.
pub fn with_each_name_once(
    parameters: Vec<(&'static str, Vec<Value>)>,
) -> BTreeMap<&'static str, Vec<Value>> {
    let mut once = BTreeMap::new();
    let mut seen = Vec::new();
    for (name, values) in parameters {
        let name_seen = name.to_lowercase();
        if !seen.contains(&name_seen) {
            seen.push(name_seen);
            once.insert(name, values);
        }
    }
    once
}

/// Booleans in the lists of a JSON policy count; in OpenBao they vanish.
pub fn stands_in_json(value: &Value) -> bool {
    !value.is_boolean()
}

/// What requests carry. No number: it equals the number of a policy, and in OpenBao none.
pub fn is_compared(value: &Value) -> bool {
    !value.is_number()
}

/// Limits of listings. Not `0`: it asks for everything, and is refused where a policy has a bound.
pub const LIMITS: [&str; 8] = ["1", "2", "3", "max", "x", "-1", "07", "+1"];
