//! `billfold-replay witness`, `witness-key` and `cosign`.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use billfold_core::proof::{Checkpoint, KeyName, Note, VerifierKey};
use billfold_projector::tree;
use billfold_replay::{
    Error,
    source::open_log,
    witness::{self, Memory, Refusal, Remote, Reply, Served, Server, WitnessKey},
};
use clap::{Args, Subcommand};

use super::{
    PlaceArgs,
    bar::Bar,
    by_public_keys::{log_key, witness_key},
    stop::Stop,
};
use crate::exit::{BROKEN, SOUND};

/// The commands of witnesses, and of those who ask them.
#[derive(Debug, Subcommand)]
pub(crate) enum WitnessCommand {
    /// Cosigns the log's newest checkpoint if it grew out of the last one that this witness signed; a
    /// log that was forked or rolled back is told with both checkpoints, and ends with 3. With --listen
    /// it serves whoever shows it checkpoints of the log (c2sp.org/tlog-witness)
    Witness(WitnessArgs),
    /// Makes a key for a witness, and prints what its signatures are checked with
    WitnessKey(WitnessKeyArgs),
    /// Has witnesses that serve cosign a server's newest checkpoint, and prints it with what they
    /// signed; a witness that saw more of the log, or another log, ends it with 3
    Cosign(CosignArgs),
}

/// The server of a wallet.
#[derive(Debug, Args)]
struct ServerArgs {
    /// Ask this server for its checkpoint and what leads to it
    #[arg(long, value_name = "URL", requires = "token_file")]
    server: Option<String>,
    /// The token for the server; its policies allow to read api/audit/*
    #[arg(long, value_name = "FILE", requires = "server")]
    token_file: Option<PathBuf>,
    /// The certificates to trust for the server, instead of the system's
    #[arg(long, value_name = "FILE", requires = "server")]
    ca_file: Option<PathBuf>,
}

impl ServerArgs {
    fn open(&self) -> Result<Option<Server>, Error> {
        let (Some(url), Some(token)) = (&self.server, &self.token_file) else {
            return Ok(None);
        };
        Server::new(url, token, self.ca_file.as_deref()).map(Some)
    }
}

/// What a witness works with.
#[derive(Debug, Args)]
pub(crate) struct WitnessArgs {
    /// The key that signs the log's checkpoints: NAME+ID+KEY, or a file that holds it. With --listen it
    /// may be given several times, for the keys that the log changed to
    #[arg(long, value_name = "VKEY|FILE", required = true)]
    checkpoint_key: Vec<String>,
    /// The witness's own key, as witness-key makes it
    #[arg(long, value_name = "FILE")]
    witness_key: PathBuf,
    /// Where the last checkpoint is remembered that was signed
    #[arg(long, value_name = "FILE")]
    memory: PathBuf,
    /// Serve POST /add-checkpoint here, rather than look at a log. It is plain HTTP: all of it is
    /// public, and signed
    #[arg(long, value_name = "ADDRESS", conflicts_with = "server")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    server: ServerArgs,
    /// Put each signed checkpoint into this file, too
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A new key for a witness.
#[derive(Debug, Args)]
pub(crate) struct WitnessKeyArgs {
    /// The witness's name: what its signatures are known by, such as witness.example.org/one
    name: String,
    /// The file for the key; it must not be there yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// What witnesses are asked.
#[derive(Debug, Args)]
pub(crate) struct CosignArgs {
    /// The key that signs the log's checkpoints: NAME+ID+KEY, or a file that holds it
    #[arg(long, value_name = "VKEY|FILE")]
    checkpoint_key: String,
    /// A witness, and the key of its signatures (or a file that holds it); may be given several times
    #[arg(long, required = true, num_args = 2, value_names = ["URL", "VKEY|FILE"])]
    witness: Vec<String>,
    /// How many of them must sign; all of them otherwise
    #[arg(long, value_name = "N")]
    at_least: Option<usize>,
    #[command(flatten)]
    server: ServerArgs,
    /// Put the cosigned checkpoint into this file, too
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl WitnessCommand {
    /// Does what is asked, and says how it ends.
    pub(super) async fn run(
        &self,
        place: &PlaceArgs,
        out: &mut (dyn Write + Send),
    ) -> Result<u8, Error> {
        let code = match self {
            Self::Witness(args) => args.run(place, out).await?,
            Self::WitnessKey(args) => {
                let verifier = witness::generate(&args.name, &args.out)?;
                writeln!(out, "{verifier}")?;
                SOUND
            }
            Self::Cosign(args) => args.run(out).await?,
        };
        out.flush()?;
        Ok(code)
    }
}

fn tell(out: &mut dyn Write, file: Option<&Path>, note: &Note) -> Result<(), Error> {
    if let Some(file) = file {
        tree::replace(file, note.to_string().as_bytes())?;
    }
    Ok(write!(out, "{note}")?)
}

fn broken(out: &mut dyn Write, what: &dyn std::fmt::Display) -> Result<u8, Error> {
    writeln!(out, "BROKEN       {what}")?;
    Ok(BROKEN)
}

impl WitnessArgs {
    async fn run(&self, place: &PlaceArgs, out: &mut (dyn Write + Send)) -> Result<u8, Error> {
        let keys = self.checkpoint_key.iter().map(|text| log_key(text));
        let keys = keys.collect::<Result<Vec<VerifierKey>, _>>()?;
        let own = WitnessKey::read(&self.witness_key)?;
        let memory = Memory::open(&self.memory)?;
        if let Some(address) = self.listen {
            let served = Served::new(keys, own, memory, self.out.clone())?;
            return listen(served, address).await;
        }
        match keys.as_slice() {
            [key] => self.look(place, key, &own, memory, out).await,
            _ => Err(Error::Usage(
                "several checkpoint keys are for --listen: changes are followed otherwise"
                    .to_owned(),
            )),
        }
    }

    /// Looks at the log, or asks the server, once.
    async fn look(
        &self,
        place: &PlaceArgs,
        key: &VerifierKey,
        own: &WitnessKey,
        mut memory: Memory,
        out: &mut (dyn Write + Send),
    ) -> Result<u8, Error> {
        let last = memory.last().cloned();
        let shown = match self.server.open()? {
            Some(server) => Ok(server.show(last.as_ref(), key).await?),
            None => {
                let (log, _copy) = open_log(&place.place()?).await?;
                let mut bar = Bar::new();
                let progress = &mut |at, end| bar.at(at, end);
                let shown = witness::from_log(&log, key, last.as_ref(), progress).await;
                bar.finish();
                shown?
            }
        };
        let followed = shown.and_then(|(shown, keys)| {
            witness::follows(last.as_ref(), &shown, &keys)?;
            Ok::<_, Refusal>(shown.note)
        });
        match followed {
            Ok(note) => {
                let cosigned = witness::cosign(&mut memory, own, note)?;
                tell(out, self.out.as_deref(), &cosigned)?;
                Ok(SOUND)
            }
            Err(refusal) => broken(out, &refusal),
        }
    }
}

async fn listen(served: Served, address: SocketAddr) -> Result<u8, Error> {
    let mut stop = Stop::new()?;
    let mut told = io::stderr();
    let listening = |at: SocketAddr| {
        let _ = writeln!(told, "the witness listens on http://{at}");
    };
    witness::serve(Arc::new(served), address, listening, stop.asked()).await?;
    Ok(SOUND)
}

impl CosignArgs {
    async fn run(&self, out: &mut (dyn Write + Send)) -> Result<u8, Error> {
        let key = log_key(&self.checkpoint_key)?;
        let (pairs, _) = self.witness.as_chunks::<2>();
        let witnesses = pairs
            .iter()
            .map(|[url, own]| Remote::new(url, witness_key("--witness", own)?));
        let witnesses = witnesses.collect::<Result<Vec<_>, Error>>()?;
        let names: BTreeSet<_> = witnesses
            .iter()
            .map(|witness| witness.key().to_string())
            .collect();
        let wanted = self.at_least.unwrap_or(witnesses.len());
        if names.len() < witnesses.len() || !(1..=witnesses.len()).contains(&wanted) {
            let why = "each witness is given once, and from one to all of them must sign";
            return Err(Error::Usage(why.to_owned()));
        }
        let server = self.server.open()?;
        let server = server.ok_or_else(|| Error::Usage("--server is missing".to_owned()))?;
        let mut at_least = 0;
        let asked = loop {
            let (note, keys) = server.newest(&key, at_least).await?;
            let Some(known) = keys
                .iter()
                .rev()
                .find_map(|key| Checkpoint::verified(&note, key).ok())
            else {
                let what = "the server's checkpoint is not signed by the key that was given";
                return broken(out, &what);
            };
            let asked = ask(&server, &witnesses, note).await;
            // Another run may have shown a newer one meanwhile, or the server is behind another.
            match asked.saw_more {
                Some(size) if at_least < size && asked.signed < wanted && known.size < size => {
                    at_least = size;
                }
                _ => break asked,
            }
        };
        let mut told = io::stderr();
        for (who, why) in &asked.not {
            writeln!(told, "{who}: {why}")?;
        }
        if asked.signed >= wanted {
            tell(out, self.out.as_deref(), &asked.note)?;
            return Ok(SOUND);
        }
        let why = format!("{} witnesses signed, {wanted} must", asked.signed);
        match asked.objected {
            true => broken(
                out,
                &format!("{why}; some say that this is not the log that they saw"),
            ),
            false => Err(Error::Unreachable(why)),
        }
    }
}

/// What came of asking all witnesses.
struct Asked {
    /// The checkpoint with what was signed.
    note: Note,
    signed: usize,
    /// Why the others did not sign.
    not: Vec<(KeyName, String)>,
    /// Whether one says that it saw another log. That is its word, and no evidence.
    objected: bool,
    /// The largest checkpoint that one says it saw, above this.
    saw_more: Option<u64>,
}

/// Asks all witnesses, one after another: each is shown what the log signed, and no more.
async fn ask(server: &Server, witnesses: &[Remote], shown: Note) -> Asked {
    let mut asked = Asked {
        note: shown.clone(),
        signed: 0,
        not: Vec::new(),
        objected: false,
        saw_more: None,
    };
    for witness in witnesses {
        let why = match witness.cosign(server, &shown).await {
            Ok(Reply::Cosigned(signature)) => {
                asked.note = asked.note.with(signature);
                asked.signed += 1;
                continue;
            }
            Ok(Reply::SawMore(size)) => {
                asked.objected = true;
                asked.saw_more = asked.saw_more.max(Some(size));
                format!(
                    "it says that it saw a checkpoint of {size} messages: the log was rolled back"
                )
            }
            Ok(Reply::Forked) => {
                asked.objected = true;
                "it says that this did not grow out of what it saw: the log was forked".to_owned()
            }
            Err(error) => error.to_string(),
        };
        asked.not.push((witness.key().name().clone(), why));
    }
    asked
}
