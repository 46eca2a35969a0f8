//! Progress of a run on stderr: a bar on a terminal, a line per 10 % elsewhere.

use std::io::{IsTerminal, Write};
use std::time::Instant;

/// Width of the progress bar, in characters.
const WIDTH: usize = 30;

/// The display of a run's progress, with an estimate of the time left: a bar if stderr is a terminal, otherwise a line per 10 %.
#[derive(Debug)]
pub struct Progress<W: Write> {
    /// Output of the display.
    notes: W,
    display: Display,
    /// Number of items of the run.
    all: usize,
    /// Number of items that an earlier run finished.
    before: usize,
    /// Number of finished items, those of an earlier run included.
    done: usize,
    /// Time at which this run started.
    begun: Instant,
    /// Percentage displayed last; None before the first line.
    shown: Option<usize>,
}

/// The form of a progress display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Display {
    /// A bar that is overwritten, on a terminal.
    Bar,
    /// A line per 10 %, in a file or pipe.
    Lines,
}

impl<W: Write> Progress<W> {
    /// Starts the display of a run of `all` items, of which `done` were finished by an earlier run, and writes its first line to `notes`.
    /// Failed writes are ignored, here and later.
    pub fn new(notes: W, all: usize, done: usize) -> Self {
        let display = if std::io::stderr().is_terminal() { Display::Bar } else { Display::Lines };
        let mut progress = Self { notes, display, all, before: done, done, begun: Instant::now(), shown: None };
        if done > 0 {
            progress.say(&format!("{done} of {all} items were finished by an earlier run\n"));
        }
        progress.show();
        progress
    }

    /// Adds `items` newly finished items and updates the display if the percentage (without a terminal: a multiple of 10 %) has
    /// changed.
    pub fn add(&mut self, items: usize) {
        self.done += items;
        self.show();
    }

    /// Ends the line of the progress bar; writes nothing if lines are displayed.
    pub fn end(&mut self) {
        if self.display == Display::Bar {
            self.say("\n");
        }
    }

    fn show(&mut self) {
        let percent = self.done * 100 / self.all.max(1);
        let step = if self.display == Display::Bar { percent } else { percent / 10 * 10 };
        if self.shown == Some(step) && (self.display == Display::Lines || self.done < self.all) {
            return;
        }
        self.shown = Some(step);
        let secs = self.begun.elapsed().as_secs_f64();
        let new = self.done - self.before;
        let left = if new > 0 { duration(secs * (self.all - self.done) as f64 / new as f64) } else { "?".to_owned() };
        let line = match self.display {
            Display::Bar => {
                let full = percent * WIDTH / 100;
                let bar = format!("{}{}", "█".repeat(full), "░".repeat(WIDTH - full));
                format!("\r{bar} {percent:3} %  {} of {}, {left} left   ", self.done, self.all)
            }
            Display::Lines => format!("{percent:3} %  {} of {} items, {left} left\n", self.done, self.all),
        };
        self.say(&line);
    }

    fn say(&mut self, text: &str) {
        // A closed stderr must not stop the run.
        let _ = self.notes.write_all(text.as_bytes()).and_then(|()| self.notes.flush());
    }
}

/// Returns a duration in seconds as text, rounded to seconds, or to minutes from an hour on: `5 s`, `2 min 3 s`, `1 h 4 min`.
fn duration(secs: f64) -> String {
    let secs = secs.round() as u64;
    match (secs / 3_600, secs / 60 % 60, secs % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_an_earlier_run_do_not_count_towards_the_speed() {
        let mut notes = Vec::new();
        let mut progress = Progress { display: Display::Lines, ..Progress::new(&mut notes, 10, 8) };
        progress.add(2);
        progress.end();
        let text = String::from_utf8(notes).expect("text");
        assert!(
            text.starts_with("8 of 10 items were finished by an earlier run") && text.contains("100 %  10 of 10 items, 0 s left"),
            "{text}"
        );
        assert_eq!((duration(59.6), duration(3_725.0)), ("1 min 0 s".to_owned(), "1 h 2 min".to_owned()));
    }
}
