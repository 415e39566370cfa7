//! Tokens: making them, looking at them, renewing and ending them.

mod clear;
mod known;

use billfold_core::{
    Millis,
    access::Need,
    command::{Action, NewToken, TokenWish},
    event::{Actor, v1::Operation as Asked},
    id::TokenId,
    keys::Content,
    names::{TokenNames, token_names_place},
    policy::{Operation, ROOT},
    state::{self, State},
};
use billfold_projector::view::Shared;
use billfold_streams::{log::Filter, replica::Replica as _};
use zeroize::Zeroizing;

use self::known::is_left;
use super::{At, Caller, Error, Wallet, Written};

pub(super) use known::new_token;

/// What is told about a token.
#[derive(Debug)]
pub struct TokenFacts {
    /// Its accessor.
    pub accessor: TokenId,
    /// What the state says of it; none for the token that the wallet began with.
    pub token: Option<state::Token>,
    /// Its policies.
    pub policies: Vec<String>,
    /// What it is called.
    pub names: TokenNames,
    /// When it was made.
    pub created: Millis,
    /// Whether it stands by itself: it has no parent, or none any more.
    pub is_orphan: bool,
    /// The time of this answer.
    pub now: Millis,
}

impl TokenFacts {
    /// How long it lasts from now on, in milliseconds; none when it does not end by itself.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        let expires = self.token.as_ref().and_then(|token| token.expires);
        expires.map(|expires| expires.0.saturating_sub(self.now.0))
    }
}

/// A token that was made, to be told once.
pub struct MadeToken {
    /// What opens the wallet.
    pub secret: Zeroizing<String>,
    /// What is told about it.
    pub facts: TokenFacts,
}

impl std::fmt::Debug for MadeToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MadeToken({})", self.facts.accessor)
    }
}

/// Which token is meant.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// The caller's own.
    Own,
    /// The one with this accessor.
    Accessor(TokenId),
    /// This one.
    Secret(&'a [u8]),
}

impl Wallet {
    /// The state as this node's view has it.
    pub(super) fn state(&self) -> State<Shared> {
        let view = self.keychain.view();
        State::over(Shared(view.clone()), view.digest())
    }

    /// The time by this node: that of the log, or of its clock if that is later.
    pub(crate) fn now(&self) -> Millis {
        use billfold_streams::clock::{Clock as _, System};
        self.keychain.view().head().time.max(System.now())
    }

    /// Brings the view to where the log ends now. What is decided meanwhile is not waited for: a node
    /// that is far from the log comes to an end of it, however much is written elsewhere.
    pub(crate) async fn come_to_the_end(&self) -> Result<(), Error> {
        let ended = async {
            let decided = Filter::Decided(self.notary.generation);
            let end = self.notary.log.head(decided).await;
            let end = end.map_err(|error| Error::Unavailable(error.to_string()))?;
            let reached = self.keychain.caught_up(end).await;
            reached.map_err(|stopped| Error::Unavailable(stopped.to_string()))
        };
        let ended = tokio::time::timeout(self.patience, ended).await;
        ended.unwrap_or_else(|_| {
            let told = "this node is behind the log";
            Err(Error::Unavailable(told.to_owned()))
        })
    }

    /// Makes a token.
    ///
    /// # Errors
    /// When it is refused, or its outcome is not known.
    pub async fn create_token(
        &self,
        caller: &Caller,
        path: &str,
        names: TokenNames,
        wish: TokenWish,
    ) -> Result<At<MadeToken>, Error> {
        let (token, secret) = new_token();
        let new = NewToken {
            token,
            mac: self
                .keychain
                .custody()
                .keys()
                .token_mac
                .mac(secret.as_bytes()),
            names,
            wish,
        };
        let need = Need::to(Operation::Update, path);
        let action = Action::CreateToken(Box::new(new));
        let written = self.order(caller, need, action).await?;
        let facts = self.facts(token).await?.ok_or(Error::Absent)?;
        Ok(At {
            seq: written.seq,
            value: MadeToken { secret, facts },
        })
    }

    /// What is known about a token, after the request for it is recorded.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded, or there is no such token.
    pub async fn look_up_token(
        &self,
        caller: &Caller,
        path: &str,
        operation: Asked,
        which: Which<'_>,
    ) -> Result<At<TokenFacts>, Error> {
        let looked = self.look_at_system(caller, operation, path).await?;
        let id = self.meant(caller, which).await?;
        let facts = self.facts(id).await?.ok_or(Error::NoToken)?;
        Ok(At {
            seq: looked.seq,
            value: facts,
        })
    }

    pub(super) async fn facts(&self, id: TokenId) -> Result<Option<TokenFacts>, Error> {
        if id == self.root.token {
            return Ok(Some(TokenFacts {
                accessor: id,
                token: None,
                policies: vec![ROOT.to_owned()],
                names: TokenNames {
                    display: ROOT.to_owned(),
                    path: "auth/token/root".to_owned(),
                    ..TokenNames::default()
                },
                created: self.root.created,
                is_orphan: true,
                now: self.now(),
            }));
        }
        let Some(token) = self.known(&id)? else {
            return Ok(None);
        };
        let custody = self.keychain.custody();
        let dek = custody.dek(token.names.key).await?;
        let sealed = self.keychain.view().token_names(&id)?;
        let place = token_names_place(custody.wallet(), id);
        let opened = match dek.zip(sealed) {
            Some((dek, sealed)) => dek.open(Content::Names, &place, &sealed).ok(),
            None => None,
        };
        let names = opened.and_then(|plain| billfold_core::cbor::decode(plain.expose()).ok());
        Ok(Some(TokenFacts {
            accessor: id,
            policies: token.policies.clone(),
            created: token.created,
            is_orphan: self.stands_alone(&token)?,
            token: Some(token),
            names: names.ok_or(Error::Erased)?,
            now: self.now(),
        }))
    }

    fn stands_alone(&self, token: &state::Token) -> Result<bool, Error> {
        let Some(parent) = &token.parent else {
            return Ok(true);
        };
        let parent = self.state().token(parent)?;
        Ok(parent.is_some_and(|parent| parent.leaves_orphans))
    }

    /// Those of these policies that are not there: a token may name what is written later.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub fn missing_policies<'a>(&self, names: &'a [String]) -> Result<Vec<&'a str>, Error> {
        let (known, time) = (self.state().policies()?, self.now());
        let is_there = |name: &str| known.get(name).is_some_and(|known| !known.has_ended(time));
        let is_missing = |name: &&String| *name != ROOT && !is_there(name);
        let missing = names.iter().filter(is_missing).map(String::as_str);
        Ok(missing.collect())
    }

    /// Makes a token last longer.
    ///
    /// # Errors
    /// When it is refused, or its outcome is not known.
    pub async fn renew_token(
        &self,
        caller: &Caller,
        path: &str,
        which: Which<'_>,
        increment: u64,
    ) -> Result<At<TokenFacts>, Error> {
        let need = Need::to(Operation::Update, path);
        if !self.may(caller, &need).await? {
            return Err(Error::Denied);
        }
        let id = self.meant(caller, which).await?;
        let written = self
            .order(caller, need, Action::RenewToken(id, increment))
            .await?;
        let facts = self.facts(id).await?.ok_or(Error::NoToken)?;
        Ok(At {
            seq: written.seq,
            value: facts,
        })
    }

    /// Ends a token, and with it those that were made with it, unless they are to be orphans.
    ///
    /// # Errors
    /// When it is refused, or its outcome is not known.
    pub async fn revoke_token(
        &self,
        caller: &Caller,
        need: Need,
        which: Which<'_>,
        leaves_orphans: bool,
    ) -> Result<Written, Error> {
        if !self.may(caller, &need).await? {
            return Err(Error::Denied);
        }
        let id = self.meant(caller, which).await?;
        let action = Action::EndTokens {
            tokens: vec![id],
            leaves_orphans,
        };
        self.order(caller, need, action).await
    }

    /// The accessors of all tokens that stand, after the request for them is recorded.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded.
    pub async fn accessors(&self, caller: &Caller, path: &str) -> Result<At<Vec<String>>, Error> {
        let looked = self.look_at_system(caller, Asked::ListSystem, path).await?;
        let mut accessors = vec![self.root.token.to_string()];
        for token in self.keychain.view().tokens() {
            let (id, _) = token?;
            if self.known(&id)?.is_some_and(|token| is_left(&token)) {
                accessors.push(id.to_string());
            }
        }
        accessors.sort_unstable();
        Ok(At {
            seq: looked.seq,
            value: accessors,
        })
    }
}

pub(super) fn own(caller: &Caller) -> Result<TokenId, Error> {
    match caller.actor {
        Actor::Principal(_, id) => Ok(id),
        Actor::System | Actor::Anonymous => Err(Error::Denied),
    }
}
