//! Policies by their names.

use billfold_core::{
    Millis,
    access::Need,
    command::Action,
    decide::Refusal,
    event::v1::{Operation as Asked, PolicyWritten},
    policy::{Operation, Policy, ROOT, WRAPPING},
    state::{Key, Source as _, Value},
};

use super::{At, Caller, Error, Wallet, Written};

/// A policy as it is told.
#[derive(Debug, Clone)]
pub struct PolicyFacts {
    /// Its text, as it was sent.
    pub text: String,
    /// How often it was written since it was last absent; 0 for one that is nowhere written.
    pub version: u32,
    /// When it was last written.
    pub modified: Option<Millis>,
    /// When it ends by itself.
    pub expires: Option<Millis>,
    /// Whether the next write must say which version it follows.
    pub cas_required: bool,
}

/// When a policy is to end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// At this time.
    At(Millis),
    /// So many milliseconds after it was written.
    After(u64),
}

/// How a policy is to be written, beside its text.
#[derive(Debug, Clone, Copy, Default)]
pub struct PolicyTerms {
    /// The version that must be there; 0 and -1 are for a policy that is not there.
    pub cas: Option<i64>,
    /// Whether the next write must say which version it follows.
    pub cas_required: Option<bool>,
    /// When it is to end by itself.
    pub end: Option<End>,
}

impl Wallet {
    /// The names of the policies that tokens can be given, the one for root last, after the request
    /// for them is recorded.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded.
    pub async fn policies(
        &self,
        caller: &Caller,
        path: &str,
        operation: Asked,
    ) -> Result<At<Vec<String>>, Error> {
        let looked = self.look_at_system(caller, operation, path).await?;
        let time = self.now();
        let mut names = Vec::new();
        if let Some(Value::Policies(policies)) = self.keychain.view().get(&Key::Policies)? {
            // Nobody has to do with that of wrapping tokens.
            let shown = policies
                .iter()
                .filter(|(name, policy)| *name != WRAPPING && !policy.has_ended(time));
            names.extend(shown.map(|(name, _)| name.clone()));
        }
        // It is written nowhere, and stands behind those that are.
        names.push(ROOT.to_owned());
        Ok(At {
            seq: looked.seq,
            value: names,
        })
    }

    /// A policy, after the request for it is recorded. The text of root's is empty: it permits
    /// everything.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded, or there is no such policy.
    pub async fn policy(
        &self,
        caller: &Caller,
        path: &str,
        name: &str,
    ) -> Result<At<PolicyFacts>, Error> {
        let looked = self.look_at_system(caller, Asked::ReadSystem, path).await?;
        let facts = self.known_policy(name)?;
        Ok(At {
            seq: looked.seq,
            value: facts.ok_or(Error::Absent)?,
        })
    }

    /// A policy as this node knows it, if it has not ended by now.
    fn known_policy(&self, name: &str) -> Result<Option<PolicyFacts>, Error> {
        if name == ROOT {
            return Ok(Some(PolicyFacts {
                text: String::new(),
                version: 0,
                modified: None,
                expires: None,
                cas_required: false,
            }));
        }
        let Some(Value::Policies(policies)) = self.keychain.view().get(&Key::Policies)? else {
            return Ok(None);
        };
        let time = self.now();
        let known = policies.get(name).filter(|known| !known.has_ended(time));
        Ok(known.map(|known| PolicyFacts {
            text: known.text.clone(),
            version: known.version,
            modified: Some(known.modified),
            expires: known.expires,
            cas_required: known.cas_required,
        }))
    }

    /// Changes what is said of a policy that is there. A change that comes between is not lost:
    /// without a number of the client's own, the version that is there now must be the one that is
    /// changed.
    ///
    /// # Errors
    /// As for writing, and when there is no such policy.
    pub async fn patch_policy(
        &self,
        caller: &Caller,
        path: &str,
        name: String,
        text: Option<String>,
        terms: PolicyTerms,
    ) -> Result<Written, Error> {
        let unknown = || Error::Invalid("policy not found".to_owned());
        /// How often it is worked out anew when another change came between.
        const TURNS: u32 = 16;
        let mut turns = 0;
        loop {
            turns += 1;
            // What is changed is what the log holds by now, not what this node knew of it.
            self.come_to_the_end().await?;
            let known = self.known_policy(&name)?.ok_or_else(unknown)?;
            let version = i64::from(known.version);
            let all = PolicyTerms {
                // Another number than that of what is changed is refused.
                cas: terms.cas.or(Some(version)),
                cas_required: terms.cas_required.or(Some(known.cas_required)),
                end: terms.end.or(known.expires.map(End::At)),
            };
            let need = Need::to(Operation::Patch, path);
            let text = text.clone().unwrap_or(known.text);
            if terms.cas.is_some_and(|cas| cas != version) {
                return Err(Error::Refused(Refusal::CasMismatch));
            }
            match self.put_policy(caller, need, name.clone(), text, all).await {
                Err(Error::Refused(Refusal::CasMismatch))
                    if terms.cas.is_none() && turns < TURNS => {}
                outcome => return outcome,
            }
        }
    }

    /// Writes a policy, in place of all that was said of one of this name.
    ///
    /// # Errors
    /// When the text is no policy, or the command is refused or its outcome not known.
    pub async fn write_policy(
        &self,
        caller: &Caller,
        path: &str,
        name: String,
        text: String,
        terms: PolicyTerms,
    ) -> Result<Written, Error> {
        let need = Need::to(Operation::Update, path);
        self.put_policy(caller, need, name, text, terms).await
    }

    async fn put_policy(
        &self,
        caller: &Caller,
        need: Need,
        name: String,
        text: String,
        terms: PolicyTerms,
    ) -> Result<Written, Error> {
        let policy = Policy::parse(&text)
            .map_err(|error| Error::Invalid(format!("failed to parse policy: {error}")))?;
        let (expires, ttl) = match terms.end {
            None => (None, None),
            Some(End::At(time)) => (Some(time), None),
            Some(End::After(millis)) => (None, Some(millis)),
        };
        let written = PolicyWritten {
            name,
            text,
            policy,
            expires,
            cas_required: terms.cas_required.unwrap_or(false),
        };
        let action = Action::WritePolicy {
            cas: terms.cas,
            ttl,
            written: Box::new(written),
        };
        self.order(caller, need, action).await
    }

    /// Deletes a policy.
    ///
    /// # Errors
    /// When the command is refused or its outcome not known.
    pub async fn delete_policy(
        &self,
        caller: &Caller,
        path: &str,
        name: String,
    ) -> Result<Written, Error> {
        let need = Need::to(Operation::Delete, path);
        self.order(caller, need, Action::DeletePolicy(name)).await
    }
}
