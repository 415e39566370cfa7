//! Whether the server syncs before it acknowledges.
//!
//! It says so nowhere but in its monitoring endpoint, so either that is asked, or the operator
//! vouches for it.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde::Deserialize;

use super::{Config, link::Link};

/// More than any server's `/varz`.
const LARGEST_ANSWER: usize = 1 << 20;

#[derive(Deserialize)]
struct Varz {
    server_id: String,
    jetstream: Option<JetStreamVarz>,
}

#[derive(Deserialize)]
struct JetStreamVarz {
    config: Option<JetStreamConfig>,
}

#[derive(Deserialize)]
struct JetStreamConfig {
    #[serde(default)]
    sync_always: bool,
}

/// Why it is not sure that the servers sync before they acknowledge.
pub(super) async fn doubts(config: &Config, link: &Link) -> Vec<String> {
    if config.monitoring_urls.is_empty() {
        if config.attest_sync_always {
            return Vec::new();
        }
        return vec![
            "whether it syncs before it acknowledges is not known: run it with `jetstream { \
             sync_interval: always }` and give its monitoring URL, or attest it in the \
             configuration"
                .into(),
        ];
    }
    let mut doubts = Vec::new();
    let mut servers = BTreeSet::new();
    for url in &config.monitoring_urls {
        match tokio::time::timeout(config.ack_timeout, varz(url)).await {
            Ok(Ok(varz)) => {
                let settings = varz.jetstream.and_then(|jetstream| jetstream.config);
                if !settings.is_some_and(|config| config.sync_always) {
                    doubts.push(format!(
                        "the server monitored at {url} does not sync before it acknowledges: set \
                         `jetstream {{ sync_interval: always }}`"
                    ));
                }
                servers.insert(varz.server_id);
            }
            Ok(Err(error)) => doubts.push(format!("the monitoring URL {url} fails: {error}")),
            Err(_) => doubts.push(format!("the monitoring URL {url} does not answer")),
        }
    }
    // An operator's word covers what could not be asked, not what was seen to be wrong.
    if doubts.is_empty() && !config.attest_sync_always {
        if servers.len() < config.replicas {
            let (seen, all) = (servers.len(), config.replicas);
            doubts.push(format!(
                "monitoring URLs of {all} servers are needed, {seen} answered"
            ));
        }
        if !servers.contains(&link.client.server_info().server_id) {
            doubts.push("the monitoring URLs are of other servers than the connection".into());
        }
    }
    doubts
}

async fn varz(url: &str) -> Result<Varz, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let address = format!("{}/varz", url.trim_end_matches('/'));
    let address: hyper::Uri = address.parse().map_err(|error| text(&error))?;
    if address.scheme_str() != Some("http") {
        return Err("it must begin with http://".into());
    }
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new())
        .pool_idle_timeout(Duration::from_secs(1))
        .build_http();
    let answer = client.get(address).await.map_err(|error| text(&error))?;
    if !answer.status().is_success() {
        return Err(answer.status().to_string());
    }
    let body = Limited::new(answer.into_body(), LARGEST_ANSWER)
        .collect()
        .await;
    let body = body.map_err(|error| text(&error))?.to_bytes();
    serde_json::from_slice(&body).map_err(|error| text(&error))
}
