//! What Billfold is, without any I/O: events and commits, the keys that seal them, and the pure
//! functions that decide commands, fold events and judge requests.
//!
//! Nothing here reads a clock, draws randomness or touches a file or socket: all of these are
//! arguments. The crates around it bring them: `streams` the log and the key store, `projector`
//! the views, `api` the doors.

pub mod access;
pub mod cbor;
pub mod command;
pub mod commit;
pub mod decide;
pub mod entropy;
pub mod event;
pub mod grant;
pub mod handover;
pub mod id;
pub mod judge;
pub mod keys;
pub mod labels;
pub mod moment;
pub mod names;
pub mod policy;
pub mod proof;
pub mod seal;
mod secret;
pub mod state;
pub mod subject;
#[doc(hidden)]
pub mod test_entropy;
mod time;
pub mod told;

pub use secret::SecretBytes;
pub use time::Millis;
