//! The auditor's side of the wallet: reads the whole log, follows every chain, folds it from zero,
//! and says what happened, where the fold leads, and whether log, key store and view agree.
//!
//! [`log::log`] tells each event and what each request was answered, [`export`] hands events to other
//! systems, [`digest::digest`] tells the digest of the fold, [`verify::verify`] everything that is
//! wrong, [`past`] what was true at a moment, and [`keys`] what became of each key. [`integrity`] needs
//! public keys alone, and a [`witness`] signs what only ever grew. A [`receipt`] shows one commit, a
//! [`bundle`] is a log in a file. The others go over the log by one
//! [`Walk`], in bounded memory: the fold's entries stand in a temporary view. Only what [`past`] tells
//! of a moment stands in memory whole. Nothing here writes to what it reads. The binary
//! `billfold-replay` is a thin command over these functions.

pub mod auditor;
pub mod bundle;
pub mod digest;
mod error;
pub mod export;
pub mod integrity;
pub mod keys;
mod later;
pub mod log;
pub mod past;
pub mod receipt;
mod report;
mod row;
pub mod source;
mod tail;
mod uses;
pub mod verify;
mod walk;
pub mod witness;

pub use error::{Check, Error, Finding};
pub use report::{
    write_dek, write_diff, write_integrity, write_json, write_keks, write_keys_then, write_line,
    write_line_header, write_report, write_shown, write_then,
};
pub use row::{FIELDS, Row, csv_header, csv_row, json};
pub use source::{Place, Source};
pub use walk::Walk;
