//! The audit trail over HTTP: Billfold's own.

use super::{Answer, Client, Error, Method, Request};

impl Client {
    /// A page of the audit trail; parameters are those of the API.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn audit(&self, parameters: &[(&'static str, String)]) -> Result<Answer, Error> {
        let path = ["api", "internal", "secret-audit"];
        let path = path.map(str::to_owned).to_vec();
        let mut request = Request::new(Method::Get, path);
        for (name, value) in parameters {
            request = request.query(name, value.as_str());
        }
        self.send(request).await
    }
}
