//! Which token a text is: its accessor is part of it, and its MAC tells whether it is right.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use billfold_core::{
    access,
    command::Action,
    entropy::Entropy as _,
    event::Actor,
    id::TokenId,
    keys::{Content, TokenMac},
    names::token_mac_place,
    state,
};
use billfold_streams::entropy::Os;
use zeroize::Zeroizing;

use super::{Which, own};
use crate::wallet::{Caller, Error, Token, Wallet};

/// What every token that is made here begins with.
const PREFIX: &str = "hvs.";
/// How many bytes of a token nobody but its holder knows: 192 bits.
const SECRET: usize = 24;

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

    pub(in crate::wallet) fn known(&self, id: &TokenId) -> Result<Option<state::Token>, Error> {
        Ok(access::standing(&self.state(), id, self.now())?)
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
}

/// A token is its accessor and a secret: so it is found without a search, and its MAC alone tells
/// whether it is right.
pub(in crate::wallet) fn new_token() -> (TokenId, Zeroizing<String>) {
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
pub(super) fn is_left(token: &state::Token) -> bool {
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
