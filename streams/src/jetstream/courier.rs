//! [`Courier`] by request and reply, past any stream.

use std::time::Duration;

use async_nats::{Request, RequestErrorKind};
use async_trait::async_trait;
use billfold_core::id::ProcessId;
use bytes::Bytes;
use futures::{StreamExt, future, stream::BoxStream};
use tokio::sync::oneshot;

use super::link::Link;
use crate::courier::{Courier, Lost, Parcel};

/// How long a hand-over waits. It is a courtesy: whoever gets no answer writes by itself.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct NatsCourier {
    link: Link,
}

impl NatsCourier {
    pub(super) const fn new(link: Link) -> Self {
        Self { link }
    }
}

fn subject(of: ProcessId) -> String {
    format!("wallet.handover.{of}")
}

#[async_trait]
impl Courier for NatsCourier {
    async fn hand_over(&self, to: ProcessId, bytes: Bytes) -> Result<Bytes, Lost> {
        let request = Request::new().payload(bytes).timeout(None);
        let sent = self.link.client.send_request(subject(to), request);
        match tokio::time::timeout(ANSWER_WITHIN, sent).await {
            Ok(Ok(answer)) => Ok(answer.payload),
            Ok(Err(error)) => Err(match error.kind() {
                RequestErrorKind::MaxPayloadExceeded
                | RequestErrorKind::InvalidSubject
                | RequestErrorKind::NoResponders => Lost::Unsent(error.to_string()),
                RequestErrorKind::TimedOut | RequestErrorKind::Other => {
                    Lost::Unanswered(error.to_string())
                }
            }),
            Err(_) => Err(Lost::Unanswered("no answer in time".into())),
        }
    }

    async fn inbox(&self, me: ProcessId) -> Result<BoxStream<'static, Parcel>, Lost> {
        let lost = |error: &dyn std::fmt::Display| Lost::Unanswered(error.to_string());
        let client = self.link.client.clone();
        let messages = client
            .subscribe(subject(me))
            .await
            .map_err(|error| lost(&error))?;
        // Others may hand over as soon as this returns: the server must know of it. It takes what
        // one connection sends in order, so any answer will do, also that nobody is there.
        let probe = Request::new().timeout(Some(ANSWER_WITHIN));
        match client
            .send_request(format!("{}.probe", subject(me)), probe)
            .await
        {
            Err(error) if error.kind() != RequestErrorKind::NoResponders => {
                return Err(lost(&error));
            }
            _ => {}
        }
        Ok(messages
            .filter_map(move |message| {
                let parcel = message.reply.map(|to| {
                    let (reply, answer) = oneshot::channel();
                    let client = client.clone();
                    tokio::spawn(async move {
                        if let Ok(answer) = answer.await
                            && let Err(error) = client.publish(to, answer).await
                        {
                            tracing::debug!(%error, "a hand-over's answer was not sent");
                        }
                    });
                    Parcel {
                        bytes: message.payload,
                        reply,
                    }
                });
                future::ready(parcel)
            })
            .boxed())
    }
}
