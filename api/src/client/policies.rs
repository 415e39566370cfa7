//! Policies: who may do what.

use serde::{Deserialize, Serialize};

use super::{Answer, Client, Error, Method, Request, answer::read, mount::segments};

#[derive(Deserialize)]
struct Keys {
    keys: Vec<String>,
}

#[derive(Serialize)]
struct Text<'a> {
    policy: &'a str,
}

fn path(name: &str) -> Result<Vec<String>, Error> {
    let name = segments(name)?;
    let mut path: Vec<String> = ["v1", "sys", "policies", "acl"].map(str::to_owned).into();
    path.extend(name);
    Ok(path)
}

impl Client {
    /// The names of all policies.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn policies(&self) -> Result<Vec<String>, Error> {
        let request = Request::get(["v1", "sys", "policies", "acl"]).query("list", "true");
        let answer = self.send(request).await?;
        Ok(read::<Keys>(answer.data()?)?.keys)
    }

    /// A policy: the answer's data has its `name` and its text, `policy`.
    ///
    /// # Errors
    /// When there is none, the server refuses, or no answer comes.
    pub async fn policy(&self, name: &str) -> Result<Answer, Error> {
        let answer = self.send(Request::get(path(name)?)).await;
        answer.map_err(|error| match error {
            Error::Answered { status: 404, told } if told.is_empty() => {
                Error::Nothing(name.to_owned())
            }
            other => other,
        })
    }

    /// Writes a policy, new or in place of the one of this name.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn write_policy(&self, name: &str, policy: &str) -> Result<(), Error> {
        let request = Request::new(Method::Put, path(name)?).json(&Text { policy });
        self.send(request).await?;
        Ok(())
    }

    /// Deletes a policy.
    ///
    /// # Errors
    /// When the server refuses, or no answer comes.
    pub async fn delete_policy(&self, name: &str) -> Result<(), Error> {
        self.send(Request::new(Method::Delete, path(name)?)).await?;
        Ok(())
    }
}
