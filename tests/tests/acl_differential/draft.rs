//! Policies made at random, and their texts in either language.

use std::collections::BTreeMap;

use proptest::{collection::vec, option, prelude::*, sample::Index, sample::select};
use serde_json::{Map, Value, json};

use crate::{ask, intended};

/// The names of parameters, in policies and in requests; the case of a name does not count.
pub const NAMES: [&str; 8] = ["k", "K", "l", "data", "options", "Ä", "*", "max_versions"];

const GRANTS: [&str; 8] = [
    "create", "read", "update", "delete", "list", "sudo", "patch", "scan",
];

/// A policy before it is written.
#[derive(Debug, Clone)]
pub struct Policy {
    pub rules: Vec<Rule>,
    pub form: Form,
}

/// How a policy is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// HCL, with this between keys, and this between paths.
    Hcl(&'static str, &'static str),
    /// JSON, with its paths in one object, or in an object each.
    Json { apart: bool },
}

/// One path of a policy.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Which of the case's patterns it is about.
    pub pattern: Index,
    pub capabilities: Option<Vec<&'static str>>,
    pub short: Option<&'static str>,
    pub allowed: Parameters,
    pub denied: Parameters,
    pub required: Vec<&'static str>,
    /// These are texts of values, as both languages write them.
    pub least_wrap: Option<&'static str>,
    pub most_wrap: Option<&'static str>,
    pub page: Option<&'static str>,
    pub expires: Option<&'static str>,
    pub has_comment: bool,
}

type Parameters = BTreeMap<&'static str, Vec<Value>>;

pub fn policies() -> impl Strategy<Value = Policy> {
    let form = prop_oneof![
        3 => (
            select(vec!["\n  ", "\n", " ", ", ", "\r\n", " # k\n", "\n\n\t"]),
            select(vec!["\n", " ", "\n\n", "\r\n", "\n/* k */\n"]),
        ).prop_map(|(keys, paths)| Form::Hcl(keys, paths)),
        2 => any::<bool>().prop_map(|apart| Form::Json { apart }),
    ];
    (vec(rules(), 1..6), form).prop_map(|(rules, form)| Policy { rules, form })
}

fn rules() -> impl Strategy<Value = Rule> {
    let grants = prop_oneof![
        12 => Just(GRANTS.to_vec()),
        16 => prop::sample::subsequence(
            GRANTS.to_vec(), 0..=8),
        1 => Just(vec!["deny"]),
        1 => Just(vec!["read", "deny", "list"]),
    ];
    let rarely = |texts: Vec<&'static str>| option::weighted(0.03, select(texts));
    (
        any::<Index>(),
        option::weighted(0.9, grants),
        option::weighted(0.15, select(vec!["read", "write", "sudo", "deny", ""])),
        parameters(0.15),
        parameters(0.1),
        option::weighted(
            0.05,
            vec(select(vec!["k", "K", "data", "limit", "version"]), 1..3),
        ),
        rarely(vec!["3", "\"3\"", "\"3s\"", "\"0.05m\"", "0", "\"\""]),
        rarely(vec!["30", "\"30s\"", "\"2m\"", "\"1h30m\"", "\"2s\""]),
        rarely(vec!["1", "2", "\"2\"", "0"]),
        rarely(vec![
            "\"2020-01-01T00:00:00Z\"",
            "\"2020-06-01T00:00:00.5-07:00\"",
            "\"2095-01-01T00:00:00+02:00\"",
            "1500000000",
            "\"3900000000\"",
            "\"\"",
        ]),
        any::<bool>(),
    )
        .prop_map(|made| Rule {
            pattern: made.0,
            capabilities: made.1,
            short: made.2,
            allowed: made.3,
            denied: made.4,
            required: made.5.unwrap_or_default(),
            least_wrap: made.6,
            most_wrap: made.7,
            page: made.8,
            expires: made.9,
            has_comment: made.10,
        })
}

fn parameters(often: f64) -> impl Strategy<Value = Parameters> {
    let values = prop_oneof![
        8 => select(ask::VALUES.to_vec()).prop_map(Value::from),
        4 => select(vec!["*x", "x*", "*x*", "*", "**", ""]).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(json!(3)),
    ];
    let some = vec((select(NAMES.to_vec()), vec(values, 0..3)), 0..4);
    option::weighted(often, some)
        .prop_map(|some| intended::with_each_name_once(some.unwrap_or_default()))
}

impl Policy {
    /// Its text; `patterns` are those of the case.
    pub fn text(&self, patterns: &[String]) -> String {
        let rules = self.rules.iter().map(|rule| {
            let pattern = json!(rule.pattern.get(patterns)).to_string();
            (pattern, rule.keys(self.form))
        });
        let text = match self.form {
            Form::Hcl(between, blocks) => {
                let block = |(pattern, keys): (String, Vec<(&str, String)>)| {
                    let keys = keys.iter().map(|(key, value)| format!("{key} = {value}"));
                    let keys = keys.collect::<Vec<_>>().join(between);
                    format!("path {pattern} {{\n{keys}\n}}")
                };
                rules.map(block).collect::<Vec<_>>().join(blocks)
            }
            Form::Json { apart } => {
                let mut seen = Vec::new();
                let mut paths = Vec::new();
                for (pattern, keys) in rules {
                    let keys = keys
                        .iter()
                        .map(|(key, value)| format!("\"{key}\": {value}"));
                    let keys = keys.collect::<Vec<_>>().join(", ");
                    paths.push(format!("{pattern}: {{{keys}}}"));
                    seen.push(pattern);
                }
                seen.sort();
                seen.dedup();
                // One object has one path once.
                match apart || seen.len() < paths.len() {
                    true => format!("{{\"path\": [{{{}}}]}}", paths.join("}, {")),
                    false => format!("{{\"path\": {{{}}}}}", paths.join(", ")),
                }
            }
        };
        // No text is no policy.
        if text.is_empty() {
            " ".to_owned()
        } else {
            text
        }
    }
}

impl Rule {
    pub fn denies(&self) -> bool {
        let listed = self.capabilities.as_ref();
        self.short == Some("deny") || listed.is_some_and(|all| all.contains(&"deny"))
    }

    pub fn grants_nothing(&self) -> bool {
        let listed = self.capabilities.as_ref();
        self.short.is_none_or(str::is_empty) && listed.is_none_or(Vec::is_empty)
    }

    pub fn has_expired(&self) -> bool {
        let past = |text: &str| text.starts_with("\"2020") || text == "1500000000";
        self.expires.is_some_and(past)
    }

    /// Whether it has nothing but maps of parameters.
    pub fn is_all_maps(&self) -> bool {
        let keys = self.keys(Form::Json { apart: true });
        let map = |key: &str| matches!(key, "allowed_parameters" | "denied_parameters");
        !keys.is_empty() && keys.iter().all(|(key, _)| map(key))
    }

    /// Its keys and the texts of their values.
    fn keys(&self, form: Form) -> Vec<(&'static str, String)> {
        let mut keys = Vec::new();
        let mut add = |key, text: Option<String>| keys.extend(text.map(|text| (key, text)));
        let list = |list: &Vec<&str>| json!(list).to_string();
        add("capabilities", self.capabilities.as_ref().map(list));
        add("policy", self.short.map(|short| json!(short).to_string()));
        for (key, parameters) in [
            ("allowed_parameters", &self.allowed),
            ("denied_parameters", &self.denied),
        ] {
            let some = (!parameters.is_empty()).then(|| map(parameters, form));
            add(key, some);
        }
        let required = Some(&self.required).filter(|required| !required.is_empty());
        add("required_parameters", required.map(list));
        for (key, text) in [
            ("min_wrapping_ttl", self.least_wrap),
            ("max_wrapping_ttl", self.most_wrap),
            ("pagination_limit", self.page),
            ("expiration", self.expires),
        ] {
            add(key, text.map(str::to_owned));
        }
        add("comment", self.has_comment.then(|| "\"k\"".to_owned()));
        keys
    }
}

fn map(parameters: &Parameters, form: Form) -> String {
    match form {
        Form::Hcl(..) => {
            let one =
                |(name, values): (&&str, &Vec<Value>)| format!("\"{name}\" = {}", json!(values));
            let all: Vec<String> = parameters.iter().map(one).collect();
            format!("{{ {} }}", all.join(", "))
        }
        Form::Json { .. } => {
            let one = |(name, values): (&&str, &Vec<Value>)| {
                let values = values
                    .iter()
                    .filter(|value| intended::stands_in_json(value));
                ((*name).to_owned(), values.cloned().collect())
            };
            Value::Object(parameters.iter().map(one).collect::<Map<_, Value>>()).to_string()
        }
    }
}
