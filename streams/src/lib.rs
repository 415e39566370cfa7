//! The log and the key store: their rules as traits, and the two backends that keep them.
//!
//! [`EventLog`] holds what is for ever, [`KeyStore`] what can be erased, [`Courier`] passes waiting
//! commands between nodes. Two backends: `jetstream` on a NATS server or cluster, `embedded` in
//! two redb files on one box. Only this crate knows NATS and redb.

mod backoff;
pub mod clock;
pub mod committer;
pub mod courier;
pub mod custody;
pub mod embedded;
pub mod entropy;
pub mod fault_point;
pub mod jetstream;
pub mod keys;
pub mod log;
pub mod pool;
pub mod recorder;
pub mod replica;
pub mod rewrapper;
pub mod settle;
pub mod sweeper;

pub use courier::Courier;
pub use keys::KeyStore;
pub use log::EventLog;

/// What of a NATS message is left to its headers, in bytes.
const HEADROOM: usize = 1024;
