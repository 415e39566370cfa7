//! `billfold-replay digest`.

use std::io::Write;

use billfold_core::id::Seq;
use billfold_replay::{Error, Source, digest};

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
        source: &Source,
        out: &mut (impl Write + Send),
    ) -> Result<(), Error> {
        let mut bar = Bar::new();
        let at = self.at.map(Seq);
        let folded = digest::digest(source, at, &mut |at, end| bar.at(at, end)).await;
        bar.finish();
        let folded = folded?;
        Ok(writeln!(out, "{} {}", folded.sequence, folded.digest)?)
    }
}
