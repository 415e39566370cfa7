//! Roles of the token store.

use billfold_core::{
    access::Need,
    command::Action,
    decide::Refusal,
    event::v1::{Operation as Asked, TokenRole, TokenRoleWritten},
    policy::Operation,
};

use super::{At, Caller, Error, Wallet, Written};

/// How often a change is worked out anew when someone else changes the role in between.
const ATTEMPTS: u32 = 16;

impl Wallet {
    /// The names of all roles, after the request for them is recorded.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded, or there are none.
    pub async fn token_roles(&self, caller: &Caller, path: &str) -> Result<At<Vec<String>>, Error> {
        let looked = self.look_at_system(caller, Asked::ListSystem, path).await?;
        let names: Vec<String> = self.state().token_roles()?.keys().cloned().collect();
        if names.is_empty() {
            return Err(Error::Absent);
        }
        Ok(At {
            seq: looked.seq,
            value: names,
        })
    }

    /// A role, after the request for it is recorded.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded, or there is no such role.
    pub async fn token_role(
        &self,
        caller: &Caller,
        path: &str,
        name: &str,
    ) -> Result<At<TokenRole>, Error> {
        let looked = self.look_at_system(caller, Asked::ReadSystem, path).await?;
        let role = self.state().token_roles()?.get(name).cloned();
        Ok(At {
            seq: looked.seq,
            value: role.ok_or(Error::Absent)?,
        })
    }

    /// The role of this name as this node knows it, for working out what goes with it.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub fn known_role(&self, name: &str) -> Result<Option<TokenRole>, Error> {
        Ok(self.state().token_roles()?.get(name).cloned())
    }

    /// Changes a role, or makes it: what `change` makes of the role as it is.
    ///
    /// # Errors
    /// When it is refused, or its outcome is not known.
    pub async fn write_token_role(
        &self,
        caller: &Caller,
        path: &str,
        name: &str,
        change: impl Fn(Option<TokenRole>) -> TokenRole + Send + Sync,
    ) -> Result<Written, Error> {
        for _ in 0..ATTEMPTS {
            let before = self.known_role(name)?;
            let operation = match before {
                Some(_) => Operation::Update,
                None => Operation::Create,
            };
            let action = Action::WriteTokenRole {
                basis: before.clone().map(Box::new),
                written: Box::new(TokenRoleWritten {
                    name: name.to_owned(),
                    role: change(before),
                }),
            };
            match self.order(caller, Need::to(operation, path), action).await {
                Err(Error::Refused(Refusal::Changed)) => self.come_to_the_end().await?,
                written => return written,
            }
        }
        Err(Error::Refused(Refusal::Changed))
    }

    /// Deletes a role. Tokens that it made go on until they end, and are not renewed.
    ///
    /// # Errors
    /// When it is refused, or its outcome is not known.
    pub async fn delete_token_role(
        &self,
        caller: &Caller,
        path: &str,
        name: &str,
    ) -> Result<Written, Error> {
        let need = Need::to(Operation::Delete, path);
        let action = Action::DeleteTokenRole(name.to_owned());
        self.order(caller, need, action).await
    }
}
