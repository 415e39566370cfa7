//! `billfold-replay bundle` and `billfold-replay import`.

use std::{io::Write, path::PathBuf};

use billfold_core::id::Seq;
use billfold_replay::{Error, Place, bundle, source::open_log};

use super::{bar::Bar, by_public_keys::note};

#[derive(Debug, clap::Args)]
pub(crate) struct ToFile {
    /// The file for the bundle; it must not be there yet
    #[arg(value_name = "FILE")]
    to: PathBuf,
    /// The last sequence that goes into it; the log's last otherwise
    #[arg(long, value_name = "SEQ")]
    until: Option<u64>,
    /// Put this checkpoint beside the log, as witnesses cosigned it; may be given several times
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// The bundle
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// The folder for the log; it must be empty, or not be there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl ToFile {
    pub(super) async fn run(self, place: &Place, out: &mut dyn Write) -> Result<(), Error> {
        let notes = self.checkpoint.iter().map(|file| note(file));
        let notes = notes.collect::<Result<Vec<_>, _>>()?;
        let (log, _copy) = open_log(place).await?;
        let end = match self.until {
            Some(seq) => Seq(seq),
            None => bundle::end_of(&log).await?,
        };
        let mut bar = Bar::new();
        let progress = &mut |at, end| bar.at(at, end);
        let written = bundle::write(&log, end, &notes, &self.to, progress).await;
        bar.finish();
        tell(out, written?)
    }
}

impl Import {
    pub(super) async fn run(self, out: &mut dyn Write) -> Result<(), Error> {
        let mut bar = Bar::new();
        let progress = &mut |at, end| bar.at(at, end);
        let imported = bundle::import(&self.from, &self.dir, progress).await;
        bar.finish();
        tell(out, imported?)
    }
}

fn tell(out: &mut dyn Write, told: bundle::Told) -> Result<(), Error> {
    let bundle::Told { wallet, sequence } = told;
    Ok(writeln!(out, "wallet {wallet}, sequences 1 to {sequence}")?)
}
