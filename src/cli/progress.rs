//! A progress bar on standard error, only where somebody watches.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::config;

/// Counts texts and tokens; shows tokens/s and the time left.
pub(super) struct Progress {
    bar: ProgressBar,
    start: Instant,
    texts: u64,
    tokens: u64,
}

impl Progress {
    /// `total_bytes` of the input where they are known.
    pub(super) fn new(total_bytes: Option<u64>, quiet: bool) -> Self {
        let shown = is_shown(quiet);
        let bar = ProgressBar::with_draw_target(total_bytes, target(shown));
        let template = if total_bytes.is_some() {
            "{bar:30} {percent:>3}% {msg}, {eta} left"
        } else {
            "{spinner} {msg}, {elapsed}"
        };
        // A template of ours that does not parse leaves indicatif's own.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        if shown {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self { bar, start: Instant::now(), texts: 0, tokens: 0 }
    }

    /// Adds what has been done.
    pub(super) fn add(&mut self, bytes: u64, texts: usize, tokens: usize) {
        self.texts += texts as u64;
        self.tokens += tokens as u64;
        let rate = self.tokens as f64 / self.start.elapsed().as_secs_f64().max(1e-9);
        self.bar.set_message(format!("{} texts, {rate:.0} tokens/s", self.texts));
        self.bar.inc(bytes);
    }

    /// Removes the bar and logs the sums.
    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
        let seconds = self.start.elapsed().as_secs_f64();
        let rate = (self.tokens as f64 / seconds.max(1e-9)).round() as u64;
        let (texts, tokens) = (self.texts, self.tokens);
        tracing::info!(texts, tokens, seconds, tokens_per_second = rate, "done");
    }
}

/// The bytes of the file that is being downloaded.
pub(super) struct PullProgress {
    bar: ProgressBar,
}

impl PullProgress {
    pub(super) fn new(quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), target(is_shown(quiet)));
        let template = "{bar:30} {bytes}/{total_bytes} {msg}, {bytes_per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// `done` of `size` bytes of `file` are here.
    pub(super) fn show(&mut self, file: &str, done: u64, size: u64) {
        if self.bar.message() != file {
            self.bar.set_message(file.to_owned());
            self.bar.reset();
        }
        self.bar.set_length(size);
        self.bar.set_position(done);
    }

    /// Removes the bar.
    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

fn is_shown(quiet: bool) -> bool {
    !quiet && std::io::stderr().is_terminal() && config::is_interactive()
}

fn target(shown: bool) -> ProgressDrawTarget {
    if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
}
