//! Deciding about tokens. The rules are those of Vault's token store.

use crate::{
    Millis,
    access::{self, DEEPEST},
    cbor,
    command::{NewToken, TokenWish},
    decide::{
        Decided, Deciding, Error, Refusal, Sealer,
        roles::{Maker, granted, lesser},
    },
    event::{
        Actor, Event,
        v1::{self, EndedToken, TokenRole},
    },
    id::{PrincipalId, RequestId, TokenId},
    names::{token_mac_place, token_names_place},
    policy::ROOT,
    state::{Source, Token},
};

/// How long a token lasts when nothing is asked for, and at most, in milliseconds: 32 days.
pub const LONGEST: u64 = 32 * 86_400_000;
/// How many keys are given up at most when tokens are cleared away, unless one token has more.
const CLEARED_KEYS: usize = 4096;

impl<S: Source> Deciding<'_, S> {
    pub(super) fn create_token(
        &mut self,
        new: &NewToken,
        sealer: &mut Sealer<'_>,
    ) -> Decided<S::Error> {
        let maker = self.maker()?;
        self.make_token(&maker, new, sealer)
    }

    /// A root token for whoever has shown enough shares: it is nobody's child and has no end.
    pub(super) fn create_root_token(
        &mut self,
        new: &NewToken,
        sealer: &mut Sealer<'_>,
    ) -> Decided<S::Error> {
        let maker = Maker {
            token: None,
            sudo: true,
            is_root: true,
            expires: None,
            cidrs: Vec::new(),
            policies: vec![ROOT.to_owned()],
        };
        self.make_token(&maker, new, sealer)
    }

    fn make_token(
        &mut self,
        maker: &Maker,
        new: &NewToken,
        sealer: &mut Sealer<'_>,
    ) -> Decided<S::Error> {
        let role = self.role(new.wish.role.as_ref(), Refusal::NoRole)?;
        let policies = granted(maker, &new.wish, role.as_ref())?;
        let is_root = policies.iter().any(|policy| policy == ROOT);
        let privileged = new.wish.orphan && !new.wish.may_orphan || new.wish.period > 0;
        if privileged && !maker.sudo {
            return Err(Refusal::Denied.into());
        }
        let bounds = role.unwrap_or_else(|| TokenRole {
            renewable: true,
            ..TokenRole::default()
        });
        let (ttl, expires) = self.lifetime(&new.wish, &bounds, is_root, maker)?;
        let is_orphan = match &new.wish.role {
            Some(_) => bounds.orphan,
            None => new.wish.orphan,
        };
        let parent = if is_orphan { None } else { maker.token };
        if let Some(parent) = &parent
            && access::depth(self.state, parent).map_err(Error::Source)? >= DEEPEST
        {
            return Err(Refusal::TooDeep.into());
        }
        let (wallet, token) = (sealer.wallet(), new.token);
        let (names, names_bytes) = sealer.names(
            self.state,
            &token_names_place(wallet, token),
            &cbor::encode(&new.names),
        )?;
        let place = token_mac_place(wallet, token);
        let (mac, mac_bytes) = sealer.payload(self.state, &place, new.mac.as_bytes())?;
        let event = v1::TokenCreated {
            token,
            principal: PrincipalId::from_bytes(*token.as_bytes()),
            parent,
            policies,
            ttl,
            expires,
            explicit_max_ttl: new.wish.explicit_max_ttl,
            period: new.wish.period,
            renewable: new.wish.renewable && bounds.renewable && expires.is_some(),
            uses: u32::try_from(lesser(new.wish.uses.into(), bounds.uses.into()))
                .unwrap_or(u32::MAX),
            cidrs: within(&maker.cidrs, asked_cidrs(&new.wish, &bounds))?,
            role: new.wish.role.clone(),
            wraps: None,
            mac,
            names,
        };
        self.happen(
            Event::TokenCreated(event),
            Some(names_bytes),
            Some(mac_bytes),
        )
    }

    /// By whom a token is made.
    fn maker(&self) -> Result<Maker, Error<S::Error>> {
        let Actor::Principal(_, id) = self.actor else {
            return Err(Refusal::Denied.into());
        };
        let policies = access::policies_of(self.state, &self.actor, self.now());
        let policies = policies.map_err(Error::Source)?.ok_or(Refusal::Denied)?;
        let token = self.state.token(&id).map_err(Error::Source)?;
        if token.as_ref().is_some_and(|token| token.uses.is_some()) {
            return Err(Refusal::LimitedMaker.into());
        }
        let is_root = policies.iter().any(|policy| policy == ROOT);
        Ok(Maker {
            token: Some(id),
            sudo: is_root || self.sudo,
            is_root,
            expires: token.as_ref().and_then(|token| token.expires),
            cidrs: token.map(|token| token.cidrs).unwrap_or_default(),
            policies,
        })
    }

    fn lifetime(
        &self,
        wish: &TokenWish,
        role: &TokenRole,
        is_root: bool,
        maker: &Maker,
    ) -> Result<(u64, Option<Millis>), Error<S::Error>> {
        let period = lesser(wish.period, role.period);
        let max = lesser(wish.explicit_max_ttl, role.explicit_max_ttl);
        if is_root && wish.ttl == 0 && period == 0 && max == 0 {
            if maker.expires.is_some() {
                return Err(Refusal::ExpiringRoot.into());
            }
            return Ok((0, None));
        }
        let asked = match (period, wish.ttl) {
            (0, 0) => LONGEST,
            (0, ttl) => ttl,
            (period, _) => period,
        };
        let bound = match max {
            0 => LONGEST,
            max => max.min(LONGEST),
        };
        let ttl = asked.min(bound);
        Ok((ttl, Some(self.now().plus(ttl))))
    }

    pub(super) fn renew_token(&mut self, id: TokenId, increment: u64) -> Decided<S::Error> {
        if access::is_root(self.state, &id).map_err(Error::Source)? {
            return Err(Refusal::NotRenewable.into());
        }
        let token = self.standing(&id)?;
        if !token.renewable || token.expires.is_none() {
            return Err(Refusal::NotRenewable.into());
        }
        let now = self.now();
        let role = self.role(token.role.as_ref(), Refusal::RoleGone)?;
        let role = role.unwrap_or_default();
        let period = lesser(token.period, role.period);
        let asked = match (period, increment) {
            // As long as the last time.
            (0, 0) => token.lease(),
            (0, increment) => increment,
            (period, _) => period,
        };
        let until = now.plus(asked.min(LONGEST));
        let max = lesser(token.explicit_max_ttl, role.explicit_max_ttl);
        let latest = match (max, period) {
            (0, 0) => Some(token.created.plus(LONGEST)),
            // A periodic token goes on for as long as it is renewed.
            (0, _) => None,
            (max, 0) => Some(token.created.plus(max.min(LONGEST))),
            (max, _) => Some(token.created.plus(max)),
        };
        let event = v1::TokenRenewed {
            token: id,
            expires: latest.map_or(until, |latest| until.min(latest)),
        };
        self.happen(Event::TokenRenewed(event), None, None)
    }

    /// Spends one of a token's counted uses: nobody else can spend the same.
    pub(super) fn use_token(&mut self, id: TokenId) -> Decided<S::Error> {
        let token = self.standing(&id)?;
        match token.uses {
            Some(0) | None => Err(Refusal::Denied.into()),
            Some(_) => {
                let event = v1::TokenUsed { token: id };
                self.happen(Event::TokenUsed(event), None, None)
            }
        }
    }

    pub(super) fn end_tokens(
        &mut self,
        ids: &[TokenId],
        leaves_orphans: bool,
        unwrapped: Option<RequestId>,
    ) -> Decided<S::Error> {
        let mut tokens = Vec::with_capacity(ids.len());
        for id in ids {
            if access::is_root(self.state, id).map_err(Error::Source)? {
                return Err(Refusal::OwnToken.into());
            }
            let token = match leaves_orphans {
                // What has ended with one above it is not brought back by its own end.
                true => access::standing(self.state, id, self.now()).map_err(Error::Source)?,
                false => self.state.token(id).map_err(Error::Source)?,
            };
            let listed = tokens.iter().any(|ended: &EndedToken| ended.token == *id);
            if let Some(token) = token.filter(|token| !token.leaves_orphans && !listed) {
                let keys = self.state.keys_of_token(id, &token);
                tokens.push(EndedToken {
                    token: *id,
                    keys: keys.map_err(Error::Source)?,
                });
            }
        }
        if tokens.is_empty() {
            return Ok(());
        }
        let event = v1::TokensEnded {
            tokens,
            leaves_orphans,
            unwrapped,
        };
        self.happen(Event::TokensEnded(event), None, None)
    }

    /// Clears away those of these tokens that have ended by themselves, or with one above them: as
    /// many as have a fair number of keys. What is left is cleared another time.
    pub(super) fn clear_tokens(&mut self, ids: &[TokenId]) -> Decided<S::Error> {
        let (mut ended, mut keys) = (Vec::new(), 0);
        for id in ids {
            let Some(token) = self.state.token(id).map_err(Error::Source)? else {
                continue;
            };
            let stands = access::standing(self.state, id, self.now()).map_err(Error::Source)?;
            if stands.is_some_and(|token| token.uses != Some(0)) {
                continue;
            }
            let more = self.state.keys_of_token(id, &token);
            keys += more.map_err(Error::Source)?.len();
            if keys > CLEARED_KEYS && !ended.is_empty() {
                break;
            }
            ended.push(*id);
        }
        self.end_tokens(&ended, false, None)
    }

    fn standing(&self, id: &TokenId) -> Result<Token, Error<S::Error>> {
        let token = access::standing(self.state, id, self.now()).map_err(Error::Source)?;
        token.ok_or_else(|| Refusal::NoToken.into())
    }
}

/// The networks that are asked for: the role's, if it says any.
fn asked_cidrs<'a>(wish: &'a TokenWish, role: &'a TokenRole) -> &'a [String] {
    match role.cidrs.is_empty() {
        true => &wish.cidrs,
        false => &role.cidrs,
    }
}

/// The networks of a new token: its maker's, or some of them.
fn within(maker: &[String], asked: &[String]) -> Result<Vec<String>, Refusal> {
    match (maker, asked) {
        ([], asked) => Ok(asked.to_vec()),
        (maker, []) => Ok(maker.to_vec()),
        (maker, asked) if asked.iter().all(|cidr| maker.contains(cidr)) => Ok(asked.to_vec()),
        _ => Err(Refusal::OtherNetworks),
    }
}
