//! Where values come from: files, standard input, a prompt. Never the command line, unless that is
//! asked for, since it stands in the shell's history and in the list of processes.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use billfold::client::Error;
use zeroize::Zeroizing;

use super::prompt::prompt;

/// The longest input that is read, in bytes: more than any server takes.
const LONGEST: usize = 32 * 1024 * 1024;

/// A part of what `put` writes.
pub(super) enum Item {
    /// A JSON object with members.
    Object(Source),
    /// One member, a string.
    Pair(String, Source),
}

/// Where a value comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A file, as it is.
    File(PathBuf),
    /// Standard input to its end, as it is.
    Stdin,
    /// A person, who types it unseen, once.
    Prompt,
    /// The command line.
    Clear(Zeroizing<String>),
}

impl Item {
    /// Reads `KEY=@FILE`, `KEY=-`, `KEY`, `@FILE`, `-`; and `KEY=VALUE` where that is allowed.
    ///
    /// # Errors
    /// For anything else. It is not repeated: it may be the secret.
    pub(super) fn parse(text: &str, clear: bool) -> Result<Self, Error> {
        if text == "-" {
            return Ok(Self::Object(Source::Stdin));
        }
        if let Some(file) = text.strip_prefix('@') {
            return Ok(Self::Object(Source::File(file.into())));
        }
        let (key, source) = match text.split_once('=') {
            None => (text, Source::Prompt),
            Some((key, "-")) => (key, Source::Stdin),
            Some((key, value)) => match value.strip_prefix('@') {
                Some(file) => (key, Source::File(file.into())),
                None if clear => (key, Source::Clear(Zeroizing::new(value.to_owned()))),
                None => {
                    return Err(Error::usage(
                        "a value on the command line stands in the shell's history and in the \
                         list of processes: use KEY=@FILE, KEY=- for standard input, or KEY to be \
                         asked; or --insecure-value if it is no secret",
                    ));
                }
            },
        };
        if key.is_empty() {
            return Err(Error::usage(
                "a value has no key: write KEY=@FILE, KEY=- or KEY",
            ));
        }
        Ok(Self::Pair(key.to_owned(), source))
    }

    /// Where it comes from.
    pub(super) const fn source(&self) -> &Source {
        match self {
            Self::Object(source) | Self::Pair(_, source) => source,
        }
    }
}

impl Source {
    /// A file by its name; `-` is standard input.
    pub(super) fn named(name: &Path) -> Self {
        if name.as_os_str() == "-" {
            Self::Stdin
        } else {
            Self::File(name.to_owned())
        }
    }

    /// Reads the value. The question is what a prompt asks for.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn read(self, question: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        match self {
            Self::File(file) => {
                let what = format!("reading {}", file.display());
                let read = apart(move || read_all(File::open(file)?)).await;
                read.map_err(|error| Error::local(what, error))
            }
            Self::Stdin => {
                // Past the buffer of standard input, which nobody would wipe.
                let own = || io::stdin().as_fd().try_clone_to_owned();
                let read = apart(move || read_all(File::from(own()?))).await;
                read.map_err(|error| Error::local("reading standard input", error))
            }
            Self::Prompt => prompt(question).await,
            Self::Clear(mut value) => Ok(Zeroizing::new(std::mem::take(&mut *value).into_bytes())),
        }
    }

    /// As [`Source::read`], for what is text.
    ///
    /// # Errors
    /// When it cannot be read, or is not UTF-8.
    pub(super) async fn read_text(self, question: &str) -> Result<Zeroizing<String>, Error> {
        text(self.read(question).await?)
    }
}

/// Bytes as text.
///
/// # Errors
/// When they are none. They are wiped then, too.
pub(super) fn text(mut bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<String>, Error> {
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            Err(Error::usage(
                "the value is not UTF-8: encode it first, for example with base64",
            ))
        }
    }
}

/// Reads on a thread of its own: what is read may take its time, and the command can be
/// interrupted meanwhile.
async fn apart<T: Send + 'static>(
    read: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(io::Error::other)?
}

/// Reads to the end, into memory that is wiped however often it has to grow.
fn read_all(mut from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; 64 * 1024]);
    let mut length = 0;
    loop {
        if length == bytes.len() {
            let mut larger = Zeroizing::new(vec![0; bytes.len() * 2]);
            for (to, from) in larger.iter_mut().zip(bytes.iter()) {
                *to = *from;
            }
            bytes = larger;
        }
        match from.read(bytes.get_mut(length..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if length > LONGEST {
            return Err(io::Error::other("it is longer than 32 MiB"));
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_from_anywhere_but_the_command_line() {
        let pair = |text: &str, clear| match Item::parse(text, clear).unwrap() {
            Item::Pair(key, source) => (key, source),
            Item::Object(source) => ("object".to_owned(), source),
        };
        for (text, key, source) in [
            ("k=@f", "k", Source::File("f".into())),
            ("k=-", "k", Source::Stdin),
            ("k", "k", Source::Prompt),
            ("@f.json", "object", Source::File("f.json".into())),
            ("-", "object", Source::Stdin),
        ] {
            assert_eq!(pair(text, false), (key.to_owned(), source), "{text}");
        }
        for bad in ["k=canary", "canary==", "k=", "=@canary", "=-"] {
            let told = Item::parse(bad, false).err().unwrap().to_string();
            assert!(!told.contains("canary"), "{told}");
        }
        let clear = Source::Clear(Zeroizing::new("v=w".to_owned()));
        assert_eq!(pair("k=v=w", true), ("k".to_owned(), clear));
    }

    #[test]
    fn input_is_read_whole_and_bounded() {
        let long = vec![7; 200_000];
        assert_eq!(*read_all(long.as_slice()).unwrap(), long);
        assert!(read_all(io::repeat(7)).is_err());
        assert!(text(Zeroizing::new(vec![0xff])).is_err());
    }
}
