//! Writes whether a log is what its checkpoints attest, as text.

use std::io::Write;

use crate::{Error, integrity::Report};

/// Writes the report of a verification by public keys.
///
/// # Errors
/// When the output does not take it.
pub fn write_integrity(out: &mut dyn Write, report: &Report) -> Result<(), Error> {
    let mut row = |name: &str, what: String| writeln!(out, "{name:<11}  {what}");
    row("origin", report.origin.to_string())?;
    let sequences = match (report.size, report.complete) {
        (0, true) => "none".to_owned(),
        (0, false) => "none were gone over".to_owned(),
        (last, true) => format!("1 to {last}, none missing"),
        (last, false) => format!("1 to {last}, and no further"),
    };
    row("sequences", sequences)?;
    if report.size > 0 {
        row("root", report.root.to_string())?;
    }
    for key in &report.keys {
        row("key", key.clone())?;
    }
    row(
        "checkpoints",
        format!(
            "{}; the newest attests {} of {} sequences",
            report.checkpoints, report.attested, report.size
        ),
    )?;
    if let Some(held) = report.held {
        row("held", format!("a checkpoint of {held} sequences"))?;
    }
    for finding in &report.findings {
        writeln!(out, "BROKEN       {finding}")?;
    }
    if report.more_findings > 0 {
        writeln!(out, "BROKEN       and {} more", report.more_findings)?;
    }
    let told = match report.sound {
        true => "sound",
        false => "broken",
    };
    Ok(writeln!(out, "{told}")?)
}
