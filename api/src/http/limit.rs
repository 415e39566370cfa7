//! Bounds on what a principal or a source can put into the log (invariant 10).

use std::{net::IpAddr, num::NonZeroU32};

use billfold_core::event::Actor;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::config::Rates;

/// How many sources are remembered before those that are quiet are forgotten.
const SOURCES: usize = 10_000;

/// The bounds of all callers.
#[derive(Debug)]
pub(crate) struct Limits {
    principals: DefaultKeyedRateLimiter<[u8; 16]>,
    sources: DefaultKeyedRateLimiter<IpAddr>,
}

impl Limits {
    pub(crate) fn new(rates: &Rates) -> Self {
        let quota = |per_second: NonZeroU32| Quota::per_second(per_second);
        Self {
            principals: RateLimiter::keyed(quota(rates.principal_per_second)),
            sources: RateLimiter::keyed(quota(rates.refused_per_second)),
        }
    }

    pub(crate) fn admits_principal(&self, actor: &Actor) -> bool {
        match actor {
            Actor::Principal(principal, _) => {
                if self.principals.len() > SOURCES {
                    self.principals.retain_recent();
                }
                self.principals.check_key(principal.as_bytes()).is_ok()
            }
            Actor::System | Actor::Anonymous => false,
        }
    }

    /// Whether a source may have one more refusal recorded by itself.
    pub(crate) fn admits_source(&self, source: IpAddr) -> bool {
        if self.sources.len() > SOURCES {
            self.sources.retain_recent();
        }
        self.sources.check_key(&network(source)).is_ok()
    }
}

/// A host of IPv6 has a whole network of addresses: all of it counts as one source.
fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => {
            let prefix = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(std::net::Ipv6Addr::from_bits(prefix))
        }
    }
}
