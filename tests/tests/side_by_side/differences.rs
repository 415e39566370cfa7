//! The list of intended differences, and the page that prints it.

use figment::{
    Figment,
    providers::{Format as _, Toml},
};
use serde::Deserialize;

use super::compare::Difference;

const LIST: &str = include_str!("differences.toml");

const BEGIN: &str = "<!-- The differences that calls show. -->\n";
const END: &str = "<!-- The end of the differences that calls show. -->\n";

/// One intended difference. In all its patterns `*` stands for any text.
///
/// What either server has may be one pattern ` or ` another.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its name, which says what it is about.
    pub id: String,
    /// The calls that show it, by their names: `AREA: METHOD PATH …`.
    pub calls: Vec<String>,
    /// The fields that it is in.
    pub fields: Vec<String>,
    /// What OpenBao has there.
    pub openbao: String,
    /// What Billfold has there.
    pub billfold: String,
    /// Why, in one sentence.
    pub reason: String,
}

impl Entry {
    fn allows(&self, call: &str, difference: &Difference) -> bool {
        self.calls.iter().any(|pattern| fits(pattern, call))
            && self
                .fields
                .iter()
                .any(|pattern| fits(pattern, &difference.field))
            && is_one_of(&self.openbao, &difference.openbao)
            && is_one_of(&self.billfold, &difference.billfold)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    difference: Vec<Entry>,
}

/// The list, and which of its patterns were met.
pub struct List {
    pub entries: Vec<Entry>,
    /// For each entry, its patterns of calls and of fields that no difference has met.
    unmet: Vec<(Vec<String>, Vec<String>)>,
}

impl List {
    /// The list as it stands in its file. Panics when it is no list.
    pub fn read() -> Self {
        let file: File = Figment::from(Toml::string(LIST))
            .extract()
            .expect("the list of differences can be read");
        let entries = file.difference;
        let mut ids: Vec<_> = entries.iter().map(|entry| &entry.id).collect();
        ids.sort_unstable();
        assert!(
            ids.windows(2).all(|two| two[0] != two[1]),
            "two differences have one id"
        );
        let unmet = entries
            .iter()
            .map(|entry| (entry.calls.clone(), entry.fields.clone()))
            .collect();
        Self { entries, unmet }
    }

    /// The id of the entry that allows this difference, if there is one.
    pub fn listed(&self, call: &str, difference: &Difference) -> Option<&str> {
        let mut entries = self.entries.iter();
        let entry = entries.find(|entry| entry.allows(call, difference))?;
        Some(&entry.id)
    }

    /// Notes that this difference occurred.
    pub fn meet(&mut self, call: &str, difference: &Difference) {
        let entries = self.entries.iter().zip(&mut self.unmet);
        for (_, (calls, fields)) in entries.filter(|(entry, _)| entry.allows(call, difference)) {
            calls.retain(|pattern| !fits(pattern, call));
            fields.retain(|pattern| !fits(pattern, &difference.field));
        }
    }

    /// What is listed and did not occur.
    pub fn stale(&self) -> Vec<String> {
        let unmet = self.entries.iter().zip(&self.unmet);
        unmet
            .filter(|(_, (calls, fields))| !calls.is_empty() || !fields.is_empty())
            .map(|(entry, (calls, fields))| {
                let id = &entry.id;
                format!(
                    "{id}: nothing differs any more in the calls {calls:?}, the fields {fields:?}"
                )
            })
            .collect()
    }

    /// The list as the page prints it, with the marks around it.
    pub fn table(&self) -> String {
        let mut table = format!(
            "{BEGIN}\n| difference | where | OpenBao | Billfold | why |\n| --- | --- | --- | --- | --- |\n"
        );
        for entry in &self.entries {
            let id = entry.id.replace('-', " ");
            let fields = entry.fields.iter().map(|field| code(field));
            let fields = fields.collect::<Vec<_>>().join(", ");
            let (openbao, billfold) = (code(&entry.openbao), code(&entry.billfold));
            let reason = &entry.reason;
            table += &format!("| {id} | {fields} | {openbao} | {billfold} | {reason} |\n");
        }
        table + "\n" + END
    }
}

/// A page with this table between its marks.
pub fn page_with(page: &str, table: &str) -> String {
    let (before, rest) = page.split_once(BEGIN).expect("the page has its first mark");
    let (_, after) = rest.split_once(END).expect("the page has its second mark");
    format!("{before}{table}{after}")
}

/// A text as code in a cell of a table.
fn code(text: &str) -> String {
    if text.is_empty() {
        return "nothing".to_owned();
    }
    let text = text
        .replace('|', "\\|")
        .replace('\n', "\\n")
        .replace('\t', "\\t");
    format!("`{text}`")
}

/// Whether a text fits a pattern, or one of those that ` or ` stands between.
fn is_one_of(patterns: &str, text: &str) -> bool {
    fits(patterns, text) || patterns.split(" or ").any(|pattern| fits(pattern, text))
}

/// Whether a text fits a pattern in which `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn patterns_fit() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("a", "a", true),
        ("a", "ab", false),
        ("*", "", true),
        ("a*", "ab", true),
        ("a*b*c", "aXbYc", true),
        ("a*b*c", "aXcYb", false),
        ("ab*bc", "abc", false),
        ("*b", "aab", true),
    ] {
        assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
    }
    assert!(is_one_of("404 or 500 *", "404") && is_one_of("404 or 500 *", "500 why"));
    assert!(is_one_of("this or that", "this or that") && !is_one_of("404 or 500", "405"));
}

#[test]
fn what_is_listed_and_does_not_occur_is_found() {
    let entry = Entry {
        id: "one".to_owned(),
        calls: vec!["a: GET *".to_owned(), "b: GET *".to_owned()],
        fields: vec!["status".to_owned()],
        openbao: "200".to_owned(),
        billfold: "40*".to_owned(),
        reason: String::new(),
    };
    let unmet = vec![(entry.calls.clone(), entry.fields.clone())];
    let mut list = List {
        entries: vec![entry],
        unmet,
    };
    let difference = |ours: &str| Difference {
        field: "status".to_owned(),
        openbao: "200".to_owned(),
        billfold: ours.to_owned(),
    };
    assert_eq!(list.listed("a: GET x", &difference("500")), None);
    assert_eq!(list.listed("a: PUT x", &difference("404")), None);
    assert_eq!(list.listed("a: GET x", &difference("404")), Some("one"));
    list.meet("a: PUT x", &difference("404"));
    assert!(list.stale()[0].contains(r#"["a: GET *", "b: GET *"]"#));
    list.meet("a: GET x", &difference("404"));
    assert!(list.stale()[0].contains(r#"["b: GET *"]"#));
    list.meet("b: GET x", &difference("404"));
    assert_eq!(list.stale(), [""; 0]);
}
