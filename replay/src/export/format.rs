//! How exported events are told.

use crate::{Error, Row, csv_row, export::ocsf, row::json};

/// How exported events are told: one line each, without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A [`Row`] as JSON.
    Jsonl,
    /// A [`Row`] as CSV.
    Csv,
    /// An event of the Open Cybersecurity Schema Framework, as JSON.
    Ocsf,
}

impl Format {
    pub(super) fn told(self, row: &Row) -> Result<String, Error> {
        let told = match self {
            Self::Jsonl => json(row),
            Self::Csv => csv_row(row).map(|line| line.trim_end_matches("\r\n").to_owned()),
            Self::Ocsf => json(&ocsf::Event::of(row)),
        };
        Ok(told.map_err(std::io::Error::from)?)
    }

    /// What a line ends with.
    pub(super) const fn end(self) -> &'static str {
        match self {
            Self::Jsonl | Self::Ocsf => "\n",
            Self::Csv => "\r\n",
        }
    }
}
