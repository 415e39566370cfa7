//! Where exported events go.

mod file;
mod syslog;
mod tls;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    str::FromStr,
};

use billfold_core::Millis;
use billfold_streams::jetstream::{Config, ConnectError, Credentials, Outlet};
use sha2::{Digest as _, Sha256};

pub use syslog::Syslog;

use self::file::Appended;
use super::{Plan, format::Format, ocsf};
use crate::{Error, Row, csv_header, source::Nats};

/// A line of more bytes may be more than a datagram holds.
const LONG: usize = 60_000;

/// An event as it goes out.
pub(super) struct Message {
    /// What tells it apart from all others.
    id: String,
    sequence: u64,
    time: String,
    writer: String,
    event: &'static str,
    is_denied: bool,
    /// One line, without its end.
    text: String,
    /// The same without the row's lists, if it is long.
    short: Option<String>,
}

impl Message {
    pub(super) fn of(row: Row, format: Format) -> Result<Self, Error> {
        let text = format.told(&row)?;
        Ok(Self {
            id: ocsf::uid(&row),
            sequence: row.sequence,
            time: Millis::parse(&row.time).map_or_else(|| "-".to_owned(), |time| time.to_string()),
            writer: row.writer.clone(),
            event: row.event,
            is_denied: row.refused.is_some() || row.outcome == Some("denied"),
            short: match text.len() > LONG {
                true => Some(format.told(&row.shortened())?),
                false => None,
            },
            text,
        })
    }
}

/// Why events were not taken.
pub(super) enum Untaken {
    /// They may be later.
    Yet(String),
    /// They never will be.
    Never(String),
    /// The one of this sequence never will be, for its size.
    TooLarge(u64),
    /// Whoever read them went away.
    Gone(std::io::Error),
}

/// Where events go, as it is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `stdout`: standard output.
    Stdout,
    /// `file:PATH`: a file that is appended to.
    File(PathBuf),
    /// `syslog:ADDRESS`: a server that takes RFC 5424.
    Syslog(Server),
    /// `nats:SUBJECT`: a subject that a JetStream stream takes.
    Nats(String),
}

/// A syslog server, as it is named: `tls://HOST:PORT`, `tcp://HOST:PORT` or `udp://HOST:PORT`; TCP if
/// nothing is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its host and port.
    pub address: String,
    /// The way to it.
    pub transport: Transport,
}

/// The way to a syslog server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A connection that anybody on the way can read.
    Tcp,
    /// A connection to whom its certificate says (RFC 5425).
    Tls,
    /// Datagrams, which get lost.
    Udp,
}

/// What it takes to reach targets over the network.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// The NATS server or servers.
    pub nats: Option<Nats>,
    /// The certificates to trust for TLS to a syslog server instead of the system's.
    pub ca_file: Option<PathBuf>,
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const KNOWN: &str =
            "a target is stdout, file:PATH, syslog:[tls://|tcp://|udp://]HOST:PORT or nats:SUBJECT";
        if text == "stdout" || text == "-" {
            return Ok(Self::Stdout);
        }
        let (kind, rest) = text.split_once(':').ok_or(KNOWN)?;
        match kind {
            "file" if !rest.is_empty() => Ok(Self::File(rest.into())),
            "syslog" => server(rest).map(Self::Syslog),
            "nats" => subject(rest).map(Self::Nats),
            _ => Err(KNOWN),
        }
    }
}

fn server(text: &str) -> Result<Server, &'static str> {
    let (transport, address) = match text.split_once("://") {
        None => (Transport::Tcp, text),
        Some(("tcp", address)) => (Transport::Tcp, address),
        Some(("tls", address)) => (Transport::Tls, address),
        Some(("udp", address)) => (Transport::Udp, address),
        Some(_) => return Err("a syslog server is reached by tls://, tcp:// or udp://"),
    };
    let port = address
        .rsplit_once(':')
        .map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(1..)) => Ok(Server {
            address: address.to_owned(),
            transport,
        }),
        _ => Err("a syslog server is a host and a port"),
    }
}

fn subject(text: &str) -> Result<String, &'static str> {
    let is_plain = |part: &str| {
        let is_bad =
            |letter: char| letter.is_whitespace() || letter.is_control() || "*>".contains(letter);
        !part.is_empty() && !part.contains(is_bad)
    };
    if !text.split('.').all(is_plain) {
        return Err("a subject has parts with points between them, and no wildcards");
    }
    match text.split('.').next() {
        Some(first) if first.eq_ignore_ascii_case("wallet") || first.starts_with('$') => {
            Err("subjects below wallet. are the wallet's own, and those with a dollar the server's")
        }
        _ => Ok(text.to_owned()),
    }
}

/// Where events go, open.
#[derive(Debug)]
pub struct Target {
    format: Format,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Stdout { has_header: bool },
    File(Appended),
    Syslog(Syslog),
    Nats(Box<Stream>),
}

/// A subject of a stream, and the way to its server if that was reached.
#[derive(Debug)]
struct Stream {
    nats: Nats,
    subject: String,
    /// What tells the messages of this export apart from those of others in the same stream.
    export: String,
    outlet: Option<Outlet>,
}

impl Target {
    /// Opens a target for what is planned. One over the network is reached once there is something for it.
    ///
    /// # Errors
    /// When a file cannot be opened, certificates cannot be read, or it is not said which NATS server.
    pub fn open(address: &Address, plan: &Plan, reach: &Reach) -> Result<Self, Error> {
        let format = plan.format;
        let kind = match address {
            Address::Stdout => Kind::Stdout { has_header: false },
            Address::File(path) => {
                let file = Appended::open(path.clone(), header(format), format.end());
                Kind::File(file.map_err(|error| {
                    let what = format!("--to: {} cannot be written: {error}", path.display());
                    match error.kind() {
                        io::ErrorKind::ResourceBusy => Error::Usage(what),
                        _ => Error::Unreachable(what),
                    }
                })?)
            }
            Address::Syslog(server) => {
                Kind::Syslog(Syslog::new(server.clone(), reach.ca_file.as_deref())?)
            }
            Address::Nats(subject) => {
                let nats = reach.nats.as_ref().ok_or_else(|| {
                    Error::Usage("which NATS server takes the events? give its URL".to_owned())
                })?;
                Kind::Nats(Box::new(Stream {
                    nats: nats.clone(),
                    subject: subject.clone(),
                    export: mark(subject, plan),
                    outlet: None,
                }))
            }
        };
        Ok(Self { format, kind })
    }

    /// Lets go of the target, in its order.
    pub async fn finish(&mut self) {
        if let Kind::Syslog(syslog) = &mut self.kind {
            syslog.finish().await;
        }
    }

    /// Hands messages over, from the `taken`th on; `taken` says how many are surely there.
    pub(super) async fn take(
        &mut self,
        messages: &[Message],
        taken: &mut usize,
    ) -> Result<(), Untaken> {
        let (format, left) = (self.format, messages.get(*taken..).unwrap_or_default());
        match &mut self.kind {
            Kind::Stdout { has_header } => {
                let header = (!*has_header).then(|| header(format)).flatten();
                print(header, left, format.end()).map_err(Untaken::Gone)?;
                *has_header = true;
            }
            Kind::File(file) => {
                let lines = left.iter().map(|message| message.text.as_str());
                let written = file.append(lines);
                written.map_err(|error| Untaken::Yet(error.to_string()))?;
            }
            Kind::Syslog(syslog) => syslog.send(left).await?,
            Kind::Nats(stream) => {
                for message in left {
                    stream.publish(message).await?;
                    *taken += 1;
                }
            }
        }
        *taken = messages.len();
        Ok(())
    }
}

fn header(format: Format) -> Option<String> {
    (format == Format::Csv).then(csv_header)
}

fn print(header: Option<String>, messages: &[Message], end: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(header.unwrap_or_default().as_bytes())?;
    for message in messages {
        write!(out, "{}{end}", message.text)?;
    }
    out.flush()
}

/// Digits of what decides which messages go out, and what is in them. A range does not: a repeat up to
/// another moment has the same messages.
fn mark(subject: &str, plan: &Plan) -> String {
    let (names, mut filter) = (plan.query.names, plan.query.filter.clone());
    if !names {
        // By its hash, a name can be guessed.
        (filter.path, filter.execution) = (None, None);
    }
    let told = format!("{subject} {:?} {names} {filter:?}", plan.format);
    let hash = Sha256::digest(told);
    hash.iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl Stream {
    async fn publish(&mut self, message: &Message) -> Result<(), Untaken> {
        use billfold_streams::jetstream::Untaken as Refused;
        let open = match &mut self.outlet {
            Some(open) => open,
            none => none.insert(connected(&self.nats).await?),
        };
        let bytes = bytes::Bytes::from(message.text.clone());
        let id = format!("{}-{}", self.export, message.id);
        let taken = open.put(&self.subject, &id, bytes).await;
        taken.map_err(|error| match error {
            Refused::TooLarge(_) => Untaken::Never(error.to_string()),
            other => Untaken::Yet(other.to_string()),
        })
    }
}

async fn connected(nats: &Nats) -> Result<Outlet, Untaken> {
    let config = Config {
        credentials: match &nats.credentials {
            Some(file) => Credentials::File(file.clone()),
            None => Credentials::None,
        },
        ca_file: nats.ca_file.clone(),
        ..Config::dev(&nats.url)
    };
    Outlet::connect(&config).await.map_err(|error| match error {
        ConnectError::Config(_) => Untaken::Never(error.to_string()),
        other => Untaken::Yet(other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use billfold_core::{id::Seq, moment::Moment};

    use super::*;
    use crate::log::{Filter, Query};

    #[test]
    fn exports_that_differ_have_other_messages() {
        let plan = |format, query| Plan {
            query,
            format,
            follow: false,
            position: None,
            patience: None,
        };
        let query = |names, kind: Option<&str>, path: Option<&str>| {
            let filter = Filter {
                kinds: kind.iter().map(|kind| kind.parse().unwrap()).collect(),
                path: path.map(|path| path.parse().unwrap()),
                ..Filter::default()
            };
            let (from, to) = (None, None);
            Query {
                from,
                to,
                names,
                filter,
            }
        };
        let [jsonl, csv] = [Format::Jsonl, Format::Csv];
        let all = query(false, None, None);
        let of_all = mark("audit", &plan(jsonl, all.clone()));
        let different = [
            mark("audit.b", &plan(jsonl, all.clone())),
            mark("audit", &plan(csv, all.clone())),
            mark("audit", &plan(jsonl, query(true, None, None))),
            mark("audit", &plan(jsonl, query(false, Some("list"), None))),
            mark("audit", &plan(jsonl, query(true, None, Some("a/b")))),
        ];
        let marks: BTreeSet<_> = different.iter().chain([&of_all]).collect();
        assert_eq!(marks.len(), 6, "{marks:?}");
        // A range, and a name that is not shown, make no difference.
        let ranged = Query {
            to: Some(Moment::Seq(Seq(7))),
            ..query(false, None, Some("a/b"))
        };
        assert_eq!(mark("audit", &plan(jsonl, ranged)), of_all);
    }

    #[test]
    fn targets_are_known_by_their_names() {
        let server = |address: &str, transport| {
            let address = address.to_owned();
            Ok(Address::Syslog(Server { address, transport }))
        };
        assert_eq!("stdout".parse(), Ok(Address::Stdout));
        assert_eq!("file:a:b".parse(), Ok(Address::File("a:b".into())));
        for (text, address, transport) in [
            ("syslog:[::1]:514", "[::1]:514", Transport::Tcp),
            ("syslog:tcp://logs:601", "logs:601", Transport::Tcp),
            ("syslog:tls://logs:6514", "logs:6514", Transport::Tls),
            ("syslog:udp://logs:514", "logs:514", Transport::Udp),
        ] {
            assert_eq!(text.parse(), server(address, transport));
        }
        let subject = "nats:audit.billfold".parse();
        assert_eq!(subject, Ok(Address::Nats("audit.billfold".to_owned())));
        for bad in [
            "",
            "file:",
            "tape:1",
            "syslog:logs",
            "syslog:logs:0",
            "syslog:http://logs:1",
            "nats:",
            "nats:a..b",
            "nats:a.*",
            "nats:a b",
            "nats:wallet.events.1.decided",
            "nats:Wallet.x",
            "nats:$JS.API",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
