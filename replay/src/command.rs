//! The commands of `billfold-replay`: what each takes, and what it prints.

mod at;
mod bar;
mod digest;
mod filter;
mod keys;
mod log;
mod place;
mod stop;
mod verify;

use std::io::{self, BufWriter, Write as _};

use billfold_replay::{Error, Source};
use clap::Subcommand;

pub(crate) use place::PlaceArgs;

use crate::exit;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists each event of each commit, and what each request was answered
    Log(log::Args),
    /// Folds the log from zero, and prints the last decided sequence and the digest there
    Digest(digest::Args),
    /// Checks everything: sequences, chains, every commit and ciphertext, the state, the keys, the
    /// erasures, and that the data folder's view is what the fold makes of the log
    Verify(verify::Args),
    /// Tells the life of every KEK version: made, used, rewrapped, retired, destroyed; or the life
    /// of one DEK
    Keys(keys::Args),
    /// Tells what was true at a moment of the past
    At(at::At),
    /// Tells what differs between two moments of the past
    Diff(at::Diff),
}

impl Command {
    /// Does it, and says how the process is to end.
    ///
    /// # Errors
    /// When it cannot be done, or the output does not take it.
    pub(crate) async fn execute(self, place: PlaceArgs) -> Result<u8, Error> {
        let source = Source::open(&place.into()).await?;
        let mut out = BufWriter::new(io::stdout());
        let code = match self {
            Self::Log(args) => args.run(&source, &mut out).await.map(|()| exit::SOUND),
            Self::Digest(args) => args.run(&source, &mut out).await.map(|()| exit::SOUND),
            Self::Verify(args) => args.run(&source, &mut out).await,
            Self::Keys(args) => args.run(&source, &mut out).await.map(|()| exit::SOUND),
            Self::At(args) => args.run(&source, &mut out).await.map(|()| exit::SOUND),
            Self::Diff(args) => args.run(&source, &mut out).await.map(|()| exit::SOUND),
        };
        // What was listed before something broken is told in any case.
        out.flush()?;
        code
    }
}
