//! The interface without a window, driven through the channels of an engine.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::*;
use crate::engine::Meters;
use crate::error::{ErrorKind, Remedy};
use crate::protocol::{Command, Emotion, GapCause, PROTOCOL, ReplyId, StopReason};
use crate::time::{ChunkIdx, StreamTime};

const CAPACITY: usize = 64;

fn engine() -> (EngineHandle, Sender<Event>, Receiver<Command>) {
    let (command_in, command_out) = bounded(CAPACITY);
    let (event_in, event_out) = bounded(CAPACITY);
    (EngineHandle::new(command_in, event_out, Arc::new(Meters::default()), Vec::new()), event_in, command_out)
}

fn at(chunks: u64) -> StreamTime {
    StreamTime::from_samples(chunks * 6_400)
}

fn started() -> Event {
    let modes = vec!["dialog".to_owned(), "transcribe".to_owned()];
    Event::SessionStarted { at: at(0), protocol: PROTOCOL, model: "m".to_owned(), source: "a.wav".to_owned(), modes, started_utc: None }
}

fn finished(chunks: u64, problems: u64) -> Event {
    Event::SessionFinished { at: at(chunks), chunks, replies: 0, audio_secs: at(chunks).secs(), problems }
}

fn problem(severity: Severity) -> Event {
    Event::Problem {
        at: at(1),
        severity,
        kind: ErrorKind::AudioFile,
        message: "a.wav: not audio".to_owned(),
        remedy: Some(Remedy::ConvertAudio),
    }
}

fn said(reply: u64, mode: &str, text: &str, from: u64, to: u64) -> Event {
    let (reply, mode, text) = (ReplyId(reply), mode.to_owned(), text.to_owned());
    Event::ReplyFinished { at: at(to), reply, mode, text, from_secs: at(from), to_secs: at(to), stop: StopReason::End }
}

fn print(format: OutputFormat, events: &[Event]) -> (Result<Completion>, String, String) {
    let (engine, events_in, _commands) = engine();
    for event in events {
        events_in.send(event.clone()).expect("room");
    }
    drop(events_in);
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let outcome = run(engine, format, &mut out, &mut notes);
    (outcome, String::from_utf8(out).expect("text"), String::from_utf8(notes).expect("text"))
}

#[test]
fn json_lines_are_the_events_and_nothing_else() {
    let events = [started(), problem(Severity::Warning), said(1, "dialog", "two\nlines", 1, 2), finished(3, 1)];
    let (outcome, out, notes) = print(OutputFormat::Jsonl, &events);
    assert_eq!(outcome, Ok(Completion::Problems));
    let read: Vec<Event> = out.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(read, events);
    assert_eq!(notes, "");
}

#[test]
fn the_exit_code_depends_on_problems_and_on_heard_audio() {
    let gap = Event::AudioGap { at: at(2), from_secs: at(1), samples: 6_400, cause: GapCause::Stopped };
    let table: [(&[Event], Completion, u8); 5] = [
        (&[started(), gap, finished(3, 0)], Completion::Problems, 1),
        (&[started(), finished(3, 0)], Completion::Clean, 0),
        (&[started(), problem(Severity::Error), finished(3, 1)], Completion::Problems, 1),
        (&[started(), problem(Severity::Error), finished(0, 1)], Completion::CouldNotRun, 2),
        (&[started(), problem(Severity::Warning), finished(0, 1)], Completion::Problems, 1),
    ];
    for (events, expected, code) in table {
        let (outcome, ..) = print(OutputFormat::Jsonl, events);
        assert_eq!(outcome, Ok(expected));
        assert_eq!(expected.exit_code(), code);
    }
}

#[test]
fn an_engine_that_ends_without_finishing_is_an_error() {
    let (outcome, out, _) = print(OutputFormat::Jsonl, &[started()]);
    assert_eq!(outcome.expect_err("no end").kind(), ErrorKind::Internal);
    assert_eq!(out.lines().count(), 1, "the events before it are printed");
}

#[test]
fn a_text_line_holds_time_mode_and_text() {
    let events = [
        started(),
        Event::Gate { at: at(1), open: true, level_dbfs: -30.0 },
        Event::Decision { at: at(2), chunk: ChunkIdx(1), mode: "dialog".to_owned(), silent: true, drained: false, margin: None },
        Event::ReplyStarted { at: at(3), reply: ReplyId(1), chunk: ChunkIdx(2), mode: "dialog".to_owned(), emotion: Some(Emotion::Urgent) },
        Event::ReplyText { at: at(3), reply: ReplyId(1), mode: "dialog".to_owned(), text: "Is".to_owned() },
        said(2, "transcribe", " hello\nthere ", 2, 3),
        said(1, "dialog", "Is everything fine?", 3, 4),
        said(3, "transcribe", "", 4, 5),
        Event::Sound { at: at(5), reply: ReplyId(4), name: "alarm".to_owned(), count: 1 },
        Event::Sound { at: at(6), reply: ReplyId(5), name: "alarm".to_owned(), count: 2 },
        finished(6, 0),
    ];
    let (outcome, out, _) = print(OutputFormat::Text, &events);
    assert_eq!(outcome, Ok(Completion::Clean));
    let expected = "   0:00.8  transcribe  hello there\n   0:01.2  dialog      ⚠️ Is everything fine?\n   0:02.0  sound       alarm\n   0:02.4  sound       alarm ×2\n";
    assert_eq!(out, expected);
}

#[test]
fn problems_and_gaps_go_to_the_notes() {
    let gap = Event::AudioGap { at: at(2), from_secs: at(1), samples: 8_000, cause: GapCause::Overload };
    for format in [OutputFormat::Text, OutputFormat::Srt, OutputFormat::Vtt] {
        let (_, out, notes) = print(format, &[started(), problem(Severity::Error), gap.clone(), finished(3, 1)]);
        assert!(!out.contains("not audio") && !out.contains("slower"), "{out}");
        assert!(
            notes.contains("a.wav: not audio") && notes.contains("0.50 s of audio were lost: the model is slower than real time"),
            "{notes}"
        );
    }
}

#[test]
fn events_are_flushed_before_waiting_for_more() {
    struct Sent(mpsc::SyncSender<Vec<u8>>);
    impl Write for Sent {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_owned()).map_err(|_| io::Error::from(IoErrorKind::BrokenPipe))?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (engine, events, _commands) = engine();
    let (bytes_in, bytes_out) = mpsc::sync_channel(CAPACITY);
    let face = std::thread::spawn(move || run(engine, OutputFormat::Jsonl, Sent(bytes_in), io::sink()));
    events.send(started()).expect("room");
    let first = bytes_out.recv_timeout(Duration::from_secs(10)).expect("the first line arrives while the session runs");
    assert!(first.ends_with(b"\n"));
    events.send(finished(1, 0)).expect("room");
    assert_eq!(face.join().expect("no panic"), Ok(Completion::Clean));
}

#[test]
fn a_closed_pipe_ends_the_session_as_a_success() {
    let (engine, events, commands) = engine();
    events.send(started()).expect("room");
    let outcome = run(engine, OutputFormat::Jsonl, FailingStdout(IoErrorKind::BrokenPipe), io::sink());
    assert_eq!(outcome, Ok(Completion::Clean));
    assert_eq!(commands.try_recv(), Ok(Command::Shutdown));
}

#[test]
fn a_full_disk_is_an_error_that_names_stdout() {
    for format in [OutputFormat::Jsonl, OutputFormat::Text, OutputFormat::Vtt] {
        let (engine, events, _commands) = engine();
        for event in [started(), said(1, "transcribe", "hello", 1, 2), finished(9, 0)] {
            events.send(event).expect("room");
        }
        let error = run(engine, format, FailingStdout(IoErrorKind::StorageFull), io::sink()).expect_err("nothing can be written");
        assert_eq!(error.kind(), ErrorKind::Output);
        assert!(error.message().contains("stdout"), "{error}");
    }
}

struct FailingStdout(IoErrorKind);

impl Write for FailingStdout {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}
