//! What policies grant, as far as this node knows: what is decided by it is decided at its place in
//! the log as well.

use billfold_core::{
    access::{self, Need},
    event::{Actor, v1::Operation as Asked},
    policy::Engine as _,
};

use super::{At, Caller, Error, Mount, Wallet, Which};

impl Wallet {
    /// Whether any of the caller's policies looks at what a request says.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub fn looks_at_parameters(&self, caller: &Caller) -> Result<bool, Error> {
        Ok(access::looks_at_parameters(
            &self.state(),
            &caller.actor,
            self.now(),
        )?)
    }

    /// Whether the caller may do this: so that a mistake in what was sent tells nothing to whoever may
    /// not send it. That they may not is said by what the log holds by now: another node may have
    /// granted it a moment ago.
    ///
    /// # Errors
    /// When the view cannot be read, or the log cannot say where it ends.
    pub async fn may(&self, caller: &Caller, need: &Need) -> Result<bool, Error> {
        if self.may_here(caller, need)? {
            return Ok(true);
        }
        self.come_to_the_end().await?;
        self.may_here(caller, need)
    }

    /// Whether the caller may do this, as far as this node knows.
    pub(super) fn may_here(&self, caller: &Caller, need: &Need) -> Result<bool, Error> {
        let need = Need {
            wrap_ttl: caller.wrap_ttl,
            ..need.clone()
        };
        let permission = access::permission(&self.state(), &caller.actor, self.now(), &need)?;
        Ok(permission.permitted)
    }

    /// The mounts that the caller has anything to do with, after the request for them is recorded.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded.
    pub async fn visible_mounts(
        &self,
        caller: &Caller,
        path: &str,
    ) -> Result<At<Vec<Mount>>, Error> {
        let looked = self.look_at_system(caller, Asked::ReadSystem, path).await?;
        let mut mounts = self.all_mounts().await?;
        let mut seen = Vec::with_capacity(mounts.len());
        for mount in mounts.drain(..) {
            if self.sees(caller, &mount)? {
                seen.push(mount);
            }
        }
        Ok(At {
            seq: looked.seq,
            value: seen,
        })
    }

    /// Whether the caller has anything to do with a mount.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn sees(&self, caller: &Caller, mount: &Mount) -> Result<bool, Error> {
        let seen = access::sees(&self.state(), &caller.actor, self.now(), &mount.path);
        Ok(seen?)
    }

    /// What a token's policies grant on paths, after the request for it is recorded.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded, or there is no such token.
    pub async fn capabilities(
        &self,
        caller: &Caller,
        path: &str,
        which: Which<'_>,
        about: &[String],
    ) -> Result<At<Vec<Vec<&'static str>>>, Error> {
        let looked = self.look_at_system(caller, Asked::AskSystem, path).await?;
        let id = self.meant(caller, which).await?;
        let actor = match self.known(&id)? {
            Some(token) => Actor::Principal(token.principal, id),
            None if id == self.root.token => self.root_actor(),
            None => return Err(Error::NoToken),
        };
        let acl = access::acl_of(&self.state(), &actor, self.now())?.ok_or(Error::NoToken)?;
        let names = |path: &String| acl.capabilities(path).names();
        Ok(At {
            seq: looked.seq,
            value: about.iter().map(names).collect(),
        })
    }
}
