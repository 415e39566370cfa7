//! `billfold-replay log`.

use std::io::Write;

use billfold_core::id::Seq;
use billfold_replay::{Error, Source, log, write_json, write_line, write_line_header};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// One JSON object a line: sequence, index, time, subject, writer, event, kind, actor, and as it
    /// applies principal, token, command, mount, record, versions, trimmed, kek, page, keys,
    /// uses, erasure, hold, records, request, operation, asked_version, verdict, version, refused,
    /// over_bound; with --names also mount_path, path and reason (null when erased), client,
    /// execution
    #[arg(long)]
    json: bool,
    /// The first sequence to list
    #[arg(long, value_name = "SEQ", default_value_t = 1)]
    from: u64,
    /// The last sequence to list
    #[arg(long, value_name = "SEQ")]
    to: Option<u64>,
    /// Open names: paths, and where requests came from; "(erased)" where their key is gone
    #[arg(long)]
    names: bool,
}

impl Args {
    pub(super) async fn run(
        self,
        source: &Source,
        out: &mut (impl Write + Send),
    ) -> Result<(), Error> {
        let range = log::Range {
            from: Seq(self.from),
            to: self.to.map(Seq),
            names: self.names,
        };
        if !self.json {
            write_line_header(out)?;
        }
        let mut each = |line: &log::Line| {
            if self.json {
                write_json(out, line)
            } else {
                write_line(out, line)
            }
        };
        log::log(source, &range, &mut each).await
    }
}
