//! The harness of the end-to-end tests: real processes of Billfold and of its peers, a client that can send what no
//! polite client sends, and a judge of histories.
//!
//! `tests/run` installs the peers and builds the programs; [`tools`] finds them. Everything here panics rather than
//! return an error that a test could only unwrap, except where failing is what a test is about.

// A harness fails by panicking.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod backup;
pub mod bao;
pub mod bench;
pub mod billfold;
pub mod cli;
pub mod fuzz;
pub mod history;
pub mod nats;
pub mod openbao;
pub mod proxy;
pub mod running;
pub mod tmpfs;
pub mod tools;
pub mod wallet;
