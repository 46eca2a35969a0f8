//! Streaming equals one-shot processing, a replayed recording equals its live session, and commands take effect while listening.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hearken::audio::chunker::Chunker;
use hearken::audio::read_file;
use hearken::audio::scripted::{ScriptStep, ScriptedSource};
use hearken::audio::{Source, SourceEvent};
use hearken::config::modes::builtin;
use hearken::config::{
    ComputeDevice, ContextChoice, EventOptions, FileSpeed, NewMode, Paths, Precision, ReadOptions, SamplingChoice, Settings, SourceChoice,
    StartState, add_mode,
};
use hearken::engine::{EngineHandle, start_hearing};
use hearken::error::{ErrorKind, Result};
use hearken::mel::MaxWindow;
use hearken::model::Model;
use hearken::protocol::{Command, DeviceChoice, Event, GapCause, Language, ModelChoice, StopReason};
use hearken::session::front_end::FrontEnd;
use hearken::session::prompt::PromptCache;
use hearken::session::{Session, SessionConfig};
use hearken::transcript::{InputState, Transcript};

const FIXTURE: &str = "models/fixture";

fn wav(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wav").join(name)
}

fn settings(home: &Path, modes_on: &[&str]) -> Settings {
    let paths = Paths::inside(home);
    Settings {
        model: ModelChoice::Dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURE)),
        precision: Some(Precision::F32),
        device: ComputeDevice::Cpu,
        threads: None,
        modes: builtin(Language::Chinese, &paths.instructions()),
        modes_on: modes_on.iter().map(|m| (*m).to_owned()).collect(),
        source: SourceChoice::Files { paths: Vec::new(), reading: ReadOptions::default(), gap_secs: 0.0, speed: FileSpeed::Unthrottled },
        input_channel: hearken::protocol::ChannelChoice::All,
        start: StartState::Listening,
        hidden: false,
        output: DeviceChoice::Default,
        voice: hearken::protocol::VoiceSettings { speak: hearken::protocol::Speak::Asked, ..Default::default() },
        gate: false,
        sampling: SamplingChoice::GREEDY,
        save_audio: None,
        existing_audio: hearken::files::Existing::Kept,
        event_options: EventOptions { decisions: true, margins: true, timing: false },
        long_running: hearken::config::LongRunning::default(),
        paths,
    }
}

fn hear(settings: Settings, lines: Vec<ScriptStep>) -> Vec<Event> {
    let engine = start_hearing(settings, Box::new(ScriptedSource::new("script", lines)), FileSpeed::Unthrottled).unwrap();
    engine.events().iter().collect()
}

fn split(samples: &[f32], sizes: &[usize]) -> Vec<ScriptStep> {
    let mut lines = Vec::new();
    let mut rest = samples;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at((*size).min(rest.len()));
        lines.push(ScriptStep::Samples(now.to_vec()));
        rest = later;
    }
    lines
}

#[test]
fn any_split_of_the_samples_gives_the_same_events() {
    let home = tempfile::tempdir().unwrap();
    let samples = read_file(&wav("d1_speech_7p3s.wav")).unwrap();
    let events = |sizes: &[usize]| hear(settings(home.path(), &["dialog", "transcribe", "sounds"]), split(&samples, sizes));
    let whole = events(&[samples.len()]);
    assert!(whole.iter().filter(|e| matches!(e, Event::ReplyFinished { .. })).count() > 5);
    assert!(matches!(whole.last(), Some(Event::SessionFinished { chunks: 19, problems: 0, .. })));
    assert_eq!(whole, events(&[160]));
    assert_eq!(whole, events(&[1_023, 7, 12_801]));
}

#[test]
fn a_saved_recording_replays_to_the_same_events() {
    let home = tempfile::tempdir().unwrap();
    let saved = home.path().join("heard.wav");
    let samples = read_file(&wav("d2_late_burst_11p4s.wav")).unwrap();
    let mut first = settings(home.path(), &["dialog", "transcribe"]);
    first.save_audio = Some(saved.clone());
    let live = hear(first, split(&samples, &[999]));
    let again = hear(settings(home.path(), &["dialog", "transcribe"]), vec![ScriptStep::Samples(read_file(&saved).unwrap())]);
    assert_eq!(live, again);
}

/// Drives a session directly: chunks arrive and passes run in the given order.
fn drive(model: &Arc<Model>, home: &Path, samples: &[f32], passes_after_chunk: &[usize]) -> Vec<Event> {
    let settings = settings(home, &[]);
    let sampling = SamplingChoice { temperature: 0.7, top_k: Some(5), seed: 3 };
    let mut session = Session::new(Arc::clone(model), SessionConfig::product(sampling, ContextChoice::default())).unwrap();
    for mode in settings.modes.iter().take(3) {
        session.switch_on(mode, &PromptCache::of(model, mode, &settings.paths).unwrap()).unwrap();
    }
    let (mut chunker, mut front_end, mut cut) = (Chunker::new(), FrontEnd::new(MaxWindow::Last45Secs, None), Vec::new());
    chunker.push(samples, &mut cut);
    chunker.end_of_file(&mut cut);
    let mut out = Vec::new();
    for (chunk, passes) in cut.iter().zip(passes_after_chunk.iter().cycle()) {
        for encoded in front_end.step(chunk, model).unwrap().encoded {
            session.push(encoded);
        }
        for _ in 0..*passes {
            session.pass(&mut out).unwrap();
        }
    }
    while session.pass(&mut out).unwrap() {}
    out
}

#[test]
fn a_session_equals_its_replay_in_the_same_order_of_arrival() {
    let home = tempfile::tempdir().unwrap();
    let model = Arc::new(Model::load(Path::new(FIXTURE), "fixture", Some(Precision::F32), ComputeDevice::Cpu).unwrap());
    let samples = read_file(&wav("d1_speech_7p3s.wav")).unwrap();
    let order = [1, 3, 0, 2, 9, 0, 0, 1];
    let live = drive(&model, home.path(), &samples, &order);
    assert!(live.iter().any(|e| matches!(e, Event::Decision { drained: true, mode, .. } if mode == "dialog")), "dialog drained");
    assert!(live.iter().all(|e| !matches!(e, Event::Decision { drained: true, mode, .. } if mode != "dialog")), "others did not");
    assert_eq!(live, drive(&model, home.path(), &samples, &order));
}

#[test]
fn a_replying_lane_does_not_stall_the_others() {
    let home = tempfile::tempdir().unwrap();
    let model = Arc::new(Model::load(Path::new(FIXTURE), "fixture", Some(Precision::F32), ComputeDevice::Cpu).unwrap());
    let samples = read_file(&wav("d1_speech_7p3s.wav")).unwrap();
    let events = drive(&model, home.path(), &samples, &[1]);
    let mut open = std::collections::BTreeSet::new();
    let mut between = 0;
    for event in &events {
        match event {
            Event::ReplyStarted { mode, .. } => drop(open.insert(mode.clone())),
            Event::ReplyFinished { mode, .. } => drop(open.remove(mode)),
            Event::Decision { mode, .. } if !open.is_empty() && !open.contains(mode) => between += 1,
            _ => {}
        }
    }
    assert!(between > 3, "{between} decisions of other lanes while one replied");
}

#[test]
fn a_full_lane_is_trimmed_with_an_event_and_decides_every_chunk_once() {
    let home = tempfile::tempdir().unwrap();
    let noise: Vec<f32> = (0..6_400 * 330).map(|n: usize| 1e-3 * ((n * n % 977) as f32 / 488.0 - 1.0)).collect();
    let events = hear(settings(home.path(), &["dialog"]), vec![ScriptStep::Samples(noise)]);
    let trims: Vec<(u64, usize)> = events
        .iter()
        .filter_map(|e| match e {
            Event::ContextTrimmed { mode, dropped_chunks, positions, .. } if mode == "dialog" => Some((*dropped_chunks, *positions)),
            _ => None,
        })
        .collect();
    assert!(trims.len() >= 3, "{trims:?}");
    assert!(trims.iter().all(|(dropped, positions)| *dropped >= 10 && *positions <= 2_048 * 3 / 4), "{trims:?}");
    let decided: Vec<u64> =
        events.iter().filter_map(|e| if let Event::Decision { chunk, .. } = e { Some(chunk.0) } else { None }).collect();
    assert_eq!(decided, (0..330).collect::<Vec<_>>(), "every chunk is decided once, in order");
    assert!(matches!(events.last(), Some(Event::SessionFinished { problems: 0, .. })));
}

#[test]
fn another_input_opens_the_quiet_gate_and_gets_a_noise_floor_of_its_own() {
    let home = tempfile::tempdir().unwrap();
    let noise = |amplitude: f32| {
        let mut state = 1u32;
        let mut sample = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state as f32 / u32::MAX as f32 * 2.0 - 1.0) * amplitude
        };
        ScriptStep::Samples((0..24 * 16_000).map(|_| sample()).collect())
    };
    let other = SourceEvent::InputChanged { device: "other".into(), rate_hz: 16_000, channels: 1 };
    let script = vec![noise(0.1), ScriptStep::Event(other), noise(0.005)];
    let events = hear(Settings { gate: true, ..settings(home.path(), &["dialog"]) }, script);
    let changed = events.iter().position(|event| matches!(event, Event::InputChanged { .. })).unwrap();
    let moves: Vec<(usize, bool)> = events
        .iter()
        .enumerate()
        .filter_map(|(n, event)| if let Event::Gate { open, .. } = event { Some((n, *open)) } else { None })
        .collect();
    let [(first, false), (second, true), (third, false)] = moves[..] else { panic!("{moves:?}") };
    assert!(first < changed && second == changed + 1 && third > second, "{moves:?}, input changed at {changed}");
}

#[test]
fn a_gap_is_reported_before_the_chunk_that_follows() {
    let home = tempfile::tempdir().unwrap();
    let lines = vec![
        ScriptStep::Samples(vec![0.1; 8_000]),
        ScriptStep::Event(SourceEvent::Gap { samples: 16_000, cause: GapCause::Overrun }),
        ScriptStep::Samples(vec![0.1; 8_000]),
    ];
    let events = hear(settings(home.path(), &["dialog"]), lines);
    let gap = events
        .iter()
        .position(|e| matches!(e, Event::AudioGap { from_secs, samples: 16_000, cause: GapCause::Overrun, .. } if from_secs.secs() == 0.5));
    let next = events.iter().position(|e| matches!(e, Event::Decision { chunk, at, .. } if chunk.0 == 1 && (at.secs() - 1.8).abs() < 1e-9));
    assert!(gap.unwrap() < next.unwrap());
}

/// An endless source of noise in real time.
struct Endless;

impl Source for Endless {
    fn next(&mut self, out: &mut Vec<f32>) -> Result<SourceEvent> {
        std::thread::sleep(Duration::from_millis(20));
        out.extend((0..320).map(|n| 0.05 * ((n * n % 97) as f32 / 48.0 - 1.0)));
        Ok(SourceEvent::Samples(320))
    }

    fn name(&self) -> String {
        "endless".into()
    }
}

fn wait_for(engine: &EngineHandle, what: impl Fn(&Event) -> bool) -> Duration {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        match engine.events().recv_timeout(Duration::from_secs(20)) {
            Ok(event) if what(&event) => return begun.elapsed(),
            Ok(_) => {}
            Err(e) => panic!("no event: {e}"),
        }
    }
    panic!("the event never came");
}

#[test]
fn commands_take_effect_while_listening() {
    let home = tempfile::tempdir().unwrap();
    let engine = start_hearing(settings(home.path(), &["dialog"]), Box::new(Endless), FileSpeed::Realtime).unwrap();
    wait_for(&engine, |e| matches!(e, Event::Decision { .. }));
    engine.send(Command::ModeOn("sounds".into()));
    wait_for(&engine, |e| matches!(e, Event::ModesChanged { modes, .. } if modes == &["dialog", "sounds"]));
    wait_for(&engine, |e| matches!(e, Event::Decision { mode, .. } if mode == "sounds"));
    engine.send(Command::Eagerness { mode: "sounds".into(), bias: 1e6 });
    wait_for(&engine, |e| matches!(e, Event::ReplyStarted { mode, .. } if mode == "sounds"));
    engine.send(Command::ModeOff("sounds".into()));
    wait_for(&engine, |e| matches!(e, Event::ModesChanged { modes, .. } if modes == &["dialog"]));
    engine.send(Command::Eagerness { mode: "dialog".into(), bias: 1e6 });
    wait_for(&engine, |e| matches!(e, Event::ReplyStarted { .. }));
    engine.send(Command::CutReply);
    engine.send(Command::Forget);
    engine.send(Command::ChooseModel(ModelChoice::Starter));
    wait_for(&engine, |e| matches!(e, Event::ModelChanged { .. }));
    wait_for(&engine, |e| matches!(e, Event::Decision { mode, .. } if mode == "dialog"));
    engine.send(Command::ModeOn("translate".into()));
    wait_for(&engine, |e| matches!(e, Event::ModesChanged { modes, .. } if modes.iter().any(|m| m == "translate")));
    engine.send(Command::TranslateTo(Language::English));
    wait_for(&engine, |e| matches!(e, Event::ModesChanged { modes, .. } if modes.iter().any(|m| m == "translate")));
    wait_for(&engine, |e| matches!(e, Event::Decision { mode, .. } if mode == "translate"));
    let paths = Paths::inside(home.path());
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/instructions/sounds.wav");
    let panel = hearken::protocol::Panel::Sounds;
    add_mode(&paths, &NewMode { name: "kettle".into(), instruction: "Tell me when the kettle boils.".into(), clip: Some(clip), panel })
        .unwrap();
    engine.send(Command::ReadModes);
    engine.send(Command::ModeOn("kettle".into()));
    wait_for(&engine, |e| matches!(e, Event::ModesChanged { modes, .. } if modes.iter().any(|m| m == "kettle")));
    engine.send(Command::Pause);
    wait_for(&engine, |e| matches!(e, Event::Paused { .. }));
    engine.send(Command::Resume);
    wait_for(&engine, |e| matches!(e, Event::Resumed { .. }));
    engine.send(Command::ModeOn("no such mode".into()));
    wait_for(&engine, |e| matches!(e, Event::Problem { message, .. } if message.contains("no such mode")));
    engine.send(Command::Shutdown);
    wait_for(&engine, |e| matches!(e, Event::SessionFinished { .. }));
}

#[test]
fn a_recording_holds_the_audio_between_start_and_stop() {
    let home = tempfile::tempdir().unwrap();
    let engine = start_hearing(settings(home.path(), &["dialog"]), Box::new(Endless), FileSpeed::Realtime).unwrap();
    let decided = |e: &Event| matches!(e, Event::Decision { .. });
    wait_for(&engine, decided);
    let (path, recording) = (home.path().join("out.wav"), || engine.meters().read().recording);
    assert!(!recording());
    engine.send(Command::RecordTo(path.clone()));
    (0..4).for_each(|_| _ = wait_for(&engine, decided));
    assert!(recording());
    engine.send(Command::StopRecording);
    (0..2).for_each(|_| _ = wait_for(&engine, decided));
    assert!(!recording());
    let heard = read_file(&path).unwrap();
    assert!(heard.len() >= 2 * 6_400 && heard.len().is_multiple_of(6_400), "{} samples", heard.len());
    engine.send(Command::RecordTo(home.path().join("no/such/folder/out.wav")));
    wait_for(&engine, |e| matches!(e, Event::Problem { message, .. } if message.contains("no/such/folder")));
    assert!(!recording(), "listening continues without the recording");
    wait_for(&engine, decided);
}

#[test]
fn a_cut_reply_ends_at_once_with_the_reason_cut() {
    let home = tempfile::tempdir().unwrap();
    let model = Arc::new(Model::load(Path::new(FIXTURE), "fixture", Some(Precision::F32), ComputeDevice::Cpu).unwrap());
    let settings = settings(home.path(), &[]);
    let mut session = Session::new(Arc::clone(&model), SessionConfig::product(settings.sampling, ContextChoice::default())).unwrap();
    let mut dialog = settings.modes[0].clone();
    dialog.eagerness = 1e6;
    session.switch_on(&dialog, &PromptCache::of(&model, &dialog, &settings.paths).unwrap()).unwrap();
    let (mut front_end, mut chunker, mut cut, mut out) =
        (FrontEnd::new(MaxWindow::WholeStream, None), Chunker::new(), Vec::new(), Vec::new());
    chunker.silence(0.4, &mut cut);
    for encoded in front_end.step(&cut[0], &model).unwrap().encoded {
        session.push(encoded);
    }
    session.pass(&mut out).unwrap();
    assert!(session.is_replying());
    session.cut_replies(&mut out);
    assert!(!session.is_replying());
    assert!(matches!(out.last(), Some(Event::ReplyFinished { stop: StopReason::Cut, .. })));
}

#[test]
fn a_failed_switch_of_the_microphone_leaves_the_transcript_on_the_old_one() {
    let home = tempfile::tempdir().unwrap();
    let engine = start_hearing(settings(home.path(), &["dialog"]), Box::new(Endless), FileSpeed::Realtime).unwrap();
    let mut transcript = Transcript::new([].into());
    engine.send(Command::ChooseInput(DeviceChoice::Named("no such microphone".into())));
    let mut failed = false;
    for event in engine.events() {
        transcript.apply(&event);
        match event {
            Event::Problem { kind: ErrorKind::InputDevice, .. } => failed = true,
            Event::Decision { .. } if failed => break,
            Event::SessionFinished { .. } => panic!("listening ended"),
            _ => {}
        }
    }
    assert!(failed && transcript.input() == InputState::Open, "{:?}", transcript.notices);
}
