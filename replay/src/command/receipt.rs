//! `billfold-replay prove` and `billfold-replay check-receipt`.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use billfold_core::{
    id::Seq,
    proof::{Checkpoint, Receipt},
};
use billfold_replay::{Error, Source, receipt, write_json, write_shown};

use super::{
    bar::Bar,
    by_public_keys::{log_key, note, witness_key},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Prove {
    /// The sequence of the commit that is to be shown
    #[arg(value_name = "SEQ")]
    seq: u64,
    /// Show this event of it, counted from 0; may be given several times. All are shown otherwise
    #[arg(long, value_name = "N")]
    event: Vec<usize>,
    /// Show names as well: paths, and where requests came from
    #[arg(long)]
    names: bool,
    /// Prove it against this checkpoint, which witnesses may have cosigned, in place of the log's newest
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// The file for the receipt, which must not be there yet; standard output otherwise
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CheckReceipt {
    /// The receipt
    #[arg(value_name = "FILE")]
    receipt: PathBuf,
    /// The key that signs the log's checkpoints: NAME+ID+KEY, or a file that holds it
    #[arg(long, value_name = "VKEY|FILE")]
    checkpoint_key: String,
    /// The key of a witness that must have cosigned the checkpoint; may be given several times
    #[arg(long, value_name = "VKEY|FILE")]
    witness_key: Vec<String>,
    /// One JSON object: origin, attested, witnesses, events, and shown, with the fields of log
    #[arg(long)]
    json: bool,
}

impl Prove {
    pub(super) async fn run(
        self,
        source: &Source,
        out: &mut (impl Write + Send),
    ) -> Result<(), Error> {
        let wanted = receipt::Wanted {
            events: self.event,
            names: self.names,
            checkpoint: self.checkpoint.as_deref().map(note).transpose()?,
        };
        let mut bar = Bar::new();
        let progress = &mut |at, end| bar.at(at, end);
        let proven = receipt::prove(source, Seq(self.seq), &wanted, progress).await;
        bar.finish();
        let proven = proven?;
        if wanted.names {
            tell_elsewhere(source, &proven, &wanted).await?;
        }
        let proof = proven.to_proof();
        match self.out {
            None => Ok(write!(out, "{proof}")?),
            Some(path) => {
                let made = fs::File::create_new(&path);
                let mut file = made.map_err(|error| Error::unmade("--out", &path, &error))?;
                write!(file, "{proof}")?;
                Ok(file.sync_all()?)
            }
        }
    }
}

/// Says on standard error which receipts tell the paths that this one does not.
async fn tell_elsewhere(
    source: &Source,
    proven: &Receipt,
    wanted: &receipt::Wanted,
) -> Result<(), Error> {
    let attested = Checkpoint::parse(proven.checkpoint.text());
    let end = attested.map_or(proven.seq, |attested| Seq(attested.size));
    let mut err = io::stderr();
    for about in receipt::elsewhere(source, proven.seq, wanted, end).await? {
        let receipt::Elsewhere {
            record,
            path,
            mount,
        } = about;
        let path = match path {
            Some(seq) => format!("prove {seq} --names shows it below its mount"),
            None => "no receipt shows it with the keys that are here".to_owned(),
        };
        let mount = mount.map_or_else(String::new, |seq| {
            format!("; prove {seq} --names shows the mount's path")
        });
        writeln!(
            err,
            "record {record}: its path is not in this receipt; {path}{mount}"
        )?;
    }
    Ok(())
}

impl CheckReceipt {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<(), Error> {
        let read = fs::read(&self.receipt);
        let bytes = read.map_err(|error| Error::unread("the receipt", &self.receipt, &error))?;
        let log = log_key(&self.checkpoint_key)?;
        let witnesses = self
            .witness_key
            .iter()
            .map(|text| witness_key("--witness-key", text));
        let witnesses = witnesses.collect::<Result<Vec<_>, _>>()?;
        let shown = receipt::check(&bytes, &log, &witnesses)?;
        match self.json {
            true => write_json(out, &shown),
            false => write_shown(out, &shown),
        }
    }
}
