//! Bundles: a log in one file, from its first commit on, to be handed over. `docs/wire-format.md` is
//! its specification.

mod file;
mod log;

use std::{collections::HashMap, fs, path::Path, sync::Arc};

use billfold_core::{
    id::{Seq, WalletId},
    proof::{Checkpoint, KeyName, Note},
    subject::Subject,
};
use billfold_streams::{
    EventLog,
    embedded::{Embedded, MAX_MESSAGE},
    log::Message,
};
use futures::{StreamExt as _, TryStreamExt as _};

use self::file::{Head, Writer};
use crate::{
    Check, Error, Finding,
    source::EVERYTHING,
    tail::{Bounded, PATIENCE},
};

pub use log::Bundle;

/// How many messages are appended at once: they are synchronised together.
const AT_ONCE: usize = 256;

/// What came of writing or reading a bundle. Its JSON has these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Told {
    /// The wallet.
    pub wallet: WalletId,
    /// The last sequence in it.
    pub sequence: Seq,
}

/// Writes the log up to `end` into a new file, and beside it checkpoints from outside, which others
/// may have cosigned. `progress` is told each sequence and the last one.
///
/// # Errors
/// When the log cannot be had, has a gap or holds no wallet, or the file is there already or cannot be
/// written.
pub async fn write(
    log: &Arc<dyn EventLog>,
    end: Seq,
    notes: &[Note],
    to: &Path,
    progress: &mut (dyn FnMut(Seq, Seq) + Send),
) -> Result<Told, Error> {
    if to.try_exists()? {
        return Err(Error::Usage(format!("{} is there already", to.display())));
    }
    let head = log.head(EVERYTHING).await?;
    if end == Seq::ZERO || end > head {
        let why = format!("the log ends at sequence {head}: there is no {end} in it");
        return Err(Error::Usage(why));
    }
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let file = tempfile::NamedTempFile::new_in(folder)?;
    let mut tail = Bounded::read(log, EVERYTHING, Seq::ZERO, PATIENCE).await?;
    let (mut writer, mut last): (Option<Writer<_>>, _) = (None, Seq::ZERO);
    while last < end {
        let message = tail.next().await?;
        let expected = last.next();
        if message.seq != expected {
            let what = format!("it is missing: sequence {} follows {last}", message.seq);
            return Err(Finding::new(Check::Sequence, expected, what).into());
        }
        last = message.seq;
        let writer = match &mut writer {
            Some(writer) => writer,
            none => none.insert(Writer::begin(file.as_file(), &head_of(&message)?)?),
        };
        writer.message(&message)?;
        progress(last, end);
    }
    let nothing = || Error::Usage("there is nothing in the log".to_owned());
    let writer = writer.ok_or_else(nothing)?;
    for note in notes {
        require_of(writer.head(), last, note)?;
    }
    let wallet = writer.end(last, notes)?;
    file.as_file().sync_all()?;
    let kept = file.persist_noclobber(to);
    kept.map_err(|error| Error::Output(error.error))?;
    fs::File::open(folder)?.sync_all()?;
    Ok(Told {
        wallet,
        sequence: last,
    })
}

/// Refuses a checkpoint that does not fit the bundle: it would be found wrong by whoever gets that.
fn require_of(head: &Head, last: Seq, note: &Note) -> Result<(), Error> {
    let usage = |why: String| Error::Usage(format!("the checkpoint is not put beside it: {why}"));
    let checkpoint = Checkpoint::parse(note.text()).map_err(|error| usage(error.to_string()))?;
    if checkpoint.origin != KeyName::origin(head.wallet, head.generation) {
        return Err(usage("it is of another log".to_owned()));
    }
    if checkpoint.size > last.0 {
        return Err(usage(format!(
            "it attests {} sequences, and the bundle ends at {last}",
            checkpoint.size
        )));
    }
    Ok(())
}

/// Where a log ends now.
///
/// # Errors
/// When it cannot be reached.
pub async fn end_of(log: &Arc<dyn EventLog>) -> Result<Seq, Error> {
    Ok(log.head(EVERYTHING).await?)
}

fn head_of(first: &Message) -> Result<Head, Error> {
    let read = billfold_core::commit::Sealed::parse(&first.bytes);
    let read = read.map_err(|error| Finding::new(Check::Commit, first.seq, error.to_string()))?;
    Ok(Head {
        wallet: read.header.wallet,
        generation: first.subject.generation(),
    })
}

/// Makes an embedded log of a bundle in an empty folder, so that all that reads a data folder reads
/// it. There are no keys in it.
///
/// # Errors
/// When the bundle is damaged or cut short, or the folder is not empty or cannot be written.
pub async fn import(
    bundle: &Path,
    dir: &Path,
    progress: &mut (dyn FnMut(Seq, Seq) + Send),
) -> Result<Told, Error> {
    if dir.try_exists()? && fs::read_dir(dir)?.next().is_some() {
        return Err(Error::Usage(format!("{} is not empty", dir.display())));
    }
    // All of it is checked before anything is written.
    let bundle = Bundle::open(bundle).await?;
    if bundle.largest() > MAX_MESSAGE {
        return Err(Error::Usage(format!(
            "a commit of {} bytes is over the embedded log's limit of {MAX_MESSAGE} bytes: verify the \
             bundle as it is",
            bundle.largest()
        )));
    }
    let was_there = dir.try_exists()?;
    let imported = append_all(&bundle, dir, progress).await;
    if imported.is_err() {
        // Half a log is none.
        let _ = fs::remove_dir_all(dir);
        if was_there {
            let _ = fs::create_dir(dir);
        }
    }
    imported?;
    Ok(Told {
        wallet: bundle.wallet(),
        sequence: bundle.last_seq(),
    })
}

async fn append_all(
    bundle: &Bundle,
    dir: &Path,
    progress: &mut (dyn FnMut(Seq, Seq) + Send),
) -> Result<(), Error> {
    let folder = dir.to_owned();
    let opening = tokio::task::spawn_blocking(move || Embedded::open(&folder));
    let joined = opening.await;
    let open = joined.map_err(|error| Error::Machine(error.to_string()))??;
    let (log, end) = (open.log(), bundle.last_seq());
    let mut heads: HashMap<Subject, Seq> = HashMap::new();
    let mut appended = bundle
        .messages(Seq::ZERO)
        .map(|message| {
            let log = Arc::clone(&log);
            let before = message
                .as_ref()
                .ok()
                .and_then(|message| heads.insert(message.subject, message.seq));
            async move {
                let message = message?;
                let expected = before.unwrap_or(Seq::ZERO);
                let appended = log.append(&message.subject, expected, message.bytes).await;
                let failed = |why: &dyn std::fmt::Display| {
                    Error::Machine(format!("sequence {} cannot be written: {why}", message.seq))
                };
                match appended {
                    Ok(seq) if seq == message.seq => Ok(seq),
                    Ok(seq) => Err(failed(&format_args!("it came to stand at {seq}"))),
                    Err(error) => Err(failed(&error)),
                }
            }
        })
        .buffered(AT_ONCE);
    while let Some(seq) = appended.try_next().await? {
        progress(seq, end);
    }
    Ok(())
}
