//! Replays of small wallets that real writers made: sound ones, and each kind of broken one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod command;
mod digests;
mod erasures;
mod files;
mod filters;
mod fixture;
mod kept;
mod keys;
mod listing;
mod node;
mod orders;
mod places;
mod recorded;
mod silent;
mod tampered;
mod told;
mod views;
