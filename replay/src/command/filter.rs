//! Which events a command is about.

use std::io::{self, Write as _};

use billfold_core::moment::Moment;
use billfold_replay::{
    Error, Source,
    log::{self, Digits, Filter, Kind, Outcome, PathFilter, Query},
};

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which events (all of these must hold)")]
pub(crate) struct FilterArgs {
    /// The first sequence or time: as for `at`
    #[arg(long, value_name = "SEQ|TIME")]
    from: Option<Moment>,
    /// About this path, which begins with the mount; one with a slash at its end is a folder and all
    /// below it
    #[arg(long, value_name = "PATH")]
    path: Option<PathFilter>,
    /// By the principal with this id, of which the first digits may be enough
    #[arg(long, value_name = "ID")]
    principal: Option<Digits>,
    /// By or about the token with this accessor, of which the first digits may be enough
    #[arg(long, value_name = "ACCESSOR")]
    token: Option<Digits>,
    /// Requests that were made for this execution
    #[arg(long, value_name = "NAME")]
    execution: Option<String>,
    #[arg(long, value_name = "KIND", value_delimiter = ',', help = kinds())]
    kind: Vec<Kind>,
    /// Requests that were answered so, several with commas between them: permitted (or allowed),
    /// denied, absent, deleted, unknown; and void, what came behind the end of its epoch
    #[arg(long, value_name = "OUTCOME", value_delimiter = ',')]
    outcome: Vec<Outcome>,
    /// Open names: paths, and where requests came from
    #[arg(long)]
    names: bool,
}

fn kinds() -> String {
    let all: Vec<_> = Kind::all().collect();
    format!(
        "Of these kinds, or requests for these operations, several with commas between them: {}",
        all.join(", ")
    )
}

/// Says on standard error why nothing was told, where the log has nothing under what was asked for.
pub(super) async fn tell_unknown(source: &Source, query: &Query) -> Result<(), Error> {
    for option in log::unknown(source, query).await? {
        let what = match option {
            "--path" => {
                "about it: it knows no such mount or secret by its names (a path begins with its \
                 mount: secret/app)"
            }
            "--principal" => "by such a principal",
            _ => "by or about such a token",
        };
        writeln!(io::stderr(), "{option}: no event of this log is {what}")?;
    }
    Ok(())
}

impl FilterArgs {
    /// What is asked for, up to this moment if one is told.
    pub(super) fn query(self, to: Option<Moment>) -> Query {
        Query {
            from: self.from,
            to,
            names: self.names,
            filter: Filter {
                path: self.path,
                principal: self.principal,
                token: self.token,
                execution: self.execution,
                kinds: self.kind,
                outcomes: self.outcome,
            },
        }
    }
}
