//! Handing waiting commands to the node that wins the races.
//!
//! A node with a longer way to the log would lose every race. The hand-over only saves it work: a
//! command carries an id, so that it is done once even when the answer is lost and this node
//! decides it again.

use std::{collections::VecDeque, sync::Arc};

use billfold_core::{
    entropy::Entropy as _,
    handover::{self, Answer},
    id::{CommandId, ProcessId},
};
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::{mpsc, oneshot};

use crate::{
    Courier,
    backoff::Backoff,
    clock::Clock,
    committer::{Committed, Committer, Error, Waiting},
    courier::{Lost, Parcel},
    custody::Custody,
    entropy::Os,
    replica::Replica,
};

/// How many bytes of commands go into one parcel. A larger command goes alone.
const PARCEL: usize = 256 << 10;
/// What a message holds besides the commands: the sender, and what sealing adds.
const WRAPPING: usize = 256;
/// How many commands go into one parcel.
const COMMANDS: usize = 512;

impl<R: Replica> Committer<R> {
    /// Hands what waits to `winner`, as far as another node can do it. What is not answered stays.
    pub(super) async fn hand_over(&mut self, winner: ProcessId) {
        let Some(courier) = self.courier.clone() else {
            return;
        };
        let count = self.choose();
        if count == 0 {
            return;
        }
        let chosen = self.again.iter().take(count);
        let Some(plain) = handover::encode(chosen.map(|waiting| &waiting.command)) else {
            return;
        };
        let (me, keys) = (self.custody.process(), self.custody.keys());
        let key = &keys.command;
        let place = handover::place(self.custody.wallet(), me, winner);
        let mut parcel = me.as_bytes().to_vec();
        parcel.extend_from_slice(&key.seal_hand_over(&place, &plain, &mut Os::new()));
        let answers = match courier.hand_over(winner, Bytes::from(parcel)).await {
            Ok(sealed) => key.open_answer(&place, &sealed).ok(),
            Err(lost) => {
                tracing::debug!(%lost, "a hand-over came to nothing");
                // What never left this node cannot have been done elsewhere.
                if matches!(lost, Lost::Unsent(_)) {
                    return;
                }
                None
            }
        };
        let answers = answers.and_then(|plain| handover::decode_answers(plain.expose()).ok());
        let Some(answers) = answers.filter(|answers| answers.len() == count) else {
            let handed_over = self.again.iter_mut().take(count);
            return handed_over.for_each(|waiting| waiting.elsewhere = true);
        };
        let mut left = Vec::new();
        for (answer, mut waiting) in answers.into_iter().zip(self.again.drain(..count)) {
            match answer {
                Answer::Done {
                    time,
                    versions,
                    seq,
                } => {
                    let done = billfold_core::command::Done { time, versions };
                    waiting.answer(Ok(Committed { done, seq }));
                }
                Answer::Refused(refusal) => waiting.answer(Err(refusal.into())),
                Answer::Open => {
                    waiting.elsewhere = true;
                    left.push(waiting);
                }
            }
        }
        self.requeue(left);
        self.races = 0;
    }

    /// Puts what fits into a parcel before the rest, each with an id, and returns how many they
    /// are. What no other node can do must not hold the others up.
    fn choose(&mut self) -> usize {
        let alone = self.log.max_message().saturating_sub(WRAPPING);
        let (mut chosen, mut left) = (VecDeque::new(), VecDeque::new());
        let mut size = 0;
        let mut entropy = Os::new();
        self.again.retain(|waiting| !waiting.reply.is_closed());
        for mut waiting in self.again.drain(..) {
            let weight = handover::weight(&waiting.command);
            let fits = match chosen.len() {
                0 => weight <= alone,
                count => count < COMMANDS && size + weight <= PARCEL,
            };
            if fits && handover::can_go(&waiting.command) {
                size += weight;
                let id = &mut waiting.command.id;
                id.get_or_insert_with(|| new_id(&*self.clock, &mut entropy));
                chosen.push_back(waiting);
            } else {
                left.push_back(waiting);
            }
        }
        let count = chosen.len();
        chosen.append(&mut left);
        self.again = chosen;
        count
    }
}

/// A UUID of version 7 (RFC 9562, section 5.7).
fn new_id(clock: &dyn Clock, entropy: &mut Os) -> CommandId {
    let mut bytes: [u8; 16] = entropy.bytes();
    let [_, _, time @ ..] = clock.now().0.to_be_bytes();
    bytes.iter_mut().zip(time).for_each(|(to, from)| *to = from);
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = *version & 0x0f | 0x70;
    *variant = *variant & 0x3f | 0x80;
    CommandId::from_bytes(bytes)
}

/// What other nodes hand to this one.
pub(super) struct Inbox {
    pub(super) courier: Arc<dyn Courier>,
    pub(super) custody: Arc<Custody>,
    pub(super) queue: mpsc::WeakSender<Waiting>,
}

impl Inbox {
    pub(super) async fn run(self) {
        let me = self.custody.process();
        let mut backoff = Backoff::new();
        let mut parcels = loop {
            match self.courier.inbox(me).await {
                Ok(parcels) => break parcels,
                Err(lost) => tracing::warn!(%lost, "no commands of other nodes arrive here yet"),
            }
            backoff.wait().await;
            if self.queue.upgrade().is_none() {
                return;
            }
        };
        while let Some(parcel) = parcels.next().await {
            let Some(queue) = self.queue.upgrade() else {
                return;
            };
            tokio::spawn(serve(Arc::clone(&self.custody), queue, parcel));
        }
    }
}

/// Decides a parcel's commands with this node's own, and answers when all are answered.
async fn serve(custody: Arc<Custody>, queue: mpsc::Sender<Waiting>, parcel: Parcel) {
    let keys = custody.keys();
    let key = &keys.command;
    let Some((from, sealed)) = parcel.bytes.split_first_chunk::<16>() else {
        return;
    };
    let place = handover::place(
        custody.wallet(),
        ProcessId::from_bytes(*from),
        custody.process(),
    );
    let Ok(plain) = key.open_hand_over(&place, sealed) else {
        return tracing::warn!("a hand-over does not open: it is not from a node of this wallet");
    };
    let Ok(commands) = handover::decode(plain.expose()) else {
        return tracing::warn!("a hand-over is of another format");
    };
    let mut outcomes = Vec::with_capacity(commands.len());
    for command in commands {
        let (reply, outcome) = oneshot::channel();
        if queue.send(Waiting::new(command, reply)).await.is_err() {
            return;
        }
        outcomes.push(outcome);
    }
    let mut answers = Vec::with_capacity(outcomes.len());
    for outcome in outcomes {
        answers.push(match outcome.await {
            Ok(Ok(committed)) => Answer::done(committed.done, committed.seq),
            Ok(Err(Error::Refused(refusal))) => Answer::Refused(refusal),
            Ok(Err(_)) | Err(_) => Answer::Open,
        });
    }
    let sealed = key.seal_answer(&place, &handover::encode_answers(&answers), &mut Os::new());
    let _ = parcel.reply.send(Bytes::from(sealed));
}
