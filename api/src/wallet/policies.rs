//! Policies by their names.

use billfold_core::{
    access::Need,
    command::Action,
    decide::DEFAULT_POLICY,
    event::v1::{Operation as Asked, PolicyWritten},
    policy::{DEFAULT, Operation, Policy, ROOT},
    state::{Key, Source as _, Value},
};

use super::{At, Caller, Error, Wallet, Written};

impl Wallet {
    /// The names of all policies, after the request for them is recorded.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded.
    pub async fn policies(
        &self,
        caller: &Caller,
        path: &str,
        operation: Asked,
    ) -> Result<At<Vec<String>>, Error> {
        let looked = self.look_at_system(caller, operation, path).await?;
        let mut names = vec![DEFAULT_POLICY.to_owned(), ROOT.to_owned()];
        if let Some(Value::Policies(policies)) = self.keychain.view().get(&Key::Policies)? {
            names.extend(policies.keys().cloned());
        }
        names.sort_unstable();
        names.dedup();
        Ok(At {
            seq: looked.seq,
            value: names,
        })
    }

    /// A policy's text, after the request for it is recorded. That of root is empty: it permits
    /// everything.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded, or there is no such policy.
    pub async fn policy(
        &self,
        caller: &Caller,
        path: &str,
        name: &str,
    ) -> Result<At<String>, Error> {
        let looked = self.look_at_system(caller, Asked::ReadSystem, path).await?;
        let text = match self.keychain.view().get(&Key::Policies)? {
            Some(Value::Policies(policies)) => policies.get(name).map(|known| known.text.clone()),
            _ => None,
        };
        let text = text.or_else(|| match name {
            ROOT => Some(String::new()),
            DEFAULT_POLICY => Some(DEFAULT.to_owned()),
            _ => None,
        });
        Ok(At {
            seq: looked.seq,
            value: text.ok_or(Error::Absent)?,
        })
    }

    /// Writes a policy.
    ///
    /// # Errors
    /// When the text is no policy, or the command is refused or its outcome not known.
    pub async fn write_policy(
        &self,
        caller: &Caller,
        path: &str,
        name: String,
        text: String,
    ) -> Result<Written, Error> {
        let policy = Policy::parse(&text)
            .map_err(|error| Error::Invalid(format!("failed to parse policy: {error}")))?;
        let written = PolicyWritten { name, text, policy };
        let need = Need::to(Operation::Update, path);
        let action = Action::WritePolicy(Box::new(written));
        self.order(caller, need, action).await
    }

    /// Deletes a policy.
    ///
    /// # Errors
    /// When the command is refused or its outcome not known.
    pub async fn delete_policy(
        &self,
        caller: &Caller,
        path: &str,
        name: String,
    ) -> Result<Written, Error> {
        let need = Need::to(Operation::Delete, path);
        self.order(caller, need, Action::DeletePolicy(name)).await
    }
}
