//! `billfold-replay export`.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    time::Duration,
};

use billfold_core::moment::Moment;
use billfold_replay::{
    Error, Place, Source,
    export::{Address, Format, Notice, Plan, Reach, Target, export},
    source::Nats,
};
use clap::ValueEnum;

use super::{
    auditor::tell_closed,
    filter::{FilterArgs, tell_unknown},
    stop::Stop,
};

/// How long a target may take nothing when nothing else is said, and the log is not followed.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How events are told: JSON, RFC 4180 without formulas, or the Open Cybersecurity Schema Framework
    #[arg(long, value_enum)]
    format: Told,
    /// Where they go: stdout, file:PATH, syslog:[tls://|tcp://|udp://]HOST:PORT (RFC 5424), or
    /// nats:SUBJECT, which a stream must take
    #[arg(long, value_name = "TARGET")]
    to: Address,
    /// Go on with what is appended, until SIGINT or SIGTERM
    #[arg(long)]
    follow: bool,
    /// The file that keeps where the export ended: the next one goes on behind it
    #[arg(long, value_name = "FILE")]
    position: Option<PathBuf>,
    /// How long the target may take nothing before the export ends with code 2; for ever with
    /// --follow, 60 otherwise
    #[arg(long, value_name = "SECONDS")]
    patience: Option<u64>,
    /// The NATS server or servers of nats:SUBJECT, if they are not those that hold the log
    #[arg(long, value_name = "URL")]
    to_nats: Option<String>,
    /// A credentials file for --to-nats, as nsc writes it
    #[arg(long, value_name = "FILE", requires = "to_nats")]
    to_nats_creds_file: Option<PathBuf>,
    /// The certificates to trust for TLS to --to-nats or to a syslog server, instead of the system's
    #[arg(long, value_name = "FILE")]
    to_ca_file: Option<PathBuf>,
    /// The last sequence or time
    #[arg(long, value_name = "SEQ|TIME")]
    until: Option<Moment>,
    #[command(flatten)]
    filter: FilterArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Told {
    Jsonl,
    Csv,
    Ocsf,
}

impl Args {
    pub(super) async fn run(self, source: &Source, place: &Place) -> Result<(), Error> {
        let nats = match self.to_nats {
            Some(url) => Some(Nats {
                url,
                credentials: self.to_nats_creds_file,
                ca_file: self.to_ca_file.clone(),
            }),
            None => place.nats.clone(),
        };
        let format = match self.format {
            Told::Jsonl => Format::Jsonl,
            Told::Csv => Format::Csv,
            Told::Ocsf => Format::Ocsf,
        };
        let patience = self.patience.map(Duration::from_secs);
        let plan = Plan {
            query: self.filter.query(self.until),
            format,
            follow: self.follow,
            position: self.position,
            patience: patience.or((!self.follow).then_some(PATIENCE)),
        };
        let reach = Reach {
            nats,
            ca_file: self.to_ca_file,
        };
        if self.follow {
            source.require_all_keys_to_follow()?;
        }
        let mut target = Target::open(&self.to, &plan, &reach)?;
        let (mut stop, mut notify) = (Stop::new()?, tell);
        let ended = tokio::select! {
            ended = export(source, &plan, &mut target, &mut notify) => ended.map(Some),
            // What was handed over and is not in the position comes again.
            () = stop.asked() => Ok(None),
        };
        target.finish().await;
        // Behind a position there may just be nothing new.
        if ended? == Some(0) && plan.position.is_none() {
            tell_unknown(source, &plan.query).await?;
        }
        tell_closed(
            source,
            "nothing is exported: an event goes out with its outcome",
        )
    }
}

fn tell(notice: Notice) {
    let text = match notice {
        Notice::Waiting(why, wait) => {
            let wait = wait.as_secs_f32();
            format!("the target takes nothing ({why}): trying again in {wait:.1} s")
        }
        Notice::Back => "the target takes events again".to_owned(),
    };
    let _ = writeln!(io::stderr(), "billfold-replay: {text}");
}
