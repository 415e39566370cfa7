//! Numbers for Prometheus. No label names a secret, a path or a principal (invariant 4).

use std::{sync::OnceLock, time::Duration};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Upper bounds of the buckets of durations, in seconds.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Begins to count. A second call changes nothing.
pub fn install() {
    RECORDER.get_or_init(|| {
        let builder = PrometheusBuilder::new().set_buckets(SECONDS).ok()?;
        let handle = builder.install_recorder().ok()?;
        metrics::describe_counter!("billfold_requests_total", "Requests answered.");
        metrics::describe_histogram!(
            "billfold_request_seconds",
            metrics::Unit::Seconds,
            "How long requests took."
        );
        metrics::describe_counter!(
            "billfold_connections_refused_total",
            "Connections that there was no room for."
        );
        metrics::describe_gauge!(
            "billfold_applied_sequence",
            "The last decided sequence applied."
        );
        metrics::describe_gauge!(
            "billfold_stopped",
            "1 when this node met a broken log and stopped."
        );
        metrics::describe_counter!(
            "billfold_checkpoints_total",
            "Checkpoints that this node made."
        );
        metrics::describe_gauge!(
            "billfold_checkpoint_size",
            "How many commits the newest checkpoint attests."
        );
        metrics::describe_counter!(
            "billfold_checkpoint_failures_total",
            "Checkpoints that could not be kept outside the log."
        );
        Some(handle)
    });
}

/// Counts an answered request.
pub(crate) fn request(endpoint: &str, status: u16, took: Duration) {
    let labels = [
        ("endpoint", endpoint.to_owned()),
        ("status", status.to_string()),
    ];
    metrics::counter!("billfold_requests_total", &labels).increment(1);
    metrics::histogram!("billfold_request_seconds", "endpoint" => endpoint.to_owned()).record(took);
}

/// All numbers in the Prometheus text format; `None` when nothing counts.
pub(crate) fn render(wallet: &crate::wallet::Wallet) -> Option<String> {
    let keychain = wallet.keychain();
    #[allow(
        clippy::cast_precision_loss,
        reason = "gauges are floats; 2^53 commits are far away"
    )]
    metrics::gauge!("billfold_applied_sequence").set(keychain.view().head().seq.0 as f64);
    metrics::gauge!("billfold_stopped").set(if keychain.stopped().is_some() {
        1.0
    } else {
        0.0
    });
    RECORDER.get()?.as_ref().map(PrometheusHandle::render)
}
