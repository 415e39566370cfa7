//! Response wrapping: an answer is kept in the cubbyhole of a token that can be used once, and the
//! client is told the token.

use billfold_core::{
    Millis, SecretBytes,
    access::{Need, Wanted},
    command::{Action, NewWrapping},
    decide::LONGEST,
    event::v1::Operation as Asked,
    id::{Seq, TokenId},
    names::{TokenNames, WRAPPED_ANSWER},
    policy::Operation,
};
use zeroize::Zeroizing;

use super::{
    At, Caller, Error, Wallet, Which,
    tokens::{new_token, own},
};

/// What is told about an answer that is wrapped.
#[derive(Debug)]
pub struct WrappingFacts {
    /// The accessor of its token.
    pub accessor: TokenId,
    /// For how long it can be unwrapped from its creation on, in milliseconds.
    pub ttl: u64,
    /// When it was wrapped.
    pub created: Millis,
    /// The path that gave the answer.
    pub path: String,
}

/// A wrapping token that was made, to be told once.
pub struct MadeWrapping {
    /// What opens it.
    pub secret: Zeroizing<String>,
    /// What is told about it.
    pub facts: WrappingFacts,
}

impl std::fmt::Debug for MadeWrapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MadeWrapping({})", self.facts.accessor)
    }
}

impl Wallet {
    /// Wraps the answer that a path gave the caller.
    ///
    /// # Errors
    /// When it is refused, or its outcome is not known.
    pub async fn wrap(
        &self,
        caller: &Caller,
        path: &str,
        ttl: u64,
        answer: SecretBytes,
    ) -> Result<At<MadeWrapping>, Error> {
        // Whoever was given the answer may have it wrapped.
        let need = Need {
            action: Wanted::Anything,
            ..Need::to(Operation::Update, path)
        };
        self.make_wrapping(caller, need, path.to_owned(), ttl, None, answer)
            .await
    }

    /// Opens a wrapped answer: once, whatever node is asked.
    ///
    /// # Errors
    /// When it is refused, or its outcome is not known; [`Error::NoToken`] when that is no wrapping
    /// token, or it was used.
    pub async fn unwrap(
        &self,
        caller: &Caller,
        path: &str,
        which: Which<'_>,
    ) -> Result<At<SecretBytes>, Error> {
        let (id, answer) = self.open_wrapping(caller, path, which).await?;
        // Whoever ends the token has the answer. It is told only after that.
        let need = Need::to(Operation::Update, path);
        let action = Action::Unwrap(id, caller.request);
        let written = match self.order(caller, need, action).await {
            Err(Error::Denied) => return Err(self.why_denied(own(caller)?).await?),
            written => written?,
        };
        Ok(At {
            seq: written.seq,
            value: answer,
        })
    }

    /// Wraps a wrapped answer anew, under another token, for as long as the caller asks for or else
    /// for as long again. The one before ends.
    ///
    /// # Errors
    /// As [`Wallet::unwrap`].
    pub async fn rewrap(
        &self,
        caller: &Caller,
        path: &str,
        which: Which<'_>,
    ) -> Result<At<MadeWrapping>, Error> {
        let (id, answer) = self.open_wrapping(caller, path, which).await?;
        let before = match self.wrapping_facts(id).await {
            Err(Error::Erased) => return Err(self.why_denied(id).await?),
            before => before?,
        };
        let need = Need::to(Operation::Update, path);
        let ttl = caller.wrap_ttl.unwrap_or(before.ttl);
        let made = self.make_wrapping(caller, need, before.path, ttl, Some(id), answer);
        match made.await {
            Err(Error::Denied) => Err(self.why_denied(own(caller)?).await?),
            made => made,
        }
    }

    /// What is known about a wrapped answer, after the request for it is recorded. That is no use
    /// of its token.
    ///
    /// # Errors
    /// When the request cannot be recorded; [`Error::NoToken`] when that is no wrapping token, or
    /// it was used.
    pub async fn look_up_wrapping(
        &self,
        caller: &Caller,
        path: &str,
        which: Which<'_>,
    ) -> Result<At<WrappingFacts>, Error> {
        let looked = self.ask_about_wrapping(caller, path).await?;
        let id = self.meant(caller, which).await?;
        let facts = match self.wrapping_facts(id).await {
            Err(Error::Erased) => return Err(self.why_denied(id).await?),
            facts => facts?,
        };
        Ok(At {
            seq: looked.seq,
            value: facts,
        })
    }

    /// Spends the use of a wrapping token that is the caller's own, and meant to open another.
    ///
    /// # Errors
    /// When it has none left, or that cannot be recorded.
    pub async fn spend_wrapping(&self, caller: &Caller) -> Result<(), Error> {
        match self.known(&own(caller)?)? {
            Some(token) if token.wraps() => self.spend_use(&caller.actor, false).await,
            _ => Ok(()),
        }
    }

    /// Puts on record who opens a wrapped answer or asks about one, from where.
    async fn ask_about_wrapping(&self, caller: &Caller, path: &str) -> Result<At<Seq>, Error> {
        match self.look_at_system(caller, Asked::AskSystem, path).await {
            Err(Error::Denied) => Err(self.why_denied(own(caller)?).await?),
            looked => looked,
        }
    }

    async fn open_wrapping(
        &self,
        caller: &Caller,
        path: &str,
        which: Which<'_>,
    ) -> Result<(TokenId, SecretBytes), Error> {
        self.ask_about_wrapping(caller, path).await?;
        let id = self.meant(caller, which).await?;
        self.known(&id)?
            .filter(|token| token.wraps())
            .ok_or(Error::NoToken)?;
        match self.kept(id, self.entry_of(id, WRAPPED_ANSWER)).await {
            Ok(Some(answer)) => Ok((id, answer)),
            // It was opened meanwhile, on another node perhaps.
            Ok(None) => Err(Error::NoToken),
            Err(Error::Erased) => Err(self.why_denied(id).await?),
            Err(error) => Err(error),
        }
    }

    /// Whoever comes second with a wrapping token has no token any more, rather than no permission.
    async fn why_denied(&self, id: TokenId) -> Result<Error, Error> {
        self.come_to_the_end().await?;
        Ok(match self.known(&id)? {
            Some(_) => Error::Denied,
            None => Error::NoToken,
        })
    }

    async fn wrapping_facts(&self, id: TokenId) -> Result<WrappingFacts, Error> {
        let facts = self.facts(id).await?.ok_or(Error::NoToken)?;
        let token = facts.token.filter(|token| token.wraps());
        let token = token
            .filter(|token| token.uses != Some(0))
            .ok_or(Error::NoToken)?;
        Ok(WrappingFacts {
            accessor: id,
            ttl: token.ttl,
            created: token.created,
            path: facts.names.path,
        })
    }

    async fn make_wrapping(
        &self,
        caller: &Caller,
        need: Need,
        path: String,
        ttl: u64,
        replaces: Option<TokenId>,
        answer: SecretBytes,
    ) -> Result<At<MadeWrapping>, Error> {
        let (token, secret) = new_token();
        let keys = self.keychain.custody().keys();
        let new = NewWrapping {
            token,
            mac: keys.token_mac.mac(secret.as_bytes()),
            names: TokenNames {
                display: "token".to_owned(),
                path: path.clone(),
                ..TokenNames::default()
            },
            request: caller.request,
            ttl,
            replaces,
            entry: self.entry_of(token, WRAPPED_ANSWER),
            answer,
        };
        let written = self
            .order(caller, need, Action::Wrap(Box::new(new)))
            .await?;
        let facts = WrappingFacts {
            accessor: token,
            ttl: ttl.min(LONGEST),
            created: written.done.time,
            path,
        };
        Ok(At {
            seq: written.seq,
            value: MadeWrapping { secret, facts },
        })
    }
}
