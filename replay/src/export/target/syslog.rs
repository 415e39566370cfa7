//! Events as syslog messages of RFC 5424: over TLS (RFC 5425) or TCP (RFC 6587) with octet counting, or
//! over UDP.

use std::{fmt, io, path::Path, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{Message, Server, Transport, Untaken, tls};
use crate::Error;

/// Facility 13, "log audit".
const FACILITY: u8 = 13;
const INFORMATIONAL: u8 = 6;
const NOTICE: u8 = 5;
/// How long a connection and a write may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a server may take to close a connection.
const CLOSING: Duration = Duration::from_secs(3);
/// What fits into a datagram of IPv4.
const LARGEST_DATAGRAM: usize = 65_507;

/// A syslog server, and the way to it if it was reached.
pub struct Syslog {
    server: Server,
    tls: Option<TlsConnector>,
    stream: Option<Box<dyn Connection>>,
    socket: Option<UdpSocket>,
}

impl fmt::Debug for Syslog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Syslog({:?})", self.server)
    }
}

/// A connection, with TLS or without.
trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

impl Syslog {
    pub(super) fn new(server: Server, ca_file: Option<&Path>) -> Result<Self, Error> {
        let tls = match server.transport {
            Transport::Tls => Some(tls::connector(ca_file)?),
            Transport::Tcp | Transport::Udp => None,
        };
        Ok(Self {
            server,
            tls,
            stream: None,
            socket: None,
        })
    }

    /// Sends messages. Over TCP they are taken when the connection took them: what the server makes
    /// of them it does not say.
    pub(super) async fn send(&mut self, messages: &[Message]) -> Result<(), Untaken> {
        match self.server.transport {
            Transport::Udp => self.send_datagrams(messages).await,
            Transport::Tcp | Transport::Tls => self.send_stream(messages).await,
        }
    }

    async fn send_stream(&mut self, messages: &[Message]) -> Result<(), Untaken> {
        let mut frames = Vec::new();
        for message in messages {
            let text = told(message, &message.text);
            frames.extend_from_slice(format!("{} ", text.len()).as_bytes());
            frames.extend_from_slice(text.as_bytes());
        }
        // One that the server closed is no way to it, though it would take a write.
        let open = match self.stream.take() {
            Some(stream) => still_open(stream).await,
            None => None,
        };
        let mut stream = match open {
            Some(stream) => stream,
            None => {
                let connected = timeout(PATIENCE, self.connect()).await;
                connected
                    .map_err(|_| late())?
                    .map_err(|error| yet(&error))?
            }
        };
        let write = async {
            stream.write_all(&frames).await?;
            stream.flush().await
        };
        let written = timeout(PATIENCE, write).await;
        written.map_err(|_| late())?.map_err(|error| yet(&error))?;
        self.stream = Some(stream);
        Ok(())
    }

    /// Ends a connection so that what it took is not thrown away: a server is let read to the end.
    pub(super) async fn finish(&mut self) {
        let Some(mut stream) = self.stream.take() else {
            return;
        };
        let closing = async {
            stream.shutdown().await?;
            let mut bytes = [0; 64];
            while stream.read(&mut bytes).await? > 0 {}
            io::Result::Ok(())
        };
        // Whoever does not answer has the connection, or nobody has.
        let _ = timeout(CLOSING, closing).await;
    }

    async fn connect(&self) -> io::Result<Box<dyn Connection>> {
        let address = &self.server.address;
        let stream = TcpStream::connect(address).await?;
        Ok(match &self.tls {
            Some(tls) => Box::new(tls::secured(tls, address, stream).await?),
            None => Box::new(stream),
        })
    }

    async fn send_datagrams(&mut self, messages: &[Message]) -> Result<(), Untaken> {
        let socket = match &self.socket {
            Some(socket) => socket,
            None => {
                let made = connected(&self.server.address).await;
                self.socket.insert(made.map_err(|error| yet(&error))?)
            }
        };
        for message in messages {
            let text = datagram(message).ok_or(Untaken::TooLarge(message.sequence))?;
            if let Err(error) = socket.send(text.as_bytes()).await {
                self.socket = None;
                return Err(yet(&error));
            }
        }
        Ok(())
    }
}

/// A socket of the server's kind of address that sends to it alone.
async fn connected(address: &str) -> io::Result<UdpSocket> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for to in tokio::net::lookup_host(address).await? {
        let any = match to.is_ipv4() {
            true => "0.0.0.0:0",
            false => "[::]:0",
        };
        let socket = UdpSocket::bind(any).await?;
        match socket.connect(to).await {
            Ok(()) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn still_open(mut stream: Box<dyn Connection>) -> Option<Box<dyn Connection>> {
    let mut bytes = [0; 64];
    let is_open = tokio::select! {
        biased;
        // A syslog server sends nothing: what comes is the end, or of no concern.
        read = stream.read(&mut bytes) => read.is_ok_and(|count| count > 0),
        () = std::future::ready(()) => true,
    };
    is_open.then_some(stream)
}

fn late() -> Untaken {
    Untaken::Yet("the syslog server does not answer in time".to_owned())
}

fn yet(error: &io::Error) -> Untaken {
    Untaken::Yet(error.to_string())
}

/// A message that fits into a datagram, by leaving lists out if it has to be.
fn datagram(message: &Message) -> Option<String> {
    let texts = [Some(&message.text), message.short.as_ref()];
    let mut told = texts.into_iter().flatten().map(|text| told(message, text));
    told.find(|told| told.len() <= LARGEST_DATAGRAM)
}

/// Priority, version, the commit's time, no host, the wallet's process, the event, no structured
/// data, and the text, which holds no control characters.
fn told(message: &Message, text: &str) -> String {
    let severity = match message.is_denied {
        true => NOTICE,
        false => INFORMATIONAL,
    };
    // A message that is not ASCII says by a mark that it is UTF-8.
    let mark = if text.is_ascii() { "" } else { "\u{feff}" };
    format!(
        "<{}>1 {} - billfold {} {} - {mark}{text}",
        FACILITY * 8 + severity,
        message.time,
        message.writer,
        message.event,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: String, short: Option<String>) -> Message {
        Message {
            id: String::new(),
            sequence: 7,
            time: "2027-01-15T08:00:00.000Z".to_owned(),
            writer: "0f".repeat(16),
            event: "CredentialWritten",
            is_denied: false,
            text,
            short,
        }
    }

    #[test]
    fn a_message_is_one_of_rfc_5424() {
        let mut message = message("{}".to_owned(), None);
        let writer = &message.writer.clone();
        assert_eq!(
            told(&message, &message.text),
            format!("<110>1 2027-01-15T08:00:00.000Z - billfold {writer} CredentialWritten - {{}}")
        );
        message.is_denied = true;
        let text = told(&message, "ü");
        assert!(
            text.starts_with("<109>1 ") && text.ends_with(" - \u{feff}ü"),
            "{text}"
        );
    }

    #[test]
    fn a_datagram_has_the_short_text_if_the_long_one_does_not_fit() {
        let head = told(&message(String::new(), None), "").len();
        let longest = "x".repeat(LARGEST_DATAGRAM - head);
        let short = || Some("short".to_owned());
        let fits = datagram(&message(longest.clone(), short())).unwrap();
        assert!(fits.len() == LARGEST_DATAGRAM && fits.ends_with('x'));
        let longer = longest + "x";
        let shortened = datagram(&message(longer.clone(), short())).unwrap();
        assert!(shortened.ends_with(" - short"), "{shortened}");
        assert_eq!(datagram(&message(longer.clone(), Some(longer))), None);
    }

    #[tokio::test]
    async fn what_fits_into_no_datagram_is_told_by_its_sequence() {
        let server = Server {
            address: "127.0.0.1:9".to_owned(),
            transport: Transport::Udp,
        };
        let mut syslog = Syslog::new(server, None).unwrap();
        let long = "x".repeat(LARGEST_DATAGRAM);
        let refused = syslog.send(&[message(long.clone(), Some(long))]).await;
        assert!(matches!(refused, Err(Untaken::TooLarge(7))));
    }
}
