//! Tokens: making them, knowing them, renewing and ending them.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use billfold_core::{
    Millis,
    access::{self, Need},
    command::{Action, NewToken, TokenWish},
    entropy::Entropy as _,
    event::{Actor, v1::Operation as Asked},
    id::TokenId,
    keys::{Content, TokenMac},
    names::{TokenNames, token_mac_place, token_names_place},
    policy::{Engine as _, Operation, ROOT},
    state::{self, State},
};
use billfold_projector::view::Shared;
use billfold_streams::entropy::Os;
use zeroize::Zeroizing;

use super::{At, Caller, Error, Mount, Token, Wallet, Written};

/// What every token that is made here begins with.
const PREFIX: &str = "hvs.";
/// How many bytes of a token nobody but its holder knows: 192 bits.
const SECRET: usize = 24;

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
    /// Whose token this is, if anybody's, and if it can be used from there. MACs are compared in
    /// constant time.
    ///
    /// # Errors
    /// When the view, the log or the key store cannot be asked.
    pub async fn authenticate(
        &self,
        token: &Token<'_>,
        from: IpAddr,
    ) -> Result<Option<Actor>, Error> {
        if self.is_root(token) {
            return Ok(Some(self.root_actor()));
        }
        let Some(id) = accessor_of(token.0) else {
            return Ok(None);
        };
        if self.known(&id)?.is_none() {
            // It may have been made on another node a moment ago.
            self.come_to_the_end().await?;
        }
        let Some(known) = self.known(&id)? else {
            return Ok(None);
        };
        if !self.matches(&id, &known, token.0).await? || !is_from(&known.cidrs, from) {
            return Ok(None);
        }
        Ok(Some(Actor::Principal(known.principal, id)))
    }

    /// Spends one use of a token whose uses are counted. Unwrapping is the use of a wrapping token
    /// itself, and is decided there.
    ///
    /// # Errors
    /// When none is left, or that cannot be recorded.
    pub async fn spend_use(&self, actor: &Actor, unwraps: bool) -> Result<(), Error> {
        let Actor::Principal(_, id) = actor else {
            return Ok(());
        };
        match self.known(id)? {
            Some(token) if unwraps && token.wraps() && token.uses != Some(0) => Ok(()),
            Some(token) if token.uses.is_some() => {
                let command = billfold_core::command::Command {
                    id: None,
                    actor: *actor,
                    needs: Vec::new(),
                    action: Action::UseToken(*id),
                };
                self.committer.submit(command).await?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether this is the token that the wallet began with. In constant time for tokens of one
    /// length.
    #[must_use]
    pub fn is_root(&self, token: &Token<'_>) -> bool {
        let mac = self.keychain.custody().keys().token_mac.mac(token.0);
        mac.matches(&self.root.mac)
    }

    /// Who acts by the token that the wallet began with.
    #[must_use]
    pub const fn root_actor(&self) -> Actor {
        Actor::Principal(self.root.principal, self.root.token)
    }

    /// The state as this node's view has it.
    pub(super) fn state(&self) -> State<Shared> {
        let view = self.keychain.view();
        State::over(Shared(view.clone()), view.digest())
    }

    /// The time by this node: that of the log, or of its clock if that is later.
    fn now(&self) -> Millis {
        use billfold_streams::clock::{Clock as _, System};
        self.keychain.view().head().time.max(System.now())
    }

    pub(super) fn known(&self, id: &TokenId) -> Result<Option<state::Token>, Error> {
        Ok(access::standing(&self.state(), id, self.now())?)
    }

    /// Brings the view to where the log ends now: a command without effect is answered there.
    pub(super) async fn come_to_the_end(&self) -> Result<(), Error> {
        let command = billfold_core::command::Command {
            id: None,
            actor: Actor::System,
            needs: Vec::new(),
            action: Action::EndTokens {
                tokens: Vec::new(),
                leaves_orphans: false,
            },
        };
        let committed = self.committer.submit(command).await?;
        self.come_to(&Written {
            done: committed.done,
            seq: committed.seq,
        })
        .await
    }

    async fn matches(
        &self,
        id: &TokenId,
        known: &state::Token,
        token: &[u8],
    ) -> Result<bool, Error> {
        let custody = self.keychain.custody();
        let (Some(dek), Some(sealed)) = (
            custody.dek(known.mac.key).await?,
            self.keychain.view().token_mac(id)?,
        ) else {
            // It has ended meanwhile, and its key is gone.
            return Ok(false);
        };
        let place = token_mac_place(custody.wallet(), *id);
        let mac = dek
            .open(Content::Payload, &place, &sealed)
            .map_err(|_| Error::Erased)?;
        let mac = TokenMac::from_slice(mac.expose()).ok_or(Error::Erased)?;
        Ok(custody.keys().token_mac.mac(token).matches(&mac))
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

    /// The accessor of the token that is meant, if it stands.
    ///
    /// # Errors
    /// When there is no such token, or it cannot be looked for.
    pub async fn meant(&self, caller: &Caller, which: Which<'_>) -> Result<TokenId, Error> {
        let id = match which {
            Which::Own => return own(caller),
            Which::Accessor(id) => id,
            Which::Secret(secret) if self.is_root(&Token(secret)) => return Ok(self.root.token),
            Which::Secret(secret) => {
                let id = accessor_of(secret).ok_or(Error::NoToken)?;
                if self.known(&id)?.is_none() {
                    self.come_to_the_end().await?;
                }
                let known = self.known(&id)?.ok_or(Error::NoToken)?;
                if !self.matches(&id, &known, secret).await? {
                    return Err(Error::NoToken);
                }
                id
            }
        };
        if id == self.root.token || self.known(&id)?.is_some_and(|token| is_left(&token)) {
            return Ok(id);
        }
        // Another node may have made it a moment ago.
        self.come_to_the_end().await?;
        let known = self.known(&id)?.filter(is_left);
        known.map(|_| id).ok_or(Error::NoToken)
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
        let known = self.state().policies()?;
        let is_missing = |name: &&String| *name != ROOT && !known.contains_key(*name);
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
        if !self.may(caller, &need)? {
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
        if !self.may(caller, &need)? {
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

    /// Clears away the tokens that have ended, for a caller whose request for it is recorded.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded, or the outcome is not known.
    pub async fn tidy_tokens(&self, caller: &Caller, path: &str) -> Result<At<()>, Error> {
        let looked = self.look_at_system(caller, Asked::AskSystem, path).await?;
        self.clear_tokens().await?;
        Ok(looked.map(|_| ()))
    }

    /// Clears away the tokens that have ended, some at a time.
    ///
    /// # Errors
    /// When the outcome is not known.
    pub async fn clear_tokens(&self) -> Result<(), Error> {
        const AT_ONCE: usize = 256;
        let mut ended = Vec::new();
        for token in self.keychain.view().tokens() {
            let (id, token) = token?;
            let spent = self.known(&id)?.is_none_or(|known| known.uses == Some(0));
            if spent && !token.leaves_orphans {
                ended.push(id);
            }
        }
        let mut failed = None;
        for some in ended.chunks(AT_ONCE) {
            if let Err(error) = self.clear_these(some.to_vec()).await {
                // The others are none the worse for it.
                tracing::warn!(%error, "tokens that have ended could not be cleared away");
                failed.get_or_insert(error);
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Clears away these tokens, as many at once as one commit should.
    async fn clear_these(&self, mut tokens: Vec<TokenId>) -> Result<(), Error> {
        while !tokens.is_empty() {
            let command = billfold_core::command::Command {
                id: None,
                actor: Actor::System,
                needs: Vec::new(),
                action: Action::ClearTokens(tokens.clone()),
            };
            let committed = self.committer.submit(command).await?;
            let written = Written {
                done: committed.done,
                seq: committed.seq,
            };
            self.come_to(&written).await?;
            let before = tokens.len();
            let state = self.state();
            let mut left = Vec::new();
            for id in tokens {
                if state.token(&id)?.is_some_and(|token| !token.leaves_orphans) {
                    left.push(id);
                }
            }
            // Those that stand again, for another node renewed them, are not to be cleared.
            if left.len() == before {
                break;
            }
            tokens = left;
        }
        Ok(())
    }

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

    /// Whether the caller may do this, as far as this node knows: so that a mistake in what was sent
    /// tells nothing to whoever may not send it.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub fn may(&self, caller: &Caller, need: &Need) -> Result<bool, Error> {
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

pub(super) fn own(caller: &Caller) -> Result<TokenId, Error> {
    match caller.actor {
        Actor::Principal(_, id) => Ok(id),
        Actor::System | Actor::Anonymous => Err(Error::Denied),
    }
}

/// A token is its accessor and a secret: so it is found without a search, and its MAC alone tells
/// whether it is right.
pub(super) fn new_token() -> (TokenId, Zeroizing<String>) {
    let mut entropy = Os::new();
    let id: [u8; 16] = entropy.bytes();
    let mut bytes = Zeroizing::new([0; 16 + SECRET]);
    let (accessor, secret) = bytes.split_at_mut(16);
    accessor.copy_from_slice(&id);
    entropy.fill(secret);
    let mut text = Zeroizing::new(String::with_capacity(64));
    text.push_str(PREFIX);
    URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
    (TokenId::from_bytes(id), text)
}

fn accessor_of(token: &[u8]) -> Option<TokenId> {
    let text = token.strip_prefix(PREFIX.as_bytes())?;
    let mut bytes = Zeroizing::new([0; 16 + SECRET]);
    let written = URL_SAFE_NO_PAD
        .decode_slice(text, bytes.as_mut_slice())
        .ok()?;
    let (accessor, _) = bytes.get(..written)?.split_first_chunk::<16>()?;
    (written == 16 + SECRET).then(|| TokenId::from_bytes(*accessor))
}

/// Whether a token can still be used by anybody but the request that spent its last use.
fn is_left(token: &state::Token) -> bool {
    token.uses != Some(0)
}

/// Whether an address is in one of these networks; no network is everywhere.
fn is_from(cidrs: &[String], address: IpAddr) -> bool {
    let address = address.to_canonical();
    cidrs.is_empty()
        || cidrs
            .iter()
            .filter_map(|cidr| cidr.parse::<ipnet::IpNet>().ok())
            .any(|network| network.contains(&address))
}
