//! The command `auditor-key`, and what an auditor's key leaves untold.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use billfold_replay::{Error, Source, auditor};

/// A new key for an auditor.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Args {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), Error> {
        Ok(writeln!(out, "{}", auditor::make_key(&self.out)?)?)
    }
}

/// Says on standard error which sequences an auditor's key does not open, and what that means here.
pub(super) fn tell_closed(source: &Source, consequence: &str) -> Result<(), Error> {
    let Some((first, _)) = source.closed().first() else {
        return Ok(());
    };
    let spans = source.closed().iter();
    let spans: Vec<_> = spans.map(|(from, to)| format!("{from} to {to}")).collect();
    let mut err = io::stderr();
    writeln!(
        err,
        "closed to this auditor's key: sequences {}",
        spans.join(", ")
    )?;
    Ok(writeln!(err, "from sequence {first} on {consequence}")?)
}
