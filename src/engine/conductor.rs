//! The inference thread: takes chunks and commands, makes passes, reports events.

mod endure;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded, never, select};

use super::capture::{Captured, Control};
use super::clip::Clip;
use super::ear::Ear;
use super::failures::Failures;
use super::intake::Taker;
use super::meters::{Flag, Meters};
use super::mouth::MouthHandle;
use super::opening::Opening;
use super::overload::Overload;
use super::pace::Pace;
use super::recordings::Recordings;
use super::session::{Conduct, Session};
use super::silence;
use super::watchdog::Pulse;
use super::workers::{self, Ready};
use super::{ENCODED_CHUNKS, Tempo, panic_message};
use crate::audio::chunker::Chunk;
use crate::config::clock::now_ms;
use crate::config::modes::language_of;
use crate::config::{ComputeDevice, Mode, Settings, SourceChoice, all_modes};
use crate::error::{Error, ErrorKind, Result};
use crate::mel::{MaxOver, QuietGate};
use crate::model::Model;
use crate::protocol::{Command, Event, Language, PROTOCOL, Severity};
use crate::time::wall::utc;
use crate::time::{CHUNK_SECS, ChunkIdx, SAMPLE_RATE_HZ, StreamTime};

/// Everything that the inference thread is made of.
pub(super) struct Parts {
    pub(super) settings: Settings,
    pub(super) model: Arc<Model>,
    pub(super) source_name: String,
    pub(super) tempo: Tempo,
    pub(super) commands: Receiver<Command>,
    pub(super) events: Sender<Event>,
    pub(super) captured: Taker,
    pub(super) control: Sender<Control>,
    pub(super) meters: Arc<Meters>,
    pub(super) recordings: Recordings,
    pub(super) pulse: Arc<Pulse>,
    /// What went wrong before the session began and did not keep it from beginning.
    pub(super) trouble: Option<Error>,
    pub(super) mouth: MouthHandle,
    /// Somebody spoke over a reply.
    pub(super) interruptions: Receiver<()>,
}

/// The inference thread.
pub(super) struct Conductor {
    pub(super) parts: Parts,
    pub(super) session: Session,
    ear: Ear,
    openings: BTreeMap<String, Arc<Opening>>,
    /// Modes that were switched on and whose opening is still being made.
    awaited: BTreeSet<String>,
    ready: Receiver<Ready>,
    ready_tx: Sender<Ready>,
    pub(super) now: StreamTime,
    heard: ChunkIdx,
    chunks: u64,
    clip: Clip,
    problems: u64,
    failures: Failures,
    overload: Overload,
    pace: Pace,
    phase: Phase,
    pub(super) room: silence::Room,
    /// Somebody in it asked for silence in words.
    pub(super) silence_asked: bool,
    pub(super) out: Vec<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Listening,
    /// The source has ended; what it said is still being worked on.
    Draining,
    Ended,
}

impl Conductor {
    /// Makes the openings of the modes that are on.
    ///
    /// # Errors
    /// When one of them cannot be made.
    pub(super) fn new(parts: Parts) -> Result<Self> {
        let mut session =
            Session::new(Arc::clone(&parts.model), Conduct::product(parts.settings.sampling, parts.settings.endurance.context))?;
        let mut openings = BTreeMap::new();
        for name in &parts.settings.modes_on {
            let mode = find_mode(&parts.settings.modes, name)?;
            let opening = Opening::of(&parts.model, mode, &parts.settings.paths)?;
            session.switch_on(mode, &opening)?;
            openings.insert(name.clone(), opening);
        }
        let gate = parts.settings.gate.then(|| QuietGate::new(parts.settings.endurance.sensitivity));
        let overload = Overload::new(parts.settings.endurance.rest_first.clone());
        let (ready_tx, ready) = bounded(workers::READY);
        Ok(Self {
            ear: Ear::new(MaxOver::Newest45Secs, gate),
            session,
            openings,
            awaited: BTreeSet::new(),
            ready,
            ready_tx,
            now: StreamTime::ZERO,
            heard: ChunkIdx(0),
            chunks: 0,
            clip: Clip::default(),
            problems: 0,
            failures: Failures::default(),
            overload,
            pace: Pace::default(),
            phase: Phase::Listening,
            room: silence::Room::default(),
            silence_asked: false,
            out: Vec::new(),
            parts,
        })
    }

    pub(super) fn run(mut self) {
        self.begin();
        while self.phase != Phase::Ended {
            while let Ok(command) = self.parts.commands.try_recv() {
                self.obey(command);
            }
            while let Ok(ready) = self.ready.try_recv() {
                self.take_ready(ready);
            }
            while let Ok(report) = self.parts.mouth.reports.try_recv() {
                self.take_report(report);
            }
            if self.parts.interruptions.try_recv().is_ok() {
                self.interrupted();
            }
            // A file waits for the model: its next chunk is taken once there is nothing left to do. A live source does not
            // wait, so its chunks are encoded while lanes reply; some of them at most, for the others need less memory.
            let may_take = self.phase == Phase::Listening
                && match self.parts.tempo {
                    Tempo::Waits => false,
                    Tempo::Live => self.session.backlog() < ENCODED_CHUNKS,
                };
            if may_take && let Some(captured) = self.parts.captured.take() {
                self.take(captured);
            }
            let worked = self.pass();
            self.send_events();
            self.obey_the_room();
            self.show();
            if !worked {
                match self.phase {
                    Phase::Listening => self.wait(),
                    Phase::Draining if self.parts.mouth.is_busy() => self.wait(),
                    Phase::Draining => self.phase = Phase::Ended,
                    Phase::Ended => {}
                }
            }
        }
        self.finish();
    }

    fn begin(&mut self) {
        let settings = &self.parts.settings;
        let microphone = matches!(settings.source, SourceChoice::Microphone(_));
        self.out.push(Event::SessionStarted {
            at: StreamTime::ZERO,
            protocol: PROTOCOL,
            model: self.parts.model.name().to_owned(),
            source: self.parts.source_name.clone(),
            modes: self.session.modes_on(),
            started_utc: if microphone { Some(utc(now_ms())) } else { None },
        });
        if let Some(error) = self.parts.trouble.take() {
            self.problem(Severity::Warning, &error);
        }
        self.parts.meters.raise(Flag::GateOpen);
        if self.parts.tempo == Tempo::Live {
            self.make_other_openings();
        }
        self.send_events();
    }

    /// Openings of the modes that are off are made in the background, so that a toggle acts at the next chunk.
    fn make_other_openings(&mut self) {
        let others = self.parts.settings.modes.iter().filter(|m| !self.openings.contains_key(&m.name)).cloned().collect();
        if let Err(error) = workers::make_openings(&self.parts.model, others, &self.parts.settings, self.ready_tx.clone()) {
            self.problem(Severity::Warning, &error);
        }
    }

    /// Waits until there is something to do.
    fn wait(&mut self) {
        let more = self.phase == Phase::Listening && !self.waits_for_voice();
        // The bell rings once for however much was handed over.
        if more && let Some(captured) = self.parts.captured.take() {
            return self.take(captured);
        }
        let nothing = never();
        let bell = if more { self.parts.captured.bell() } else { &nothing };
        select! {
            recv(self.parts.commands) -> command => match command {
                Ok(command) => self.obey(command),
                // The face has gone without a word.
                Err(_) => self.phase = Phase::Ended,
            },
            recv(self.parts.mouth.reports) -> report => match report {
                Ok(report) => self.take_report(report),
                Err(_) => self.voice_is_gone(),
            },
            recv(self.parts.interruptions) -> interruption => match interruption {
                Ok(()) => self.interrupted(),
                // Nothing is heard any more.
                Err(_) => self.parts.interruptions = never(),
            },
            recv(bell) -> _ => {}
            recv(self.ready) -> ready => if let Ok(ready) = ready {
                self.take_ready(ready);
            },
        }
    }

    fn take(&mut self, captured: Captured) {
        match captured {
            Captured::Chunk(chunk) => self.hear(&chunk),
            Captured::Gap { at, from, samples, cause } => {
                self.now = self.now.max(at);
                self.out.push(Event::AudioGap { at: self.now, from_secs: from, samples, cause });
            }
            Captured::InputChanged { at, device, rate_hz, channels } => {
                self.out.push(Event::InputChanged { at, device, rate_hz, channels });
            }
            Captured::Trouble { at, error } => {
                self.now = self.now.max(at);
                self.problem(Severity::Warning, &error);
            }
            Captured::Paused { at } => {
                self.parts.meters.raise(Flag::Paused);
                self.out.push(Event::Paused { at });
            }
            Captured::Resumed { at } => {
                self.parts.meters.lower(Flag::Paused);
                self.out.push(Event::Resumed { at });
            }
            Captured::End { at, error } => {
                self.now = self.now.max(at);
                self.end_of_source(error);
            }
        }
    }

    fn end_of_source(&mut self, error: Option<Error>) {
        if let Some(error) = error {
            self.problem(Severity::Error, &error);
        }
        self.phase = Phase::Draining;
    }

    fn hear(&mut self, chunk: &Chunk) {
        (self.now, self.heard) = (chunk.end, chunk.index.next());
        self.chunks += 1;
        if let Err(error) = self.clip.write(&chunk.samples[..]) {
            self.problem(Severity::Warning, &error);
        }
        self.clip.show(&self.parts.meters);
        self.record(chunk);
        let heard = catch_unwind(AssertUnwindSafe(|| self.ear.hear(chunk, &self.parts.model)));
        let heard = match heard.unwrap_or_else(|panic| Err(Error::new(ErrorKind::Internal, panic_message(panic.as_ref())))) {
            Ok(heard) => heard,
            Err(error) => return self.passed_over(error),
        };
        self.parts.meters.note_level(chunk.end, heard.level_dbfs);
        if let Some(open) = heard.gate_moved {
            self.out.push(Event::Gate { at: chunk.end, open, level_dbfs: heard.level_dbfs });
            if open { self.parts.meters.raise(Flag::GateOpen) } else { self.parts.meters.lower(Flag::GateOpen) }
        }
        for encoded in heard.encoded {
            self.session.push(encoded);
        }
        let begun = Instant::now();
        self.pass();
        let decode_ms = begun.elapsed().as_secs_f64() * 1e3;
        let cost_ms = (heard.mel_ms + heard.encode_ms + decode_ms) as f32;
        self.parts.meters.show_chunk_cost(cost_ms);
        self.pace.take(cost_ms);
        self.lighten();
        if self.parts.settings.reports.timing {
            let lag_ms = f64::from(self.lag_secs()) * 1e3;
            let (mel_ms, encode_ms) = (heard.mel_ms, heard.encode_ms);
            self.out.push(Event::Timing { at: chunk.end, chunk: chunk.index, mel_ms, encode_ms, decode_ms, lag_ms });
        }
    }

    /// Writes what the model hears, where that was asked for.
    fn record(&mut self, chunk: &Chunk) {
        for error in self.parts.recordings.write(&chunk.samples[..]) {
            self.problem(Severity::Error, &error);
        }
    }

    /// Makes one pass; false when there was nothing to do.
    fn pass(&mut self) -> bool {
        self.parts.pulse.begin_at(self.now);
        let pass = catch_unwind(AssertUnwindSafe(|| self.session.pass(&mut self.out)));
        self.parts.pulse.end();
        match pass.unwrap_or_else(|panic| Err(Error::new(ErrorKind::Internal, panic_message(panic.as_ref())))) {
            Ok(worked) => {
                if worked {
                    self.failures.over();
                }
                worked
            }
            Err(error) => {
                self.failed(&error);
                true
            }
        }
    }

    fn obey(&mut self, command: Command) {
        let done = match command {
            Command::Pause => self.order(Control::Pause),
            Command::Resume => self.order(Control::Resume),
            Command::ModeOn(name) => {
                self.overload.forget(&name);
                self.switch_on(&name)
            }
            Command::ModeOff(name) => {
                self.overload.forget(&name);
                self.switch_off(&name)
            }
            Command::Eagerness { mode, bias } => self.become_eager(&mode, bias),
            Command::ChooseModel(choice) => {
                self.parts.meters.raise(Flag::Loading);
                self.parts.settings.model = choice.clone();
                let on = self.session.modes_on();
                let modes = self.parts.settings.modes.iter().filter(|m| on.contains(&m.name)).cloned().collect();
                workers::load_model(choice, modes, &self.parts.settings, self.ready_tx.clone())
            }
            Command::ChooseInput(device) => self.order(Control::Switch(device)),
            Command::ChooseOutput(device) => self.play_on(device),
            Command::Voice(conduct) => self.speak_like(conduct),
            Command::Say { reply, text, emotion } => self.say(reply, &text, emotion),
            Command::TranslateTo(language) => self.reread_modes(language),
            Command::ReadModes => self.reread_modes(language_of(&self.parts.settings.modes)),
            Command::GateOn => {
                self.ear.replace_gate(Some(QuietGate::new(self.parts.settings.endurance.sensitivity)));
                Ok(())
            }
            Command::GateOff => {
                if self.ear.replace_gate(None) {
                    self.parts.meters.raise(Flag::GateOpen);
                    self.out.push(Event::Gate { at: self.now, open: true, level_dbfs: self.parts.meters.read().level_dbfs });
                }
                Ok(())
            }
            Command::RecordTo(path) => self.parts.recordings.begin(&path),
            Command::StopRecording => self.parts.recordings.stop(),
            Command::CutReply => self.fall_silent(),
            Command::Forget => self.session.restart_all(&mut self.out),
            Command::RecordClip(to) => {
                let begun = self.clip.begin(&to);
                self.clip.show(&self.parts.meters);
                begun
            }
            Command::EndClip => {
                let ended = self.clip.end();
                self.clip.show(&self.parts.meters);
                ended
            }
            Command::Shutdown => {
                self.session.cut_replies(&mut self.out);
                self.phase = Phase::Ended;
                Ok(())
            }
        };
        if let Err(error) = done {
            self.problem(Severity::Warning, &error);
        }
    }

    pub(super) fn order(&self, control: Control) -> Result<()> {
        self.parts.control.try_send(control).map_err(|_| Error::new(ErrorKind::Internal, "the capture thread does not take orders"))
    }

    fn switch_on(&mut self, name: &str) -> Result<()> {
        let mode = find_mode(&self.parts.settings.modes, name)?.clone();
        let Some(opening) = self.openings.get(name) else {
            // It is being made, or could not be; asking again costs little where it is already on disk.
            if self.awaited.insert(name.to_owned()) {
                workers::make_openings(&self.parts.model, vec![mode], &self.parts.settings, self.ready_tx.clone())?;
            }
            return Ok(());
        };
        self.session.switch_on(&mode, opening)?;
        self.out.push(Event::ModesChanged { at: self.now, modes: self.session.modes_on() });
        Ok(())
    }

    fn switch_off(&mut self, name: &str) -> Result<()> {
        find_mode(&self.parts.settings.modes, name)?;
        self.awaited.remove(name);
        self.session.switch_off(name, self.now, &mut self.out);
        self.out.push(Event::ModesChanged { at: self.now, modes: self.session.modes_on() });
        Ok(())
    }

    /// Takes the modes as they are defined now. One that is on and means something else goes on as it was until it can be
    /// opened anew.
    fn reread_modes(&mut self, language: Language) -> Result<()> {
        let old = std::mem::take(&mut self.parts.settings.modes);
        match all_modes(&self.parts.settings.paths, language) {
            Ok(modes) => self.parts.settings.modes = modes,
            Err(error) => {
                self.parts.settings.modes = old;
                return Err(error);
            }
        }
        for mode in &mut self.parts.settings.modes {
            if let Some(known) = old.iter().find(|known| known.name == mode.name) {
                mode.eagerness = known.eagerness;
            }
        }
        let on = self.session.modes_on();
        let changed: Vec<Mode> = self.parts.settings.modes.iter().filter(|mode| !old.contains(mode)).cloned().collect();
        for mode in &changed {
            self.openings.remove(&mode.name);
            if on.contains(&mode.name) {
                self.awaited.insert(mode.name.clone());
            }
        }
        workers::make_openings(&self.parts.model, changed, &self.parts.settings, self.ready_tx.clone())
    }

    fn become_eager(&mut self, name: &str, bias: f32) -> Result<()> {
        if !bias.is_finite() {
            return Err(Error::new(ErrorKind::Arguments, format!("the eagerness of {name} is not a number")));
        }
        find_mode(&self.parts.settings.modes, name)?;
        for mode in self.parts.settings.modes.iter_mut().filter(|m| m.name == name) {
            mode.eagerness = bias;
        }
        self.session.become_eager(name, bias);
        Ok(())
    }

    fn take_ready(&mut self, ready: Ready) {
        let done = match ready {
            Ready::Opening { mode, fingerprint, opening }
                if fingerprint == *self.parts.model.fingerprint() && self.parts.settings.modes.iter().any(|m| m.clip == mode.clip) =>
            {
                let awaited = self.awaited.remove(&mode.name);
                match opening {
                    Ok(opening) => {
                        self.openings.insert(mode.name.clone(), opening);
                        if awaited {
                            self.session.remove(&mode.name, &mut self.out);
                            self.switch_on(&mode.name)
                        } else {
                            Ok(())
                        }
                    }
                    // A mode that nobody has asked for yet says so when somebody does.
                    Err(error) if awaited => Err(error),
                    Err(_) => Ok(()),
                }
            }
            Ready::Opening { .. } => Ok(()),
            Ready::Model { model, openings } => self.listen_with(model, openings),
            Ready::NoModel(error) => {
                self.parts.meters.lower(Flag::Loading);
                if !self.parts.model.is_on_processor() && self.parts.settings.device == ComputeDevice::Cpu {
                    // The GPU has failed and nothing takes its place.
                    self.problem(Severity::Error, &error);
                    self.phase = Phase::Ended;
                    return;
                }
                Err(error)
            }
        };
        if let Err(error) = done {
            self.problem(Severity::Warning, &error);
        }
    }

    /// Goes over to another model at the next chunk, with the modes that are on now.
    fn listen_with(&mut self, model: Arc<Model>, openings: Vec<(String, Arc<Opening>)>) -> Result<()> {
        self.parts.meters.lower(Flag::Loading);
        let mut session =
            Session::new(Arc::clone(&model), Conduct::product(self.parts.settings.sampling, self.parts.settings.endurance.context))?;
        session.continue_counts(self.session.reply_count(), self.heard);
        self.session.cut_replies(&mut self.out);
        let on = self.session.modes_on();
        self.openings = openings.into_iter().collect();
        self.session = session;
        self.parts.model = model;
        self.out.push(Event::ModelChanged { at: self.now, model: self.parts.model.name().to_owned() });
        for name in on {
            self.switch_on(&name)?;
        }
        self.make_other_openings();
        Ok(())
    }

    pub(super) fn problem(&mut self, severity: Severity, error: &Error) {
        self.problems += 1;
        self.out.push(Event::Problem { at: self.now, severity, kind: error.kind().name().to_owned(), message: error.to_string() });
    }

    /// Reports what has gathered, less what was not asked for. A face that has gone ends the session.
    fn send_events(&mut self) {
        let reports = self.parts.settings.reports;
        for mut event in std::mem::take(&mut self.out) {
            self.speak(&event);
            if let Event::Decision { margin, .. } = &mut event {
                if !reports.decisions {
                    continue;
                }
                if !reports.margins {
                    *margin = None;
                }
            }
            if self.parts.events.send(event).is_err() {
                self.phase = Phase::Ended;
                return;
            }
        }
    }

    fn lag_secs(&self) -> f32 {
        (self.session.backlog() + self.parts.captured.chunks()) as f32 * CHUNK_SECS as f32
    }

    fn show(&self) {
        let meters = &self.parts.meters;
        meters.show_lag(self.lag_secs());
        if self.parts.recordings.is_on() {
            meters.raise(Flag::Recording);
        } else {
            meters.lower(Flag::Recording);
        }
        if self.session.is_replying() { meters.raise(Flag::Replying) } else { meters.lower(Flag::Replying) }
    }

    fn finish(mut self) {
        // The capture thread ends when it is told, or when it finds nobody to tell it.
        let _ = self.parts.control.try_send(Control::Stop);
        for error in self.parts.recordings.finish() {
            self.problem(Severity::Error, &error);
        }
        self.session.cut_replies(&mut self.out);
        self.end_voice();
        self.out.push(Event::SessionFinished {
            at: self.now,
            chunks: self.chunks,
            replies: self.session.reply_count(),
            audio_secs: self.now.0.0 as f64 / f64::from(SAMPLE_RATE_HZ),
            problems: self.problems,
        });
        self.send_events();
        self.parts.mouth.finish();
    }
}

fn find_mode<'a>(modes: &'a [Mode], name: &str) -> Result<&'a Mode> {
    modes.iter().find(|mode| mode.name == name).ok_or_else(|| {
        let known: Vec<&str> = modes.iter().map(|m| m.name.as_str()).collect();
        Error::new(ErrorKind::Arguments, format!("there is no mode {name}; there are {}", known.join(", ")))
    })
}
