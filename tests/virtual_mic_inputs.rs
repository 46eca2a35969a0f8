//! Inputs with several channels, muted ones, and the clock, on a real sound server with virtual microphones.
#![cfg(all(feature = "mic", target_os = "linux"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod inside;

use std::io::{BufRead, BufReader};
use std::num::NonZeroU16;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hearken::audio::capture::CaptureSource;
use hearken::audio::{Source, SourceEvent};
use hearken::level::dbfs;
use hearken::protocol::{ChannelChoice, DeviceChoice};
use inside::{LIMIT, in_virtual_mic, pactl};
use serde_json::Value;

/// Four inputs without positions, as PipeWire's profile "Pro Audio" names those of an interface.
const AUX: &str = "aux0,aux1,aux2,aux3";

/// Writes ten seconds of a tone in each channel of `gains`, that large; returns nothing else.
fn write_tone(file: &Path, gains: &[f32]) {
    let channels = gains.len() as u16;
    let spec = hound::WavSpec { channels, sample_rate: 48_000, bits_per_sample: 32, sample_format: hound::SampleFormat::Float };
    let mut wav = hound::WavWriter::create(file, spec).unwrap();
    for n in 0..480_000 {
        let sample = 0.4 * (n as f32 * 0.05).sin();
        gains.iter().for_each(|gain| wav.write_sample(sample * gain).unwrap());
    }
    wav.finalize().unwrap();
}

/// Adds a microphone `name` with channels at the positions of `map`, into which the sink of the same name with `_sink` plays.
fn add_microphone(name: &str, map: &str) {
    let channels = format!("channels={}", map.split(',').count());
    let (sink, map) = (format!("sink_name={name}_sink"), format!("channel_map={map}"));
    pactl(&["load-module", "module-null-sink", &sink, "rate=48000", &channels, &map, "media.class=Audio/Sink"]);
    let (source, master) = (format!("source_name={name}"), format!("master={name}_sink.monitor"));
    let of_master = format!("master_{map}");
    pactl(&["load-module", "module-remap-source", &source, &master, &channels, &map, &of_master]);
    std::thread::sleep(Duration::from_secs(1));
}

/// Plays a tone into the microphone `name` in the channels of `gains`, and returns the level that `source` delivers with each of
/// `choices`, in dBFS.
fn levels(name: &str, map: &str, gains: &[f32], source: &mut CaptureSource, choices: &[ChannelChoice]) -> Vec<f32> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tone.wav");
    write_tone(&file, gains);
    let (device, map) = (format!("--device={name}_sink"), format!("--channel-map={map}"));
    let mut player = Command::new("paplay").args([&device, &map, "--latency-msec=100"]).arg(&file).spawn().unwrap();
    let mut heard = Vec::new();
    let mut hear = |source: &mut CaptureSource, limit: Duration| {
        heard.clear();
        let begun = Instant::now();
        while begun.elapsed() < limit {
            source.next(&mut heard).unwrap();
        }
        dbfs(&heard)
    };
    hear(source, Duration::from_millis(2_500));
    let measured = choices.iter().map(|choice| {
        source.choose_channel(*choice);
        hear(source, Duration::from_millis(500));
        hear(source, Duration::from_secs(1))
    });
    let measured = measured.collect();
    player.kill().unwrap();
    player.wait().unwrap();
    measured
}

#[test]
fn voice_on_one_of_several_inputs_without_positions_is_heard_and_a_channel_can_be_chosen() {
    in_virtual_mic(LIMIT, || {
        add_microphone("interface", AUX);
        let mut source = CaptureSource::open(&DeviceChoice::Named("interface".to_owned()), &[]).unwrap();
        assert_eq!((source.channels(), source.rate_hz()), (4, 48_000));
        let only = |number| ChannelChoice::Only(NonZeroU16::new(number).unwrap());
        let heard = levels("interface", AUX, &[0.0, 0.0, 1.0, 0.0], &mut source, &[ChannelChoice::All, only(3), only(1)]);
        println!("all, the third, the first: {heard:?} dBFS");
        assert!((heard[0] + 23.0).abs() < 1.5 && (heard[1] + 11.0).abs() < 1.5 && heard[2] < -100.0, "{heard:?}");
        source.choose_channel(only(5));
        let mut found = None;
        for _ in 0..20 {
            if let SourceEvent::Problem(error) = source.next(&mut Vec::new()).unwrap() {
                found = Some(error.message().to_owned());
            }
        }
        assert!(found.is_some_and(|message| message.contains("no channel 5, only 4")));
    });
}

#[test]
fn channels_that_take_each_other_away_and_unusual_positions_are_heard() {
    in_virtual_mic(LIMIT, || {
        for (name, map, gains, wanted) in [
            ("inverted", "front-left,front-right", &[1.0, -1.0][..], -11.0),
            ("left_only", "front-left,front-right", &[1.0, 0.0][..], -17.0),
            ("behind", "front-left,front-right,front-center,rear-center", &[0.0, 0.0, 0.0, 1.0][..], -23.0),
        ] {
            add_microphone(name, map);
            let mut source = CaptureSource::open(&DeviceChoice::Named(name.to_owned()), &[]).unwrap();
            assert_eq!(usize::from(source.channels()), gains.len());
            let heard = levels(name, map, gains, &mut source, &[ChannelChoice::All]);
            println!("{name}: {heard:?} dBFS");
            assert!((heard[0] - wanted).abs() < 1.5, "{name}: {heard:?}");
        }
    });
}

/// Listens with the program for `secs` seconds, with a change in the middle of the time by `act`, which gets the process's id. Returns
/// the events and the exit code.
fn listen(env: &[(&str, &str)], secs: u64, act: impl FnOnce(u32)) -> (Vec<Value>, Option<i32>) {
    let home = tempfile::tempdir().unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_hearken"));
    program.args(["listen", "--format", "jsonl", "--no-decisions"]).env("HEARKEN_HOME", home.path());
    let mut child = program.envs(env.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let reader = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>());
    std::thread::sleep(Duration::from_secs(secs) / 2);
    act(child.id());
    std::thread::sleep(Duration::from_secs(secs) / 2);
    signal(child.id(), "-INT");
    let code = child.wait().unwrap().code();
    let rest = reader.join().unwrap();
    let events = std::iter::once(first).chain(rest).map(|line| serde_json::from_str(&line).unwrap()).collect();
    (events, code)
}

fn signal(process: u32, name: &str) {
    assert!(Command::new("kill").args([name, &process.to_string()]).status().unwrap().success());
}

fn of_type<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).collect()
}

#[test]
fn time_for_which_hearken_was_stopped_is_a_gap_on_every_host() {
    in_virtual_mic(LIMIT, || {
        // PulseAudio's server closes the stream of a program that does not answer. Without its socket the sound comes through ALSA's plugin.
        for (host, env) in [("pulseaudio", &[][..]), ("alsa", &[("PULSE_SERVER", "unix:/nowhere")][..])] {
            let begun = Instant::now();
            let (events, code) = listen(env, 8, |process| {
                signal(process, "-STOP");
                std::thread::sleep(Duration::from_secs(4));
                signal(process, "-CONT");
            });
            let passed = begun.elapsed().as_secs_f64();
            let gaps = of_type(&events, "audio_gap");
            let lost: f64 = gaps.iter().map(|gap| gap["samples"].as_f64().unwrap() / 16_000.0).sum();
            let finished = of_type(&events, "session_finished")[0];
            let heard = finished["audio_secs"].as_f64().unwrap();
            println!("{host}: {gaps:?}; {heard:.2} s of audio in {passed:.2} s with the start");
            assert!((2.5..4.6).contains(&lost), "{host}: {lost} s lost: {events:?}");
            assert!(gaps.iter().any(|gap| gap["cause"] == "stopped"), "{host}: {gaps:?}");
            let from = gaps[0]["from_secs"].as_f64().unwrap();
            assert!((3.0..5.5).contains(&from), "{host}: the gap begins at {from}");
            assert!((11.2..13.5).contains(&heard), "{host}: {heard} s of audio; 8 s of listening and 4 s of stop");
            assert_eq!(code, Some(1), "{host}: lost sound is a problem");
        }
    });
}

#[test]
fn microphone_that_is_muted_from_the_start_is_said_once_with_its_name() {
    in_virtual_mic(LIMIT, || {
        pactl(&["set-source-mute", "vmic", "1"]);
        let (events, code) = listen(&[], 24, |_| {});
        let problems = of_type(&events, "problem");
        assert!(
            matches!(&problems[..], [only] if only["kind"] == "silent_input" && only["remedy"] == "unmute_input"
                && only["message"].as_str().unwrap().contains("vmic") && (9.5..12.0).contains(&only["at"].as_f64().unwrap())),
            "{events:?}"
        );
        assert_eq!((of_type(&events, "input_silent").len(), code), (1, Some(1)));
        assert_eq!(of_type(&events, "session_finished")[0]["problems"], 1);
    });
}
