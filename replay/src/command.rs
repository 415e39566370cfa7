//! The commands of `billfold-replay`: what each takes, and what it prints.

mod at;
mod auditor;
mod bar;
mod bundle;
mod by_public_keys;
mod digest;
mod export;
mod filter;
mod keys;
mod log;
mod place;
mod receipt;
mod report;
mod stop;
mod verify;
mod witness;

use std::io::{self, BufWriter, Write};

use billfold_replay::{Error, Source};
use clap::Subcommand;

pub(crate) use place::PlaceArgs;
use witness::WitnessCommand;

use crate::exit;

/// The commands that read no log of a place.
pub(crate) const WITHOUT_A_LOG: [&str; 5] = [
    "auditor-key",
    "check-receipt",
    "import",
    "witness-key",
    "cosign",
];

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists each event of each commit, and what each request was answered. A commit of checkpoints has
    /// no event, and no line: its sequence is passed over
    Log(log::Args),
    /// Hands events to another system: each at least once, in order, from where it ended the last time
    Export(export::Args),
    /// Folds the log from zero, and prints the last decided sequence and the digest there
    Digest(digest::Args),
    /// Checks everything: sequences, chains, every commit and ciphertext, the state, the keys, the
    /// erasures, and that the data folder's view is what the fold makes of the log
    Verify(verify::Args),
    /// Tells the life of every KEK version: made, used, rewrapped, retired, destroyed; or the life
    /// of one DEK
    Keys(keys::Args),
    /// Makes an auditor's key in a new file that only its owner reads, and prints the public one
    AuditorKey(auditor::Args),
    /// Tells what was true at a moment of the past
    At(at::At),
    /// Tells what differs between two moments of the past
    Diff(at::Diff),
    /// Makes a receipt of a commit: what opens the ciphertexts of that commit alone, and the proof that it
    /// is in the log. Whoever gets it needs the public key of the checkpoints, and nothing else
    Prove(receipt::Prove),
    /// Checks a receipt by public keys alone, and tells what it shows
    CheckReceipt(receipt::CheckReceipt),
    /// Puts the log into one file, to be handed over: commits, checkpoints, and auditors' grants
    Bundle(bundle::ToFile),
    /// Makes a data folder of a bundle, with the log and no keys
    Import(bundle::Import),
    #[command(flatten)]
    Witness(WitnessCommand),
}

impl Command {
    /// Does it, and says how the process is to end.
    ///
    /// # Errors
    /// When it cannot be done, or the output does not take it.
    pub(crate) async fn execute(self, place: PlaceArgs) -> Result<u8, Error> {
        let mut out = BufWriter::new(io::stdout());
        let sound = |()| exit::SOUND;
        // What takes keys.
        let source = async || Source::open(&place.place()?).await;
        let code = match self {
            Self::Log(args) => args.run(&source().await?, &mut out).await.map(sound),
            Self::Export(args) => {
                let place = place.place()?;
                let source = Source::open(&place).await?;
                args.run(&source, &place).await.map(sound)
            }
            Self::Digest(args) => args.run(&place.place()?, &mut out).await.map(sound),
            Self::Verify(args) if args.by_public_keys.is_wanted() => {
                args.by_public_keys(&place.place()?, &mut out).await
            }
            Self::Verify(args) => args.run(&place.place()?, &mut out).await,
            Self::Keys(args) => args.run(&source().await?, &mut out).await.map(sound),
            Self::AuditorKey(args) => args.run(&mut out).map(sound),
            Self::At(args) => args.run(&source().await?, &mut out).await.map(sound),
            Self::Diff(args) => args.run(&source().await?, &mut out).await.map(sound),
            Self::Prove(args) => args.run(&source().await?, &mut out).await.map(sound),
            Self::CheckReceipt(args) => args.run(&mut out).map(sound),
            Self::Bundle(args) => args.run(&place.place()?, &mut out).await.map(sound),
            Self::Import(args) => args.run(&mut out).await.map(sound),
            Self::Witness(command) => command.run(&place, &mut out).await,
        };
        // What was listed before something broken is told in any case.
        out.flush()?;
        code
    }
}
