//! What the wallet calls: key managers. A key file is the plainest of them.

pub mod key_file;
pub mod shamir;
pub mod vault_transit;

pub use key_file::{DevFile, KeyFile};
pub use shamir::Shamir;
pub use vault_transit::VaultTransit;
