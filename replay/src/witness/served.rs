//! Serves `add-checkpoint` of `c2sp.org/tlog-witness`: a log shows a checkpoint and what leads to it, and
//! gets a cosignature if that grew out of the last one.

use std::{
    future::{Ready, ready},
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
use axum_server::{Handle, accept::Accept};
use billfold_core::proof::{
    Checkpoint, Note, Submission, VerifierKey, note::Signature, submission,
};
use billfold_projector::tree;
use billfold_streams::clock::{Clock as _, System};
use hyper_util::rt::TokioTimer;
use tower_http::timeout::TimeoutLayer;

use super::{Memory, Refusal, Shown, WitnessKey, follows, size_of};
use crate::Error;

/// How long a request may take to arrive, its head and then its body.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long requests that are being answered may take when it is to end.
const LAST_ANSWERS: Duration = Duration::from_secs(10);
/// How many connections are taken at once.
const CONNECTIONS: usize = 256;
/// What the size of the last checkpoint is answered as.
const SIZE: &str = "text/x.tlog.size";

/// A witness that a log comes to.
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
    /// No key that is trusted signed it, or one that had given way before.
    Unsigned,
    /// The size that it goes on from is above its own.
    Shrinks,
    /// The last checkpoint is of this size, not of the one that it goes on from.
    Conflict(u64),
    /// What leads to it does not.
    Unproven,
    /// It has the size of the last one, this, and another root: evidence.
    Forked(u64, Refusal),
}

impl Served {
    /// A witness of the log whose checkpoints these keys sign, in the order in which each gave way to
    /// the next. Each checkpoint that it cosigns goes into the file `out`, too.
    ///
    /// # Errors
    /// When the keys are of several logs, or the memory is of another one.
    pub fn new(
        keys: Vec<VerifierKey>,
        own: WitnessKey,
        memory: Memory,
        out: Option<PathBuf>,
    ) -> Result<Self, Error> {
        let mut names = keys.iter().map(VerifierKey::name);
        let first = names.next();
        if names.any(|name| Some(name) != first) {
            return Err(Error::Usage("the keys are of several logs".to_owned()));
        }
        if let Some(last) = memory.last() {
            super::verified(last, &keys)
                .map_err(|_| Error::Usage(Refusal::OtherMemory.to_string()))?;
        }
        Ok(Self {
            keys,
            own,
            memory: Mutex::new(memory),
            out,
        })
    }

    /// Decides on a checkpoint. It is remembered before it is signed, and without what others wrote
    /// beside it.
    ///
    /// # Errors
    /// When it cannot be remembered.
    pub fn add(&self, submission: Submission) -> Result<Answer, Error> {
        let Submission {
            old,
            proof,
            checkpoint,
        } = submission;
        let Ok(now) = Checkpoint::parse(checkpoint.text()) else {
            return Ok(Answer::UnknownLog);
        };
        if !self.keys.iter().any(|key| *key.name() == now.origin) {
            return Ok(Answer::UnknownLog);
        }
        let note = checkpoint.only(&self.keys);
        if note.signatures().is_empty() {
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
        match follows(last.as_ref(), &shown, &self.keys) {
            Ok(_) => {}
            Err(Refusal::OlderKey { .. }) => return Ok(Answer::Unsigned),
            Err(refusal @ Refusal::Forked { .. }) => return Ok(Answer::Forked(seen, refusal)),
            Err(_) => return Ok(Answer::Unproven),
        }
        let is_new = last.is_none_or(|last| last.text() != shown.note.text());
        memory.remember(&shown.note)?;
        let signature = shown.note.cosign(self.own.signer(), System.now().0 / 1000);
        if is_new {
            self.put_out(shown.note.with(signature.clone()));
        }
        Ok(Answer::Cosigned(signature))
    }

    /// What was signed stands, whether that file can be written or not.
    fn put_out(&self, cosigned: Note) {
        let Some(file) = &self.out else { return };
        if let Err(error) = tree::replace(file, cosigned.to_string().as_bytes()) {
            let file = file.display();
            let _ = writeln!(
                io::stderr(),
                "billfold-replay: {file} cannot be written: {error}"
            );
        }
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
            Self::Conflict(size) | Self::Forked(size, _) => conflict(size),
            Self::Unproven => text(
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
            if let Answer::Forked(_, refusal) = &answer {
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

/// Takes a bounded number of connections: those beyond are closed at once.
#[derive(Debug, Clone)]
struct Bounded(Handle<SocketAddr>);

impl<I, S> Accept<I, S> for Bounded {
    type Stream = I;
    type Service = S;
    type Future = Ready<io::Result<(I, S)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        ready(match self.0.connection_count() > CONNECTIONS {
            true => Err(io::Error::other("too many connections")),
            false => Ok((stream, service)),
        })
    }
}

/// What a witness answers: `POST /add-checkpoint`.
fn router(witness: Arc<Served>) -> Router {
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
    let bounded = Bounded(handle.clone());
    let mut server = axum_server::from_tcp(socket)
        .map_err(failed)?
        .handle(handle.clone())
        .acceptor(bounded)
        .http1_only();
    server
        .http_builder()
        .http1()
        .keep_alive(false)
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
