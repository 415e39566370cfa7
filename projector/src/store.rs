//! What the views have in common: a sled database in a folder, whose values are sealed under a key of
//! its own, and which is made anew when it does not open.

use std::{
    io,
    panic::AssertUnwindSafe,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use billfold_core::{cbor, entropy::Entropy as _, id::WalletId, keys::ViewKey, seal::Place};
use billfold_streams::{custody::Custody, entropy::Os};
use serde_bytes::{ByteArray, ByteBuf};

use crate::{
    aside::aside,
    view::{Error, damaged},
};

/// The database's own key, sealed under the wallet's.
const KEY: &[u8] = b"k";

const FORMAT: u16 = 9;

/// A file with this name in the view's folder asks for a rebuild.
const CONDEMNED: &str = "rebuild-this-view";

/// How often sled writes to disk what is in memory, in milliseconds.
const FLUSH_MILLIS: u64 = 500;

/// How long a folder may be locked before it counts as another's: sled lets go of its lock a moment
/// after it was closed.
const LETTING_GO: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);

type Wire = (u16, WalletId, ByteArray<16>, ByteBuf);

/// Seals what is stored, each value for its key.
pub(crate) struct Sealing {
    key: ViewKey,
    id: [u8; 16],
}

impl Sealing {
    /// What blinds.
    pub(crate) const fn key(&self) -> &ViewKey {
        &self.key
    }

    /// The database's own id, which is another after each rebuild.
    pub(crate) const fn id(&self) -> [u8; 16] {
        self.id
    }

    pub(crate) fn seal(&self, key: &[u8], plain: &[u8], entropy: &mut Os) -> Vec<u8> {
        self.key.seal(&self.place(key), plain, entropy)
    }

    pub(crate) fn unseal(&self, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let plain = self.key.open(&self.place(key), sealed);
        let plain = plain.map_err(|_| damaged("a value"))?;
        Ok(plain.expose().to_vec())
    }

    fn place(&self, key: &[u8]) -> Place {
        Place::new().and(&self.id).and(key)
    }
}

/// Opens what is in a folder, on a thread of its own; what does not open is made anew. `what` is what
/// the log calls it.
pub(crate) async fn open_or_rebuild<T, E>(
    what: &'static str,
    dir: &Path,
    custody: &Arc<Custody>,
    open: impl Fn(&Path, &Custody) -> Result<T, Error> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Error> + From<io::Error> + Send + 'static,
{
    let (dir, custody) = (dir.to_owned(), Arc::clone(custody));
    aside(move || match open(&dir, &custody) {
        Err(Error::Unusable(why)) => {
            tracing::warn!(why, dir = %dir.display(), "rebuilding {what} from the log");
            remove(&dir)?;
            Ok(open(&dir, &custody)?)
        }
        other => Ok(other?),
    })
    .await
}

fn remove(dir: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Opens the database in this folder, or makes an empty one.
pub(crate) fn open(
    dir: &Path,
    custody: &Custody,
    cache_bytes: u64,
) -> Result<(sled::Db, Sealing), Error> {
    if dir.join(CONDEMNED).exists() {
        return Err(Error::Unusable("it was found damaged before".to_owned()));
    }
    let tree = open_tree(dir, cache_bytes)?;
    let wallet = custody.wallet();
    let keys = custody.keys();
    let wrapping = &keys.view;
    let place = |id: &[u8; 16]| Place::new().and(wallet.as_bytes()).and(id);
    if let Some(bytes) = tree.get(KEY)? {
        let wire: Wire = cbor::decode(&bytes).map_err(|_| damaged("its key"))?;
        let (format, owner, id, sealed) = wire;
        let id = id.into_array();
        if format != FORMAT {
            return Err(Error::Unusable(format!("it has format {format}")));
        }
        if owner != wallet {
            return Err(Error::OtherWallet(dir.to_owned()));
        }
        let key = wrapping
            .open(&place(&id), &sealed)
            .map_err(|_| damaged("its key"))?;
        let key = key.expose().try_into().map_err(|_| damaged("its key"))?;
        let key = ViewKey::danger_from_bytes(key);
        return Ok((tree, Sealing { key, id }));
    }
    if !tree.is_empty() {
        return Err(damaged("its key"));
    }
    let mut entropy = Os::new();
    let id: [u8; 16] = entropy.bytes();
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    entropy.fill(bytes.as_mut_slice());
    let sealed = wrapping.seal(&place(&id), bytes.as_slice(), &mut entropy);
    let wire: Wire = (FORMAT, wallet, ByteArray::new(id), ByteBuf::from(sealed));
    tree.insert(KEY, cbor::encode(&wire))?;
    let key = ViewKey::danger_from_bytes(&bytes);
    Ok((tree, Sealing { key, id }))
}

/// Leaves a mark in a view's folder that it must be rebuilt at the next start.
pub(crate) fn condemn(dir: &Path) {
    if let Err(error) = std::fs::write(dir.join(CONDEMNED), []) {
        tracing::error!(%error, dir = %dir.display(), "remove this folder before the next start");
    }
}

/// sled may panic on a damaged file: that is one more way of not opening.
fn open_tree(dir: &Path, cache_bytes: u64) -> Result<sled::Db, Error> {
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(cache_bytes)
        .flush_every_ms(Some(FLUSH_MILLIS))
        .mode(sled::Mode::HighThroughput);
    let until = Instant::now() + LETTING_GO;
    loop {
        return match std::panic::catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Ok(tree)) => Ok(tree),
            Ok(Err(sled::Error::Io(error))) if is_lock(&error) => {
                if Instant::now() < until {
                    thread::sleep(PAUSE);
                    continue;
                }
                Err(Error::InUse(dir.to_owned()))
            }
            Ok(Err(error)) => Err(Error::Unusable(error.to_string())),
            Err(_) => Err(Error::Unusable("it does not open".to_owned())),
        };
    }
}

/// sled reports a lock that another process holds as an I/O error of its own words.
fn is_lock(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::WouldBlock || error.to_string().contains("acquire lock")
}
