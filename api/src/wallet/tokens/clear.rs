//! Clearing away tokens that have ended.

use billfold_core::{command::Action, event::v1::Operation as Asked, id::TokenId};

use crate::wallet::{At, Caller, Error, Wallet};

impl Wallet {
    /// Clears away the tokens that have ended, for a caller whose request for it is recorded.
    ///
    /// # Errors
    /// When the request is denied or cannot be recorded, or the outcome is not known.
    pub async fn tidy_tokens(&self, caller: &Caller, path: &str) -> Result<At<()>, Error> {
        let looked = self.look_at_system(caller, Asked::AskSystem, path).await?;
        self.clear_tokens().await?;
        Ok(looked.map(|_| ()))
    }

    /// Clears away the tokens that have ended, some at a time.
    ///
    /// # Errors
    /// When the outcome is not known.
    pub async fn clear_tokens(&self) -> Result<(), Error> {
        const AT_ONCE: usize = 256;
        let mut ended = Vec::new();
        for token in self.keychain.view().tokens() {
            let (id, token) = token?;
            let spent = self.known(&id)?.is_none_or(|known| known.uses == Some(0));
            if spent && !token.leaves_orphans {
                ended.push(id);
            }
        }
        let mut failed = None;
        for some in ended.chunks(AT_ONCE) {
            if let Err(error) = self.clear_these(some.to_vec()).await {
                // The others are none the worse for it.
                tracing::warn!(%error, "tokens that have ended could not be cleared away");
                failed.get_or_insert(error);
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Clears away these tokens, as many at once as one commit should.
    async fn clear_these(&self, mut tokens: Vec<TokenId>) -> Result<(), Error> {
        while !tokens.is_empty() {
            self.order_itself(Action::ClearTokens(tokens.clone()))
                .await?;
            let before = tokens.len();
            let state = self.state();
            let mut left = Vec::new();
            for id in tokens {
                if state.token(&id)?.is_some_and(|token| !token.leaves_orphans) {
                    left.push(id);
                }
            }
            // Those that stand again, for another node renewed them, are not to be cleared.
            if left.len() == before {
                break;
            }
            tokens = left;
        }
        Ok(())
    }
}
