//! Who sends a request: the token that it shows, and what it costs to show none.

use std::net::SocketAddr;

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode},
};
use billfold_core::event::Actor;
use zeroize::Zeroizing;

use super::{
    Door, Failure,
    endpoints::{Access, Route},
    said::{read, token},
};
use crate::{
    v1,
    wallet::{self, Token, Wallet},
};

/// A body, which is not read before it is known whose it is.
pub(super) enum Sent {
    Unread(Body),
    Read(Zeroizing<Vec<u8>>),
}

/// Who asks about a wrapping token, or opens one. The token stands where all tokens do, or, for a
/// question, in the body; of that no more is read before than a token takes. A token that is none,
/// and the one that is meant, is told so: it may be the first sign that someone else used it.
pub(super) async fn authenticate_wrapping(
    door: &Door,
    wallet: &Wallet,
    from: SocketAddr,
    (route, headers, body): (&Route, &HeaderMap, &mut Sent),
) -> Result<Actor, Failure> {
    const LARGEST: usize = 8 << 10;
    let mut named = None;
    if let Sent::Unread(unread) = body {
        let sent = read(std::mem::take(unread), LARGEST).await?;
        named = v1::wrapping::named(&sent)?;
        *body = Sent::Read(sent);
    }
    let (own, named) = (token(headers), named.as_ref().map(|named| named.as_bytes()));
    let asks = route.access == Access::TokenInBody;
    let shown = match own {
        // Whoever shows it may ask about it, whoever they are besides.
        Some(own) if asks && named.is_some() => {
            let known = wallet.authenticate(&Token(own), from.ip()).await;
            let known = known.map_err(|error| v1::failure(&error))?;
            known.map_or(named, |_| Some(own))
        }
        None if asks => named,
        own => own,
    };
    let meant = named.or(own);
    let denied = |failure: Failure| {
        if failure.status != StatusCode::FORBIDDEN {
            return failure;
        }
        match (shown, asks) {
            (Some(_), _) if shown == meant => Failure::bad(v1::wrapping::NO_WRAPPING_TOKEN),
            (Some(_), _) => failure,
            (None, true) => Failure::bad(v1::wrapping::EMPTY_WRAPPING_TOKEN),
            (None, false) => Failure::new(failure.status, v1::wrapping::EMPTY_WRAPPING_TOKEN),
        }
    };
    authenticate(door, wallet, from, shown, true)
        .await
        .map_err(denied)
}

/// Invariant 10: no token, no answer; and no flood of refusals in the log.
pub(super) async fn authenticate(
    door: &Door,
    wallet: &Wallet,
    from: SocketAddr,
    token: Option<&[u8]>,
    unwraps: bool,
) -> Result<Actor, Failure> {
    let too_many = || Failure::new(StatusCode::TOO_MANY_REQUESTS, "too many requests");
    let told = |error: &wallet::Error| v1::failure(error);
    let actor = match token {
        Some(token) => wallet.authenticate(&Token(token), from.ip()).await,
        None => Ok(None),
    };
    if let Some(actor) = actor.map_err(|error| told(&error))? {
        if !door.limits().admits_principal(&actor) {
            return Err(too_many());
        }
        match wallet.spend_use(&actor, unwraps).await {
            Ok(()) => return Ok(actor),
            // Its last use was spent elsewhere: it is no token any more.
            Err(wallet::Error::Denied | wallet::Error::NoToken) => {}
            Err(error) => return Err(told(&error)),
        }
    }
    if !door.limits().admits_source(from.ip()) {
        wallet.refuse_over_bound();
        return Err(too_many());
    }
    wallet
        .refuse_anonymous()
        .await
        .map_err(|error| v1::failure(&error))?;
    Err(Failure::denied())
}
