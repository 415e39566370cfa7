//! What events of tokens and cubbyholes do to the state.

use super::{Applied, At, Broken, Error};
use crate::{
    event::v1,
    id::TokenId,
    state::{CubbyholeEntry, Key, Source, State, Token, Value},
};

impl<S: Source> State<S> {
    pub(super) fn token_created(&mut self, at: At, event: &v1::TokenCreated) -> Applied<S::Error> {
        let wallet = self.wallet().map_err(Error::Source)?;
        let is_root = wallet.is_some_and(|wallet| wallet.root_token == event.token);
        if is_root || self.token(&event.token).map_err(Error::Source)?.is_some() {
            return Err(Broken("a token was made twice").into());
        }
        self.use_key(event.names.key)?;
        self.use_key(event.mac.key)?;
        let token = Token {
            principal: event.principal,
            parent: event.parent,
            policies: event.policies.clone(),
            created: at.time,
            renewed: None,
            ttl: event.ttl,
            expires: event.expires,
            explicit_max_ttl: event.explicit_max_ttl,
            period: event.period,
            renewable: event.renewable,
            uses: (event.uses > 0).then_some(event.uses),
            cidrs: event.cidrs.clone(),
            role: event.role.clone(),
            mac: event.mac,
            names: event.names,
            leaves_orphans: false,
        };
        self.put(Key::Token(event.token), Value::Token(Box::new(token)));
        Ok(())
    }

    pub(super) fn tokens_ended(&mut self, event: &v1::TokensEnded) -> Applied<S::Error> {
        for ended in &event.tokens {
            let mut token = self.require_token(&ended.token)?;
            let keys = self.keys_of_token(&ended.token, &token);
            if keys.map_err(Error::Source)? != ended.keys {
                return Err(Broken("a token that ends gives up other keys than it has").into());
            }
            for key in &ended.keys {
                self.give_up(*key)?;
            }
            self.drop_cubbyhole(ended.token)?;
            if event.leaves_orphans {
                token.leaves_orphans = true;
                self.put(Key::Token(ended.token), Value::Token(Box::new(token)));
            } else {
                self.remove(Key::Token(ended.token));
            }
        }
        Ok(())
    }

    pub(super) fn cubbyhole_written(&mut self, event: &v1::CubbyholeWritten) -> Applied<S::Error> {
        self.require_holder(&event.token)?;
        let mut cubbyhole = self.cubbyhole(&event.token).map_err(Error::Source)?;
        let before = cubbyhole.entry(&event.entry).cloned();
        let names = match (&before, event.names, event.retired) {
            (None, Some(names), None) => {
                self.use_key(names.key)?;
                names
            }
            (Some(before), None, Some(retired)) if before.payload.key == retired => {
                self.give_up(retired)?;
                before.names
            }
            _ => return Err(Broken("a write into a cubbyhole does not fit what is there").into()),
        };
        self.use_key(event.payload.key)?;
        cubbyhole.put(CubbyholeEntry {
            id: event.entry,
            payload: event.payload,
            names,
        });
        self.put(Key::Cubbyhole(event.token), Value::Cubbyhole(cubbyhole));
        Ok(())
    }

    pub(super) fn cubbyhole_deleted(&mut self, event: &v1::CubbyholeDeleted) -> Applied<S::Error> {
        self.require_holder(&event.token)?;
        let mut cubbyhole = self.cubbyhole(&event.token).map_err(Error::Source)?;
        let removed = cubbyhole.remove(&event.entry);
        if removed.is_none_or(|removed| removed.keys().as_slice() != event.keys) {
            return Err(Broken("what a cubbyhole gives up is not what it has").into());
        }
        for key in &event.keys {
            self.give_up(*key)?;
        }
        match cubbyhole.entries.is_empty() {
            true => self.remove(Key::Cubbyhole(event.token)),
            false => self.put(Key::Cubbyhole(event.token), Value::Cubbyhole(cubbyhole)),
        }
        Ok(())
    }

    /// Forgets the cubbyhole of a token that ends: its keys are given up with the token's.
    fn drop_cubbyhole(&mut self, token: TokenId) -> Applied<S::Error> {
        let cubbyhole = self.cubbyhole(&token).map_err(Error::Source)?;
        if !cubbyhole.entries.is_empty() {
            self.remove(Key::Cubbyhole(token));
        }
        Ok(())
    }

    /// A token that may have a cubbyhole: one that is there, or the one that the wallet began with.
    fn require_holder(&self, id: &TokenId) -> Applied<S::Error> {
        let wallet = self.wallet().map_err(Error::Source)?;
        if wallet.is_some_and(|wallet| wallet.root_token == *id) {
            return Ok(());
        }
        self.require_token(id).map(|_| ())
    }

    /// A token that is there: it may have ended by itself.
    pub(super) fn require_token(&self, id: &TokenId) -> Result<Token, Error<S::Error>> {
        let token = self.token(id).map_err(Error::Source)?;
        let token = token.filter(|token| !token.leaves_orphans);
        token.ok_or_else(|| Broken("there is no such token").into())
    }
}
