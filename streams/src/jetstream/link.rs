//! The connection, and one write over it.

use std::{future::Future, time::Duration};

use async_nats::{
    Client, Event, HeaderMap, Request, RequestErrorKind, ServerAddr,
    connection::State,
    header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
    jetstream::{self, context::ContextBuilder},
};
use bytes::Bytes;
use serde::Deserialize;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::{Config, ConnectError};
use crate::log::AppendError;

/// How often to look whether the connection is back.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A connection that comes back by itself, and tells when it was lost.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) context: jetstream::Context,
    pub(super) patience: Duration,
    /// How often the connection was lost.
    losses: watch::Receiver<u64>,
}

impl Link {
    pub(super) async fn connect(config: &Config) -> Result<Self, ConnectError> {
        let servers: Result<Vec<ServerAddr>, _> = config
            .url
            .split(',')
            .map(|url| url.trim().parse())
            .collect();
        let servers = servers.map_err(|error| ConnectError::Config(error.to_string()))?;
        let (lost, losses) = watch::channel(0);
        let options = config.options().await?.event_callback(move |event| {
            if matches!(event, Event::Disconnected | Event::Closed) {
                lost.send_modify(|count| *count += 1);
            }
            std::future::ready(())
        });
        let client = options
            .connect(servers)
            .await
            .map_err(|error| ConnectError::Unavailable(error.to_string()))?;
        if !client.is_server_compatible(2, 15, 0) {
            return Err(ConnectError::TooOld(client.server_info().version));
        }
        let context = ContextBuilder::new()
            .timeout(config.ack_timeout)
            .build(client.clone());
        Ok(Self {
            client,
            context,
            patience: config.ack_timeout,
            losses,
        })
    }

    /// Completes when the connection that stands now is lost.
    pub(super) fn loss(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut losses = self.losses.clone();
        losses.mark_unchanged();
        async move {
            // The sender lives as long as the client does.
            let _ = losses.changed().await;
        }
    }

    /// Whether the connection stands, at the latest after the patience.
    async fn stands(&self) -> bool {
        let until = Instant::now() + self.patience;
        while self.client.connection_state() != State::Connected {
            if Instant::now() >= until {
                return false;
            }
            sleep(LOOK_AGAIN).await;
        }
        true
    }

    /// Publishes once, if the subject's last sequence is `expected`.
    ///
    /// Nothing is handed to the client while there is no connection: it would keep it for later.
    pub(super) async fn publish(
        &self,
        stream: &str,
        subject: String,
        expected: u64,
        bytes: Bytes,
    ) -> Result<u64, AppendError> {
        if !self.stands().await {
            return Err(AppendError::Refused(
                "there is no connection to the NATS server".into(),
            ));
        }
        let loss = self.loss();
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
        // The client's own timeout begins only once its queue took the request.
        let request = Request::new().headers(headers).payload(bytes).timeout(None);
        let answer = tokio::select! {
            answer = timeout(self.patience, self.client.send_request(subject, request)) => answer,
            () = loss => return Err(AppendError::Unknown("the connection was lost".into())),
        };
        let answer = answer.map_err(|_| AppendError::Unknown("no answer in time".into()))?;
        match answer {
            Ok(message) => verdict(stream, &message.payload),
            Err(error) if error.kind() == RequestErrorKind::MaxPayloadExceeded => {
                Err(AppendError::Refused(error.to_string()))
            }
            Err(error) => Err(AppendError::Unknown(error.to_string())),
        }
    }
}

#[derive(Deserialize)]
struct Ack {
    #[serde(default)]
    stream: String,
    #[serde(default)]
    seq: u64,
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct ApiError {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

fn verdict(stream: &str, payload: &[u8]) -> Result<u64, AppendError> {
    let ack: Ack = serde_json::from_slice(payload)
        .map_err(|_| AppendError::Unknown("the acknowledgement makes no sense".into()))?;
    if let Some(error) = ack.error {
        let why = format!("{} ({})", error.description, error.err_code);
        return Err(match error.err_code {
            // Wrong last sequence; the second while another message is on its way to a cluster.
            10071 | 10164 => AppendError::Conflict,
            // What the server checks before it stores anything: resources (10002, 10023, 10028,
            // 10047), sizes (10054), expectations and headers (10003, 10060, 10070, 10193), a
            // sealed stream (10109).
            10002 | 10003 | 10023 | 10028 | 10047 | 10054 | 10060 | 10070 | 10109 | 10193 => {
                AppendError::Refused(why)
            }
            // Any other may come after it was stored, here or on a replica.
            _ => AppendError::Unknown(why),
        });
    }
    if ack.stream != stream || ack.seq == 0 {
        return Err(AppendError::Unknown(format!(
            "not {stream} but {:?} answered",
            ack.stream
        )));
    }
    Ok(ack.seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_definite_answers_count_as_such() {
        let of = |text: &str| verdict("S", text.as_bytes());
        assert!(matches!(of(r#"{"stream":"S","seq":7}"#), Ok(7)));
        for (code, definite) in [(10071, true), (10164, true)] {
            let text = format!(r#"{{"error":{{"code":400,"err_code":{code},"description":"x"}}}}"#);
            assert_eq!(matches!(of(&text), Err(AppendError::Conflict)), definite);
        }
        let refused = of(r#"{"error":{"code":503,"err_code":10023},"stream":"S","seq":0}"#);
        assert!(matches!(refused, Err(AppendError::Refused(_))));
        for open in [
            r#"{"error":{"code":503,"err_code":10077,"description":"no space"},"stream":"S"}"#,
            r#"{"stream":"T","seq":7}"#,
            r#"{"stream":"S"}"#,
            "thanks",
            "",
        ] {
            assert!(matches!(of(open), Err(AppendError::Unknown(_))), "{open}");
        }
    }
}
