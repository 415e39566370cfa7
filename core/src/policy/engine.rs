//! What an engine is asked, and what it answers.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::Capabilities;

/// Decides requests.
pub trait Engine {
    /// Whether a request is permitted, and by which policies.
    fn authorise(&self, request: &Request<'_>) -> Decision<'_>;

    /// What is granted on a path, as far as it does not depend on the request.
    fn capabilities(&self, path: &str) -> Capabilities;
}

/// What someone wants to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Operation {
    /// Makes what is not there.
    Create,
    /// Reads.
    Read,
    /// Changes what is there, or does something.
    Update,
    /// Changes parts of what is there.
    Patch,
    /// Deletes.
    Delete,
    /// Lists the names in a folder.
    List,
    /// Lists all names below a folder.
    Scan,
}

impl Operation {
    /// The capability it needs.
    #[must_use]
    pub const fn capability(self) -> Capabilities {
        match self {
            Self::Create => Capabilities::CREATE,
            Self::Read => Capabilities::READ,
            Self::Update => Capabilities::UPDATE,
            Self::Patch => Capabilities::PATCH,
            Self::Delete => Capabilities::DELETE,
            Self::List => Capabilities::LIST,
            Self::Scan => Capabilities::SCAN,
        }
    }
}

/// A request, as far as policies look at it. It has no `Debug`, since parameters are secrets.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The path without `v1/` and without a slash at its beginning, like `secret/data/app`.
    pub path: &'a str,
    /// What is to be done there.
    pub operation: Operation,
    /// Its parameters: the body's fields and those of the query. Without them no condition on
    /// parameters is looked at: whoever records a request holds it to them before.
    pub parameters: Option<&'a Map<String, Json>>,
    /// For how long the answer is to be wrapped, if it is.
    pub wrap_ttl: Option<Duration>,
    /// Whether the path is one of those that only root may use without `sudo`.
    pub needs_sudo: bool,
}

/// What an engine decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision<'a> {
    /// Whether the request may go on.
    pub permitted: bool,
    /// Who decided. Permitted, or refused by its conditions or for want of `sudo`: the policies
    /// that grant the capability. Denied: those that deny. Refused for want of a grant: none.
    pub policies: Vec<&'a str>,
    /// How many names a permitted listing may show at most, whatever limit was asked for.
    pub page: Option<u32>,
}
