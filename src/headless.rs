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
use crate::console::{Completion, stdout_error};
use crate::engine::EngineHandle;
use crate::error::{Error, Result};
use crate::protocol::{Event, Severity};

pub use devices::print_devices;
use subtitles::Subtitles;
use text::Lines;

/// Prints what `engine` reports to `out` until the session has finished; what is not the product goes to `notes`.
///
/// A reader of `out` that goes away ends the session and is a success: it has seen enough.
///
/// # Errors
/// `Output` when `out` cannot be written, for instance because the disk is full.
pub fn run(engine: EngineHandle, format: OutputFormat, out: impl Write, notes: impl Write) -> Result<Completion> {
    // Where signals cannot be caught, or are caught already, they end the process as they always did.
    let _ = ctrlc::set_handler(engine.stopper());
    let mut printer = Printer::new(format, BufWriter::new(out), notes);
    let outcome = match follow(&engine, &mut printer) {
        Ok(outcome) => Ok(outcome),
        Err(Stopped::Write(e)) if e.kind() == IoErrorKind::BrokenPipe => Ok(Completion::Clean),
        Err(Stopped::Write(e)) => Err(stdout_error(&e)),
        Err(Stopped::EngineGone) => Err(Error::internal("the engine ended without finishing the session")),
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

fn follow<O: Write, N: Write>(engine: &EngineHandle, printer: &mut Printer<O, N>) -> Result<Completion, Stopped> {
    let mut hurt = Completion::Problems;
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
            Event::Problem { severity: Severity::Error, .. } => hurt = Completion::CouldNotRun,
            Event::SessionFinished { chunks, problems, .. } => {
                printer.out.flush()?;
                let outcome = match (problems, chunks) {
                    (0, _) => Completion::Clean,
                    (_, 0) => hurt,
                    _ => Completion::Problems,
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
