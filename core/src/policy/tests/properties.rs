//! Property tests: what holds for all texts, policies and paths.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use proptest::{collection::btree_map, prelude::*, sample::select, sample::subsequence};
use serde_json::json;

use super::*;
use crate::cbor;

const GRANTS: [&str; 8] = [
    "create", "read", "update", "delete", "list", "sudo", "patch", "scan",
];

/// A path of a text, before it is written in a language.
#[derive(Clone, Debug)]
struct Draft {
    capabilities: Vec<&'static str>,
    allowed: BTreeMap<&'static str, Vec<Json>>,
    denied: BTreeMap<&'static str, Vec<Json>>,
    wrap: Option<u32>,
    page: Option<u32>,
    expires: Option<u32>,
}

fn drafts() -> impl Strategy<Value = BTreeMap<String, Draft>> {
    btree_map(patterns(), draft(), 0..6)
}

fn patterns() -> impl Strategy<Value = String> {
    prop::collection::vec(
        select(vec!["a", "b", "ab", "+", "", "é", "a\"b", "$"]),
        1..4,
    )
    .prop_map(|segments| segments.join("/"))
    .prop_flat_map(|path| select(vec![path.clone(), format!("{path}/*"), format!("{path}a*")]))
}

fn paths() -> impl Strategy<Value = String> {
    prop::collection::vec(select(vec!["a", "b", "ab", "aba", "é", ""]), 1..5)
        .prop_map(|segments| segments.join("/"))
}

fn draft() -> impl Strategy<Value = Draft> {
    let values = || {
        let value = select(vec![
            json!("x"),
            json!("*y"),
            json!("a\nb"),
            json!(3),
            json!(true),
        ]);
        btree_map(
            select(vec!["k", "l", "*", "é x"]),
            prop::collection::vec(value, 0..3),
            0..3,
        )
    };
    (
        subsequence(GRANTS.to_vec(), 0..=8),
        values(),
        values(),
        prop::option::of(1_u32..100),
        prop::option::of(1_u32..100),
        prop::option::of(1_u32..3),
    )
        .prop_map(
            |(capabilities, allowed, denied, wrap, page, expires)| Draft {
                capabilities,
                allowed,
                denied,
                wrap,
                page,
                expires,
            },
        )
}

fn as_json(drafts: &BTreeMap<String, Draft>) -> String {
    let paths: BTreeMap<_, _> = drafts
        .iter()
        .map(|(pattern, draft)| {
            let mut keys = json!({
                "capabilities": draft.capabilities,
                "allowed_parameters": draft.allowed,
                "denied_parameters": draft.denied,
            });
            for (key, number) in numbers(draft) {
                keys[key] = json!(number);
            }
            (pattern, keys)
        })
        .collect();
    json!({ "path": paths }).to_string()
}

fn numbers(draft: &Draft) -> Vec<(&'static str, u32)> {
    [
        ("min_wrapping_ttl", draft.wrap),
        ("pagination_limit", draft.page),
        ("expiration", draft.expires),
    ]
    .into_iter()
    .filter_map(|(key, number)| Some((key, number?)))
    .collect()
}

fn as_hcl(drafts: &BTreeMap<String, Draft>) -> String {
    let mut text = String::new();
    for (pattern, draft) in drafts {
        let map = |parameters: &BTreeMap<&str, Vec<Json>>| -> String {
            let lines = parameters
                .iter()
                .map(|(name, values)| format!("    {} = {}\n", json!(name), json!(values)));
            format!("{{\n{}  }}", lines.collect::<String>())
        };
        writeln!(text, "path {} {{", json!(pattern)).unwrap();
        writeln!(text, "  capabilities = {}", json!(draft.capabilities)).unwrap();
        writeln!(text, "  allowed_parameters = {}", map(&draft.allowed)).unwrap();
        writeln!(text, "  denied_parameters = {}", map(&draft.denied)).unwrap();
        for (key, number) in numbers(draft) {
            writeln!(text, "  {key} = {number}").unwrap();
        }
        text.push_str("}\n");
    }
    text
}

fn set(acl: &Acl, path: &str) -> BTreeSet<&'static str> {
    let names = acl.capabilities(path).names();
    names.into_iter().filter(|name| *name != "deny").collect()
}

/// The same policy with other capabilities on the same paths.
fn again(drafts: &BTreeMap<String, Draft>, picks: &[usize]) -> Policy {
    let mut drafts = drafts.clone();
    for (draft, pick) in drafts.values_mut().zip(picks.iter().cycle()) {
        draft.capabilities = vec![GRANTS[pick % GRANTS.len()]];
        draft.expires = None;
    }
    policy(&as_json(&drafts))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_makes_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(Policy::parse(&String::from_utf8_lossy(&bytes)));
    }

    #[test]
    fn no_text_that_looks_like_a_policy_makes_the_reader_panic(
        parts in prop::collection::vec(select(vec![
            "path", "\"a\"", "{", "}", "[", "]", "=", ":", ",", "\n", " ", "capabilities", "policy",
            "\"read\"", "\"deny\"", "\"path\"", "\"${\"", "<<E", "E\n", "-", "0", "1e9", "true",
            "null", "\"\\u00", "\"min_wrapping_ttl\"", "\"9999999999999999999h\"", "é", "/*", "*/",
            "#", "expiration", "\"9999-12-31T23:59:59+99:99\"", "(", ")", "?", "!", "..", "*",
        ]), 0..60)
    ) {
        drop(Policy::parse(&parts.concat()));
    }

    #[test]
    fn a_cut_policy_is_refused_or_read_and_never_panics(drafts in drafts(), at in any::<prop::sample::Index>()) {
        for text in [as_hcl(&drafts), as_json(&drafts)] {
            let mut end = at.index(text.len() + 1);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            drop(Policy::parse(&text[..end]));
        }
    }

    #[test]
    fn both_languages_mean_the_same(drafts in drafts()) {
        let (hcl, json) = (as_hcl(&drafts), as_json(&drafts));
        prop_assert_eq!(policy(&hcl), policy(&json), "{}", hcl);
    }

    #[test]
    fn a_text_means_the_same_in_one_line(drafts in drafts()) {
        let text = as_hcl(&drafts);
        prop_assert_eq!(policy(&text.replace('\n', " ")), policy(&text), "{}", text);
    }

    #[test]
    fn policies_come_back_from_their_bytes_and_equal_ones_encode_equally(drafts in drafts()) {
        let policy = policy(&as_json(&drafts));
        let bytes = cbor::encode(&policy);
        prop_assert_eq!(&cbor::decode::<Policy>(&bytes).unwrap(), &policy);
        let mut backwards = String::new();
        for (pattern, draft) in drafts.iter().rev() {
            let mut turned = draft.clone();
            turned.capabilities.reverse();
            turned.allowed.values_mut().for_each(|values| values.reverse());
            backwards += &as_hcl(&BTreeMap::from([(pattern.clone(), turned)]));
        }
        prop_assert_eq!(cbor::encode(&super::policy(&backwards)), bytes);
    }

    #[test]
    fn bytes_that_are_not_a_policy_are_refused_or_stand_for_one(
        drafts in drafts(), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut bytes = cbor::encode(&policy(&as_json(&drafts)));
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(policy) = cbor::decode::<Policy>(&bytes) {
            let again = cbor::encode(&policy);
            prop_assert_eq!(cbor::decode::<Policy>(&again).unwrap(), policy);
        }
    }

    #[test]
    fn a_denial_on_the_path_itself_wins(all in prop::collection::vec(drafts(), 1..4), path in paths()) {
        let mut policies: Vec<_> = all.iter().map(|drafts| policy(&as_json(drafts))).collect();
        // A pattern loses its first slash, which no path has.
        let path = path.trim_start_matches('/');
        let deny = policy(&json!({ "path": { path: { "policy": "deny" } } }).to_string());
        policies.insert(policies.len() / 2, deny);
        let acl = Acl::new(policies.iter().map(|policy| ("p", policy)), Millis(0));
        prop_assert_eq!(acl.capabilities(path), Capabilities::DENY);
        for operation in [Operation::Create, Operation::Read, Operation::Delete, Operation::Scan] {
            prop_assert!(!acl.authorise(&request(path, operation)).permitted);
        }
    }

    #[test]
    fn a_policy_for_the_same_paths_takes_nothing_away_unless_it_denies(
        drafts in drafts(), picks in prop::collection::vec(any::<usize>(), 1..6), path in paths()
    ) {
        let mut first = drafts.clone();
        first.values_mut().for_each(|draft| draft.expires = None);
        let (one, other) = (policy(&as_json(&first)), again(&drafts, &picks));
        let alone = Acl::new([("one", &one)], NOW);
        for both in [[("one", &one), ("other", &other)], [("other", &other), ("one", &one)]] {
            let both = Acl::new(both, NOW);
            prop_assert!(set(&both, &path).is_superset(&set(&alone, &path)));
        }
    }

    #[test]
    fn the_order_of_policies_changes_no_decision(
        all in prop::collection::vec(drafts(), 1..4), path in paths(), value in select(vec!["x", "zy", "3"])
    ) {
        let policies: Vec<_> = all.iter().map(|drafts| policy(&as_json(drafts))).collect();
        let one = Acl::new(policies.iter().map(|policy| ("p", policy)), Millis(1_500));
        let other = Acl::new(policies.iter().rev().map(|policy| ("p", policy)), Millis(1_500));
        let body = map(&json!({ "k": value }).to_string());
        for operation in [Operation::Read, Operation::Update, Operation::List, Operation::Scan] {
            let request = Request { parameters: Some(&body), ..request(&path, operation) };
            prop_assert_eq!(one.authorise(&request), other.authorise(&request));
        }
        prop_assert_eq!(one.valid_until(), other.valid_until());
    }

    #[test]
    fn the_longest_prefix_decides(prefixes in prop::collection::btree_set("[abé]{0,5}", 0..12), path in "[abé]{0,7}") {
        let text: Vec<_> = prefixes.iter().map(|prefix| {
            let grant = GRANTS[prefix.chars().count()];
            json!({ format!("{prefix}*"): { "capabilities": [grant] } })
        }).collect();
        let text = if text.is_empty() { "{}".into() } else { json!({ "path": text }).to_string() };
        let longest = prefixes.iter().filter(|prefix| path.starts_with(*prefix)).max_by_key(|p| p.len());
        let expected = longest.map_or("deny", |prefix| GRANTS[prefix.chars().count()]);
        prop_assert_eq!(names(&acl(&[&text]), &path), expected);
    }
}
