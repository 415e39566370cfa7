//! Asks a person for a value on the terminal, without showing what is typed.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
};

use billfold::client::{Error, escape};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// The longest line that a terminal hands over, in bytes.
const LONGEST: usize = 4096;

/// A terminal that shows nothing of what is typed until this is dropped.
struct Quiet {
    terminal: File,
    before: Termios,
}

impl Quiet {
    fn new(terminal: File) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        // The end of the line still shows, so that the next output stands on its own.
        quiet.local_modes.insert(LocalModes::ECHONL);
        // What was typed before the question is no answer to it.
        tcsetattr(&terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing restored.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Asks for a value.
///
/// # Errors
/// When there is no terminal, or nothing is typed.
pub(super) async fn prompt(question: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |error| Error::local("asking on the terminal", error);
    let open = || OpenOptions::new().read(true).write(true).open("/dev/tty");
    let terminal = open().map_err(|_| {
        Error::usage("there is no terminal to ask on: use a file, or - for standard input")
    })?;
    let typed = terminal.try_clone().map_err(failed)?;
    let mut quiet = Quiet::new(terminal).map_err(failed)?;
    write!(quiet.terminal, "{}: ", escape(question)).map_err(failed)?;
    // Whoever interrupts drops this future, and with it the terminal is given back as it was.
    let line = tokio::task::spawn_blocking(move || read_line(typed)).await;
    line.map_err(|error| failed(io::Error::other(error)))?
        .map_err(failed)
}

fn read_line(mut from: File) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new([0; LONGEST]);
    // In its usual mode a terminal hands over one whole line.
    let length = from.read(&mut *buffer)?;
    let typed = buffer.get(..length).unwrap_or_default();
    let line = typed.strip_suffix(b"\n");
    let line = line.ok_or_else(|| io::Error::other("the line was not ended, or is too long"))?;
    if line.is_empty() {
        return Err(io::Error::other("nothing was typed"));
    }
    Ok(Zeroizing::new(line.to_vec()))
}
