//! `billfold-replay verify`.

use std::io::Write;

use billfold_replay::{Error, Place, Source, verify, write_json, write_report};

use super::{bar::Bar, by_public_keys::ByPublicKeys};
use crate::exit;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One JSON object: sound, wallet, sequence, digest, complete, summary, view, findings
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) by_public_keys: ByPublicKeys,
}

impl Args {
    pub(super) async fn by_public_keys(
        self,
        place: &Place,
        out: &mut (impl Write + Send),
    ) -> Result<u8, Error> {
        self.by_public_keys.verify(place, self.json, out).await
    }

    pub(super) async fn run(
        self,
        source: &Source,
        out: &mut (impl Write + Send),
    ) -> Result<u8, Error> {
        let mut bar = Bar::new();
        let report = verify::verify(source, &mut |at, end| bar.at(at, end)).await;
        bar.finish();
        let report = report?;
        if self.json {
            write_json(out, &report)?;
        } else {
            write_report(out, &report)?;
        }
        Ok(if report.sound {
            exit::SOUND
        } else {
            exit::BROKEN
        })
    }
}
