//! Erasures and legal holds: Billfold's own.

use serde::Serialize;

use super::{Answer, Client, Error, Method, Request};

const WALLET: [&str; 3] = ["api", "internal", "wallet"];

#[derive(Serialize)]
struct Order<'a> {
    path: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "<[u64]>::is_empty")]
    versions: &'a [u64],
}

fn path(last: &[&str]) -> Vec<String> {
    WALLET
        .iter()
        .chain(last)
        .map(|part| (*part).to_owned())
        .collect()
}

impl Client {
    /// Erases a secret, these versions of it, or all below a folder, whose path ends with a slash.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn erase(&self, what: &str, versions: &[u64], reason: &str) -> Result<Answer, Error> {
        let order = Order {
            path: what,
            reason,
            versions,
        };
        let request = Request::new(Method::Post, path(&["erase"])).json(&order);
        self.send(request).await
    }

    /// The receipts of all erasures, or of all that was destroyed of a secret; behind the place that
    /// an earlier page named.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn erasures(
        &self,
        secret: Option<&str>,
        after: Option<&str>,
    ) -> Result<Answer, Error> {
        let mut request = Request::new(Method::Get, path(&["erasures"]));
        if let Some(secret) = secret {
            request = request.query("path", secret);
        }
        if let Some(after) = after {
            request = request.query("after", after);
        }
        self.send(request).await
    }

    /// The receipt of an erasure.
    ///
    /// # Errors
    /// When there is none, the server refuses, or no answer comes.
    pub async fn erasure(&self, id: &str) -> Result<Answer, Error> {
        self.send(Request::new(Method::Get, path(&["erasures", id])))
            .await
    }

    /// Places a legal hold on a secret, or on all below a folder, whose path ends with a slash.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn place_hold(&self, on: &str, reason: &str) -> Result<Answer, Error> {
        let order = Order {
            path: on,
            reason,
            versions: &[],
        };
        let request = Request::new(Method::Post, path(&["holds"])).json(&order);
        self.send(request).await
    }

    /// All legal holds.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn holds(&self) -> Result<Answer, Error> {
        self.send(Request::new(Method::Get, path(&["holds"]))).await
    }

    /// Lifts a legal hold.
    ///
    /// # Errors
    /// When there is none, the server refuses, or no answer comes.
    pub async fn lift_hold(&self, id: &str) -> Result<(), Error> {
        self.send(Request::new(Method::Delete, path(&["holds", id])))
            .await?;
        Ok(())
    }
}
