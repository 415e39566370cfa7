//! Opens the wallet's keys, and says what is missing where they cannot be had.

use std::{fs, path::Path, sync::Arc};

use billfold_core::{
    id::{ProcessId, Seq},
    keys::{
        keyring::Keyring,
        manager::{self, KeyManager},
    },
};
use billfold_streams::{
    EventLog, KeyStore,
    custody::{self, Custody},
    entropy::Os,
    keys::Slot,
};
use billfold_upstreams::{DevFile, KeyFile};

use super::{EVERYTHING, LOG, Place};
use crate::Error;

/// The key of the key manager `dev-file` in a data folder.
const DEV_KEY: &str = "dev.key";
/// What there is to do without a key of the wallet.
const WITHOUT_KEYS: &str = "without a key of the wallet there is verify --checkpoint-key, and with \
                            --auditor-key every command but verify";

/// Opens the keys of this place, whose log is this one.
///
/// # Errors
/// When there are none, or what is given does not open them.
pub(super) async fn open(
    place: &Place,
    log: &Arc<dyn EventLog>,
    keys: Arc<dyn KeyStore>,
) -> Result<Custody, Error> {
    let Some(stored) = keys.read(Slot::Keyring).await? else {
        return Err(match log.head(EVERYTHING).await? {
            Seq::ZERO => custody::Error::NoWallet.into(),
            _ => keyless(),
        });
    };
    let keyring = Keyring::decode(&stored.bytes).map_err(custody::Error::from)?;
    let manager = manager(place, &keyring.manager)?;
    Ok(Custody::open(keys, &*manager, ProcessId::default()).await?)
}

/// A log with no key of its wallet beside it.
fn keyless() -> Error {
    Error::Unreachable(format!(
        "this is a copy of a log, and no key of its wallet is beside it: {WITHOUT_KEYS}"
    ))
}

/// What is told of a data folder with a log and no file of a key store.
pub(super) fn without_store(dir: &Path, missing: String) -> Error {
    match dir.join(LOG).is_file() {
        true => keyless(),
        false => Error::Unreachable(missing),
    }
}

/// What opens the keys of a wallet whose keyring names this key manager.
fn manager(place: &Place, known: &str) -> Result<Box<dyn KeyManager>, Error> {
    let unopened = |error: manager::Error| Error::Unreachable(error.to_string());
    let needed = |what: &str| {
        let told = format!("the wallet's key manager is {known}: {what}; {WITHOUT_KEYS}");
        Err(Error::Unreachable(told))
    };
    if !["key-file", "dev-file"].contains(&known) {
        return needed("no file opens its keys");
    }
    if let Some(file) = &place.key_file {
        fs::File::open(file).map_err(|error| Error::unread("--key-file", file, &error))?;
        return Ok(Box::new(KeyFile::open(file).map_err(unopened)?));
    }
    if known == "key-file" {
        return needed("give its key file (--key-file)");
    }
    match place.data_dir.as_ref().map(|dir| dir.join(DEV_KEY)) {
        // The key manager would make a key that is not there.
        Some(file) if file.is_file() => {
            let opened = DevFile::open(&file, false, &mut Os::new());
            Ok(Box::new(opened.map_err(unopened)?))
        }
        Some(file) => needed(&format!("there is no {}", file.display())),
        None => needed("give the data folder that has its dev.key (--data-dir)"),
    }
}
