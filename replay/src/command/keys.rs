//! `billfold-replay keys`.

use std::io::Write;

use billfold_core::keys::page::KeyRef;
use billfold_replay::{Error, Source, keys, write_dek, write_json, write_keks};

use super::bar::Bar;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The id of a DEK, which is that of its page and its slot in it
    #[arg(value_name = "PAGE.SLOT", value_parser = key)]
    key: Option<KeyRef>,
    /// One JSON object: sequence, generations, versions; of a DEK: key, steps
    #[arg(long)]
    json: bool,
}

fn key(id: &str) -> Result<KeyRef, &'static str> {
    keys::parse(id).ok_or("a key is known by its page, a point, and its slot")
}

impl Args {
    pub(super) async fn run(
        self,
        source: &Source,
        out: &mut (impl Write + Send),
    ) -> Result<(), Error> {
        let mut bar = Bar::new();
        if let Some(key) = self.key {
            let life = keys::dek(source, key, &mut |at, end| bar.at(at, end)).await;
            bar.finish();
            return match self.json {
                true => write_json(out, &life?),
                false => write_dek(out, &life?),
            };
        }
        let keks = keys::keks(source, &mut |at, end| bar.at(at, end)).await;
        bar.finish();
        match self.json {
            true => write_json(out, &keks?),
            false => write_keks(out, &keks?),
        }
    }
}
