//! What can go wrong, and whose side it is on.

use std::io;

use super::text::escape;

/// Why a request was not made, or not answered as it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was asked for, or how, cannot be done.
    #[error("{0}")]
    Usage(String),
    /// A file or a terminal of this machine.
    #[error("{what}")]
    Local {
        /// What was being done.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The client could not be set up.
    #[error("the client cannot be set up")]
    Setup(#[source] reqwest::Error),
    /// The server's own words.
    #[error("the server answered {status}{}", listed(.told))]
    Answered {
        /// The HTTP status.
        status: u16,
        /// What it said, perhaps nothing.
        told: Vec<String>,
    },
    /// There is no such secret, version, folder or policy.
    #[error("there is nothing at {}", escape(.0))]
    Nothing(String),
    /// The version was deleted or destroyed.
    #[error("version {version} of {} {}", escape(.path), if *.destroyed { "is destroyed" } else { "is deleted" })]
    Gone {
        /// Of which secret.
        path: String,
        /// Its number.
        version: u64,
        /// Whether it is gone for ever.
        destroyed: bool,
    },
    /// No answer, and nothing was changed: the request only asked.
    #[error("no answer from {address}")]
    Unanswered {
        /// Where it was asked for.
        address: String,
        /// Why there is none.
        #[source]
        source: reqwest::Error,
    },
    /// No answer to a change, which may have been made all the same.
    #[error("no answer from {address}: whether the change was made is not known")]
    Unknown {
        /// Where it was asked for.
        address: String,
        /// Why there is none.
        #[source]
        source: reqwest::Error,
    },
    /// The server points to where the token must not go.
    #[error(
        "the server redirects to {}, where the token is not sent: if it belongs there, use --address",
        escape(.0)
    )]
    Elsewhere(String),
    /// An answer that no server of this API gives.
    #[error("the server's answer cannot be read: {0}")]
    Malformed(&'static str),
}

impl Error {
    /// What cannot be done.
    pub fn usage(told: impl Into<String>) -> Self {
        Self::Usage(told.into())
    }

    /// What failed on this machine.
    pub fn local(what: impl Into<String>, source: io::Error) -> Self {
        Self::Local {
            what: what.into(),
            source,
        }
    }

    /// The URL is left out: it is told elsewhere, and may hold what nobody should see.
    pub(super) fn setup(source: reqwest::Error) -> Self {
        Self::Setup(source.without_url())
    }

    /// Whether the server, or the way to it, is to blame.
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        !matches!(self, Self::Usage(_) | Self::Local { .. } | Self::Setup(_))
    }
}

fn listed(told: &[String]) -> String {
    // Some servers set lists over several lines; here they are one.
    let line = |told: &String| told.split_whitespace().collect::<Vec<_>>().join(" ");
    let told: Vec<String> = told.iter().map(|told| escape(&line(told))).collect();
    match told.as_slice() {
        [] => String::new(),
        told => format!(": {}", told.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_s_words_are_kept_and_made_harmless() {
        let answered = |told: &[&str]| Error::Answered {
            status: 400,
            told: told.iter().map(|&told| told.to_owned()).collect(),
        };
        assert_eq!(answered(&[]).to_string(), "the server answered 400");
        assert_eq!(
            answered(&["one:\n\t* x\n\n", "two\u{1b}[2J"]).to_string(),
            r"the server answered 400: one: * x; two\u{1b}[2J"
        );
        assert!(answered(&[]).is_remote() && !Error::usage("no").is_remote());
    }
}
