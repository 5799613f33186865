//! What the demo says while it works: lines, and a bar where a person watches.

use crate::cli::Output;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Instant;

/// See the module.
pub(super) struct Progress {
    out: Output,
    bars: indicatif::MultiProgress,
    started: Instant,
}

impl Progress {
    pub(super) fn new(out: Output) -> Self {
        Self { out, bars: indicatif::MultiProgress::new(), started: Instant::now() }
    }

    pub(super) fn say(&self, text: &str) {
        let line = format!("[{:5.1} s] {text}", self.started.elapsed().as_secs_f64());
        if self.out.is_terminal() {
            let _ = self.bars.println(&line);
        } else {
            eprintln!("{line}");
        }
    }

    pub(super) fn step(&self, text: &str) {
        self.say(text);
    }

    pub(super) fn warn(&self, text: &str) {
        self.say(&format!("note: {text}"));
    }

    pub(super) fn bar(&self, rounds: u64) -> RoundBar<'_> {
        let bar = self.out.is_terminal().then(|| {
            let style = ProgressStyle::with_template("          round {pos}/{len} {bar:40} {elapsed}")
                .expect("the template is valid");
            self.bars.add(ProgressBar::new(rounds).with_style(style))
        });
        RoundBar { bar, progress: self }
    }

    pub(super) fn finish(&self) {
        self.say("done");
    }
}

/// How far training is.
pub(super) struct RoundBar<'a> {
    bar: Option<ProgressBar>,
    progress: &'a Progress,
}

impl RoundBar<'_> {
    pub(super) fn round(&self, round: u32, rounds: u32) {
        match &self.bar {
            Some(bar) => bar.set_position(round.into()),
            // Ten lines are enough for a log.
            None if rounds <= 10 || round.is_multiple_of(rounds.div_ceil(10)) || round == rounds => {
                self.progress.say(&format!("round {round} of {rounds}"));
            }
            None => {}
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
