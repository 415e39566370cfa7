//! Deciding about policies. The rules are those of Vault's policy store.

use crate::{
    decide::{Decided, Deciding, Error, Refusal},
    event::{Event, v1},
    policy::{ROOT, WRAPPING},
    state::Source,
};

/// The policy that every token has unless it is made without.
pub const DEFAULT_POLICY: &str = "default";

impl<S: Source> Deciding<'_, S> {
    pub(super) fn write_policy(
        &mut self,
        cas: Option<i64>,
        ttl: Option<u64>,
        written: &v1::PolicyWritten,
    ) -> Decided<S::Error> {
        match written.name.as_str() {
            ROOT => return Err(Refusal::RootPolicy.into()),
            WRAPPING => return Err(Refusal::WrappingPolicy.into()),
            _ => {}
        }
        let written = v1::PolicyWritten {
            expires: ttl.map_or(written.expires, |ttl| Some(self.now().plus(ttl))),
            ..written.clone()
        };
        if written.expires.is_some_and(|expires| expires <= self.now()) {
            return Err(Refusal::PolicyOver.into());
        }
        let policies = self.state.policies().map_err(Error::Source)?;
        let known = policies.get(&written.name);
        let known = known.filter(|known| !known.has_ended(self.now()));
        let current = known.map_or(0, |known| i64::from(known.version));
        match cas {
            Some(cas) if cas.max(0) != current || cas < -1 => {
                return Err(Refusal::CasMismatch.into());
            }
            None if written.cas_required || known.is_some_and(|known| known.cas_required) => {
                return Err(Refusal::CasRequired.into());
            }
            _ => {}
        }
        let is_as_before = known.is_some_and(|known| {
            let (before, after) = (
                (&known.text, &known.policy),
                (&written.text, &written.policy),
            );
            let ends = (known.expires, known.cas_required);
            before == after && ends == (written.expires, written.cas_required)
        });
        if is_as_before {
            return Ok(());
        }
        self.happen(Event::PolicyWritten(written), None, None)
    }

    pub(super) fn delete_policy(&mut self, name: &str) -> Decided<S::Error> {
        match name {
            ROOT => return Err(Refusal::RootPolicyStays.into()),
            DEFAULT_POLICY => return Err(Refusal::DefaultPolicy.into()),
            WRAPPING => return Err(Refusal::WrappingPolicyStays.into()),
            _ => {}
        }
        let policies = self.state.policies().map_err(Error::Source)?;
        if !policies.contains_key(name) {
            return Ok(());
        }
        let event = v1::PolicyDeleted {
            name: name.to_owned(),
        };
        self.happen(Event::PolicyDeleted(event), None, None)
    }
}
