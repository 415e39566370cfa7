//! Auditor grants: what is sealed to an auditor's own key, so that he reads facts and never a secret.
//!
//! A grant's parts stand where events have their payloads, and name their recipient in the clear: an
//! auditor finds his by going over the log, with no other key than his own (`docs/wire-format.md`,
//! "Auditor grants").

mod key;
mod names;
mod part;

pub use key::{AuditorKey, AuditorSecret, Malformed, RecipientId};
pub use names::{NameTable, TABLE_BYTES};
pub use part::{Address, EPOCHS_IN_PART, epochs_of, epochs_plaintext, seal_part};
