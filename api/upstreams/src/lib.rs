//! What the wallet calls: key managers. A key file is the plainest of them.

pub mod key_file;

pub use key_file::{DevFile, KeyFile};
