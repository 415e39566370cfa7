//! Rows as RFC 4180 has them, one to a line, in which no cell is a formula.

use serde_json::Value;

use super::{FIELDS, Row, plain};

/// What a line ends with.
const END: &str = "\r\n";

/// The names of the columns.
#[must_use]
pub fn csv_header() -> String {
    FIELDS.join(",") + END
}

/// A row. A list is one cell, with semicolons between its members; a semicolon or backslash of their
/// own has a backslash before it.
///
/// # Errors
/// When it cannot be told.
pub fn csv_row(row: &Row) -> serde_json::Result<String> {
    let told = serde_json::to_value(row)?;
    let cells: Vec<_> = FIELDS.iter().map(|name| cell(told.get(name))).collect();
    Ok(cells.join(",") + END)
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => quoted(text),
        Some(Value::Array(members)) => {
            let escape = |text: &str| text.replace('\\', "\\\\").replace(';', "\\;");
            let members = members.iter().map(|member| match member {
                Value::String(text) => escape(text),
                other => other.to_string(),
            });
            quoted(&members.collect::<Vec<_>>().join(";"))
        }
        Some(other) => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    let text = inert(plain(text));
    match text.contains([',', '"', '\r', '\n', '\'', ' ']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

/// A spreadsheet computes what begins like a formula: an apostrophe before it makes it text. What
/// begins with one has one more, so that it can be taken away again.
fn inert(text: String) -> String {
    let first = text.trim_start().chars().next().or(text.chars().next());
    match first {
        Some('=' | '+' | '-' | '@' | '\'' | '＝' | '＋' | '－' | '＠') => {
            format!("'{text}")
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_cell_is_a_formula_or_ends_its_row() {
        let told = |text: &str| cell(Some(&json!(text)));
        for (text, cell) in [
            ("secret/app", "secret/app"),
            ("", ""),
            ("=1+1", "\"'=1+1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("-2", "\"'-2\""),
            (" =1", "\"' =1\""),
            ("＝1", "\"'＝1\""),
            ("'quoted", "\"''quoted\""),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("a\r\n=1", "a\\u{d}\\u{a}=1"),
            ("\t=1", "\\u{9}=1"),
        ] {
            assert_eq!(told(text), cell, "{text:?}");
        }
        assert_eq!(cell(Some(&json!([1, 2]))), "1;2");
        assert_eq!(
            cell(Some(&json!(["=a;b", "c\\", "d"]))),
            "\"'=a\\;b;c\\\\;d\""
        );
        assert_eq!(cell(None), "");
    }

    #[test]
    fn each_row_has_all_columns() {
        assert_eq!(csv_header().split(',').count(), FIELDS.len());
        assert!(csv_header().ends_with("execution,left_out\r\n"));
    }
}
