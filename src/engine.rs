//! The engine: the threads of a session and the channels between them.
//!
//! [`start`] takes [`Settings`] and returns an [`EngineHandle`], which is all that a window or the command line sees of the engine.
//! Each thread has its folder: `capture` turns a source into chunks, `inference` turns chunks into events, `speech` speaks replies.
//! Prompt caches and other models are made on threads of their own, so that none of the three waits for them.

mod capture;
mod handle;
mod inference;
mod keep_awake;
mod meters;
mod retry_policy;
mod speech;
mod startup;
mod watchdog;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;

use crate::audio::Source;
use crate::audio::capture::CaptureSource;
use crate::audio::echo::EchoPath;
use crate::audio::file::FileSource;
use crate::audio::playback::{AudioOutput, FarEndSlot, system_output};
use crate::audio::realtime::RealtimeSource;
use crate::config::{FileSpeed, Settings, SourceChoice, StartState};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::protocol::{Event, PROTOCOL, Severity, Speak, VoiceChoice};
use crate::speech::{NullVoice, Voice};
use crate::supervise::{lock, spawn};
use crate::time::StreamTime;
use capture::{CaptureChannels, CaptureThread, CapturedSource, EchoHandling};
use inference::{InferenceChannels, InferenceParts, InferenceThread};
use meters::Flag;
use speech::{SpeechConfig, SpeechHandle, turn_taking::TurnTaking};
use startup::{OnError, Prepared, prepare, prepare_on};

pub use handle::EngineHandle;
pub use meters::{Meters, Readings};

/// Number of commands to the engine that may wait: more than a person gives during a chunk of 0.4 s.
const COMMANDS: usize = 64;
/// Number of events that may wait: some seconds of every mode at once. A window or command line that takes none for longer holds
/// the engine up; lost sound then becomes an `audio_gap` rather than memory that grows.
const EVENTS: usize = 4_096;
/// Number of encoded chunks that may wait for the lanes: 10 s, about the longest reply.
const ENCODED_CHUNKS: usize = 25;
/// Number of chunks that may wait for the front end: with the encoded ones 60 s (`src/README.md` "Time, loss and order").
const CHUNKS: usize = 150 - ENCODED_CHUNKS;
/// Number of chunks of a file that may wait: a file waits for the model, so a few keep both threads busy.
const FILE_CHUNKS: usize = 4;
/// Number of commands to the capture thread that may wait.
const CAPTURE_COMMANDS: usize = 16;
/// Number of barge-ins that may wait for the inference thread: several mean the same as one.
const INTERRUPTIONS: usize = 1;

/// The output and the voices that a session speaks with, made anew for every speech thread that replaces a stalled one.
pub struct SpeechBackend {
    /// Returns the sound system that replies are played on.
    pub output: Box<dyn Fn() -> Box<dyn AudioOutput> + Send>,
    /// Returns the voices that a new speech thread uses for a choice, in order of preference; a later change of the choice takes
    /// the system's.
    pub voices: Box<dyn Fn(VoiceChoice) -> Vec<Box<dyn Voice>> + Send>,
    /// Time that one step of a voice or output may take before the speech thread counts as stalled.
    pub stall_limit: Duration,
}

impl Default for SpeechBackend {
    /// Returns the system's output and voices.
    fn default() -> Self {
        Self { output: Box::new(system_output), voices: Box::new(speech::voices_of), stall_limit: speech::STALL_LIMIT }
    }
}

/// The model that a session uses, for the sessions beside it; None before it is loaded, and in a session without an engine.
type SharedModel = Arc<Mutex<Option<Arc<Model>>>>;

/// The behaviour of a source while the model is busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SourceTiming {
    /// Time goes on while the model works: sound that does not fit is lost, and reported.
    Live,
    /// The source waits for the model; nothing is lost.
    Waits,
}

impl SourceTiming {
    /// Returns the behaviour of a file that is heard at `speed`.
    const fn of(speed: FileSpeed) -> Self {
        match speed {
            FileSpeed::Realtime => Self::Live,
            FileSpeed::Unthrottled => Self::Waits,
        }
    }
}

/// Starts a session on the source that the settings name: opens it, loads the model and starts the threads.
///
/// # Errors
/// When the source, the model, a prompt cache or the file for `save_audio` cannot be opened or made; no thread goes on then.
pub fn start(settings: Settings) -> Result<EngineHandle> {
    let input = open_source(&settings)?;
    start_threads(prepare(settings, OnError::Refuse)?, input, SpeechBackend::default())
}

/// Starts a session like [`start`], for a window, which opens whatever is wrong: waits for a microphone that is missing, uses the starter
/// in place of a model that cannot be loaded, and leaves out a mode or a recording that fails. Events report each, after the errors
/// `known` already. Where not even the starter can be loaded, the returned session has ended, and its last problem says why.
#[must_use]
pub fn start_patiently(settings: Settings, known: &[Error]) -> EngineHandle {
    let started = open_source_patiently(&settings).and_then(|input| {
        let mut prepared = prepare(settings, OnError::Report)?;
        prepared.reports.problems.splice(0..0, known.iter().map(|error| (Severity::Warning, error.clone())));
        start_threads(prepared, input, SpeechBackend::default())
    });
    started.unwrap_or_else(|error| ended_session(known, &error))
}

/// Starts a session on the source that the settings name, beside the session that uses `model` and has the meters `live`
/// ([`EngineHandle::starter_beside`]). A mode that fails is left out and reported.
fn start_beside(mut settings: Settings, model: &SharedModel, live: &Arc<Meters>) -> Result<EngineHandle> {
    settings.voice.speak = Speak::Asked;
    settings.save_audio = None;
    let input = open_source(&settings)?;
    let loaded = lock(model).clone();
    let mut prepared = match loaded {
        Some(model) => prepare_on(settings, model)?,
        None => prepare(settings, OnError::Report)?,
    };
    prepared.gives_way_to = Some(Arc::clone(live));
    let voices = |_| -> Vec<Box<dyn Voice>> { vec![Box::new(NullVoice)] };
    start_threads(prepared, input, SpeechBackend { voices: Box::new(voices), ..SpeechBackend::default() })
}

/// Returns the handle of a session that has ended before it began, with `error` as the reason.
fn ended_session(known: &[Error], error: &Error) -> EngineHandle {
    let at = StreamTime::ZERO;
    let (command_tx, _) = bounded(COMMANDS);
    let (event_tx, event_rx) = bounded(EVENTS);
    let problems = known.len() as u64 + 1;
    let (model, source) = (String::new(), String::new());
    let mut events = vec![Event::SessionStarted { at, protocol: PROTOCOL, model, source, modes: Vec::new(), started_utc: None }];
    events.extend(known.iter().map(|error| Event::problem(at, Severity::Warning, error)));
    events.push(Event::problem(at, Severity::Error, error));
    events.push(Event::SessionFinished { at, chunks: 0, replies: 0, audio_secs: 0.0, problems });
    for event in events {
        // There is room for all of them.
        let _ = event_tx.try_send(event);
    }
    EngineHandle::new(command_tx, event_rx, Arc::default(), Vec::new())
}

/// Starts a session that hears `source` at `speed`: [`start`] for a source that settings cannot name.
///
/// # Errors
/// The errors of [`start`].
pub fn start_hearing(settings: Settings, source: Box<dyn Source>, speed: FileSpeed) -> Result<EngineHandle> {
    start_on(settings, source, speed, SpeechBackend::default())
}

/// Starts a session like [`start_hearing`] that speaks through the output and voices of `backend` instead of the system's.
///
/// # Errors
/// The errors of [`start`].
pub fn start_on(settings: Settings, source: Box<dyn Source>, speed: FileSpeed, backend: SpeechBackend) -> Result<EngineHandle> {
    let input = captured_source(&settings, source, 0.0, SourceTiming::of(speed));
    start_threads(prepare(settings, OnError::Refuse)?, input, backend)
}

fn start_threads(prepared: Prepared, input: CapturedSource, backend: SpeechBackend) -> Result<EngineHandle> {
    let settings = &prepared.settings;
    let (timing, source_name) = (input.timing, input.source.name());
    let meters = Arc::new(Meters::default());
    meters.show_length(input.source.length_secs());
    let model = SharedModel::new(Mutex::new(Some(Arc::clone(&prepared.model))));
    if settings.start == StartState::Paused {
        // Nobody sees a session that starts paused as listening, not even for a moment.
        meters.raise(Flag::Paused);
    }
    let (command_tx, commands) = bounded(COMMANDS);
    let (event_tx, event_rx) = bounded(EVENTS);
    let (chunk_tx, captured) = capture::chunk_queue::chunk_queue(if timing == SourceTiming::Live { CHUNKS } else { FILE_CHUNKS });
    let (capture_tx, capture_commands) = bounded(CAPTURE_COMMANDS);
    let (interruption_tx, interruptions) = bounded(INTERRUPTIONS);
    let (heartbeat, monitor) = watchdog::Heartbeat::new();
    let (far, turn_taking) = (FarEndSlot::default(), Arc::new(TurnTaking::default()));
    let echo = EchoPath::new(far.clone(), settings.voice);
    let echo_handling = EchoHandling { echo, turn_taking: Arc::clone(&turn_taking), interruptions: interruption_tx };
    let start = settings.start;
    let speech = SpeechHandle::start(SpeechConfig { backend, far, turn_taking }, settings.voice, settings.output.clone())?;
    let channels = InferenceChannels { commands, events: event_tx.clone(), captured, capture: capture_tx, interruptions };
    let meters_of_inference = Arc::clone(&meters);
    let shared_model = Arc::clone(&model);
    let parts = InferenceParts { prepared, shared_model, source_name, timing, channels, meters: meters_of_inference, heartbeat, speech };
    let inference = InferenceThread::new(parts);
    let capture_channels = CaptureChannels { out: chunk_tx, commands: capture_commands };
    let capture = CaptureThread::new(input, start, capture_channels, echo_handling, Arc::clone(&meters));
    let threads = vec![spawn("hearken-capture", move || capture.run())?, spawn("hearken-inference", move || inference.run())?];
    let (counted, mut stalls) = (Arc::clone(&meters), watchdog::StallReports::default());
    let report = move |busy, at| {
        // A full event channel means that the face has other trouble; this report would be old news later.
        if stalls.is_news(Instant::now()) && event_tx.try_send(watchdog::model_stalls(busy, at)).is_ok() {
            counted.count_problem();
        }
    };
    // Ends with the inference thread.
    spawn("hearken-watchdog", move || watchdog::watch(&monitor, watchdog::STALL_LIMIT, report))?;
    Ok(EngineHandle::new(command_tx, event_rx, meters, threads).with_model(model))
}

fn open_source(settings: &Settings) -> Result<CapturedSource> {
    let at_speed = |source: Box<dyn Source>, gap_secs: f64, speed: FileSpeed| {
        let source = if speed == FileSpeed::Realtime { Box::new(RealtimeSource::new(source)) } else { source };
        captured_source(settings, source, gap_secs, SourceTiming::of(speed))
    };
    Ok(match &settings.source {
        SourceChoice::Microphone(device) => {
            let excluded = &settings.long_running.excluded_inputs;
            let source = match settings.start {
                StartState::Listening => CaptureSource::open(device, excluded)?,
                StartState::Paused => CaptureSource::paused(device, excluded)?,
            };
            captured_source(settings, Box::new(source), 0.0, SourceTiming::Live)
        }
        SourceChoice::Files { paths, reading, gap_secs, speed } => {
            at_speed(Box::new(FileSource::open_as(paths, *reading)?), *gap_secs, *speed)
        }
        SourceChoice::Stdin { raw, gap_secs, speed } => at_speed(Box::new(FileSource::stdin(*raw)?), *gap_secs, *speed),
    })
}

/// Opens the source that the settings name; a microphone that is missing is awaited.
fn open_source_patiently(settings: &Settings) -> Result<CapturedSource> {
    #[cfg(feature = "mic")]
    if let SourceChoice::Microphone(device) = &settings.source {
        let excluded = &settings.long_running.excluded_inputs;
        let source = match settings.start {
            StartState::Listening => CaptureSource::open_or_retry(device, excluded),
            StartState::Paused => CaptureSource::paused_or_missing(device, excluded),
        };
        return Ok(captured_source(settings, Box::new(source), 0.0, SourceTiming::Live));
    }
    open_source(settings)
}

fn captured_source(settings: &Settings, mut source: Box<dyn Source>, gap_secs: f64, timing: SourceTiming) -> CapturedSource {
    let channel = settings.input_channel;
    source.choose_channel(channel);
    CapturedSource { source, gap_secs, timing, excluded_inputs: settings.long_running.excluded_inputs.clone(), channel }
}
