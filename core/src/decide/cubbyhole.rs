//! Deciding about cubbyholes, and about answers that are wrapped in one.

use crate::{
    Millis, SecretBytes, access, cbor,
    command::NewWrapping,
    decide::{Decided, Deciding, Error, LONGEST, Refusal, Sealer},
    event::{Actor, Event, v1},
    id::{PrincipalId, RecordId, RequestId, TokenId},
    keys::Content,
    names::{CubbyholeNames, WRAPPED_ANSWER, cubbyhole_place, token_mac_place, token_names_place},
    policy::WRAPPING,
    state::{Source, Token},
};

/// How much a token can keep in its cubbyhole at a time.
pub const CUBBYHOLE_ENTRIES: usize = 256;

impl<S: Source> Deciding<'_, S> {
    /// Puts something into the caller's own cubbyhole.
    pub(super) fn write_cubbyhole(
        &mut self,
        entry: RecordId,
        path: &str,
        payload: &SecretBytes,
        sealer: &mut Sealer<'_>,
    ) -> Decided<S::Error> {
        let token = self.own_token()?;
        self.put_into(token, entry, path, payload, sealer)
    }

    /// Removes something from the caller's own cubbyhole. What is not there needs no removing.
    pub(super) fn delete_cubbyhole(&mut self, id: RecordId) -> Decided<S::Error> {
        let token = self.own_token()?;
        let cubbyhole = self.state.cubbyhole(&token).map_err(Error::Source)?;
        let Some(entry) = cubbyhole.entry(&id) else {
            return Ok(());
        };
        let event = v1::CubbyholeDeleted {
            token,
            entry: id,
            keys: entry.keys().to_vec(),
        };
        self.happen(Event::CubbyholeDeleted(event), None, None)
    }

    /// Makes a wrapping token: one use, no parent, and the answer in its cubbyhole.
    pub(super) fn wrap(&mut self, new: &NewWrapping, sealer: &mut Sealer<'_>) -> Decided<S::Error> {
        let mut ttl = new.ttl;
        if let Some(replaced) = new.replaces {
            let before = self.wrapping(&replaced)?.ttl;
            self.end_tokens(&[replaced], false, Some(new.request))?;
            if ttl == 0 {
                ttl = before;
            }
        }
        self.make_wrapping(new, ttl.min(LONGEST), sealer)?;
        self.put_into(new.token, new.entry, WRAPPED_ANSWER, &new.answer, sealer)
    }

    /// Ends a wrapping token, which is its use: whoever's command does that has the answer, and
    /// nobody else.
    pub(super) fn unwrap(&mut self, id: TokenId, request: RequestId) -> Decided<S::Error> {
        self.wrapping(&id)?;
        self.end_tokens(&[id], false, Some(request))
    }

    fn make_wrapping(
        &mut self,
        new: &NewWrapping,
        ttl: u64,
        sealer: &mut Sealer<'_>,
    ) -> Decided<S::Error> {
        let (token, mac, names) = (new.token, &new.mac, &new.names);
        let wallet = sealer.wallet();
        let place = token_names_place(wallet, token);
        let (names, names_bytes) = sealer.names(self.state, &place, &cbor::encode(names))?;
        let place = token_mac_place(wallet, token);
        let (mac, mac_bytes) = sealer.payload(self.state, &place, mac.as_bytes())?;
        let expires: Millis = self.now().plus(ttl);
        let event = v1::TokenCreated {
            token,
            principal: PrincipalId::from_bytes(*token.as_bytes()),
            parent: None,
            policies: vec![WRAPPING.to_owned()],
            ttl,
            expires: Some(expires),
            explicit_max_ttl: ttl,
            period: 0,
            renewable: false,
            uses: 1,
            cidrs: Vec::new(),
            role: None,
            wraps: Some(new.request),
            mac,
            names,
        };
        let event = Event::TokenCreated(event);
        self.happen(event, Some(names_bytes), Some(mac_bytes))
    }

    fn put_into(
        &mut self,
        token: TokenId,
        id: RecordId,
        path: &str,
        payload: &SecretBytes,
        sealer: &mut Sealer<'_>,
    ) -> Decided<S::Error> {
        let cubbyhole = self.state.cubbyhole(&token).map_err(Error::Source)?;
        let before = cubbyhole.entry(&id);
        if before.is_none() && cubbyhole.entries.len() >= CUBBYHOLE_ENTRIES {
            return Err(Refusal::CubbyholeFull.into());
        }
        let place = |content| cubbyhole_place(sealer.wallet(), token, id, content);
        let (names_place, payload_place) = (place(Content::Names), place(Content::Payload));
        let names = match before {
            Some(_) => None,
            None => {
                let names = CubbyholeNames {
                    path: path.to_owned(),
                };
                Some(sealer.names(self.state, &names_place, &cbor::encode(&names))?)
            }
        };
        let (payload, payload_bytes) =
            sealer.payload(self.state, &payload_place, payload.expose())?;
        let (names, names_bytes) = names.unzip();
        let event = v1::CubbyholeWritten {
            token,
            entry: id,
            payload,
            names,
            retired: before.map(|before| before.payload.key),
        };
        self.happen(
            Event::CubbyholeWritten(event),
            names_bytes,
            Some(payload_bytes),
        )
    }

    /// A wrapping token that can still be used.
    fn wrapping(&self, id: &TokenId) -> Result<Token, Error<S::Error>> {
        let token = access::standing(self.state, id, self.now()).map_err(Error::Source)?;
        token
            .filter(|token| token.wraps() && token.uses != Some(0))
            .ok_or_else(|| Refusal::NoToken.into())
    }

    fn own_token(&self) -> Result<TokenId, Error<S::Error>> {
        match self.actor {
            Actor::Principal(_, token) => Ok(token),
            Actor::System | Actor::Anonymous => Err(Refusal::Denied.into()),
        }
    }
}
