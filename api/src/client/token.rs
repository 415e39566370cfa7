//! The token that a client shows, and the file that keeps it.

use std::{
    fmt, fs,
    io::{self, Read as _, Write as _},
    path::Path,
};

use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

use super::Error;

/// The longest token that is read from a file, in bytes.
const LONGEST: u64 = 64 * 1024;

/// A token. It is wiped when it is dropped, and never shown by accident.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// A token as it was typed or read; spaces and line ends around it do not count.
    ///
    /// # Errors
    /// When it cannot go into a header.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::usage(
                "a token is not empty, and all its characters are printable ASCII",
            ));
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// Reads a token from a file.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else.
    pub fn read(file: &Path) -> Result<Self, Error> {
        Self::read_if_there(file).and_then(|token| {
            token.ok_or_else(|| {
                Error::local(
                    format!("reading the token in {}", file.display()),
                    io::ErrorKind::NotFound.into(),
                )
            })
        })
    }

    /// As [`Token::read`]; without the file there is no token.
    ///
    /// # Errors
    /// When the file is there and cannot be read, or holds something else.
    pub fn read_if_there(file: &Path) -> Result<Option<Self>, Error> {
        let what = || format!("reading the token in {}", file.display());
        let opened = match fs::File::open(file) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::local(what(), error)),
        };
        let mut text = Zeroizing::new(String::with_capacity(1024));
        opened
            .take(LONGEST)
            .read_to_string(&mut text)
            .map_err(|error| Error::local(what(), error))?;
        Self::parse(&text)
            .map(Some)
            .map_err(|error| Error::usage(format!("{} holds no token: {error}", file.display())))
    }

    /// Writes the token to a file that only its owner can read, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written; what was there before is then still there.
    pub fn store(&self, file: &Path) -> Result<(), Error> {
        let store = || -> io::Result<()> {
            let folder = file
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            // Made with mode 0600, beside its place, so that the rename is atomic.
            let mut half = tempfile::Builder::new()
                .prefix(".billfold-token-")
                .tempfile_in(folder.unwrap_or(Path::new(".")))?;
            half.write_all(self.0.as_bytes())?;
            half.as_file().sync_all()?;
            half.persist(file)?;
            Ok(())
        };
        store().map_err(|error| {
            Error::local(format!("storing the token in {}", file.display()), error)
        })
    }

    /// The token itself, for the body of a request about it.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    pub(super) fn header(&self) -> Result<HeaderValue, Error> {
        let value = HeaderValue::from_str(&self.0);
        let mut value = value.map_err(|_| Error::usage("a token is printable ASCII"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_token_is_stored_for_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(".vault-token");
        fs::write(&file, "an older one").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        Token::parse(" hvs.canary\n").unwrap().store(&file).unwrap();
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(Token::read(&file).unwrap().expose(), "hvs.canary");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_token_shows_neither_in_debug_nor_in_errors() {
        let token = Token::parse("canary").unwrap();
        assert_eq!(format!("{token:?}"), "Token(..)");
        assert!(format!("{:?}", token.header().unwrap()).contains("Sensitive"));
        for bad in ["", " ", "can ary", "canary\u{1b}", "canaryé"] {
            let told = format!("{:?}", Token::parse(bad).unwrap_err());
            assert!(!told.contains("can"), "{told}");
        }
    }

    #[test]
    fn no_file_is_no_token() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("none");
        assert!(Token::read_if_there(&file).unwrap().is_none());
        assert!(Token::read(&file).is_err());
        fs::write(&file, "two words").unwrap();
        assert!(Token::read_if_there(&file).is_err());
    }
}
