//! Deciding how a wallet begins: its root, its first KEK version, its mounts and own policies.

use crate::{
    command::NewWallet,
    decide::{DEFAULT_POLICY, Decided, Deciding, Error, Refusal, Sealer},
    event::{Event, v1},
    id::RecordId,
    names::payload_place,
    policy::{DEFAULT, Policy, WRAPPING, WRAPPING_TEXT},
    state::Source,
};

impl<S: Source> Deciding<'_, S> {
    pub(super) fn create_wallet(
        &mut self,
        new: &NewWallet,
        sealer: &mut Sealer<'_>,
    ) -> Decided<S::Error> {
        if self.state.wallet().map_err(Error::Source)?.is_some() {
            return Err(Refusal::WalletExists.into());
        }
        let place = payload_place(new.wallet, RecordId::default(), 0);
        let (sealed, bytes) = sealer.payload(self.state, &place, new.root_token_mac.as_bytes())?;
        let event = v1::WalletCreated {
            wallet: new.wallet,
            root: new.root,
            root_token: new.root_token,
            root_token_mac: sealed,
        };
        self.happen(Event::WalletCreated(event), None, Some(bytes))?;
        let event = v1::KekCreated {
            version: new.kek.version,
            generation: new.kek.generation,
            manager: new.kek.manager.clone(),
            fact_key: new.kek.fact_key,
            compromised: false,
        };
        self.happen(Event::KekCreated(event), None, None)?;
        new.mounts
            .iter()
            .try_for_each(|mount| self.enable_mount(mount, sealer))?;
        // The texts are this release's own; from here on they are the wallet's.
        self.write_own_policy(DEFAULT_POLICY, DEFAULT)?;
        self.write_own_policy(WRAPPING, WRAPPING_TEXT)
    }

    fn write_own_policy(&mut self, name: &str, text: &str) -> Decided<S::Error> {
        let policy = Policy::parse(text).map_err(|_| Refusal::DefaultPolicy)?;
        let event = v1::PolicyWritten {
            name: name.to_owned(),
            text: text.to_owned(),
            policy,
            expires: None,
            cas_required: false,
        };
        self.happen(Event::PolicyWritten(event), None, None)
    }
}
