//! The table of names that goes with a grant: what is called how, as far as it is not erased.

use billfold_core::{
    Millis, cbor,
    command::Action,
    event::Event,
    grant::{NameTable, TABLE_BYTES},
    id::{GrantId, Seq, TokenId},
    keys::Content,
    names::{TokenNames, token_names_place},
    state::{Grant, Token},
};

use crate::wallet::{Error, Wallet};

/// How many records are looked at at once.
const AT_ONCE: usize = 512;

/// A table that is sent part by part.
struct Sending<'a> {
    wallet: &'a Wallet,
    id: GrantId,
    /// The number of the last part, as the log had it at the beginning.
    part: u32,
    table: NameTable,
    seq: Seq,
}

impl Wallet {
    /// Grants the names of what came to be since the last table, and up to this time: a record's path
    /// never changes. Another node may do the same meanwhile: whoever finds that its part is not the
    /// next one leaves it.
    pub(super) async fn grant_names(
        &self,
        id: GrantId,
        grant: &Grant,
        up_to: Millis,
    ) -> Result<Seq, Error> {
        let mut sending = Sending {
            wallet: self,
            id,
            part: grant.parts,
            table: NameTable::default(),
            seq: Seq::ZERO,
        };
        let span = grant.named.unwrap_or_default()..=up_to;
        let mounts = self.all_mounts().await?.into_iter();
        // Mounts can be renamed: each table has all of them.
        for mount in mounts.filter(|mount| mount.created <= up_to) {
            if let Some(blinded) = self.blinded(&mount.path).pop() {
                sending.table.mounts.push((mount.id, blinded, mount.path));
            }
        }
        let view = self.keychain.view();
        let tokens: Vec<(TokenId, Token)> = view.tokens().collect::<Result<_, _>>()?;
        let tokens = tokens.into_iter();
        for (token, stored) in tokens.filter(|(_, token)| span.contains(&token.created)) {
            if let Some(names) = self.granted_token(&token, &stored).await? {
                sending.table.tokens.push((token, names.display));
            }
            if !sending.send_if_full().await? {
                return Ok(sending.seq);
            }
        }
        let mut after = None;
        loop {
            let records = view.records_after(after, AT_ONCE)?;
            if records.is_empty() {
                break;
            }
            for (record, stored) in records {
                after = Some(record);
                if !span.contains(&stored.record.created) {
                    continue;
                }
                if let Some(names) = self.names_of(record, &stored).await? {
                    let line = (record, stored.record.mount, names.path);
                    sending.table.records.push(line);
                }
                if !sending.send_if_full().await? {
                    return Ok(sending.seq);
                }
            }
        }
        sending.send(Some(up_to)).await?;
        Ok(sending.seq)
    }

    async fn granted_token(
        &self,
        id: &TokenId,
        token: &Token,
    ) -> Result<Option<TokenNames>, Error> {
        let custody = self.keychain.custody();
        let sealed = self.keychain.view().token_names(id)?;
        let Some((dek, sealed)) = custody.dek(token.names.key).await?.zip(sealed) else {
            return Ok(None);
        };
        let place = token_names_place(custody.wallet(), *id);
        let plain = dek.open(Content::Names, &place, &sealed).ok();
        Ok(plain.and_then(|plain| cbor::decode(plain.expose()).ok()))
    }
}

impl Sending<'_> {
    /// Whether to go on: not where another node was faster.
    async fn send_if_full(&mut self) -> Result<bool, Error> {
        match self.table.weight() < TABLE_BYTES {
            true => Ok(true),
            false => self.send(None).await,
        }
    }

    async fn send(&mut self, up_to: Option<Millis>) -> Result<bool, Error> {
        let grants = self.wallet.state().grants()?;
        let Some(grant) = grants
            .get(&self.id)
            .filter(|grant| grant.parts == self.part)
        else {
            return Ok(false);
        };
        let plain = std::mem::take(&mut self.table).encode();
        let sealed = self
            .wallet
            .seal_grant(self.id, grant, Event::NAMES_GRANTED, &plain)?;
        self.part += 1;
        let action = Action::GrantNames {
            grant: self.id,
            part: self.part,
            up_to,
            sealed,
        };
        self.seq = self.wallet.order_itself(action).await?.seq;
        Ok(true)
    }
}
