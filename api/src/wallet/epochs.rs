//! Epochs: which is the current one, and ending it.

use billfold_core::{
    command::Action,
    id::FactKeyId,
    state::{Epoch, Key, Source as _, Value},
};

use super::{Error, Wallet};

impl Wallet {
    /// The epoch that is the current one, as far as this node has followed the log.
    ///
    /// # Errors
    /// When the view cannot be read.
    pub fn epoch(&self) -> Result<Option<(FactKeyId, Epoch)>, Error> {
        let view = self.keychain.view();
        let Some(id) = view.wallet()?.and_then(|wallet| wallet.epoch) else {
            return Ok(None);
        };
        match view.get(&Key::Epoch(id))? {
            Some(Value::Epoch(epoch)) => Ok(Some((id, epoch))),
            _ => Ok(None),
        }
    }

    /// Ends the current epoch and begins the next. Another node may have done it.
    ///
    /// # Errors
    /// When its keys cannot be stored, or the outcome is not known.
    pub async fn begin_epoch(&self) -> Result<(), Error> {
        let (after, fact_key) = self.keychain.custody().make_next_epoch().await?;
        self.order_itself(Action::BeginEpoch { after, fact_key })
            .await?;
        tracing::info!("a new epoch began: what was recorded before is closed");
        Ok(())
    }
}
