//! How answers are shown: as a table for people, as JSON for programs, or one field alone.
//!
//! Secrets go to standard output past its buffer, which nobody would wipe.

use std::{
    fs::File,
    io::{IsTerminal as _, Write as _},
    os::fd::AsFd as _,
};

use anyhow::Context as _;
use billfold::client::{Error, escape, escape_json};
use comfy_table::{Table, presets};
use zeroize::Zeroizing;

use super::remote::{Format, warn};

/// What stands for a value that is not shown.
const HIDDEN: &str = "(hidden)";

/// What a command found out, in each form in which it can be asked for.
pub(super) struct Shown {
    rows: Vec<Row>,
    list: Option<List>,
    json: Zeroizing<String>,
}

/// A field of an answer.
struct Row {
    name: String,
    value: Zeroizing<String>,
    secret: bool,
}

/// What has many lines.
struct List {
    head: &'static [&'static str],
    lines: Vec<Vec<String>>,
}

/// How it was asked for.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) format: Format,
    pub(super) field: Option<&'a str>,
    /// Whether values may stand on a terminal.
    pub(super) show: bool,
}

impl Format {
    /// An answer without secrets and without a choice of fields.
    pub(super) const fn plain(self) -> Asked<'static> {
        Asked {
            format: self,
            field: None,
            show: false,
        }
    }
}

impl Shown {
    /// An answer whose JSON is this text.
    pub(super) fn json(json: impl Into<String>) -> Self {
        Self {
            rows: Vec::new(),
            list: None,
            json: Zeroizing::new(json.into()),
        }
    }

    /// An answer whose JSON is this value.
    pub(super) fn of(value: &serde_json::Value) -> Self {
        Self::json(value.to_string())
    }

    /// With a field.
    pub(super) fn row(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.rows.push(Row {
            name: name.into(),
            value: Zeroizing::new(value.to_string()),
            secret: false,
        });
        self
    }

    /// With a field that is not for everyone who sees the screen.
    pub(super) fn secret(mut self, name: impl Into<String>, value: Zeroizing<String>) -> Self {
        self.rows.push(Row {
            name: name.into(),
            value,
            secret: true,
        });
        self
    }

    /// With lines.
    pub(super) fn lines(mut self, head: &'static [&'static str], lines: Vec<Vec<String>>) -> Self {
        self.list = Some(List { head, lines });
        self
    }

    /// Writes it to standard output.
    pub(super) fn print(&self, asked: Asked<'_>) -> anyhow::Result<()> {
        let terminal = std::io::stdout().is_terminal();
        let text = self.text(asked, terminal)?;
        if asked.field.is_none() && self.hides(asked, terminal) {
            warn("values are not shown on a terminal: use --show, or --field NAME for one of them");
        }
        write(text.as_bytes())
    }

    fn hides(&self, asked: Asked<'_>, terminal: bool) -> bool {
        asked.format == Format::Table
            && self
                .rows
                .iter()
                .any(|row| row.secret && !reveals(asked, terminal))
    }

    fn text(&self, asked: Asked<'_>, terminal: bool) -> Result<Zeroizing<String>, Error> {
        if let Some(name) = asked.field {
            return self.field(name, terminal);
        }
        if asked.format == Format::Json {
            let mut text = match terminal {
                true => Zeroizing::new(escape_json(self.json.trim())),
                false => Zeroizing::new(self.json.trim().to_owned()),
            };
            text.push('\n');
            return Ok(text);
        }
        let mut text = Zeroizing::new(String::with_capacity(self.room()));
        let width = self
            .rows
            .iter()
            .map(|row| escape(&row.name).chars().count())
            .max();
        for row in &self.rows {
            let shown = if row.secret && !reveals(asked, terminal) {
                HIDDEN.to_owned()
            } else {
                escape(&row.value)
            };
            let shown = Zeroizing::new(shown);
            let name = escape(&row.name);
            let gap = width
                .unwrap_or_default()
                .saturating_sub(name.chars().count())
                + 4;
            text.push_str(&name);
            text.extend(std::iter::repeat_n(' ', gap));
            text.push_str(&shown);
            text.push('\n');
        }
        if let Some(list) = &self.list {
            text.push_str(&list.table());
        }
        Ok(text)
    }

    /// A field as it is; a line end only where a person would miss it. A value goes before what is
    /// known about it.
    fn field(&self, name: &str, terminal: bool) -> Result<Zeroizing<String>, Error> {
        let found = |secret| {
            self.rows
                .iter()
                .find(move |row| row.secret == secret && row.name == name)
        };
        let row = found(true).or_else(|| found(false));
        let row =
            row.ok_or_else(|| Error::usage(format!("the answer has no field {}", escape(name))))?;
        if !terminal {
            return Ok(row.value.clone());
        }
        let mut text = Zeroizing::new(escape(&row.value));
        text.push('\n');
        Ok(text)
    }

    /// An upper bound for the text of the rows, so that it never grows and leaves a copy behind.
    fn room(&self) -> usize {
        let longest = |row: &Row| row.name.len().max(HIDDEN.len());
        let names = self.rows.iter().map(longest).max().unwrap_or_default() * 8;
        let row = |row: &Row| names + 8 * row.value.len() + HIDDEN.len() + 8;
        self.rows.iter().map(row).sum()
    }
}

impl List {
    fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(self.head.iter().map(|head| head.to_uppercase()));
        for line in &self.lines {
            table.add_row(line.iter().map(|cell| escape(cell)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 4));
        }
        table.trim_fmt() + "\n"
    }
}

/// Whether values are shown: to a program always, to a person who asked for them.
const fn reveals(asked: Asked<'_>, terminal: bool) -> bool {
    asked.show || !terminal
}

/// Writes text as it is, but harmless on a terminal; its line ends stay.
pub(super) fn print_text(text: &str) -> anyhow::Result<()> {
    let terminal = std::io::stdout().is_terminal();
    let mut out = String::with_capacity(text.len() + 1);
    for line in text.trim_end().split('\n') {
        let line = line.trim_end_matches('\r');
        if terminal {
            out.push_str(&line.split('\t').map(escape).collect::<Vec<_>>().join("\t"));
        } else {
            out.push_str(line);
        }
        out.push('\n');
    }
    write(out.as_bytes())
}

/// Writes bytes to standard output.
pub(super) fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let out = std::io::stdout().as_fd().try_clone_to_owned();
    let mut out = out.map(File::from).context("standard output")?;
    out.write_all(bytes).context("writing to standard output")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> Shown {
        Shown::json("{\"data\":{\"k\":\"can\u{9b}ary\"}}")
            .row("version", 3)
            .secret("k", Zeroizing::new("can\u{9b}ary".to_owned()))
            .secret("version", Zeroizing::new("own".to_owned()))
    }

    fn asked(format: Format, field: Option<&str>, show: bool) -> Asked<'_> {
        Asked {
            format,
            field,
            show,
        }
    }

    #[test]
    fn a_value_stands_on_a_terminal_only_when_it_is_asked_for() {
        let text = |show, terminal| {
            shown()
                .text(asked(Format::Table, None, show), terminal)
                .unwrap()
        };
        assert!(!text(false, true).contains("ary"));
        assert!(text(false, true).contains("version    3\nk          (hidden)\n"));
        for (show, terminal) in [(true, true), (false, false), (true, false)] {
            assert!(text(show, terminal).contains(r"can\u{9b}ary"));
        }
        assert!(shown().hides(asked(Format::Table, None, false), true));
        assert!(!shown().hides(asked(Format::Table, None, false), false));
        assert!(!shown().hides(asked(Format::Json, None, false), true));
    }

    #[test]
    fn a_field_is_told_as_it_is_and_harmless_on_a_terminal() {
        let field =
            |name, terminal| shown().text(asked(Format::Table, Some(name), false), terminal);
        assert_eq!(field("k", false).unwrap().as_str(), "can\u{9b}ary");
        assert_eq!(field("k", true).unwrap().as_str(), "can\\u{9b}ary\n");
        assert_eq!(field("version", false).unwrap().as_str(), "own");
        let told = field("nope", false).unwrap_err().to_string();
        assert!(told.contains("nope") && !told.contains("can"), "{told}");
    }

    #[test]
    fn json_is_as_it_came_but_harmless_on_a_terminal() {
        let text = |terminal| {
            shown()
                .text(asked(Format::Json, None, false), terminal)
                .unwrap()
        };
        assert_eq!(
            text(false).as_str(),
            "{\"data\":{\"k\":\"can\u{9b}ary\"}}\n"
        );
        assert_eq!(
            text(true).as_str(),
            "{\"data\":{\"k\":\"can\\u009bary\"}}\n"
        );
    }

    #[test]
    fn the_text_of_rows_never_outgrows_its_room() {
        let long = "\u{202e}".repeat(5000);
        let shown = Shown::json("{}")
            .row(long.clone(), "")
            .secret("", Zeroizing::new(long.clone()))
            .secret("a", Zeroizing::new(String::new()));
        let text = shown.text(asked(Format::Table, None, true), true).unwrap();
        assert!(
            text.len() <= shown.room(),
            "{} of {}",
            text.len(),
            shown.room()
        );
    }

    #[test]
    fn lists_have_a_head_and_harmless_cells() {
        let list = Shown::json("[]").lines(&["key"], vec![vec!["a\u{1b}b".to_owned()]]);
        let text = list.text(Format::Table.plain(), false).unwrap();
        assert!(text.contains("KEY") && text.contains(r"a\u{1b}b"));
    }
}
