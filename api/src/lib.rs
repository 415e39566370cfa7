//! The server: the wallet's use cases, the doors to them, and the node they run on.

pub mod client;
pub mod config;
pub mod http;
pub mod metrics;
pub mod node;
mod rest;
pub mod seal;
mod v1;
pub mod wallet;
