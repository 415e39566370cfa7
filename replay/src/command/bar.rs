//! A progress bar on standard error, if that is a terminal.

use billfold_core::id::Seq;
use indicatif::{ProgressBar, ProgressStyle};

pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new(0);
        let template = "{bar:40} {pos}/{len} commits, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub(super) fn at(&mut self, at: Seq, end: Seq) {
        if self.0.length() != Some(end.0) {
            self.0.set_length(end.0);
        }
        self.0.set_position(at.0);
    }

    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
