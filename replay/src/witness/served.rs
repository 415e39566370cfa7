//! Serves `add-checkpoint` of `c2sp.org/tlog-witness`: a log shows a checkpoint and what leads to it, and
//! gets a cosignature if that grew out of the last one.

use std::{
    io::{self, Write as _},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use axum_server::Handle;
use billfold_core::proof::{
    Checkpoint, Note, Submission, VerifierKey, note::Signature, submission,
};
use billfold_projector::tree;
use hyper_util::rt::TokioTimer;
use tower_http::timeout::TimeoutLayer;

use super::{Memory, Refusal, Shown, WitnessKey, follows, size_of};
use crate::Error;

/// How long a request may take to arrive, its head and then its body.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long requests that are being answered may take when it is to end.
const LAST_ANSWERS: Duration = Duration::from_secs(10);
/// What the size of the last checkpoint is answered as.
const SIZE: &str = "text/x.tlog.size";

/// A witness that logs come to. It has one log.
#[derive(Debug)]
pub struct Served {
    keys: Vec<VerifierKey>,
    own: WitnessKey,
    memory: Mutex<Memory>,
    out: Option<PathBuf>,
}

/// What is answered.
#[derive(Debug)]
pub enum Answer {
    /// It grew: this signs it.
    Cosigned(Signature),
    /// It is of another log.
    UnknownLog,
    /// No key that is trusted signed it.
    Unsigned,
    /// The size that it goes on from is above its own.
    Shrinks,
    /// The last checkpoint is of this size, not of the one that it goes on from.
    Conflict(u64),
    /// What leads to it does not.
    Unproven,
    /// It has the size of the last one and another root, or did not grow out of it: evidence.
    Forked(Refusal),
}

impl Served {
    /// A witness of the log whose checkpoints these keys sign. Each checkpoint that it cosigns goes
    /// into the file `out`, too.
    #[must_use]
    pub const fn new(
        keys: Vec<VerifierKey>,
        own: WitnessKey,
        memory: Memory,
        out: Option<PathBuf>,
    ) -> Self {
        Self {
            keys,
            own,
            memory: Mutex::new(memory),
            out,
        }
    }

    /// Decides on a checkpoint. It is remembered before it is signed.
    ///
    /// # Errors
    /// When it cannot be remembered.
    pub fn add(&self, submission: Submission) -> Result<Answer, Error> {
        let Submission {
            old,
            proof,
            checkpoint: note,
        } = submission;
        let Ok(now) = Checkpoint::parse(note.text()) else {
            return Ok(Answer::UnknownLog);
        };
        if !self.keys.iter().any(|key| *key.name() == now.origin) {
            return Ok(Answer::UnknownLog);
        }
        if super::verified(&note, &self.keys).is_err() {
            return Ok(Answer::Unsigned);
        }
        if old > now.size {
            return Ok(Answer::Shrinks);
        }
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let last = memory.last().cloned();
        let seen = last.as_ref().map_or(0, size_of);
        if old != seen {
            return Ok(Answer::Conflict(seen));
        }
        // Nothing leads to what is first, and nothing has to lead to what is the same.
        if (old == 0 || old == now.size) && !proof.is_empty() {
            return Ok(Answer::Unproven);
        }
        let shown = Shown {
            note,
            proof: Some(proof),
        };
        if let Err(refusal) = follows(last.as_ref(), &shown, &self.keys) {
            return Ok(Answer::Forked(refusal));
        }
        let cosigned = self.own_signature(&mut memory, shown.note)?;
        drop(memory);
        Ok(Answer::Cosigned(cosigned))
    }

    fn own_signature(&self, memory: &mut Memory, note: Note) -> Result<Signature, Error> {
        let signature = super::signature(memory, &self.own, &note)?;
        if let Some(file) = &self.out {
            let whole = note.with(signature.clone()).to_string();
            tree::replace(file, whole.as_bytes())?;
        }
        Ok(signature)
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let text = |status: StatusCode, why: &'static str| (status, why).into_response();
        let conflict = |size: u64| {
            let body = format!("{size}\n");
            (StatusCode::CONFLICT, [(CONTENT_TYPE, SIZE)], body).into_response()
        };
        match self {
            Self::Cosigned(signature) => signature.to_string().into_response(),
            Self::UnknownLog => text(StatusCode::NOT_FOUND, "the log is not known here\n"),
            Self::Unsigned => text(StatusCode::FORBIDDEN, "no trusted key signed it\n"),
            Self::Shrinks => text(StatusCode::BAD_REQUEST, "old is above its size\n"),
            Self::Conflict(size) => conflict(size),
            Self::Forked(Refusal::Forked { before, now }) if size_of(&before) == size_of(&now) => {
                conflict(size_of(&before))
            }
            Self::Unproven | Self::Forked(_) => text(
                StatusCode::UNPROCESSABLE_ENTITY,
                "the proof does not hold\n",
            ),
        }
    }
}

async fn add(State(witness): State<Arc<Served>>, body: Bytes) -> Response {
    let Ok(submission) = Submission::parse(&body) else {
        let why = "it is not what a log sends to a witness\n";
        return (StatusCode::BAD_REQUEST, why).into_response();
    };
    let answered = tokio::task::spawn_blocking(move || witness.add(submission)).await;
    // Whoever shows the evidence does not tell of it: the one who runs the witness is to know.
    let mut told = io::stderr();
    match answered {
        Ok(Ok(answer)) => {
            if let Answer::Forked(refusal) = &answer {
                let _ = writeln!(told, "BROKEN       {refusal}");
            }
            answer.into_response()
        }
        Ok(Err(error)) => {
            let _ = writeln!(told, "billfold-replay: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        // A panic in there is a bug: it goes on in the task that waits.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// What a witness answers: `POST /add-checkpoint`.
pub fn router(witness: Arc<Served>) -> Router {
    let late = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, PATIENCE);
    Router::new()
        .route("/add-checkpoint", post(add))
        .layer(DefaultBodyLimit::max(submission::LARGEST))
        .layer(late)
        .with_state(witness)
}

/// Serves until `stop` comes. `listening` is told where, once it takes connections.
///
/// # Errors
/// When it cannot listen there.
pub async fn serve(
    witness: Arc<Served>,
    address: SocketAddr,
    listening: impl FnOnce(SocketAddr),
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let failed = |error: io::Error| Error::Usage(format!("it cannot listen on {address}: {error}"));
    let socket = TcpListener::bind(address).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    listening(socket.local_addr().map_err(failed)?);
    let handle = Handle::new();
    let mut server = axum_server::from_tcp(socket)
        .map_err(failed)?
        .handle(handle.clone());
    server
        .http_builder()
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE);
    let serving = server.serve(router(witness).into_make_service());
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended.map_err(failed),
        () = stop => handle.graceful_shutdown(Some(LAST_ANSWERS)),
    }
    serving.await.map_err(failed)
}
