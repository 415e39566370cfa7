//! Policies by their names.

use billfold_core::{
    Millis,
    access::Need,
    command::Action,
    decide::DEFAULT_POLICY,
    event::v1::{Operation as Asked, PolicyWritten},
    policy::{DEFAULT, Operation, Policy, ROOT, WRAPPING},
    state::{Key, Source as _, Value},
};

use super::{At, Caller, Error, Wallet, Written};

/// A policy as it is told.
#[derive(Debug, Clone)]
pub struct PolicyFacts {
    /// Its text, as it was sent.
    pub text: String,
    /// How often it was written since it was last absent; 0 for one that is nowhere written.
    pub version: u32,
    /// When it was last written.
    pub modified: Option<Millis>,
}

impl Wallet {
    /// The names of the policies that tokens can be given, the one for root last, after the request
    /// for them is recorded.
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
        let mut names = vec![DEFAULT_POLICY.to_owned()];
        if let Some(Value::Policies(policies)) = self.keychain.view().get(&Key::Policies)? {
            // Nobody has to do with that of wrapping tokens.
            let shown = policies.keys().filter(|name| *name != WRAPPING);
            names.extend(shown.cloned());
        }
        names.sort_unstable();
        names.dedup();
        // It is written nowhere, and stands behind those that are.
        names.push(ROOT.to_owned());
        Ok(At {
            seq: looked.seq,
            value: names,
        })
    }

    /// A policy, after the request for it is recorded. The text of root's is empty: it permits
    /// everything.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded, or there is no such policy.
    pub async fn policy(
        &self,
        caller: &Caller,
        path: &str,
        name: &str,
    ) -> Result<At<PolicyFacts>, Error> {
        let looked = self.look_at_system(caller, Asked::ReadSystem, path).await?;
        let facts = self.known_policy(name)?;
        Ok(At {
            seq: looked.seq,
            value: facts.ok_or(Error::Absent)?,
        })
    }

    /// A policy as this node knows it.
    fn known_policy(&self, name: &str) -> Result<Option<PolicyFacts>, Error> {
        if let Some(Value::Policies(policies)) = self.keychain.view().get(&Key::Policies)?
            && let Some(known) = policies.get(name)
        {
            return Ok(Some(PolicyFacts {
                text: known.text.clone(),
                version: known.version,
                modified: Some(known.modified),
            }));
        }
        let text = match name {
            ROOT => "",
            DEFAULT_POLICY => DEFAULT,
            _ => return Ok(None),
        };
        Ok(Some(PolicyFacts {
            text: text.to_owned(),
            version: 0,
            modified: None,
        }))
    }

    /// Changes a policy that is there, or finds that it is. A change that comes between is not lost:
    /// without a number of the client's own, the version that is there now must be the one that is
    /// changed.
    ///
    /// # Errors
    /// As for writing, and when there is no such policy.
    pub async fn patch_policy(
        &self,
        caller: &Caller,
        path: &str,
        name: String,
        text: Option<String>,
        cas: Option<i64>,
    ) -> Result<Option<Written>, Error> {
        let unknown = || Error::Invalid("policy not found".to_owned());
        let known = self.known_policy(&name)?.ok_or_else(unknown)?;
        let Some(text) = text else { return Ok(None) };
        let cas = cas.or(Some(i64::from(known.version)));
        let need = Need::to(Operation::Patch, path);
        let written = self.put_policy(caller, need, name, text, cas).await?;
        Ok(Some(written))
    }

    /// Writes a policy. With a number its version must be that one; 0 and -1 are for one that is not
    /// there.
    ///
    /// # Errors
    /// When the text is no policy, or the command is refused or its outcome not known.
    pub async fn write_policy(
        &self,
        caller: &Caller,
        path: &str,
        name: String,
        text: String,
        cas: Option<i64>,
    ) -> Result<Written, Error> {
        let need = Need::to(Operation::Update, path);
        self.put_policy(caller, need, name, text, cas).await
    }

    async fn put_policy(
        &self,
        caller: &Caller,
        need: Need,
        name: String,
        text: String,
        cas: Option<i64>,
    ) -> Result<Written, Error> {
        let policy = Policy::parse(&text)
            .map_err(|error| Error::Invalid(format!("failed to parse policy: {error}")))?;
        let written = Box::new(PolicyWritten { name, text, policy });
        let action = Action::WritePolicy { cas, written };
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
