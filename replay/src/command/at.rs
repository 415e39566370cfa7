//! `billfold-replay at` and `billfold-replay diff`.

use std::io::Write;

use billfold_core::moment::Moment;
use billfold_replay::{
    Error, Source,
    past::{self, Part},
    write_diff, write_json, write_keys_then, write_then,
};

use super::bar::Bar;

#[derive(Debug, clap::Args)]
pub(crate) struct At {
    /// A sequence of the log, a time of RFC 3339, or a time in milliseconds since 1970
    #[arg(value_name = "SEQ|TIME")]
    moment: Moment,
    #[command(flatten)]
    what: What,
    /// One JSON object: sequence (the last decided one), time, and each part, with the fields that the
    /// API answers. Of key-status alone, the fields of GET /api/internal/wallet/key-status, without those
    /// that the log does not know: pooled, estimate_seconds
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Diff {
    /// The first moment: a sequence of the log, or a time, as for `at`
    #[arg(value_name = "SEQ|TIME")]
    from: Moment,
    /// The second moment
    #[arg(value_name = "SEQ|TIME")]
    to: Moment,
    #[command(flatten)]
    what: What,
    /// One JSON object: from and to, each with sequence (the last decided one) and time, and each part
    /// with what was added, removed and changed
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct What {
    /// What is asked about: keychain, mounts, policies, tokens, roles, key-status, holds, erasures; all
    /// of it when nothing is said
    #[arg(value_name = "PART")]
    parts: Vec<Part>,
}

impl What {
    fn parts(&self) -> Vec<Part> {
        match self.parts.as_slice() {
            [] => Part::ALL.to_vec(),
            some => {
                let asked = Part::ALL.into_iter().filter(|part| some.contains(part));
                asked.collect()
            }
        }
    }
}

impl At {
    pub(super) async fn run(
        self,
        source: &Source,
        out: &mut (impl Write + Send),
    ) -> Result<(), Error> {
        let (mut bar, parts) = (Bar::new(), self.what.parts());
        if parts == [Part::KeyStatus] {
            let then = past::key_status(source, self.moment, &mut |at, end| bar.at(at, end)).await;
            bar.finish();
            let then = then?;
            return match self.json {
                true => write_json(out, &then),
                false => write_keys_then(out, &then),
            };
        }
        let then = past::at(source, self.moment, &parts, &mut |at, end| bar.at(at, end)).await;
        bar.finish();
        let then = then?;
        match self.json {
            true => write_json(out, &then),
            false => write_then(out, &then),
        }
    }
}

impl Diff {
    pub(super) async fn run(
        self,
        source: &Source,
        out: &mut (impl Write + Send),
    ) -> Result<(), Error> {
        let (mut bar, parts) = (Bar::new(), self.what.parts());
        let moments = (self.from, self.to);
        let diff = past::diff(source, moments, &parts, &mut |at, end| bar.at(at, end)).await;
        bar.finish();
        let diff = diff?;
        match self.json {
            true => write_json(out, &diff),
            false => write_diff(out, &diff),
        }
    }
}
