//! Log lines on standard error.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

/// Begins to log what the filter lets through: for people on a terminal, as JSON elsewhere.
pub(super) fn begin(filter: &str) -> anyhow::Result<()> {
    // Libraries below log only what went wrong: sled and NATS say much that helps nobody here.
    let filter = EnvFilter::try_new(format!(
        "sled=warn,async_nats=warn,hyper=warn,h2=warn,{filter}"
    ))
    .context("the log filter (BILLFOLD_LOG)")?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        lines.compact().init();
    } else {
        lines.json().flatten_event(true).init();
    }
    Ok(())
}
