//! `billfold-replay digest`.

use std::io::{self, Write};

use billfold_core::id::Seq;
use billfold_replay::{Error, Place, Source, digest};

use super::bar::Bar;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Fold up to this sequence of the log
    #[arg(long, value_name = "SEQ")]
    at: Option<u64>,
}

impl Args {
    pub(super) async fn run(
        self,
        place: &Place,
        out: &mut (impl Write + Send),
    ) -> Result<(), Error> {
        let source = Source::open(place).await?;
        let mut bar = Bar::new();
        let at = self.at.map(Seq);
        let folded = digest::digest(&source, at, &mut |at, end| bar.at(at, end)).await;
        bar.finish();
        let folded = folded?;
        writeln!(out, "{} {}", folded.sequence, folded.digest)?;
        // Whoever compares digests has the two columns; that it is of this log is told beside them.
        out.flush()?;
        Ok(writeln!(io::stderr(), "source: {place}")?)
    }
}
