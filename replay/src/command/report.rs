//! A report, with the log that it is of.

use std::io::Write;

use billfold_replay::{Error, Place, write_json};
use serde::Serialize;

#[derive(Serialize)]
struct Of<'a, R> {
    source: String,
    #[serde(flatten)]
    report: &'a R,
}

/// Writes a report as JSON, with what was read as `source`.
pub(super) fn write_json_of(
    out: &mut dyn Write,
    place: &Place,
    report: &impl Serialize,
) -> Result<(), Error> {
    let source = place.to_string();
    write_json(out, &Of { source, report })
}

/// Writes what was read, as a row of a report whose second column begins here.
pub(super) fn write_source(out: &mut dyn Write, place: &Place, column: usize) -> Result<(), Error> {
    Ok(writeln!(out, "{:<column$}{place}", "source")?)
}
