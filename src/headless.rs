//! The face without a window: events in, text, JSON Lines or subtitles out.
//!
//! Responsible for printing what the engine reports and for how the run counts as a whole. Not responsible for what is
//! heard or decided: it sees the engine through its handle only.

mod devices;
mod subtitles;
mod text;

use std::io::{self, BufWriter, ErrorKind as IoErrorKind, Write};

use crossbeam_channel::TryRecvError;

use crate::config::OutputFormat;
use crate::engine::EngineHandle;
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::{Event, Severity};

pub use devices::print_devices;
use subtitles::Subtitles;
use text::Lines;

/// How a run counts as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything went as asked.
    Clean,
    /// It finished, and there were problems on the way.
    Problems,
    /// Nothing could be heard at all.
    CouldNotRun,
}

impl Outcome {
    /// The exit code of the process (CONTRACT.md).
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Problems => 1,
            Self::CouldNotRun => 2,
        }
    }
}

/// Prints what `engine` reports to `out` until the session has finished; what is not the product goes to `notes`.
///
/// A reader of `out` that goes away ends the session and is a success: it has seen enough.
///
/// # Errors
/// `Output` when `out` cannot be written, for instance because the disk is full.
pub fn run(engine: EngineHandle, format: OutputFormat, out: impl Write, notes: impl Write) -> Result<Outcome> {
    // Where signals cannot be caught, or are caught already, they end the process as they always did.
    let _ = ctrlc::set_handler(engine.stopper());
    let mut printer = Printer::new(format, BufWriter::new(out), notes);
    let outcome = match follow(&engine, &mut printer) {
        Ok(outcome) => Ok(outcome),
        Err(Stopped::Write(e)) if e.kind() == IoErrorKind::BrokenPipe => Ok(Outcome::Clean),
        Err(Stopped::Write(e)) => Err(Error::new(ErrorKind::Output, format!("stdout cannot be written: {e}"))),
        Err(Stopped::EngineGone) => Err(Error::new(ErrorKind::Internal, "the engine ended without finishing the session")),
    };
    // What is still buffered after a failed write must not be written again when the buffer is dropped.
    let _ = printer.out.into_parts();
    drop(engine);
    outcome
}

enum Stopped {
    Write(io::Error),
    EngineGone,
}

impl From<io::Error> for Stopped {
    fn from(e: io::Error) -> Self {
        Self::Write(e)
    }
}

fn follow<O: Write, N: Write>(engine: &EngineHandle, printer: &mut Printer<O, N>) -> Result<Outcome, Stopped> {
    let mut hurt = Outcome::Problems;
    loop {
        let event = match engine.events().try_recv() {
            Ok(event) => event,
            Err(TryRecvError::Disconnected) => {
                printer.out.flush()?;
                return Err(Stopped::EngineGone);
            }
            Err(TryRecvError::Empty) => {
                // Nothing more is known at this moment, so a reader should have all of it.
                printer.out.flush()?;
                engine.events().recv().map_err(|_| Stopped::EngineGone)?
            }
        };
        printer.print(&event)?;
        match event {
            Event::Problem { severity: Severity::Error, .. } => hurt = Outcome::CouldNotRun,
            Event::SessionFinished { chunks, problems, .. } => {
                printer.out.flush()?;
                let outcome = match (problems, chunks) {
                    (0, _) => Outcome::Clean,
                    (_, 0) => hurt,
                    _ => Outcome::Problems,
                };
                return Ok(outcome);
            }
            _ => {}
        }
    }
}

/// Where events go, and in which form.
struct Printer<O: Write, N: Write> {
    form: Form,
    out: BufWriter<O>,
    notes: N,
}

enum Form {
    Jsonl,
    Text(Lines),
    Subtitles(Box<Subtitles>),
}

impl<O: Write, N: Write> Printer<O, N> {
    fn new(format: OutputFormat, out: BufWriter<O>, notes: N) -> Self {
        let form = match format {
            OutputFormat::Jsonl => Form::Jsonl,
            OutputFormat::Text => Form::Text(Lines::default()),
            OutputFormat::Srt => Form::Subtitles(Box::new(Subtitles::srt())),
            OutputFormat::Vtt => Form::Subtitles(Box::new(Subtitles::vtt())),
        };
        Self { form, out, notes }
    }

    fn print(&mut self, event: &Event) -> io::Result<()> {
        match &mut self.form {
            Form::Jsonl => {
                serde_json::to_writer(&mut self.out, event)?;
                return self.out.write_all(b"\n");
            }
            Form::Text(lines) => lines.print(event, &mut self.out)?,
            Form::Subtitles(subtitles) => subtitles.print(event, &mut self.out)?,
        }
        self.note(event);
        Ok(())
    }

    /// Says on the side what a person should know and a script reads from the events.
    fn note(&mut self, event: &Event) {
        if let Some(note) = text::note(event) {
            // That notes cannot be written is no reason to stop listening, and there is nowhere left to say so.
            let _ = writeln!(self.notes, "{note}");
        }
    }
}

#[cfg(test)]
mod tests;
