//! Loss, stall, system sleep and return of the input, on a scripted sound system.

use std::sync::Mutex;
use std::thread;

use crossbeam_channel::{Sender, bounded};

use super::*;
use crate::audio::capture::ring::{RingWriter, ring};
use crate::audio::capture::stream::StreamError;
use crate::audio::mix::Mixer;
use crate::protocol::ChannelChoice;

/// Sample rate of the scripted inputs, in Hz: the rate of the model, so that no resampler delays the samples.
const RATE_HZ: u32 = 16_000;
/// Samples of one callback.
const BLOCK: usize = 320;

/// A sound system whose inputs a test plugs in and unplugs.
struct Script {
    inner: Mutex<Inner>,
    snapshots: (Sender<DeviceSnapshot>, Receiver<DeviceSnapshot>),
}

#[derive(Default)]
struct Inner {
    plugged: Vec<String>,
    default: Option<String>,
    slept_secs: f64,
    streams: Vec<OpenStream>,
    opened: Vec<String>,
}

/// The writing side of an open scripted stream.
struct OpenStream {
    id: String,
    writer: RingWriter,
    errors: Sender<StreamError>,
}

impl Script {
    fn new(ids: &[&str]) -> Arc<Self> {
        let own = Arc::new(Self { inner: Mutex::default(), snapshots: bounded(1) });
        own.plug(ids);
        own
    }

    /// Leaves exactly `ids` plugged in; the first is the default.
    fn plug(&self, ids: &[&str]) {
        let mut inner = self.inner.lock().unwrap();
        inner.plugged = ids.iter().map(|id| (*id).to_owned()).collect();
        inner.default = inner.plugged.first().cloned();
        inner.streams.retain(|stream| ids.contains(&stream.id.as_str()));
    }

    /// Sends a snapshot, as the watcher of a real system does every two seconds.
    fn send_snapshot(&self) {
        let inner = self.inner.lock().unwrap();
        let default_name = inner.default.clone().unwrap_or_default();
        let snapshot = DeviceSnapshot {
            default_id: inner.default.clone(),
            default_name,
            inputs: inner.plugged.iter().map(|id| (id.clone(), id.clone())).collect(),
        };
        let _ = self.snapshots.0.try_send(snapshot);
    }

    /// Runs one callback of each open stream, with samples of `value` and half of it in turn.
    fn play(&self, value: f32) {
        for stream in &mut self.inner.lock().unwrap().streams {
            let block: Vec<f32> = (0..BLOCK).map(|n| value * if n % 2 == 0 { 1.0 } else { 0.5 }).collect();
            stream.writer.write(&block, 1, |x| x);
        }
    }

    fn opened(&self) -> Vec<String> {
        self.inner.lock().unwrap().opened.clone()
    }
}

impl Backend for Script {
    fn open(&self, choice: &DeviceChoice, excluded: &[String]) -> Result<InputStream> {
        let mut inner = self.inner.lock().unwrap();
        let missing = || Error::new(ErrorKind::InputDevice, "the device is not available");
        let id = match choice {
            DeviceChoice::Default => inner.plugged.iter().find(|id| !excluded.contains(id)).cloned().ok_or_else(missing)?,
            named => named.names().iter().find(|name| inner.plugged.contains(name)).cloned().ok_or_else(missing)?,
        };
        let (writer, reader) = ring(2 * RATE_HZ as usize, Mixer::new(RATE_HZ, ChannelChoice::All));
        let (errors, reported) = bounded(8);
        inner.streams.push(OpenStream { id: id.clone(), writer, errors });
        inner.opened.push(id.clone());
        Ok(InputStream::scripted(reader, reported, &id, RATE_HZ))
    }

    fn watch(&self) -> Receiver<DeviceSnapshot> {
        self.snapshots.1.clone()
    }

    fn slept_secs(&self) -> f64 {
        self.inner.lock().unwrap().slept_secs
    }
}

fn open(script: &Arc<Script>, choice: &DeviceChoice, excluded: &[String]) -> CaptureSource {
    let backend: Arc<dyn Backend> = Arc::<Script>::clone(script);
    CaptureSource::open_with(backend, choice, excluded).unwrap()
}

/// Listens until the event `wanted`, or for `limit`, while the plugged inputs play. Returns the events other than samples, the
/// number of samples, and the time that passed.
fn listen(
    script: &Script,
    source: &mut CaptureSource,
    limit: Duration,
    wanted: impl Fn(&SourceEvent) -> bool,
) -> (Vec<SourceEvent>, u64, Duration) {
    let (begun, mut all, mut samples) = (Instant::now(), Vec::new(), 0);
    while begun.elapsed() < limit {
        script.play(0.25);
        let asked = Instant::now();
        let heard = source.next(&mut Vec::new()).unwrap();
        assert!(asked.elapsed() < Duration::from_secs(1), "next() hung");
        let found = wanted(&heard);
        match heard {
            SourceEvent::Samples(n) => samples += n as u64,
            SourceEvent::Nothing => {}
            other => all.push(other),
        }
        if found {
            break;
        }
        thread::sleep(Duration::from_millis(20).saturating_sub(asked.elapsed()));
    }
    (all, samples, begun.elapsed())
}

fn is_samples(heard: &SourceEvent) -> bool {
    matches!(heard, SourceEvent::Samples(_))
}

fn is_change(heard: &SourceEvent) -> bool {
    matches!(heard, SourceEvent::InputChanged { .. })
}

fn gap_of(all: &[SourceEvent]) -> (f64, GapCause) {
    match all.iter().find(|heard| matches!(heard, SourceEvent::Gap { .. })) {
        Some(SourceEvent::Gap { samples, cause }) => (*samples as f64 / f64::from(SAMPLE_RATE_HZ), *cause),
        _ => panic!("no gap in {all:?}"),
    }
}

const SECS: fn(u64) -> Duration = Duration::from_secs;

#[test]
fn input_that_stalls_without_an_error_is_reopened_and_the_gap_has_the_length_of_the_outage() {
    let script = Script::new(&["mic"]);
    let mut source = open(&script, &DeviceChoice::Default, &[]);
    listen(&script, &mut source, Duration::from_millis(300), |_| false);
    let lost_at = Instant::now();
    script.plug(&[]);
    let (problem, ..) = listen(&script, &mut source, SECS(4), |heard| matches!(heard, SourceEvent::InputLost(_)));
    assert!(matches!(&problem[..], [SourceEvent::InputLost(error)] if error.message().contains("mic: the input was lost")), "{problem:?}");
    thread::sleep(SECS(2));
    script.plug(&["mic"]);
    let (back, _, waited) = listen(&script, &mut source, SECS(5), is_change);
    assert!(waited < SECS(2), "listening resumes within 2 s: {waited:?}");
    let (secs, cause) = gap_of(&back);
    let passed = lost_at.elapsed().as_secs_f64();
    assert!(cause == GapCause::DeviceLost && (secs - passed).abs() < 0.4, "a gap of {secs} s, {passed} s passed");
    let (_, samples, _) = listen(&script, &mut source, SECS(1), |_| false);
    assert!(samples > 8_000);
}

#[test]
fn input_with_a_fatal_error_is_reopened_without_waiting_for_a_stall() {
    let script = Script::new(&["mic"]);
    let mut source = open(&script, &DeviceChoice::Default, &[]);
    listen(&script, &mut source, SECS(1), is_samples);
    let error = StreamError { error: cpal::Error::new(cpal::ErrorKind::DeviceNotAvailable), frames: 320 };
    script.inner.lock().unwrap().streams[0].errors.send(error).unwrap();
    script.inner.lock().unwrap().streams.clear();
    let (all, _, waited) = listen(&script, &mut source, SECS(4), is_change);
    assert!(waited < Duration::from_millis(1_500), "{waited:?}: {all:?}");
    assert!(matches!(&all[0], SourceEvent::InputLost(error) if error.message().contains("not available")), "{all:?}");
    assert!(gap_of(&all).0 < 1.5);
}

#[test]
fn thirty_seconds_of_exact_zeros_after_a_signal_count_as_a_loss() {
    let script = Script::new(&["mic"]);
    let mut source = open(&script, &DeviceChoice::Default, &[]);
    let zeros = |source: &mut CaptureSource, secs: usize| {
        let mut all = Vec::new();
        for _ in 0..secs * RATE_HZ as usize / BLOCK {
            script.play(0.0);
            match source.next(&mut Vec::new()).unwrap() {
                SourceEvent::Samples(_) | SourceEvent::Nothing => {}
                other => all.push(other),
            }
        }
        all
    };
    let silent = [SourceEvent::InputSilent { device: "mic".into() }];
    let from_the_start = zeros(&mut source, 60);
    assert_eq!(from_the_start[..1], silent, "a microphone that is muted from the start is reported once and not lost");
    assert!(
        matches!(&from_the_start[1..], [SourceEvent::Problem(error)] if error.kind() == ErrorKind::SilentInput && error.message().starts_with("mic: ")),
        "{from_the_start:?}"
    );
    let heard = listen(&script, &mut source, Duration::from_millis(200), |_| false).0;
    assert_eq!(heard, [SourceEvent::InputAudible]);
    assert_eq!(zeros(&mut source, 28), silent);
    let mut all = zeros(&mut source, 5);
    all.extend(listen(&script, &mut source, SECS(4), is_change).0);
    assert!(matches!(&all[0], SourceEvent::InputLost(error) if error.message().contains("exact zeros")), "{all:?}");
    assert_eq!(gap_of(&all).1, GapCause::Zeros);
    assert!(all.iter().any(is_change));
}

#[test]
fn system_sleep_is_reported_as_a_gap_of_its_length_and_the_input_is_reopened() {
    let script = Script::new(&["mic"]);
    let mut source = open(&script, &DeviceChoice::Default, &[]);
    listen(&script, &mut source, SECS(1), is_samples);
    script.inner.lock().unwrap().slept_secs = 3_600.0;
    let (all, ..) = listen(&script, &mut source, SECS(4), is_change);
    assert_eq!(gap_of(&all), (3_600.0, GapCause::Suspended), "{all:?}");
    assert_eq!(script.opened(), ["mic", "mic"]);
    assert_eq!(listen(&script, &mut source, SECS(2), |_| false).0, [], "the sleep is reported once");
}

#[test]
fn system_sleep_during_a_loss_is_part_of_its_gap() {
    let script = Script::new(&["mic"]);
    let mut source = open(&script, &DeviceChoice::Default, &[]);
    listen(&script, &mut source, SECS(1), is_samples);
    script.plug(&[]);
    listen(&script, &mut source, SECS(4), |heard| matches!(heard, SourceEvent::InputLost(_)));
    script.inner.lock().unwrap().slept_secs = 1_000.0;
    script.plug(&["mic"]);
    let (secs, cause) = gap_of(&listen(&script, &mut source, SECS(5), is_change).0);
    assert!(cause == GapCause::DeviceLost && (1_001.0..1_006.0).contains(&secs), "{secs}");
}

#[test]
fn source_switches_to_a_new_default_input_without_a_gap() {
    let script = Script::new(&["laptop", "headset"]);
    let mut source = open(&script, &DeviceChoice::Default, &[]);
    listen(&script, &mut source, SECS(1), is_samples);
    script.plug(&["headset", "laptop"]);
    script.send_snapshot();
    let (all, ..) = listen(&script, &mut source, SECS(3), is_change);
    assert!(matches!(&all[..], [SourceEvent::InputChanged { device, .. }] if device == "headset"), "nothing is lost by it: {all:?}");
}

#[test]
fn default_input_stands_in_for_a_missing_chosen_input_unless_excluded_until_it_returns() {
    let script = Script::new(&["webcam", "laptop", "headset"]);
    let mut source = open(&script, &DeviceChoice::Named("headset".into()), &["webcam".to_owned()]);
    listen(&script, &mut source, SECS(1), is_samples);
    script.plug(&["webcam", "laptop"]);
    script.send_snapshot();
    let (all, ..) = listen(&script, &mut source, SECS(8), is_change);
    assert!(matches!(all.last(), Some(SourceEvent::InputChanged { device, .. }) if device == "laptop"), "{all:?}");
    script.send_snapshot();
    assert_eq!(listen(&script, &mut source, SECS(1), |_| false).0, [], "the fallback stays while the chosen input is missing");
    script.plug(&["webcam", "laptop", "headset"]);
    script.send_snapshot();
    let (all, ..) = listen(&script, &mut source, SECS(3), is_change);
    assert!(matches!(&all[..], [SourceEvent::InputChanged { device, .. }] if device == "headset"), "{all:?}");
    assert_eq!(script.opened().iter().filter(|id| *id == "webcam").count(), 0);
}

#[test]
fn first_preferred_input_that_is_there_is_used_and_a_better_one_as_soon_as_it_is_plugged_in() {
    let script = Script::new(&["laptop", "builtin"]);
    let mut source = open(&script, &DeviceChoice::FirstOf(vec!["dock".into(), "builtin".into()]), &[]);
    listen(&script, &mut source, SECS(1), is_samples);
    script.send_snapshot();
    assert_eq!(listen(&script, &mut source, Duration::from_millis(500), |_| false).0, []);
    script.plug(&["laptop", "builtin", "dock"]);
    script.send_snapshot();
    let (all, ..) = listen(&script, &mut source, SECS(3), is_change);
    assert!(matches!(&all[..], [SourceEvent::InputChanged { device, .. }] if device == "dock"), "nothing is lost by it: {all:?}");
    script.plug(&["laptop", "builtin"]);
    script.send_snapshot();
    let (all, ..) = listen(&script, &mut source, SECS(4), is_change);
    assert!(matches!(all.last(), Some(SourceEvent::InputChanged { device, .. }) if device == "builtin"), "{all:?}");
    assert_eq!(script.opened(), ["builtin", "dock", "builtin"], "the default stands in only where no preferred input is there");
}

/// Listens for `limit` while the plugged inputs play at the speed of the clock, the next block at `due`. Returns the events other than
/// samples, and the number of samples before the first of them.
fn listen_in_time(script: &Script, source: &mut CaptureSource, due: &mut Instant, limit: Duration) -> (Vec<SourceEvent>, u64) {
    let (begun, mut all, mut samples) = (Instant::now(), Vec::new(), 0);
    while begun.elapsed() < limit {
        while *due <= Instant::now() {
            script.play(0.25);
            *due += Duration::from_millis(20);
        }
        match source.next(&mut Vec::new()).unwrap() {
            SourceEvent::Samples(n) if all.is_empty() => samples += n as u64,
            SourceEvent::Samples(_) | SourceEvent::Nothing => {}
            other => all.push(other),
        }
        thread::sleep(Duration::from_millis(5));
    }
    (all, samples)
}

#[test]
fn time_for_which_hearken_or_the_device_stood_still_is_a_gap_at_its_place() {
    let script = Script::new(&["mic"]);
    let mut source = open(&script, &DeviceChoice::Default, &[]);
    let mut due = Instant::now();
    assert_eq!(listen_in_time(&script, &mut source, &mut due, SECS(1)).0, []);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(800) {
        source.next(&mut Vec::new()).unwrap();
    }
    due = Instant::now();
    let (all, samples) = listen_in_time(&script, &mut source, &mut due, SECS(1));
    let (secs, cause) = gap_of(&all);
    assert!(all.len() == 1 && cause == GapCause::Overrun && (secs - 0.8).abs() < 0.15, "{all:?}");
    assert!(samples < 2_000, "the sound behind the gap is delivered behind it: {samples}");
    // Longer than the time after which a device counts as lost.
    thread::sleep(SECS(2));
    due = Instant::now();
    let (all, samples) = listen_in_time(&script, &mut source, &mut due, SECS(1));
    let (secs, cause) = gap_of(&all);
    assert!(all.len() == 1 && cause == GapCause::Stopped && (secs - 2.0).abs() < 0.15, "each is reported once: {all:?}");
    assert!(samples < 2_000, "{samples}");
}

#[test]
fn monitor_of_a_loudspeaker_never_replaces_a_microphone() {
    let script = Script::new(&["mic"]);
    let mut source = open(&script, &DeviceChoice::Default, &[]);
    listen(&script, &mut source, SECS(1), is_samples);
    script.plug(&["speaker.monitor"]);
    script.send_snapshot();
    let (all, ..) = listen(&script, &mut source, SECS(4), is_change);
    assert!(matches!(&all[..], [SourceEvent::InputLost(_)]), "{all:?}");
    script.plug(&["mic", "speaker.monitor"]);
    let (all, ..) = listen(&script, &mut source, SECS(4), is_change);
    assert!(matches!(all.last(), Some(SourceEvent::InputChanged { device, .. }) if device == "mic"), "{all:?}");
}

#[test]
fn input_that_is_missing_when_the_pause_ends_is_awaited() {
    let script = Script::new(&["mic"]);
    let mut source = open(&script, &DeviceChoice::Default, &[]);
    source.pause();
    script.plug(&[]);
    source.resume().unwrap();
    assert!(matches!(source.next(&mut Vec::new()).unwrap(), SourceEvent::InputLost(_)));
    script.plug(&["mic"]);
    let (all, ..) = listen(&script, &mut source, SECS(4), is_change);
    assert!(matches!(all.last(), Some(SourceEvent::InputChanged { device, .. }) if device == "mic"), "{all:?}");
}

#[test]
fn hundred_losses_leave_a_hundred_gaps() {
    let script = Script::new(&["mic"]);
    let mut source = open(&script, &DeviceChoice::Named("mic".into()), &[]);
    listen(&script, &mut source, SECS(1), is_samples);
    let (begun, mut secs, mut gaps) = (Instant::now(), 0.0, 0);
    for _ in 0..100 {
        script.inner.lock().unwrap().plugged.clear();
        script.send_snapshot();
        let (mut all, samples, _) = listen(&script, &mut source, SECS(4), |heard| matches!(heard, SourceEvent::InputLost(_)));
        secs += samples as f64 / f64::from(RATE_HZ);
        script.plug(&["mic"]);
        let (back, samples, _) = listen(&script, &mut source, SECS(4), is_change);
        all.extend(back);
        secs += samples as f64 / f64::from(RATE_HZ);
        gaps += all.iter().filter(|heard| matches!(heard, SourceEvent::Gap { .. })).count();
        secs += gap_of(&all).0;
    }
    let passed = begun.elapsed().as_secs_f64();
    println!("{gaps} gaps; {secs:.2} s heard or lost in {passed:.2} s");
    assert_eq!(gaps, 100);
}
