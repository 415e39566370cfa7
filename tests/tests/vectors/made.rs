//! How the vectors were made, each from a seed of its own.

use std::collections::BTreeMap;

use billfold_core::id::{MountId, RecordId, WalletId};

use crate::{
    bundles::bundles,
    file::Vector,
    grants::grants,
    handed_over::receipts,
    made_commits::commits,
    made_facts::facts,
    made_folded::folded,
    made_keys::{keyrings, pages, wallet_keys},
    made_names::names,
    made_sealed::{derived, sealed},
    notes::notes,
    shares::{recoveries, shared_generations, shares},
};

/// The vectors of an area, by their case.
pub(crate) type Made = Vec<(&'static str, Vector)>;

pub(crate) const OPENS: &str = "success";
pub(crate) const NO_PARSE: &str = "parse failure";
pub(crate) const NO_OPEN: &str = "open failure";
pub(crate) const WALLET: WalletId = WalletId::from_bytes([0x55; 16]);
pub(crate) const RECORD: RecordId = RecordId::from_bytes([0x11; 16]);
pub(crate) const MOUNT: MountId = MountId::from_bytes([0x22; 16]);

/// Every vector, by `<area>/<case>`.
pub(crate) fn all() -> BTreeMap<String, Vector> {
    let areas = [
        ("bundle", bundles()),
        ("commit", commits()),
        ("derived", derived()),
        ("digest", folded()),
        ("fact", facts()),
        ("grant", grants()),
        ("keyring", keyrings()),
        ("names", names()),
        ("note", notes()),
        ("page", pages()),
        ("receipt", receipts()),
        ("recovery", recoveries()),
        ("sealed", sealed()),
        ("share", shares()),
        ("shared-generation", shared_generations()),
        ("wallet-keys", wallet_keys()),
    ];
    let mut all = BTreeMap::new();
    for (area, made) in areas {
        for (case, vector) in made {
            let known = all.insert(format!("{area}/{case}"), vector);
            assert!(known.is_none(), "{area}/{case}");
        }
    }
    all
}
