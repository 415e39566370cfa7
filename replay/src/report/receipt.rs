//! Writes what a receipt shows, as text.

use std::io::Write;

use super::{write_line, write_line_header};
use crate::{Error, receipt::Shown};

/// Writes what a receipt shows.
///
/// # Errors
/// When the output does not take it.
pub fn write_shown(out: &mut dyn Write, shown: &Shown) -> Result<(), Error> {
    let mut row = |name: &str, what: String| writeln!(out, "{name:<11}  {what}");
    row("origin", shown.origin.clone())?;
    row(
        "checkpoint",
        format!(
            "attests {} sequences; cosigned by {} of the witnesses asked for",
            shown.attested, shown.witnesses
        ),
    )?;
    row(
        "commit",
        format!("{} of {} events are shown", shown.shown.len(), shown.events),
    )?;
    if shown.void.is_none() {
        row(
            "void",
            "not shown: whether its epoch had ended before it, the log tells".to_owned(),
        )?;
    }
    write_line_header(out)?;
    for line in &shown.shown {
        write_line(out, line)?;
    }
    Ok(writeln!(out, "proven")?)
}
