//! How far a view has come: a bar on a terminal, log lines elsewhere.

use std::{
    io::IsTerminal as _,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use billfold_core::id::Seq;
use billfold_projector::keychain::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// How often a log line is written.
const LINES: Duration = Duration::from_secs(5);

/// Tells a person or a log how far a view has come.
#[must_use]
pub fn for_terminal() -> Box<dyn Progress> {
    if std::io::stderr().is_terminal() {
        return Box::new(Bar(ProgressBar::hidden().with_style(style())));
    }
    Box::new(Lines {
        told: Mutex::new(Instant::now()),
        began: Instant::now(),
    })
}

fn style() -> ProgressStyle {
    let template = "catching up {wide_bar} {pos}/{len} {per_sec} {eta}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

struct Bar(ProgressBar);

impl Progress for Bar {
    fn at(&self, done: Seq, total: Seq) {
        if self.0.is_hidden() {
            self.0
                .set_draw_target(indicatif::ProgressDrawTarget::stderr());
        }
        self.0.set_length(total.0);
        self.0.set_position(done.0);
    }

    fn caught_up(&self, _commits: u64) {
        self.0.finish_and_clear();
    }
}

struct Lines {
    told: Mutex<Instant>,
    began: Instant,
}

impl Progress for Lines {
    fn at(&self, done: Seq, total: Seq) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= LINES {
            *told = Instant::now();
            tracing::info!(done = done.0, total = total.0, "the view is catching up");
        }
    }

    fn caught_up(&self, commits: u64) {
        if commits > 0 {
            let millis = self.began.elapsed().as_millis();
            tracing::info!(commits, millis, "the view has caught up with the log");
        }
    }
}
