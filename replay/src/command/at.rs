//! `billfold-replay at`.

use std::io::Write;

use billfold_core::moment::Moment;
use billfold_replay::{Error, Source, past, write_json, write_keys_then};
use clap::Subcommand;

use super::bar::Bar;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A sequence of the log, a time of RFC 3339, or a time in milliseconds since 1970
    #[arg(value_name = "SEQ|TIME")]
    moment: Moment,
    #[command(subcommand)]
    what: What,
}

/// What is known of the past.
#[derive(Debug, Subcommand)]
enum What {
    /// The status of the wallet's keys, as far as the log says it
    KeyStatus {
        /// One JSON object with the fields of GET /api/internal/wallet/key-status, without those
        /// that the log does not know: pooled, estimate_seconds
        #[arg(long)]
        json: bool,
    },
}

impl Args {
    pub(super) async fn run(
        self,
        source: &Source,
        out: &mut (impl Write + Send),
    ) -> Result<(), Error> {
        let What::KeyStatus { json } = self.what;
        let mut bar = Bar::new();
        let then = past::key_status(source, self.moment, &mut |at, end| bar.at(at, end)).await;
        bar.finish();
        let then = then?;
        if json {
            write_json(out, &then)
        } else {
            write_keys_then(out, &then)
        }
    }
}
