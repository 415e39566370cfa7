//! Texts of policies.

use billfold_core::{
    Millis, cbor,
    policy::{Acl, Capabilities, Conditions, Engine as _, Policy, Rule, Value},
};
use serde_json::{Map, Value as Json, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::Choices;

const PATTERNS: [&str; 12] = [
    "a",
    "a/*",
    "a/+/b",
    "+/+",
    "/a",
    "//a",
    "*",
    "",
    "a*",
    "\\u00e9 \\\"",
    "a/+*",
    "{{id}}",
];
/// Keys with their values, in HCL and in JSON.
const KEYS: [(&str, &str, &str); 24] = [
    ("capabilities", r#"["read", "list",]"#, r#"["read","list"]"#),
    ("capabilities", r#"["deny"]"#, r#"["sudo","deny"]"#),
    ("capabilities", "[]", "[]"),
    ("policy", r#""write""#, r#""write""#),
    ("policy", r#""deny""#, r#""""#),
    (
        "allowed_parameters",
        r#"{ "k" = ["*x", 3, true], "*" = [] }"#,
        r#"{"k":["*x",3,true],"*":[]}"#,
    ),
    (
        "allowed_parameters",
        "{\n\"K\" = [\"\"]\nl = [-1]\n}",
        r#"{"\u00c4":["a\nb"]}"#,
    ),
    ("denied_parameters", r#"{ "k" = [] }"#, r#"{"k":[]}"#),
    (
        "denied_parameters",
        r#"{ "k" = [], "K" = [] }"#,
        r#"{"k":[],"k":[1]}"#,
    ),
    ("required_parameters", r#"["K", "k"]"#, r#"["K","k"]"#),
    ("min_wrapping_ttl", r#""1h1.5s""#, r#""1h1.5s""#),
    ("min_wrapping_ttl", "0", r#""""#),
    ("max_wrapping_ttl", "90", r#""2d""#),
    ("max_wrapping_ttl", r#""0.0005ms""#, "-1"),
    ("pagination_limit", "2", r#""2""#),
    ("pagination_limit", "02", "0"),
    (
        "expiration",
        r#""2030-01-31T12:00:00.125+02:00""#,
        r#""2030-01-31T12:00:00.125999Z""#,
    ),
    ("expiration", "1900000000", "1900000000"),
    (
        "expiration",
        r#""9999-12-31T23:59:59.999Z""#,
        "9223372036854775807",
    ),
    ("comment", r#""\u00e9 \" {""#, r#""\u00e9""#),
    ("comment", r#""${x}""#, "null"),
    ("comment", "<<EOF\nx\nEOF", "{}"),
    ("mfa_methods", "[]", "[]"),
    ("unknown", "1", "1"),
];
const BETWEEN: [&str; 8] = [
    "\n",
    "\n",
    " ",
    ", ",
    "\r\n",
    " # }\n",
    " // {\n",
    " /* } */ ",
];

/// A text that is a policy, unless one of its parts is none.
fn made(choices: &mut Choices<'_>) -> String {
    let in_json = choices.next() % 2 == 1;
    let (mut text, mut blocks) = (String::new(), 0);
    while !choices.is_used_up() && blocks < 6 {
        let pattern = match choices.next() % 16 {
            0..4 => "a",
            at => PATTERNS[at - 4],
        };
        let mut keys = Vec::new();
        for _ in 0..choices.next() % 4 {
            // The later ones are seldom good.
            let at = choices.next() % 40;
            let (key, hcl, json) = KEYS.get(at).copied().unwrap_or(KEYS[at % 8]);
            keys.push(match in_json {
                true => format!("\"{key}\": {json}"),
                false => format!("{key} = {hcl}"),
            });
        }
        let between = choices.one_of(&BETWEEN);
        text += &match in_json {
            true => format!(
                "{}{{\"{pattern}\": {{{}}}}}",
                if blocks > 0 { ", " } else { "" },
                keys.join(",")
            ),
            false => format!("path \"{pattern}\" {{\n{}\n}}{between}", keys.join(between)),
        };
        blocks += 1;
    }
    match in_json {
        true => format!("{{\"path\": [{text}]}}"),
        false => text,
    }
}

/// A policy is the same once it was stored, and once it was written down from its rules; no error
/// repeats a word of a text.
pub fn policy(bytes: &[u8]) -> bool {
    let text = super::text(bytes, made);
    let policy = match Policy::parse(&text) {
        Ok(policy) => policy,
        Err(error) => {
            let told = error.to_string();
            assert!(
                told.len() < 200 && !told.contains('\n'),
                "it repeats the text"
            );
            return false;
        }
    };
    let stored = cbor::encode(&policy);
    assert_eq!(
        cbor::decode::<Policy>(&stored).as_ref(),
        Ok(&policy),
        "stored"
    );
    assert_eq!(
        Policy::parse(&written(&policy)).as_ref(),
        Ok(&policy),
        "written down"
    );
    let acl = Acl::new([("one", &policy)], Millis(1_800_000_000_000));
    for rule in policy.rules() {
        let path = rule.pattern.as_str().replace('*', "x");
        let granted = acl.capabilities(&path);
        assert!(granted == Capabilities::NONE || !granted.names().is_empty());
    }
    true
}

/// A policy in JSON, from its rules.
fn written(policy: &Policy) -> String {
    let paths: Vec<Json> = policy.rules().iter().flat_map(paths).collect();
    // No policy has an empty list of paths.
    match paths.is_empty() {
        true => "{}".to_owned(),
        false => json!({ "path": paths }).to_string(),
    }
}

/// The paths that come to a rule. Bounds that exclude each other came from two.
fn paths(rule: &Rule) -> Vec<Json> {
    let wraps = rule.conditions.as_ref();
    let wraps = wraps.and_then(|conditions| Some((conditions.min_wrap?, conditions.max_wrap?)));
    if wraps.is_none_or(|(least, most)| least <= most) {
        return vec![path(rule)];
    }
    let (mut least, mut most) = (rule.clone(), rule.clone());
    least
        .conditions
        .iter_mut()
        .for_each(|conditions| conditions.max_wrap = None);
    most.conditions
        .iter_mut()
        .for_each(|conditions| conditions.min_wrap = None);
    vec![path(&least), path(&most)]
}

fn path(rule: &Rule) -> Json {
    let mut keys = Map::new();
    let granted = match rule.capabilities {
        Capabilities::NONE => Vec::new(),
        granted => granted.names(),
    };
    keys.insert("capabilities".to_owned(), json!(granted));
    if let Some(expires) = rule.expires {
        keys.insert("expiration".to_owned(), moment(expires));
    }
    if let Some(conditions) = &rule.conditions {
        conditions_of(conditions, &mut keys);
    }
    // One slash at its beginning is dropped.
    json!({ format!("/{}", rule.pattern.as_str()): keys })
}

fn moment(moment: Millis) -> Json {
    if moment.0.is_multiple_of(1_000) {
        return json!(moment.0 / 1_000);
    }
    let nanos = i128::from(moment.0) * 1_000_000;
    let moment = OffsetDateTime::from_unix_timestamp_nanos(nanos).expect("it was read from a date");
    json!(moment.format(&Rfc3339).expect("it was read from a date"))
}

fn conditions_of(conditions: &Conditions, keys: &mut Map<String, Json>) {
    let value = |value: &Value| match value {
        Value::Text(text) => json!(text),
        Value::Number(number) => json!(number),
        Value::Bool(bool) => json!(bool),
    };
    for (key, parameters) in [
        ("allowed_parameters", &conditions.allowed),
        ("denied_parameters", &conditions.denied),
    ] {
        let one = |(name, values): (&String, &std::collections::BTreeSet<Value>)| {
            (name.clone(), values.iter().map(value).collect::<Json>())
        };
        let all = parameters.iter().map(one).collect();
        keys.insert(key.to_owned(), Json::Object(all));
    }
    keys.insert("required_parameters".to_owned(), json!(conditions.required));
    for (key, span) in [
        ("min_wrapping_ttl", conditions.min_wrap),
        ("max_wrapping_ttl", conditions.max_wrap),
    ] {
        keys.extend(span.map(|millis| (key.to_owned(), json!(format!("{millis}ms")))));
    }
    let page = conditions.page.map(|page| json!(page));
    keys.extend(page.map(|page| ("pagination_limit".to_owned(), page)));
}
