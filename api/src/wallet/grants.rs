//! Auditor grants: who may read what happened, and what of that is granted so far.

mod names;

use billfold_core::{
    Millis,
    access::Need,
    command::{Action, NewGrant},
    entropy::Entropy as _,
    event::{Event, v1::Operation as Asked},
    grant::{AuditorKey, EPOCHS_IN_PART, epochs_plaintext, seal_part},
    id::{CommandId, FactKeyId, GrantId, Seq},
    moment::Moment,
    policy::Operation,
    state::{Epoch, Grant},
};
use billfold_streams::entropy::Os;
use bytes::Bytes;

use super::{At, Caller, Error, Wallet, Written};

/// The path of the API, as policies speak of it.
const API: &str = "api/internal/wallet/auditor-grants";
/// What it takes besides to grant the epoch that goes on.
const LIVE: &str = "api/internal/wallet/auditor-grants/live";

/// What is wanted of a grant.
#[derive(Debug, Clone, Copy)]
pub struct GrantWish {
    /// Whom it is for.
    pub recipient: AuditorKey,
    /// From when on.
    pub from: Moment,
    /// Until when; none is for as long as it stands.
    pub to: Option<Millis>,
    /// Whether the epoch that goes on is granted too.
    pub live: bool,
    /// Whether names are granted.
    pub names: bool,
}

/// A grant, and how far it has come.
#[derive(Debug, Clone)]
pub struct GrantFacts {
    /// Its id.
    pub id: GrantId,
    /// What the log says of it.
    pub grant: Grant,
}

impl Wallet {
    /// Grants what happened in a span of time to an auditor.
    ///
    /// # Errors
    /// When it is refused, or its outcome is not known.
    pub async fn grant_auditor(
        &self,
        caller: &Caller,
        wish: GrantWish,
        command: Option<CommandId>,
    ) -> Result<At<GrantFacts>, Error> {
        let mut needs = vec![needed(Operation::Update, API)];
        if wish.live {
            needs.push(needed(Operation::Update, LIVE));
        }
        // Whoever may not do this is not told where the log ends.
        for need in &needs {
            if !self.may(caller, need).await? {
                return Err(Error::Denied);
            }
        }
        let from = match wish.from {
            Moment::Time(time) => time,
            Moment::Seq(seq) => {
                let time = self.keychain.time_of(seq).await;
                let time = time.map_err(|error| Error::Unavailable(error.to_string()))?;
                time.ok_or_else(|| Error::Invalid("the log does not have this sequence".into()))?
            }
        };
        if wish.to.is_some_and(|to| to <= from) {
            return Err(Error::Invalid("the span ends before it begins".into()));
        }
        if from > self.now() {
            return Err(Error::Invalid("the span is yet to begin".into()));
        }
        // A repeated command finds the grant that it made.
        let id = command.map_or_else(
            || GrantId::from_bytes(Os::new().bytes()),
            |command| GrantId::from_bytes(*command.as_bytes()),
        );
        let new = NewGrant {
            grant: id,
            recipient: wish.recipient,
            from,
            to: wish.to,
            live: wish.live,
            names: wish.names,
        };
        let needs = needs.into_iter().map(|need| caller.asks(need)).collect();
        let action = Action::GrantAuditor(Box::new(new));
        let written = self.carry_out(command, caller.actor, needs, action).await?;
        // What fails here is done later, by any node.
        let seq = match self.fulfil(id).await {
            Ok(seq) => seq.unwrap_or(written.seq),
            Err(error) => {
                tracing::warn!(%error, "a grant is not complete yet");
                written.seq
            }
        };
        let grant = self.state().grants()?.get(&id).cloned();
        let grant = grant.ok_or(Error::Absent)?;
        Ok(At {
            seq: seq.max(written.seq),
            value: GrantFacts { id, grant },
        })
    }

    /// All grants that stand, the oldest first, after the request for them is recorded.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded.
    pub async fn grants(&self, caller: &Caller, path: &str) -> Result<At<Vec<GrantFacts>>, Error> {
        let looked = self.look_at_system(caller, Asked::ReadSystem, path).await?;
        let all = self.state().grants()?;
        let all = all.iter().map(|(id, grant)| GrantFacts {
            id: *id,
            grant: grant.clone(),
        });
        let mut all: Vec<_> = all.collect();
        all.sort_unstable_by_key(|facts| (facts.grant.granted, facts.id));
        Ok(looked.map(|_| all))
    }

    /// Ends a grant: nothing more is granted by it. What was granted stays granted; an epoch that goes
    /// on and was granted ends with it.
    ///
    /// # Errors
    /// When it is refused, there is no such grant, the epoch cannot be ended, or the outcome is not
    /// known.
    pub async fn revoke_grant(
        &self,
        caller: &Caller,
        path: &str,
        id: GrantId,
        command: Option<CommandId>,
    ) -> Result<Written, Error> {
        let needs = vec![caller.asks(needed(Operation::Delete, path))];
        // Another node may have granted it a moment ago.
        self.come_to_the_end().await?;
        let grant = self.state().grants()?.get(&id).cloned();
        let ended = self
            .carry_out(command, caller.actor, needs, Action::EndGrant(id))
            .await?;
        if let Some(grant) = grant
            && self.has_current(&grant)?
            && let Err(error) = self.begin_epoch().await
        {
            tracing::warn!(%error, "the epoch of a grant that was revoked could not be ended");
            let told = "the grant is ended, but its auditor has the key of the epoch that goes on: \
                        rotate the wallet's keys to end it";
            return Err(Error::Unavailable(told.to_owned()));
        }
        Ok(ended)
    }

    /// Whether a grant has the epoch that goes on, or is about to.
    fn has_current(&self, grant: &Grant) -> Result<bool, Error> {
        let current = self.epoch()?.map(|(_, epoch)| epoch.began);
        let in_span = current.is_some_and(|began| grant.to.is_none_or(|to| began < to));
        Ok(grant.live && in_span)
    }

    /// Brings every grant to where it should be. Every node looks; whoever is first does it.
    ///
    /// # Errors
    /// When something cannot be sealed or appended now.
    pub async fn fulfil_grants(&self) -> Result<(), Error> {
        for id in self.state().grants()?.keys() {
            self.fulfil(*id).await?;
        }
        Ok(())
    }

    /// Grants what a grant does not have yet; where the last of it stands.
    async fn fulfil(&self, id: GrantId) -> Result<Option<Seq>, Error> {
        let mut last = None;
        loop {
            let Some(grant) = self.state().grants()?.get(&id).cloned() else {
                return Ok(last);
            };
            let due = self.due(&grant)?;
            if !due.is_empty() {
                last = Some(self.grant_epochs(id, &grant, due).await?);
            } else if let Some(up_to) = grant.names_due() {
                last = Some(self.grant_names(id, &grant, up_to).await?);
            } else {
                return Ok(last);
            }
        }
    }

    /// The epochs that a grant is to have and does not have yet, in their order, as many as one
    /// commit takes.
    fn due(&self, grant: &Grant) -> Result<Vec<(FactKeyId, Epoch)>, Error> {
        let keys = self.keychain.custody().keys();
        let state = self.state();
        let mut due = Vec::new();
        for known in &keys.epochs {
            // One that was stored and never began is none.
            if let Some(epoch) = state.epoch(&known.id)?
                && grant.is_due(&epoch)
            {
                due.push((known.id, epoch));
            }
        }
        due.sort_unstable_by_key(|(_, epoch)| epoch.number);
        due.truncate(EPOCHS_IN_PART);
        Ok(due)
    }

    async fn grant_epochs(
        &self,
        id: GrantId,
        grant: &Grant,
        due: Vec<(FactKeyId, Epoch)>,
    ) -> Result<Seq, Error> {
        let keys = self.keychain.custody().keys();
        let epochs = due
            .iter()
            .filter_map(|(id, epoch)| Some((epoch.number, keys.epoch(id)?)));
        let plain = epochs_plaintext(epochs);
        let sealed = self.seal_grant(id, grant, Event::EPOCHS_GRANTED, &plain)?;
        let action = Action::GrantEpochs {
            grant: id,
            part: grant.parts + 1,
            epochs: due.into_iter().map(|(id, _)| id).collect(),
            sealed,
        };
        Ok(self.order_itself(action).await?.seq)
    }

    /// Seals something to the recipient of a grant, as its next part.
    pub(super) fn seal_grant(
        &self,
        id: GrantId,
        grant: &Grant,
        kind: u16,
        plain: &[u8],
    ) -> Result<Bytes, Error> {
        let unusable = || Error::Unavailable("the auditor's key cannot be used".to_owned());
        let recipient = AuditorKey::from_bytes(&grant.recipient).map_err(|_| unusable())?;
        let wallet = self.keychain.custody().wallet();
        let place = (id, kind, grant.parts + 1);
        let sealed = seal_part(wallet, &recipient, place, plain, &mut Os::new());
        Ok(Bytes::from(sealed.map_err(|_| unusable())?))
    }
}

fn needed(operation: Operation, path: &str) -> Need {
    Need {
        sudo: true,
        ..Need::to(operation, path)
    }
}
