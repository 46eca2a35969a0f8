//! The inference thread: one loop that wakes for a chunk, a command or a report, makes passes and sends events.
//!
//! [`InferenceThread::next`] is the only place that waits and [`InferenceThread::handle`] the only one that acts. Chunks become
//! events in [`crate::session`]; this thread adds the clock, the channels and the answers to failures.

mod clip;
mod commands;
mod load;
mod not_understood;
mod overload;
mod recordings;
mod recovery;
mod speaking;
mod wake;
mod workers;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::capture::chunk_queue::ChunkReceiver;
use super::capture::{CaptureCommand, Captured};
use super::keep_awake::{KeepAwake, Work};
use super::meters::{BusyMark, Flag, Meters};
use super::retry_policy::RetryPolicy;
use super::speech::SpeechHandle;
use super::startup::{Prepared, StartReports};
use super::watchdog::Heartbeat;
use super::{SharedModel, SourceTiming};
use crate::audio::chunker::Chunk;
use crate::clock::now_ms;
use crate::config::{Mode, Settings, SourceChoice};
use crate::error::Error;
use crate::mel::{MaxWindow, QuietGate};
use crate::model::Model;
use crate::protocol::{Command, Event, ModelChoice, PROTOCOL, Panel, Severity};
use crate::session::Session;
use crate::session::front_end::{EncodedChunks, FrontEnd};
use crate::session::prompt::PromptCache;
use crate::supervise;
use crate::time::wall::utc;
use crate::time::{CHUNK_SECS, ChunkIdx, SAMPLE_RATE_HZ, StreamTime};
use clip::ClipRecording;
use load::ChunkCosts;
use not_understood::SpeechWatch;
use overload::Overload;
use speaking::ReplySpeech;
use wake::{Patience, Wake};
use workers::WorkerResult;

pub(super) use commands::find_mode;
use commands::panel_of;
pub(super) use load::modes_in_real_time;
pub(super) use recordings::{Recordings, SessionRecording};

/// The settings, channels and parts that [`InferenceThread::new`] puts together.
pub(super) struct InferenceParts {
    pub(super) prepared: Prepared,
    /// Model of the session, for sessions beside it.
    pub(super) shared_model: SharedModel,
    /// Readable name of the source.
    pub(super) source_name: String,
    /// Behaviour of the source while the model is busy.
    pub(super) timing: SourceTiming,
    pub(super) channels: InferenceChannels,
    pub(super) meters: Arc<Meters>,
    /// Start of the computation in progress, for the watchdog.
    pub(super) heartbeat: Arc<Heartbeat>,
    pub(super) speech: SpeechHandle,
}

/// The inference thread's ends of its channels, except those to the speech thread and to its workers.
pub(super) struct InferenceChannels {
    /// Commands from the window or the command line.
    pub(super) commands: Receiver<Command>,
    /// Events to the window or the command line.
    pub(super) events: Sender<Event>,
    /// Chunk queue from the capture thread.
    pub(super) captured: ChunkReceiver,
    /// Commands to the capture thread.
    pub(super) capture: Sender<CaptureCommand>,
    /// Barge-ins reported by the capture thread: a person spoke over a reply.
    pub(super) interruptions: Receiver<()>,
}

/// The inference thread: takes chunks and commands, makes passes, and sends events.
pub(super) struct InferenceThread {
    settings: Settings,
    model: Arc<Model>,
    /// The same model, for sessions beside this one.
    shared_model: SharedModel,
    /// Meters of the session that computes first; None for a session that gives way to none.
    gives_way_to: Option<Arc<Meters>>,
    busy: BusyMark,
    source_name: String,
    timing: SourceTiming,
    channels: InferenceChannels,
    meters: Arc<Meters>,
    heartbeat: Arc<Heartbeat>,
    session: Session,
    front_end: FrontEnd,
    /// Prompt caches of the current model, by the name of the mode.
    prompts: BTreeMap<String, Arc<PromptCache>>,
    /// Names of the modes that were switched on and wait for their prompt cache.
    awaited: BTreeSet<String>,
    /// Prompt caches and models that background threads made.
    worker_results: Receiver<WorkerResult>,
    /// Sender that each background thread gets for its results.
    worker_tx: Sender<WorkerResult>,
    /// Audio time at the end of the newest chunk or gap.
    now: StreamTime,
    /// Number of the next chunk of sound.
    next_chunk: ChunkIdx,
    /// Number of chunks heard so far.
    chunks: u64,
    recordings: Recordings,
    keep_awake: KeepAwake,
    /// Instruction clip that is being recorded, if any.
    clip: ClipRecording,
    speech: ReplySpeech,
    /// Speech of people, and the responses to it.
    speech_watch: SpeechWatch,
    retry_policy: RetryPolicy,
    /// Load shedding: the modes that rest because of a lag.
    overload: Overload,
    /// Computing times of the newest chunks.
    costs: ChunkCosts,
    phase: Phase,
    /// Choice of the model that is being loaded, of several the newest; None while none is.
    loading: Option<ModelChoice>,
    /// Errors from before the session, until they are reported.
    start_reports: StartReports,
    /// Events to be sent at the end of this turn of the thread's loop.
    out: Vec<Event>,
}

/// The phase of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Sound is captured.
    Listening,
    /// The source has ended; chunks and replies are still in progress.
    Draining,
    /// The session is over; the thread ends.
    Ended,
}

impl InferenceThread {
    /// Returns an inference thread for the prepared session.
    pub(super) fn new(parts: InferenceParts) -> Self {
        let InferenceParts { prepared, shared_model, source_name, timing, channels, meters, heartbeat, speech } = parts;
        let Prepared { settings, model, session, prompts, recordings, reports, gives_way_to } = prepared;
        let gate = settings.gate.then(|| QuietGate::new(settings.long_running.sensitivity));
        let overload = Overload::new(settings.long_running.rest_first.clone());
        let (worker_tx, worker_results) = bounded(workers::RESULTS);
        Self {
            settings,
            model,
            shared_model,
            gives_way_to,
            busy: BusyMark::new(Arc::clone(&meters)),
            source_name,
            timing,
            channels,
            meters,
            heartbeat,
            session,
            front_end: FrontEnd::new(MaxWindow::Last45Secs, gate),
            prompts,
            awaited: BTreeSet::new(),
            worker_results,
            worker_tx,
            now: StreamTime::ZERO,
            next_chunk: ChunkIdx(0),
            chunks: 0,
            recordings,
            keep_awake: KeepAwake::Idle,
            clip: ClipRecording::default(),
            speech: ReplySpeech::new(speech),
            speech_watch: SpeechWatch::default(),
            retry_policy: RetryPolicy::default(),
            overload,
            costs: ChunkCosts::default(),
            phase: Phase::Listening,
            loading: None,
            start_reports: reports,
            out: Vec::new(),
        }
    }

    /// Runs the session to its end: the end of its source, a command to end, or a failure.
    pub(super) fn run(mut self) {
        self.busy.set();
        self.begin();
        while self.phase != Phase::Ended {
            self.give_way();
            while let Some(wake) = self.next(Patience::Poll) {
                // One chunk, then a pass: replies go on while chunks arrive.
                let captured = matches!(wake, Wake::Captured(_));
                self.handle(wake);
                if captured || self.phase == Phase::Ended {
                    break;
                }
            }
            let worked = self.pass();
            self.send_events();
            self.update_meters();
            if worked || self.phase == Phase::Ended {
                continue;
            }
            if self.phase == Phase::Draining && !self.speech.is_busy() {
                self.phase = Phase::Ended;
            } else if let Some(wake) = self.next(Patience::Wait) {
                self.handle(wake);
            }
        }
        self.finish();
    }

    fn begin(&mut self) {
        let microphone = matches!(self.settings.source, SourceChoice::Microphone(_));
        self.out.push(Event::SessionStarted {
            at: StreamTime::ZERO,
            protocol: PROTOCOL,
            model: self.model.name().to_owned(),
            source: self.source_name.clone(),
            modes: self.session.modes_on(),
            started_utc: if microphone { Some(utc(now_ms())) } else { None },
        });
        let StartReports { failed_model, problems } = std::mem::take(&mut self.start_reports);
        if let Some((choice, error)) = failed_model {
            self.model_failed(choice, &error);
        }
        for (severity, error) in problems {
            self.problem(severity, &error);
        }
        if self.timing == SourceTiming::Live {
            self.make_other_prompts();
        }
        self.send_events();
    }

    fn handle(&mut self, wake: Wake) {
        match wake {
            Wake::Command(command) => self.obey(command),
            Wake::Worker(result) => self.take_worker_result(result),
            Wake::Speech(report) => self.take_speech_report(report),
            Wake::Interruption => self.interrupt(),
            Wake::Captured(captured) => self.take_captured(captured),
            Wake::HandleDropped => self.phase = Phase::Ended,
            Wake::SpeechEnded => self.speech_failed(),
            Wake::CaptureEnded => {
                self.source_ended(Some(&Error::internal("the capture thread ended")));
            }
        }
    }

    fn take_captured(&mut self, captured: Captured) {
        match captured {
            Captured::Chunk(chunk) => self.take_chunk(&chunk),
            Captured::Gap { at, from, samples, cause } => {
                self.now = self.now.max(at);
                self.speech_watch.interrupt();
                self.out.push(Event::AudioGap { at: self.now, from_secs: from, samples, cause });
            }
            Captured::InputChanged { at, device, rate_hz, channels } => {
                self.out.push(Event::InputChanged { at, device, rate_hz, channels });
                // The noise floor is that of the input before.
                if self.front_end.reset_gate() {
                    self.report_open_gate();
                }
            }
            Captured::Problem { at, error } => {
                self.now = self.now.max(at);
                self.problem(Severity::Warning, &error);
            }
            Captured::InputLost { at, error } => {
                self.now = self.now.max(at);
                self.out.push(Event::InputLost { at: self.now });
                self.problem(Severity::Warning, &error);
            }
            Captured::InputSilent { at, device } => self.out.push(Event::InputSilent { at, device }),
            Captured::InputAudible { at } => self.out.push(Event::InputAudible { at }),
            Captured::Paused { at } => {
                self.meters.raise(Flag::Paused);
                self.speech_watch.interrupt();
                self.out.push(Event::Paused { at });
            }
            Captured::Resumed { at } => {
                self.meters.lower(Flag::Paused);
                self.out.push(Event::Resumed { at });
            }
            Captured::End { at, error } => {
                self.now = self.now.max(at);
                self.source_ended(error.as_ref());
            }
        }
    }

    /// Reports that the quiet gate, which was closed, is open.
    fn report_open_gate(&mut self) {
        self.out.push(Event::Gate { at: self.now, open: true, level_dbfs: self.meters.read().level_dbfs });
    }

    fn source_ended(&mut self, error: Option<&Error>) {
        if let Some(error) = error {
            self.problem(Severity::Error, error);
        }
        self.phase = Phase::Draining;
    }

    /// Records `chunk`, encodes it, makes the first pass of the model over it, and rests or wakes modes as the lag requires.
    fn take_chunk(&mut self, chunk: &Chunk) {
        (self.now, self.next_chunk) = (chunk.end, chunk.index.next());
        self.chunks += 1;
        self.record(chunk);
        let begun = Instant::now();
        let analysis = supervise::catch(|| Ok(self.front_end.analyse(chunk)));
        let mel_ms = ms_since(begun);
        let begun = Instant::now();
        let encoded = match analysis.and_then(|analysis| supervise::catch(|| analysis.encode(&self.model))) {
            Ok(encoded) => encoded,
            Err(error) => return self.skip_chunk(error),
        };
        let encode_ms = ms_since(begun);
        self.push(chunk, encoded);
        let begun = Instant::now();
        self.pass();
        let decode_ms = ms_since(begun);
        self.meters.show_heard(chunk.end);
        self.watch_speech(chunk);
        let cost_ms = (mel_ms + encode_ms + decode_ms) as f32;
        self.meters.show_chunk_cost(cost_ms);
        self.costs.push(cost_ms);
        self.shed_load();
        if self.settings.event_options.timing {
            let lag_ms = f64::from(self.lag_secs()) * 1e3;
            self.out.push(Event::Timing { at: chunk.end, chunk: chunk.index, mel_ms, encode_ms, decode_ms, lag_ms });
        }
    }

    /// Hands the encoded chunks that the front end made of `chunk` to the session; notes the level of the chunk and a move of the quiet
    /// gate.
    fn push(&mut self, chunk: &Chunk, EncodedChunks { encoded, gate_moved, level_dbfs }: EncodedChunks) {
        self.meters.note_level(chunk.end, level_dbfs);
        if let Some(open) = gate_moved {
            self.out.push(Event::Gate { at: chunk.end, open, level_dbfs });
        }
        for encoded in encoded {
            self.session.push(encoded);
        }
    }

    /// Looks for speech in a live `chunk`, shows its level, and reports speech that no mode responded to.
    fn watch_speech(&mut self, chunk: &Chunk) {
        if self.timing == SourceTiming::Waits {
            return;
        }
        if self.speech.is_busy() {
            // The speech may be Hearken's own.
            self.speech_watch.interrupt();
        }
        self.speech_watch.hear(chunk);
        self.meters.show_speech_level(self.speech_watch.level_dbfs(chunk.end));
        let says_words = |mode: &Mode| mode.panel != Panel::Sounds && self.session.modes_on().contains(&mode.name);
        if self.session.backlog() == 0
            && let Some(speech) = self.speech_watch.unanswered(chunk.end)
            && self.settings.modes.iter().any(says_words)
        {
            self.out.push(Event::NotUnderstood { at: chunk.end, from_secs: speech.from, to_secs: speech.to });
        }
    }

    /// Writes `chunk` to the recordings that are on.
    fn record(&mut self, chunk: &Chunk) {
        if let Err(error) = self.clip.write(&chunk.samples[..]) {
            self.problem(Severity::Warning, &error);
        }
        self.clip.show(&self.meters);
        for error in self.recordings.write(&chunk.samples[..]) {
            self.problem(Severity::Error, &error);
        }
    }

    /// Makes one pass of the model over the lanes; returns false when no lane had anything to do. A failed pass is answered here, and
    /// returns true.
    fn pass(&mut self) -> bool {
        self.heartbeat.begin_at(self.now);
        let pass = supervise::catch(|| self.with_session(Session::pass));
        self.heartbeat.end();
        match pass {
            Ok(worked) => {
                if worked {
                    self.retry_policy.succeeded();
                }
                worked
            }
            Err(error) => {
                self.pass_failed(&error);
                true
            }
        }
    }

    /// Calls `act` with the session and a list for its events, and returns its result. Hands the text of replies to the speech thread, and
    /// stops the voice if the transcript contains a stop phrase.
    fn with_session<T>(&mut self, act: impl FnOnce(&mut Session, &mut Vec<Event>) -> T) -> T {
        let first = self.out.len();
        // Replies that were begun before a panic are spoken all the same.
        let result = catch_unwind(AssertUnwindSafe(|| act(&mut self.session, &mut self.out)));
        let modes = &self.settings.modes;
        self.speech_watch.note_responses(&self.out[first..], |name| panel_of(modes, name).unwrap_or_default());
        let stop_asked = self.speech.route(&self.out[first..], self.settings.voice.speak, modes);
        if stop_asked {
            self.interrupt();
        }
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn problem(&mut self, severity: Severity, error: &Error) {
        self.meters.count_problem();
        self.out.push(Event::problem(self.now, severity, error));
    }

    /// Sends the collected events, without the decisions and margins that the settings leave out. A receiver that is gone ends the session.
    fn send_events(&mut self) {
        let reports = self.settings.event_options;
        for mut event in self.out.drain(..) {
            if let Event::Decision { margin, .. } = &mut event {
                if !reports.decisions {
                    continue;
                }
                if !reports.margins {
                    *margin = None;
                }
            }
            if self.channels.events.send(event).is_err() {
                self.phase = Phase::Ended;
                return;
            }
        }
    }

    /// Returns the duration of the sound that is captured and not yet decided on, in seconds.
    fn lag_secs(&self) -> f32 {
        (self.session.backlog() + self.channels.captured.chunks()) as f32 * CHUNK_SECS as f32
    }

    fn update_meters(&mut self) {
        let file = !matches!(self.settings.source, SourceChoice::Microphone(_)) && self.phase != Phase::Ended;
        let work = if file || self.recordings.is_on() && !self.meters.read().paused { Work::Unfinished } else { Work::None };
        self.keep_awake.update(work);
        if self.keep_awake.is_on() {
            self.meters.raise(Flag::KeptAwake);
        } else {
            self.meters.lower(Flag::KeptAwake);
        }
        self.meters.show_lag(self.lag_secs());
        let meters = &self.meters;
        if self.recordings.is_on() {
            meters.raise(Flag::Recording);
        } else {
            meters.lower(Flag::Recording);
        }
        if self.session.is_replying() { meters.raise(Flag::Replying) } else { meters.lower(Flag::Replying) }
    }

    /// Completes recordings and replies, sends `session_finished` and ends the capture and speech threads.
    fn finish(mut self) {
        // The capture thread also ends when its channel closes.
        let _ = self.channels.capture.try_send(CaptureCommand::Stop);
        for error in self.recordings.finish() {
            self.problem(Severity::Error, &error);
        }
        self.with_session(Session::cut_replies);
        self.fade_out_speech();
        self.out.push(Event::SessionFinished {
            at: self.now,
            chunks: self.chunks,
            replies: self.session.reply_count(),
            audio_secs: self.now.0.0 as f64 / f64::from(SAMPLE_RATE_HZ),
            problems: self.meters.problems(),
        });
        self.send_events();
        self.speech.finish();
    }
}

/// Returns the milliseconds from `begun` to now.
fn ms_since(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}
