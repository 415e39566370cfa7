//! Folds the log into views: the keychain, which answers, the audit index, which finds, and the tree,
//! which proves.
//!
//! A view is a cache of the log. It can be deleted at any time, and only it knows sled.

mod aside;
pub mod audit;
pub mod chain;
pub mod fold;
pub mod keychain;
mod store;
pub mod tree;
pub mod view;

pub use fold::Fold;
pub use keychain::Keychain;
pub use tree::Tree;
pub use view::View;
