//! The threads and the channels between them.
//!
//! [`start`] takes [`Settings`] and gives an [`EngineHandle`]: the one way in which any face (window or headless) sees the
//! engine. The capture thread turns a source into chunks, the inference thread turns chunks into events; openings and other
//! models are made on threads of their own, so that neither of the two waits for them.

mod capture;
mod clip;
mod conductor;
pub mod ear;
mod failures;
mod floor;
mod handle;
mod intake;
mod meters;
mod mouth;
pub mod opening;
mod overload;
mod pace;
mod queue;
mod recordings;
mod replies;
pub mod session;
mod silence;
mod spoken;
mod watchdog;
mod workers;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::bounded;

use crate::audio::capture::CaptureSource;
use crate::audio::echo::EchoPath;
use crate::audio::file::FileSource;
use crate::audio::paced::Paced;
use crate::audio::playback::{FarSlot, Output, system_output};
use crate::audio::stdin::StreamSource;
use crate::audio::{self, Source};
use crate::config::{Pace, Settings, SourceChoice};
use crate::error::{Error, ErrorKind, Result};
use crate::hub;
use crate::model::Model;
use crate::protocol::{ModelChoice, VoiceChoice};
use crate::speech::Voice;
use conductor::Conductor;

pub use crate::hub::Shelf as Models;
pub use handle::EngineHandle;
pub use meters::{Meters, Readings};
pub use queue::{Encoded, Follows};

/// Commands that may wait: more than a person gives in one chunk.
const COMMANDS: usize = 64;
/// Events that may wait: some seconds of every mode at once. A face that takes none for longer holds the engine up, which
/// becomes an `audio_gap` and not a growing memory.
const EVENTS: usize = 4_096;
/// Chunks that may wait for the lanes once they are encoded: 10 s, about the longest reply.
const ENCODED_CHUNKS: usize = 25;
/// Chunks that may wait between capture and inference: with the encoded ones 60 s (DESIGN.md "Time, loss and order").
const CHUNKS: usize = 150 - ENCODED_CHUNKS;
/// Chunks that may wait when a file is heard: it waits for the model, so a little keeps both busy.
const FILE_CHUNKS: usize = 4;
/// Orders to the capture thread that may wait.
const CONTROLS: usize = 16;
/// Interruptions that may wait: one says it all.
const INTERRUPTIONS: usize = 1;

/// What a session speaks with; asked anew for a voice that takes the place of one that stalled.
pub struct Stage {
    /// What plays it.
    pub output: Box<dyn Fn() -> Box<dyn Output> + Send>,
    /// Who speaks, where the user wants this: the first that works.
    pub voices: Box<dyn Fn(VoiceChoice) -> Vec<Box<dyn Voice>> + Send>,
    /// A voice or output that takes so long for one step has stalled.
    pub stalled: Duration,
}

impl Default for Stage {
    /// The system's own.
    fn default() -> Self {
        Self { output: Box::new(system_output), voices: Box::new(mouth::voices_of), stalled: mouth::STALLED }
    }
}

/// How a source relates to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tempo {
    /// Time goes on while the model works: what does not fit is lost, and reported.
    Live,
    /// The source waits for the model.
    Waits,
}

/// Starts a session: opens the source, loads the model and starts the threads.
///
/// # Errors
/// When the source, the model or the file for `save_audio` cannot be opened: nothing has been started then.
pub fn start(settings: Settings) -> Result<EngineHandle> {
    let (source, gap_secs, tempo) = open_source(&settings)?;
    start_with(settings, source, gap_secs, tempo, Stage::default())
}

/// Starts a session as [`start`] does, but a microphone that is not there is waited for, and a model that is not here is
/// replaced by the starter: a window says so and stays open.
///
/// # Errors
/// As [`start`], without the microphone.
pub fn start_patiently(mut settings: Settings) -> Result<EngineHandle> {
    if Models::new(&settings.paths).missing(&settings.model).is_some() {
        settings.model = ModelChoice::Starter;
    }
    #[cfg(feature = "mic")]
    if let SourceChoice::Microphone(device) = &settings.source {
        let source = Box::new(CaptureSource::open_patiently(device, &settings.endurance.excluded_inputs));
        return start_with(settings, source, 0.0, Tempo::Live, Stage::default());
    }
    start(settings)
}

/// Starts a session that hears `source`, at the speed of time or waiting for the model as `pace` says: [`start`] for a
/// source that the settings cannot name.
///
/// # Errors
/// As [`start`].
pub fn start_hearing(settings: Settings, source: Box<dyn Source>, pace: Pace) -> Result<EngineHandle> {
    start_on(settings, source, pace, Stage::default())
}

/// Starts a session as [`start_hearing`] does that speaks on `stage`, whatever the settings say.
///
/// # Errors
/// As [`start`].
pub fn start_on(settings: Settings, source: Box<dyn Source>, pace: Pace, stage: Stage) -> Result<EngineHandle> {
    let tempo = if pace == Pace::Realtime { Tempo::Live } else { Tempo::Waits };
    start_with(settings, source, 0.0, tempo, stage)
}

fn start_with(mut settings: Settings, source: Box<dyn Source>, gap_secs: f64, tempo: Tempo, stage: Stage) -> Result<EngineHandle> {
    if let Some(threads) = settings.threads {
        crate::model::use_threads(threads);
    }
    let found = hub::find(&settings.model, &settings.paths)?;
    let (model, trouble) = Model::load_or_fall_back(&found.folder, &found.name, settings.precision, settings.device)?;
    let model = Arc::new(model);
    if settings.modes_on.is_empty() {
        settings.modes_on = pace::modes_in_real_time(&model)?;
    }
    let save = settings.save_audio.as_deref().map(audio::wav_out::WavOut::create).transpose()?;
    let meters = Arc::new(Meters::default());
    let (command_tx, command_rx) = bounded(COMMANDS);
    let (event_tx, event_rx) = bounded(EVENTS);
    let (feeder, taker) = intake::intake(if tempo == Tempo::Live { CHUNKS } else { FILE_CHUNKS });
    let (control_tx, control_rx) = bounded(CONTROLS);
    let source_name = source.name();
    let (pulse, watched) = watchdog::Pulse::new();
    let excluded = settings.endurance.excluded_inputs.clone();
    let (interruption_tx, interruption_rx) = bounded(INTERRUPTIONS);
    let (far, floor) = (FarSlot::default(), Arc::new(floor::Floor::default()));
    let echo = EchoPath::new(far.clone(), settings.voice);
    let hearing = capture::Hearing { echo, floor: Arc::clone(&floor), interruptions: interruption_tx };
    let mouth = mouth::MouthHandle::start(mouth::Cast { stage, far, floor }, settings.voice, settings.output.clone())?;
    let parts = conductor::Parts {
        settings,
        model,
        source_name,
        tempo,
        commands: command_rx,
        events: event_tx.clone(),
        captured: taker,
        control: control_tx,
        meters: Arc::clone(&meters),
        recordings: recordings::Recordings::new(save),
        mouth,
        interruptions: interruption_rx,
        pulse,
        trouble,
    };
    let conductor = Conductor::new(parts)?;
    let ends = capture::Ends { out: feeder, control: control_rx };
    let capture = capture::Capture::new(source, (gap_secs, tempo), ends, hearing, Arc::clone(&meters)).excluding(&excluded);
    let threads = vec![spawn("hearken-capture", move || capture.run())?, spawn("hearken-inference", move || conductor.run())?];
    // A face that takes no events now has other trouble; this one would be old news later.
    let tell = move |busy, at| drop(event_tx.try_send(watchdog::model_stalls(busy, at)));
    // It ends when the inference thread does.
    spawn("hearken-watchdog", move || watchdog::watch(&watched, watchdog::STALLED, tell)).map(drop)?;
    Ok(EngineHandle::new(command_tx, event_rx, meters, threads))
}

fn open_source(settings: &Settings) -> Result<(Box<dyn Source>, f64, Tempo)> {
    let paced = |source: Box<dyn Source>, pace: Pace| -> (Box<dyn Source>, Tempo) {
        match pace {
            Pace::Unthrottled => (source, Tempo::Waits),
            Pace::Realtime => (Box::new(Paced::new(source)), Tempo::Live),
        }
    };
    match &settings.source {
        SourceChoice::Microphone(device) => {
            Ok((Box::new(CaptureSource::open(device, &settings.endurance.excluded_inputs)?), 0.0, Tempo::Live))
        }
        SourceChoice::Files { paths, gap_secs, pace } => {
            let (source, tempo) = paced(Box::new(FileSource::open(paths)?), *pace);
            Ok((source, *gap_secs, tempo))
        }
        SourceChoice::Stdin { gap_secs, pace } => {
            let (source, tempo) = paced(Box::new(StreamSource::new(io::stdin(), "stdin")?), *pace);
            Ok((source, *gap_secs, tempo))
        }
    }
}

/// A named thread; a panic that nobody caught ends it quietly, its channels close, and the other side reports that.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let guarded = move || {
        let _ = catch_unwind(AssertUnwindSafe(work));
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(guarded)
        .map_err(|e| Error::new(ErrorKind::Memory, format!("the thread {name} cannot be started: {e}")))
}

/// What a panic said, for the `problem` event.
fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "for a reason it did not tell".to_owned())
}
