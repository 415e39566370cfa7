//! Cubbyholes: what a token keeps for itself, and nobody else can reach.

use billfold_core::{
    SecretBytes,
    access::{Need, Wanted},
    cbor,
    command::Action,
    event::v1::Operation as Asked,
    id::{MountId, RecordId, TokenId},
    keys::Content,
    names::{CubbyholeNames, cubbyhole_place},
    policy::Operation,
    state::CubbyholeEntry,
};

use super::{At, Caller, Error, Wallet, Written, tokens::own};

/// Something out of a cubbyhole.
#[derive(Debug)]
pub struct Kept {
    /// What it says: a JSON object, or the whole answer that a token wraps.
    pub data: SecretBytes,
    /// Whether it is a wrapped answer.
    pub is_wrapped: bool,
}

impl Wallet {
    /// Reads something in the caller's own cubbyhole, after the request for it is recorded.
    ///
    /// # Errors
    /// When the request is denied, cannot be recorded, or finds nothing.
    pub async fn read_cubbyhole(
        &self,
        caller: &Caller,
        api_path: &str,
        path: &str,
    ) -> Result<At<Kept>, Error> {
        let looked = self
            .look_at_system(caller, Asked::ReadCubbyhole, api_path)
            .await?;
        let token = own(caller)?;
        let data = self.kept(token, self.entry_of(token, path)).await?;
        let wraps = self.known(&token)?.is_some_and(|token| token.wraps());
        Ok(At {
            seq: looked.seq,
            value: Kept {
                data: data.ok_or(Error::Absent)?,
                is_wrapped: wraps,
            },
        })
    }

    /// The names in a folder of the caller's own cubbyhole, after the request for them is recorded;
    /// those of folders end with a slash. `folder` is empty, or ends with a slash itself.
    ///
    /// # Errors
    /// When the request is denied, cannot be recorded, or finds nothing.
    pub async fn list_cubbyhole(
        &self,
        caller: &Caller,
        api_path: &str,
        folder: &str,
    ) -> Result<At<Vec<String>>, Error> {
        let looked = self
            .look_at_system(caller, Asked::ListCubbyhole, api_path)
            .await?;
        let token = own(caller)?;
        let mut names = Vec::new();
        for entry in self.state().cubbyhole(&token)?.entries {
            let path = self.path_in(token, &entry).await?;
            let below = path.as_deref().and_then(|path| path.strip_prefix(folder));
            let name = below.and_then(|below| below.split_inclusive('/').next());
            names.extend(name.map(str::to_owned));
        }
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            return Err(Error::Absent);
        }
        Ok(At {
            seq: looked.seq,
            value: names,
        })
    }

    /// Puts something into the caller's own cubbyhole.
    ///
    /// # Errors
    /// When it is refused, or its outcome is not known.
    pub async fn write_cubbyhole(
        &self,
        caller: &Caller,
        api_path: &str,
        path: &str,
        data: SecretBytes,
    ) -> Result<Written, Error> {
        let token = own(caller)?;
        let entry = self.entry_of(token, path);
        let need = Need {
            action: Wanted::Keep(token, entry),
            ..Need::to(Operation::Update, api_path)
        };
        let action = Action::WriteCubbyhole {
            entry,
            path: path.to_owned(),
            payload: data,
        };
        self.order(caller, need, action).await
    }

    /// Removes something from the caller's own cubbyhole. What is not there needs no removing.
    ///
    /// # Errors
    /// When it is refused, or its outcome is not known.
    pub async fn delete_cubbyhole(
        &self,
        caller: &Caller,
        api_path: &str,
        path: &str,
    ) -> Result<Written, Error> {
        let entry = self.entry_of(own(caller)?, path);
        let need = Need::to(Operation::Delete, api_path);
        self.order(caller, need, Action::DeleteCubbyhole(entry))
            .await
    }

    /// What a token keeps at a blinded path; none when there is nothing, or no more.
    pub(super) async fn kept(
        &self,
        token: TokenId,
        id: RecordId,
    ) -> Result<Option<SecretBytes>, Error> {
        let mut known = self.state().cubbyhole(&token)?.entry(&id).cloned();
        loop {
            let Some(entry) = known else {
                return Ok(None);
            };
            let custody = self.keychain.custody();
            let sealed = self.keychain.view().cubbyhole_payload(&token, &id)?;
            let dek = custody.dek(entry.payload.key).await?;
            let place = cubbyhole_place(custody.wallet(), token, id, Content::Payload);
            if let Some((dek, sealed)) = dek.zip(sealed)
                && let Ok(data) = dek.open(Content::Payload, &place, &sealed)
            {
                return Ok(Some(data));
            }
            // It may have been written or removed between the looks at the view.
            known = self.state().cubbyhole(&token)?.entry(&id).cloned();
            if known.as_ref() == Some(&entry) {
                return Err(Error::Erased);
            }
        }
    }

    /// The blinded path of something in a token's cubbyhole. The token stands for the mount.
    pub(super) fn entry_of(&self, token: TokenId, path: &str) -> RecordId {
        self.record(MountId::from_bytes(*token.as_bytes()), path)
    }

    async fn path_in(
        &self,
        token: TokenId,
        entry: &CubbyholeEntry,
    ) -> Result<Option<String>, Error> {
        let custody = self.keychain.custody();
        let sealed = self.keychain.view().cubbyhole_names(&token, &entry.id)?;
        let (Some(dek), Some(sealed)) = (custody.dek(entry.names.key).await?, sealed) else {
            return Ok(None);
        };
        let place = cubbyhole_place(custody.wallet(), token, entry.id, Content::Names);
        let plain = dek
            .open(Content::Names, &place, &sealed)
            .map_err(|_| Error::Erased)?;
        let names: CubbyholeNames = cbor::decode(plain.expose()).map_err(|_| Error::Erased)?;
        Ok(Some(names.path))
    }
}
