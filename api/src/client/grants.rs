//! Auditor grants: Billfold's own.

use serde::Serialize;

use super::{Answer, Client, Error, Method, Request};

/// What is to be granted to whom.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Grant {
    /// The auditor's public key, as its text.
    pub recipient: String,
    /// From when on: a time, or a sequence of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Until when; none is for as long as the grant stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Whether the epoch that goes on is granted too.
    pub live: bool,
    /// Whether names are granted.
    pub names: bool,
}

fn path(last: Option<&str>) -> Vec<String> {
    ["api", "internal", "wallet", "auditor-grants"]
        .into_iter()
        .chain(last)
        .map(str::to_owned)
        .collect()
}

impl Client {
    /// Grants what happened in a span of time to an auditor.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn grant_auditor(&self, grant: &Grant) -> Result<Answer, Error> {
        let request = Request::new(Method::Post, path(None)).json(grant);
        self.send(request).await
    }

    /// The grants that stand.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn auditor_grants(&self) -> Result<Answer, Error> {
        self.send(Request::new(Method::Get, path(None))).await
    }

    /// Ends a grant.
    ///
    /// # Errors
    /// When there is none, the server refuses, or no answer comes.
    pub async fn revoke_auditor(&self, id: &str) -> Result<(), Error> {
        let request = Request::new(Method::Delete, path(Some(id)));
        self.send(request).await?;
        Ok(())
    }
}
