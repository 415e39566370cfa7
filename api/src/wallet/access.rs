//! Who calls.

use std::net::IpAddr;

use billfold_core::{
    access::Need,
    event::Actor,
    id::{RecordId, RequestId, Seq},
    keys::{Content, TokenMac},
    names::payload_place,
    state::{Key, Source as _, Value},
};
use billfold_projector::Keychain;
use billfold_streams::replica::Replica as _;

use super::{Error, Root, Wallet};

/// A token as a client sent it. It is not shown, and not kept.
pub struct Token<'a>(pub &'a [u8]);

impl std::fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Whoever makes a request, once they have shown who they are.
#[derive(Clone)]
pub struct Caller {
    /// By whom and by what it is asked.
    pub actor: Actor,
    /// The request's id, which the answer and the record carry.
    pub request: RequestId,
    /// Where it came from.
    pub client: IpAddr,
    /// The execution that it is for, as the client says.
    pub execution: Option<String>,
    /// What the request says, if the caller's policies look at that.
    pub parameters: Option<serde_json::Map<String, serde_json::Value>>,
    /// For how long the answer is to be wrapped, in milliseconds, if it is to be.
    pub wrap_ttl: Option<u64>,
}

impl Caller {
    /// What the policies must permit for a request of this caller.
    #[must_use]
    pub(crate) fn asks(&self, need: Need) -> Need {
        Need {
            parameters: self.parameters.clone(),
            wrap_ttl: self.wrap_ttl,
            ..need
        }
    }
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Caller({:?}, {})", self.actor, self.request)
    }
}

/// The wallet's id in the form of a UUID, as Vault's clients see it.
pub(crate) fn wallet_uuid(wallet: &Wallet) -> String {
    let id = wallet.keychain.custody().wallet();
    uuid::Uuid::from_bytes(*id.as_bytes())
        .hyphenated()
        .to_string()
}

impl Wallet {
    /// Whether this node's view has come to a place in the log, which another node may have told of.
    /// What the log holds by now it comes to first; whatever lies beyond is no place yet.
    ///
    /// # Errors
    /// When the log cannot say where it ends, or the view does not come there in time.
    pub async fn has_reached(&self, seq: Seq) -> Result<bool, Error> {
        if self.keychain.head().seq < seq {
            self.come_to_the_end().await?;
        }
        Ok(self.keychain.head().seq >= seq)
    }

    /// Records that a request without a valid token was refused.
    ///
    /// # Errors
    /// When that cannot be recorded.
    pub async fn refuse_anonymous(&self) -> Result<(), Error> {
        self.recorder.refusal().await?;
        Ok(())
    }

    /// Counts a request without a valid token that was over the bound of its source.
    pub fn refuse_over_bound(&self) {
        self.recorder.over_bound();
    }
}

/// Reads what is needed to know the root token.
pub(super) async fn open_root(keychain: &Keychain) -> Result<Root, Error> {
    let Some(Value::Wallet(wallet)) = keychain.view().get(&Key::Wallet)? else {
        return Err(Error::Unavailable(
            "the wallet is not initialised".to_owned(),
        ));
    };
    let sealed = keychain.view().root_token_mac()?.ok_or(Error::Erased)?;
    let dek = keychain
        .custody()
        .dek(wallet.root_token_mac.key)
        .await?
        .ok_or(Error::Erased)?;
    let place = payload_place(wallet.id, RecordId::default(), 0);
    let mac = dek
        .open(Content::Payload, &place, &sealed)
        .map_err(|_| Error::Erased)?;
    let mac = TokenMac::from_slice(mac.expose()).ok_or(Error::Erased)?;
    Ok(Root {
        mac,
        token: wallet.root_token,
        principal: wallet.root,
        created: wallet.created,
    })
}
