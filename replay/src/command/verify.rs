//! `billfold-replay verify`.

use std::io::Write;

use billfold_replay::{Error, Place, Source, verify, write_report};

use super::{
    bar::Bar,
    by_public_keys::ByPublicKeys,
    report::{write_json_of, write_source},
};
use crate::exit;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One JSON object: source, sound, wallet, sequence, digest, complete, summary, view, findings
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
        place: &Place,
        out: &mut (impl Write + Send),
    ) -> Result<u8, Error> {
        let source = Source::open(place).await?;
        let mut bar = Bar::new();
        let report = verify::verify(&source, &mut |at, end| bar.at(at, end)).await;
        bar.finish();
        let report = report?;
        if self.json {
            write_json_of(out, place, &report)?;
        } else {
            write_source(out, place, 12)?;
            write_report(out, &report)?;
        }
        Ok(if report.sound {
            exit::SOUND
        } else {
            exit::BROKEN
        })
    }
}
