//! The commands `hearken listen`, which prints events as text, JSON Lines or subtitles, and `hearken devices`.
//!
//! Uses the engine only through its handle.

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
use crate::text::clean_name;

pub use devices::print_devices;
use subtitles::Subtitles;
use text::TextPrinter;

/// Prints the events of `engine` to `out` in `format` until the session has finished, and messages for people to `notes`, except
/// for JSON Lines. Ctrl-C ends the session in order. Returns `Clean` without problems and lost sound, `CouldNotRun` if there was an error and no
/// audio, else `Problems`.
///
/// If the reader of `out` goes away, the session ends and counts as clean.
///
/// # Errors
/// `Output` when `out` cannot be written, for example because the disk is full; `Internal` when the engine ends without
/// `session_finished`.
pub fn run(engine: EngineHandle, format: OutputFormat, out: impl Write, notes: impl Write) -> Result<Completion> {
    // If a signal handler cannot be set, signals end the process at once.
    let _ = ctrlc::set_handler(engine.stopper());
    let mut printer = Printer::new(format, BufWriter::new(out), notes);
    let completion = match follow(&engine, &mut printer) {
        Ok(completion) => Ok(completion),
        Err(Stopped::Write(e)) if e.kind() == IoErrorKind::BrokenPipe => Ok(Completion::Clean),
        Err(Stopped::Write(e)) => Err(stdout_error(&e)),
        Err(Stopped::EngineGone) => Err(Error::internal("the engine ended without finishing the session")),
    };
    // After a failed write, the rest of the buffer must not be written when the buffer is dropped.
    let _ = printer.out.into_parts();
    drop(engine);
    completion
}

/// The reason for which printing ended before the session did.
enum Stopped {
    /// Standard output could not be written.
    Write(io::Error),
    /// The engine ended without the event `session_finished`.
    EngineGone,
}

impl From<io::Error> for Stopped {
    fn from(e: io::Error) -> Self {
        Self::Write(e)
    }
}

/// Prints the events of `engine` until the session has finished, and returns the result of the command `listen`.
fn follow<O: Write, N: Write>(engine: &EngineHandle, printer: &mut Printer<O, N>) -> Result<Completion, Stopped> {
    // The result if no audio was heard.
    let mut nothing_heard = Completion::Problems;
    let mut is_whole = true;
    loop {
        let event = match engine.events().try_recv() {
            Ok(event) => event,
            Err(TryRecvError::Disconnected) => {
                printer.out.flush()?;
                return Err(Stopped::EngineGone);
            }
            Err(TryRecvError::Empty) => {
                // No event is waiting: hand the reader all that is known.
                printer.out.flush()?;
                engine.events().recv().map_err(|_| Stopped::EngineGone)?
            }
        };
        printer.print(&event)?;
        match event {
            Event::Problem { severity: Severity::Error, .. } => nothing_heard = Completion::CouldNotRun,
            Event::AudioGap { .. } => is_whole = false,
            Event::SessionFinished { chunks, problems, .. } => {
                printer.out.flush()?;
                let completion = match (problems, chunks) {
                    (0, _) if is_whole => Completion::Clean,
                    (_, 0) => nothing_heard,
                    _ => Completion::Problems,
                };
                return Ok(completion);
            }
            _ => {}
        }
    }
}

/// The printer of events in one output format.
struct Printer<O: Write, N: Write> {
    format: FormatState,
    /// Standard output.
    out: BufWriter<O>,
    /// Stream for messages about the session to people: standard error.
    notes: N,
}

/// The output format of `listen`, with the data that the format needs between events.
enum FormatState {
    /// One event a line as JSON.
    Jsonl,
    /// Lines for people.
    Text(TextPrinter),
    /// SubRip or WebVTT.
    Subtitles(Box<Subtitles>),
}

impl<O: Write, N: Write> Printer<O, N> {
    fn new(format: OutputFormat, out: BufWriter<O>, notes: N) -> Self {
        let format = match format {
            OutputFormat::Jsonl => FormatState::Jsonl,
            OutputFormat::Text => FormatState::Text(TextPrinter::default()),
            OutputFormat::Srt => FormatState::Subtitles(Box::new(Subtitles::srt())),
            OutputFormat::Vtt => FormatState::Subtitles(Box::new(Subtitles::vtt())),
        };
        Self { format, out, notes }
    }

    fn print(&mut self, event: &Event) -> io::Result<()> {
        match &mut self.format {
            FormatState::Jsonl => {
                serde_json::to_writer(&mut self.out, event)?;
                return self.out.write_all(b"\n");
            }
            FormatState::Text(lines) => lines.print(event, &mut self.out)?,
            FormatState::Subtitles(subtitles) => subtitles.print(event, &mut self.out)?,
        }
        self.note(event);
        Ok(())
    }

    /// Writes the message for people about `event` to `notes`, if there is one. Not used for JSON Lines, whose readers have the event.
    fn note(&mut self, event: &Event) {
        if let Some(note) = text::note(event) {
            crate::console::note(&mut self.notes, clean_name(&note));
        }
    }
}

#[cfg(test)]
mod tests;
