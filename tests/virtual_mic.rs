//! Capture and playback on a real sound server with a virtual microphone. Each test runs inside `tests/tools/virtual-mic`, a
//! private PipeWire that ends with the test.
#![cfg(all(feature = "mic", target_os = "linux"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod inside;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Parser;
use hearken::audio::capture::CaptureSource;
use hearken::audio::capture::ring::ReadOutcome;
use hearken::audio::capture::stream::InputStream;
use hearken::audio::resample::Resampler;
use hearken::audio::{Source, SourceEvent};
use hearken::config::{Cli, Request, Settings, StartState, Stdout};
use hearken::error::ErrorKind;
use hearken::level::{SILENCE_DBFS, dbfs};
use hearken::protocol::{DeviceChoice, EchoChoice, Event, GapCause, Interrupt, ReplyId, VoiceSettings};
use inside::{LIMIT, in_virtual_mic, pactl, play};

/// Returns the number of times that the microphone is unplugged; `HEARKEN_UNPLUGS=100` is the long run.
fn unplugs() -> u32 {
    std::env::var("HEARKEN_UNPLUGS").ok().and_then(|n| n.parse().ok()).unwrap_or(3)
}

#[test]
fn captured_samples_equal_the_played_samples() {
    in_virtual_mic(LIMIT, || {
        let wanted = speech_like_noise();
        let dir = tempfile::tempdir().unwrap();
        let file = write_noise(&dir, &wanted);

        let mut stream = InputStream::open(&DeviceChoice::Default, &[]).unwrap();
        assert_eq!(stream.rate_hz(), 48_000);
        let (mut player, mut heard, start) = (play(&file), Vec::new(), Instant::now());
        while start.elapsed() < Duration::from_secs(9) {
            match stream.reader().read(&mut heard) {
                ReadOutcome::Samples(_) => {}
                ReadOutcome::Lost(n) => panic!("{n} samples lost"),
                ReadOutcome::Empty => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        assert!(player.wait().unwrap().success());
        let found = correlation(&wanted, &heard);
        println!("raw correlation {found:.6}");
        assert!(found >= 0.999, "correlation {found}");
    });
}

#[test]
fn source_delivers_16_khz_and_nothing_while_paused() {
    in_virtual_mic(LIMIT, || {
        let wanted = speech_like_noise();
        let dir = tempfile::tempdir().unwrap();
        let file = write_noise(&dir, &wanted);
        let mut source = CaptureSource::open(&DeviceChoice::Default, &[]).unwrap();
        let (mut player, mut heard, start) = (play(&file), Vec::new(), Instant::now());
        while start.elapsed() < Duration::from_secs(10) {
            match source.next(&mut heard).unwrap() {
                SourceEvent::Samples(_) | SourceEvent::Nothing => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(player.wait().unwrap().success());
        let found = (0..3).map(|phase| correlation(&resampled(&wanted, phase), &heard)).fold(0.0, f64::max);
        println!("source correlation {found:.6}");
        assert!(found >= 0.999, "correlation {found}");

        source.pause();
        let before = heard.len();
        assert_eq!(source.next(&mut heard).unwrap(), SourceEvent::Nothing);
        source.resume().unwrap();
        assert!(matches!(source.next(&mut heard).unwrap(), SourceEvent::InputChanged { .. }));
        wait_for(&mut source, Duration::from_secs(5), |heard| matches!(heard, SourceEvent::Samples(_)));
        assert_eq!(heard.len(), before, "nothing came while it was paused");
    });
}

#[test]
fn session_that_starts_paused_opens_no_input_before_it_is_resumed() {
    in_virtual_mic(LIMIT, || {
        let home = tempfile::tempdir().unwrap();
        let before = recording_streams();
        let mut settings = session(home.path(), EchoChoice::Off);
        (settings.start, settings.save_audio) = (StartState::Paused, None);
        let engine = hearken::engine::start_patiently(settings, &[]);
        assert!(engine.meters().read().paused, "it is never seen as listening");
        let first: Vec<Event> = (0..2).map(|_| engine.events().recv_timeout(Duration::from_secs(5)).unwrap()).collect();
        assert!(matches!(&first[..], [Event::SessionStarted { source, .. }, Event::Paused { .. }] if source.contains("vmic")), "{first:?}");
        // Choosing an input while paused opens none either.
        engine.send(hearken::protocol::Command::ChooseInput(DeviceChoice::Named("vspeaker.monitor".to_owned())));
        std::thread::sleep(Duration::from_secs(2));
        engine.send(hearken::protocol::Command::ChooseInput(DeviceChoice::Default));
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(recording_streams(), before);
        assert_eq!(engine.meters().read().level_dbfs, f32::NEG_INFINITY);
        let events: Vec<Event> = engine.events().try_iter().collect();
        assert!(!events.iter().any(|event| matches!(event, Event::Decision { .. } | Event::Resumed { .. })), "{events:?}");

        engine.send(hearken::protocol::Command::Resume);
        wait_for_event(&engine, |event| matches!(event, Event::Decision { .. }));
        assert_eq!(recording_streams(), before + 1);
        engine.send(hearken::protocol::Command::Pause);
        wait_for_event(&engine, |event| matches!(event, Event::Paused { .. }));
        assert_eq!(recording_streams(), before);
    });
}

#[test]
fn loudspeaker_is_never_heard_unless_it_is_chosen_by_name() {
    in_virtual_mic(LIMIT, || {
        let home = tempfile::tempdir().unwrap();
        unload("source_name=vmic");
        pactl(&["set-default-source", "vspeaker.monitor"]);
        let before = recording_streams();
        let listed = hearken::audio::devices().unwrap();
        let speaker = listed.iter().find(|device| device.id.ends_with("vspeaker.monitor")).unwrap();
        assert!(speaker.is_monitor && listed.iter().all(|device| device.is_monitor == device.id.ends_with(".monitor")), "{listed:?}");
        let mut settings = session(home.path(), EchoChoice::Off);
        settings.save_audio = None;
        assert_eq!(hearken::engine::start(settings.clone()).unwrap_err().kind(), ErrorKind::NoMicrophone);

        let engine = hearken::engine::start_patiently(settings, &[]);
        wait_for_event(&engine, |event| matches!(event, Event::InputLost { .. }));
        wait_for_event(&engine, |event| matches!(event, Event::Problem { kind: ErrorKind::NoMicrophone, .. }));
        // Long enough for every retry and for the list of devices.
        std::thread::sleep(Duration::from_secs(5));
        assert_eq!(recording_streams(), before);
        assert!(!engine.events().try_iter().any(|event| matches!(event, Event::Decision { .. } | Event::InputChanged { .. })));

        engine.send(hearken::protocol::Command::ChooseInput(DeviceChoice::Named(speaker.id.clone())));
        wait_for_event(&engine, |event| matches!(event, Event::InputChanged { .. }));
        wait_for_event(&engine, |event| matches!(event, Event::Decision { .. }));
        assert_eq!(recording_streams(), before + 1);

        engine.send(hearken::protocol::Command::ChooseInput(DeviceChoice::Default));
        wait_for_event(&engine, |event| matches!(event, Event::Problem { kind: ErrorKind::NoMicrophone, .. }));
        pactl(&["load-module", "module-remap-source", "source_name=vmic", "master=vmic_sink.monitor", "channels=1", "channel_map=mono"]);
        std::thread::sleep(Duration::from_secs(1));
        engine.send(hearken::protocol::Command::ChooseInput(DeviceChoice::Default));
        wait_for_event(&engine, |event| matches!(event, Event::InputChanged { device, .. } if !device.starts_with("Monitor")));
    });
}

/// Returns the number of streams that record from a source; that of the virtual microphone itself is one of them.
fn recording_streams() -> usize {
    pactl(&["list", "short", "source-outputs"]).lines().count()
}

/// Unloads the sound server's module with this argument.
fn unload(argument: &str) {
    let modules = pactl(&["list", "short", "modules"]);
    let module = modules.lines().find(|line| line.contains(argument)).and_then(|line| line.split_whitespace().next());
    pactl(&["unload-module", module.unwrap()]);
}

fn wait_for_event(engine: &hearken::engine::EngineHandle, wanted: impl Fn(&Event) -> bool) -> Event {
    let until = Instant::now() + Duration::from_secs(15);
    std::iter::from_fn(|| engine.events().recv_deadline(until).ok()).find(|event| wanted(event)).expect("the event comes")
}

#[test]
fn unplugged_microphone_is_reported_and_reopened_after_it_returns() {
    in_virtual_mic(LIMIT, || {
        let mut source = CaptureSource::open(&DeviceChoice::Named("vmic_sink.monitor".to_owned()), &[]).unwrap();
        wait_for(&mut source, Duration::from_secs(5), |heard| matches!(heard, SourceEvent::Samples(_)));
        unload("sink_name=vmic_sink");
        wait_for(&mut source, Duration::from_secs(6), |heard| matches!(heard, SourceEvent::InputLost(_)));
        pactl(&["load-module", "module-null-sink", "sink_name=vmic_sink", "rate=48000", "channels=1", "media.class=Audio/Sink"]);
        let back = wait_for(&mut source, Duration::from_secs(15), |heard| matches!(heard, SourceEvent::InputChanged { .. }));
        assert!(
            matches!(back[..], [SourceEvent::Gap { cause: GapCause::DeviceLost, samples: 1.. }, SourceEvent::InputChanged { .. }]),
            "{back:?}"
        );
        wait_for(&mut source, Duration::from_secs(5), |heard| matches!(heard, SourceEvent::Samples(_)));
    });
}

#[test]
fn gap_has_the_length_of_the_outage_each_time_the_microphone_is_unplugged() {
    let limit = Duration::from_secs(90) + Duration::from_secs(6) * unplugs();
    in_virtual_mic(limit, || {
        let mut source = CaptureSource::open(&DeviceChoice::Named("vmic_sink.monitor".to_owned()), &[]).unwrap();
        let mut accounted = 0;
        // Listens until the event `wanted`, and returns the seconds heard or reported as lost since the start.
        let mut listen = |limit: Duration, wanted: &dyn Fn(&SourceEvent, Duration) -> bool| {
            let start = Instant::now();
            loop {
                let before = Instant::now();
                let heard = source.next(&mut Vec::new()).unwrap();
                assert!(before.elapsed() < Duration::from_secs(1), "next() hung");
                match heard {
                    SourceEvent::Samples(n) => accounted += n as u64,
                    SourceEvent::Gap { samples, .. } => accounted += samples,
                    _ => {}
                }
                if wanted(&heard, start.elapsed()) {
                    return accounted as f64 / 16_000.0;
                }
                assert!(start.elapsed() < limit, "not within {limit:?}; {heard:?}");
            }
        };
        let samples = |heard: &SourceEvent, _: Duration| matches!(heard, SourceEvent::Samples(_));
        listen(Duration::from_secs(5), &samples);
        let (begun, first) = (Instant::now(), listen(Duration::from_secs(2), &|_, passed| passed > Duration::from_secs(1)));
        let behind = |accounted: f64| begun.elapsed().as_secs_f64() - (accounted - first);
        let usual = behind(first);
        for n in 0..unplugs() {
            unload("sink_name=vmic_sink");
            listen(Duration::from_secs(6), &|heard, _| matches!(heard, SourceEvent::InputLost(_)));
            pactl(&["load-module", "module-null-sink", "sink_name=vmic_sink", "rate=48000", "channels=1", "media.class=Audio/Sink"]);
            let there = Instant::now();
            listen(Duration::from_secs(8), &|heard, _| matches!(heard, SourceEvent::InputChanged { .. }));
            let waited = there.elapsed();
            let accounted = listen(Duration::from_secs(2), &|heard, passed| samples(heard, passed) && passed > Duration::from_millis(500));
            let off = behind(accounted) - usual;
            println!("{n}: listening again after {waited:?}; {off:+.3} s unaccounted for in all");
            assert!(off.abs() <= 0.4 * f64::from(n + 1), "{off} s unaccounted for after {} times", n + 1);
        }
    });
}

/// Returns the greatest correlation of `wanted` with a part of `heard`. Searches in coarse steps on the energy, then by samples.
fn correlation(wanted: &[f32], heard: &[f32]) -> f64 {
    const STEP: usize = 32;
    assert!(heard.len() >= wanted.len(), "{} samples captured, {} played", heard.len(), wanted.len());
    let energy = |x: &[f32]| x.chunks(STEP).map(|c| c.iter().map(|s| s * s).sum::<f32>().sqrt()).collect::<Vec<_>>();
    let (small, large) = (energy(wanted), energy(heard));
    let best = |range: std::ops::RangeInclusive<usize>, a: &[f32], b: &[f32]| {
        range.filter(|at| at + a.len() <= b.len()).map(|at| (at, at_lag(a, &b[at..]))).max_by(|x, y| x.1.total_cmp(&y.1)).unwrap()
    };
    let (coarse, _) = best(0..=large.len().saturating_sub(small.len()), &small, &large);
    let around = coarse * STEP;
    best(around.saturating_sub(3 * STEP)..=around + 3 * STEP, wanted, heard).1
}

fn at_lag(a: &[f32], b: &[f32]) -> f64 {
    let (mut ab, mut aa, mut bb) = (0.0, 1e-12, 1e-12);
    for (&x, &y) in a.iter().zip(b) {
        let (x, y) = (f64::from(x), f64::from(y));
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    ab / f64::sqrt(aa * bb)
}

/// Returns six seconds of noise with the rhythm of syllables, between half seconds of silence; always the same.
fn speech_like_noise() -> Vec<f32> {
    let (mut state, mut low) = (0x9E37_79B9_7F4A_7C15_u64, 0.0_f32);
    let body = (0..288_000).map(|n| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        low += 0.2 * ((state >> 40) as f32 / 8_388_608.0 - 1.0 - low);
        let t = n as f32 / 48_000.0;
        low * (0.55 + 0.45 * (t * 23.0).sin() * (t * 3.7).cos())
    });
    std::iter::repeat_n(0.0, 24_000).chain(body).chain(std::iter::repeat_n(0.0, 24_000)).collect()
}

fn write_noise(dir: &tempfile::TempDir, noise: &[f32]) -> PathBuf {
    let file = dir.path().join("noise.wav");
    let spec = hound::WavSpec { channels: 1, sample_rate: 48_000, bits_per_sample: 32, sample_format: hound::SampleFormat::Float };
    let mut wav = hound::WavWriter::create(&file, spec).unwrap();
    noise.iter().for_each(|&s| wav.write_sample(s).unwrap());
    wav.finalize().unwrap();
    file
}

/// Returns `noise` without its first `skipped` samples, at 16 kHz: capture may begin at any of three phases.
fn resampled(noise: &[f32], skipped: usize) -> Vec<f32> {
    let (mut resampler, mut out) = (Resampler::new(48_000).unwrap(), Vec::new());
    resampler.step(&noise[skipped..], &mut out).unwrap();
    resampler.finish(&mut out).unwrap();
    out
}

/// Returns the events up to `wanted`, without samples.
fn wait_for(source: &mut CaptureSource, limit: Duration, wanted: impl Fn(&SourceEvent) -> bool) -> Vec<SourceEvent> {
    let (start, mut all) = (Instant::now(), Vec::new());
    while start.elapsed() < limit {
        let before = Instant::now();
        let heard = source.next(&mut Vec::new()).unwrap();
        assert!(before.elapsed() < Duration::from_secs(1), "next() hung");
        let found = wanted(&heard);
        if !matches!(heard, SourceEvent::Samples(_) | SourceEvent::Nothing) {
            all.push(heard);
        }
        if found {
            return all;
        }
    }
    panic!("no such event within {limit:?}: {all:?}");
}

/// The virtual speaker is looped back into the virtual microphone, as in a room.
#[test]
fn own_voice_is_cancelled_and_not_answered() {
    in_virtual_mic(LIMIT, || {
        pactl(&["load-module", "module-loopback", "source=vspeaker.monitor", "sink=vmic_sink", "latency_msec=60"]);
        std::thread::sleep(Duration::from_millis(500));
        let begins = |events: &[Event]| {
            let started = events.iter().find(|e| matches!(e, Event::VoiceStarted { .. })).expect("the text is spoken");
            assert!(events.iter().any(|e| matches!(e, Event::VoiceFinished { cut: false, .. })), "spoken to the end: {events:?}");
            started.at().secs()
        };
        let (events, heard) = say_in_the_room(EchoChoice::Off);
        let echo = loudest(&heard, begins(&events));
        let (events, heard) = say_in_the_room(EchoChoice::On);
        let begin = begins(&events);
        let (first, later) = (loudest(&heard, begin), loudest(&heard, begin + 2.5));
        println!(
            "own voice at the microphone: {echo:.1} dBFS without the canceller; {first:.1} at most and {later:.1} after 2.5 s with it"
        );
        assert!(echo > -35.0, "the room has an echo: {echo}");
        assert!(later < echo - 20.0, "{later}");
        assert!(!events.iter().any(|e| matches!(e, Event::ReplyStarted { .. })), "Hearken answered itself: {events:?}");
    });
}

fn session(home: &Path, echo: EchoChoice) -> Settings {
    let paths = hearken::config::Paths::inside(home);
    let cli = Cli::try_parse_from(["hearken", "--modes", "dialog", "--gate", "off"]).unwrap();
    let Request::Window(mut settings) = cli.request(&paths, Stdout::Redirected).unwrap() else { panic!("no window") };
    settings.save_audio = Some(home.join("heard.wav"));
    // Without the canceller its own voice would count as barge-in.
    let interrupt = if echo == EchoChoice::Off { Interrupt::LetFinish } else { Interrupt::Cut };
    settings.voice = VoiceSettings { echo, interrupt, ..VoiceSettings::default() };
    *settings
}

/// Speaks a text. Returns the events until two seconds after it, and the samples that the model heard.
fn say_in_the_room(echo: EchoChoice) -> (Vec<Event>, Vec<f32>) {
    const TEXT: &str =
        "My name is Hearken. I listen all the time, and I answer when somebody asks me something. The weather is fine today.";
    let home = tempfile::tempdir().unwrap();
    let engine = hearken::engine::start(session(home.path(), echo)).unwrap();
    let (start, mut events, mut said_at) = (Instant::now(), Vec::new(), None);
    let mut requested = false;
    while said_at.is_none_or(|at: Instant| at.elapsed() < Duration::from_secs(2)) {
        assert!(start.elapsed() < Duration::from_secs(40), "{events:?}");
        let Ok(event) = engine.events().recv_timeout(Duration::from_millis(100)) else { continue };
        // Speak after two seconds of listening.
        if !requested && event.at().secs() > 2.0 {
            requested = engine.send(hearken::protocol::Command::Say { reply: ReplyId(0), text: TEXT.to_owned(), emotion: None });
        }
        if matches!(event, Event::VoiceFinished { .. }) {
            said_at = Some(Instant::now());
        }
        events.push(event);
    }
    engine.send(hearken::protocol::Command::Shutdown);
    events.extend(engine.events().iter());
    drop(engine);
    let mut wav = hound::WavReader::open(home.path().join("heard.wav")).unwrap();
    (events, wav.samples::<f32>().map(Result::unwrap).collect())
}

/// Returns the level of the loudest half second from `from` seconds on, in dBFS.
fn loudest(samples: &[f32], from: f64) -> f32 {
    samples[((from * 16_000.0) as usize).min(samples.len())..].chunks(8_000).map(dbfs).fold(SILENCE_DBFS, f32::max)
}

/// A conversation without a key or headphones: questions are asked in the room and answered aloud.
#[cfg(feature = "voice")]
#[test]
fn spoken_questions_are_answered_once_over_loudspeaker_and_microphone() {
    inside::needs("espeak-ng", "espeak-ng");
    in_virtual_mic(LIMIT, || {
        pactl(&["load-module", "module-loopback", "source=vspeaker.monitor", "sink=vmic_sink", "latency_msec=60"]);
        std::thread::sleep(Duration::from_millis(500));
        let home = tempfile::tempdir().unwrap();
        let engine = hearken::engine::start(session(home.path(), EchoChoice::On)).unwrap();
        until_quiet(&engine, Duration::from_secs(2));
        for question in ["what is your name", "what color is the sky", "how are you"] {
            let wav = home.path().join("question.wav");
            let said = Command::new("espeak-ng").args(["-v", "en", "-w"]).arg(&wav).arg(question).status().unwrap();
            assert!(said.success());
            assert!(play(&wav).wait().unwrap().success());
            // Long enough for an answer to its own answer.
            let events = until_quiet(&engine, Duration::from_secs(4));
            println!("{question}: {events:?}");
            let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
            assert_eq!(
                count(|e| matches!(e, Event::ReplyFinished { .. })),
                1,
                "one answer to {question:?}, and none to itself: {events:?}"
            );
            assert_eq!(count(|e| matches!(e, Event::VoiceFinished { cut: false, .. })), 1, "spoken to the end: {events:?}");
        }
        engine.send(hearken::protocol::Command::Shutdown);
    });
}

/// Returns the voice and reply events until none has come for `quiet`.
#[cfg(feature = "voice")]
fn until_quiet(engine: &hearken::engine::EngineHandle, quiet: Duration) -> Vec<Event> {
    let (begun, mut last, mut speaking, mut events) = (Instant::now(), Instant::now(), false, Vec::new());
    while speaking || last.elapsed() < quiet {
        assert!(begun.elapsed() < Duration::from_secs(60), "{events:?}");
        let Ok(event) = engine.events().recv_timeout(Duration::from_millis(50)) else { continue };
        match event {
            Event::VoiceStarted { .. } => speaking = true,
            Event::VoiceFinished { .. } => speaking = false,
            Event::ReplyStarted { .. } | Event::ReplyFinished { .. } => {}
            _ => continue,
        }
        last = Instant::now();
        events.push(event);
    }
    events
}
