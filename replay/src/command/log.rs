//! `billfold-replay log`.

use std::io::Write;

use billfold_core::moment::Moment;
use billfold_replay::{
    Error, Row, Source, csv_header, csv_row,
    log::{Line, Listing, closed_facts},
    write_json, write_line, write_line_header,
};
use clap::ValueEnum;

use super::{
    auditor::tell_closed,
    filter::{FilterArgs, tell_unknown},
    stop::Stop,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// As one JSON object a line: sequence, index, time, subject, writer, event, kind, actor, and as it
    /// applies principal, token, command, mount, record, versions, trimmed, kek, page, keys,
    /// uses, epoch, grant, grants_epochs, void, erasure, hold, records, request, operation,
    /// asked_version, verdict, version, refused, over_bound; with --names also mount_path, path and
    /// reason (null when erased), client, execution, token_name
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// How events are told: for people, as JSON (--json), or as the CSV of `export`
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Go on with what is appended, until SIGINT or SIGTERM
    #[arg(long)]
    follow: bool,
    /// The last sequence or time
    #[arg(long, value_name = "SEQ|TIME")]
    to: Option<Moment>,
    #[command(flatten)]
    filter: FilterArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Csv,
}

impl Args {
    pub(super) async fn run(
        self,
        source: &Source,
        out: &mut (impl Write + Send),
    ) -> Result<(), Error> {
        let format = match self.json {
            true => Format::Json,
            false => self.format,
        };
        match format {
            Format::Text => write_line_header(out)?,
            Format::Json => {}
            Format::Csv => write!(out, "{}", csv_header())?,
        }
        let query = self.filter.query(self.to);
        let mut listing = Listing::start(source, query.clone()).await?;
        if !self.follow {
            let mut count = tell_all(&mut listing, source, format, out).await?;
            let mut each = |line: &Line| {
                count += 1;
                tell(source, format, line, out)
            };
            closed_facts(source, &query, &mut each).await?;
            out.flush()?;
            if count == 0 {
                tell_unknown(source, &query).await?;
            }
            return tell_closed(source, "neither outcomes nor what is void can be told");
        }
        source.require_all_keys_to_follow()?;
        let mut stop = Stop::new()?;
        let going_on = async {
            loop {
                tell_all(&mut listing, source, format, out).await?;
                // Whoever looks on sees what there is.
                out.flush()?;
                if !listing.wait().await? {
                    return Ok(());
                }
            }
        };
        tokio::select! {
            ended = going_on => ended,
            () = stop.asked() => Ok(()),
        }
    }
}

async fn tell_all(
    listing: &mut Listing,
    source: &Source,
    format: Format,
    out: &mut (impl Write + Send),
) -> Result<usize, Error> {
    let mut count = 0;
    while let Some(told) = listing.next().await? {
        for line in &told.lines {
            tell(source, format, line, out)?;
        }
        count += told.lines.len();
    }
    Ok(count)
}

fn tell(source: &Source, format: Format, line: &Line, out: &mut impl Write) -> Result<(), Error> {
    match format {
        Format::Text => write_line(out, line),
        Format::Json => write_json(out, line),
        Format::Csv => {
            let row = csv_row(&Row::of(source.wallet(), line));
            let row = row.map_err(std::io::Error::from)?;
            Ok(write!(out, "{row}")?)
        }
    }
}
