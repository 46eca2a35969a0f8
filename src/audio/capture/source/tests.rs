//! Inputs that vanish, stall, sleep and come back, on a scripted sound system.

use std::sync::Mutex;
use std::thread;

use crossbeam_channel::{Sender, bounded};

use super::*;
use crate::audio::capture::ring::{RingWriter, ring};
use crate::audio::capture::stream::Fault;

/// Rate of the scripted inputs: that of the model, so that nothing is delayed by a resampler.
const RATE_HZ: u32 = 16_000;
/// Samples of a callback.
const BLOCK: usize = 320;

/// A sound system with inputs that a test plugs in and out.
struct Script {
    inner: Mutex<Inner>,
    seen: (Sender<Seen>, Receiver<Seen>),
}

#[derive(Default)]
struct Inner {
    there: Vec<String>,
    default: Option<String>,
    slept: f64,
    /// The streams that were opened, and of what.
    writers: Vec<(String, RingWriter, Sender<Fault>)>,
    opened: Vec<String>,
}

impl Script {
    fn new(there: &[&str]) -> Arc<Self> {
        let own = Arc::new(Self { inner: Mutex::default(), seen: bounded(1) });
        own.plug(there);
        own
    }

    fn plug(&self, there: &[&str]) {
        let mut inner = self.inner.lock().unwrap();
        inner.there = there.iter().map(|id| (*id).to_owned()).collect();
        inner.default = inner.there.first().cloned();
        inner.writers.retain(|(id, ..)| there.contains(&id.as_str()));
    }

    /// What the watch of the real system says every two seconds.
    fn tell(&self) {
        let inner = self.inner.lock().unwrap();
        let default_name = inner.default.clone().unwrap_or_default();
        let _ = self.seen.0.try_send(Seen { default_id: inner.default.clone(), default_name, ids: inner.there.clone() });
    }

    /// One callback of every stream that is open, each sample `value` with a wave on it.
    fn play(&self, value: f32) {
        for (_, writer, _) in &mut self.inner.lock().unwrap().writers {
            let block: Vec<f32> = (0..BLOCK).map(|n| value * if n % 2 == 0 { 1.0 } else { 0.5 }).collect();
            writer.write(&block, 1, |x| x);
        }
    }

    fn opened(&self) -> Vec<String> {
        self.inner.lock().unwrap().opened.clone()
    }
}

impl Backend for Script {
    fn open(&self, choice: &DeviceChoice, excluded: &[String]) -> Result<InputStream> {
        let mut inner = self.inner.lock().unwrap();
        let missing = || Error::new(ErrorKind::InputDevice, "it is not there");
        let id = match choice {
            DeviceChoice::Default => inner.there.iter().find(|id| !excluded.contains(id)).cloned().ok_or_else(missing)?,
            DeviceChoice::Named(name) => inner.there.iter().find(|id| *id == name).cloned().ok_or_else(missing)?,
        };
        let (writer, reader) = ring(2 * RATE_HZ as usize);
        let (fault, faults) = bounded(8);
        inner.writers.push((id.clone(), writer, fault));
        inner.opened.push(id.clone());
        Ok(InputStream::scripted(reader, faults, &id, RATE_HZ))
    }

    fn watch(&self) -> Receiver<Seen> {
        self.seen.1.clone()
    }

    fn slept_secs(&self) -> f64 {
        self.inner.lock().unwrap().slept
    }
}

fn open(script: &Arc<Script>, choice: &DeviceChoice, excluded: &[String]) -> CaptureSource {
    let backend: Arc<dyn Backend> = Arc::<Script>::clone(script);
    CaptureSource::open_with(backend, choice, excluded).unwrap()
}

/// Listens for `limit` while the inputs that are there play, or until `wanted` is heard; everything but samples, and how
/// many of those there were.
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

fn gap(all: &[SourceEvent]) -> (f64, GapCause) {
    match all.iter().find(|heard| matches!(heard, SourceEvent::Gap { .. })) {
        Some(SourceEvent::Gap { samples, cause }) => (*samples as f64 / f64::from(SAMPLE_RATE_HZ), *cause),
        _ => panic!("no gap in {all:?}"),
    }
}

const SECS: fn(u64) -> Duration = Duration::from_secs;

#[test]
fn an_input_that_stops_without_a_word_is_opened_again_and_the_gap_is_as_long_as_it_was() {
    let script = Script::new(&["mic"]);
    let mut source = open(&script, &DeviceChoice::Default, &[]);
    listen(&script, &mut source, Duration::from_millis(300), |_| false);
    let lost_at = Instant::now();
    script.plug(&[]);
    let (trouble, ..) = listen(&script, &mut source, SECS(4), |heard| matches!(heard, SourceEvent::InputLost(_)));
    assert!(matches!(&trouble[..], [SourceEvent::InputLost(error)] if error.message().contains("mic: the input is lost")), "{trouble:?}");
    thread::sleep(SECS(2));
    script.plug(&["mic"]);
    let (back, _, waited) = listen(&script, &mut source, SECS(5), is_change);
    assert!(waited < SECS(2), "listening goes on within 2 s: {waited:?}");
    let (secs, cause) = gap(&back);
    let really = lost_at.elapsed().as_secs_f64();
    assert!(cause == GapCause::DeviceLost && (secs - really).abs() < 0.4, "a gap of {secs} s, {really} s passed");
    let (_, samples, _) = listen(&script, &mut source, SECS(1), |_| false);
    assert!(samples > 8_000);
}

#[test]
fn an_input_that_reports_its_end_is_given_up_at_once() {
    let script = Script::new(&["mic"]);
    let mut source = open(&script, &DeviceChoice::Default, &[]);
    listen(&script, &mut source, SECS(1), is_samples);
    let fault = Fault { error: cpal::Error::new(cpal::ErrorKind::DeviceNotAvailable), frames: 320 };
    script.inner.lock().unwrap().writers[0].2.send(fault).unwrap();
    script.inner.lock().unwrap().writers.clear();
    let (all, _, waited) = listen(&script, &mut source, SECS(4), is_change);
    assert!(waited < Duration::from_millis(1_500), "{waited:?}: {all:?}");
    assert!(matches!(&all[0], SourceEvent::InputLost(error) if error.message().contains("it is not there")), "{all:?}");
    assert!(gap(&all).0 < 1.5);
}

#[test]
fn half_a_minute_of_exact_zeros_is_no_silence() {
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
    assert_eq!(zeros(&mut source, 60), [], "a microphone that is muted from the start is left alone");
    listen(&script, &mut source, Duration::from_millis(200), |_| false);
    assert_eq!(zeros(&mut source, 28), []);
    let mut all = zeros(&mut source, 5);
    all.extend(listen(&script, &mut source, SECS(4), is_change).0);
    assert!(matches!(&all[0], SourceEvent::InputLost(error) if error.message().contains("exact zeros")), "{all:?}");
    assert_eq!(gap(&all).1, GapCause::Zeros);
    assert!(all.iter().any(is_change));
}

#[test]
fn a_sleep_of_the_machine_is_a_gap_of_its_length_and_the_input_is_opened_anew() {
    let script = Script::new(&["mic"]);
    let mut source = open(&script, &DeviceChoice::Default, &[]);
    listen(&script, &mut source, SECS(1), is_samples);
    script.inner.lock().unwrap().slept = 3_600.0;
    let (all, ..) = listen(&script, &mut source, SECS(4), is_change);
    assert_eq!(gap(&all), (3_600.0, GapCause::Suspended), "{all:?}");
    assert_eq!(script.opened(), ["mic", "mic"]);
    assert_eq!(listen(&script, &mut source, SECS(2), |_| false).0, [], "it is told once");
}

#[test]
fn a_sleep_while_the_input_is_lost_is_part_of_its_gap() {
    let script = Script::new(&["mic"]);
    let mut source = open(&script, &DeviceChoice::Default, &[]);
    listen(&script, &mut source, SECS(1), is_samples);
    script.plug(&[]);
    listen(&script, &mut source, SECS(4), |heard| matches!(heard, SourceEvent::InputLost(_)));
    script.inner.lock().unwrap().slept = 1_000.0;
    script.plug(&["mic"]);
    let (secs, cause) = gap(&listen(&script, &mut source, SECS(5), is_change).0);
    assert!(cause == GapCause::DeviceLost && (1_001.0..1_006.0).contains(&secs), "{secs}");
}

#[test]
fn the_default_is_followed() {
    let script = Script::new(&["laptop", "headset"]);
    let mut source = open(&script, &DeviceChoice::Default, &[]);
    listen(&script, &mut source, SECS(1), is_samples);
    script.plug(&["headset", "laptop"]);
    script.tell();
    let (all, ..) = listen(&script, &mut source, SECS(3), is_change);
    assert!(matches!(&all[..], [SourceEvent::InputChanged { device, .. }] if device == "headset"), "nothing is lost by it: {all:?}");
}

#[test]
fn a_chosen_input_is_stood_in_for_and_returned_to_and_never_by_one_that_is_excluded() {
    let script = Script::new(&["webcam", "laptop", "headset"]);
    let mut source = open(&script, &DeviceChoice::Named("headset".into()), &["webcam".to_owned()]);
    listen(&script, &mut source, SECS(1), is_samples);
    script.plug(&["webcam", "laptop"]);
    script.tell();
    let (all, ..) = listen(&script, &mut source, SECS(8), is_change);
    assert!(matches!(all.last(), Some(SourceEvent::InputChanged { device, .. }) if device == "laptop"), "{all:?}");
    script.tell();
    assert_eq!(listen(&script, &mut source, SECS(1), |_| false).0, [], "it stays while the chosen one is away");
    script.plug(&["webcam", "laptop", "headset"]);
    script.tell();
    let (all, ..) = listen(&script, &mut source, SECS(3), is_change);
    assert!(matches!(&all[..], [SourceEvent::InputChanged { device, .. }] if device == "headset"), "{all:?}");
    assert_eq!(script.opened().iter().filter(|id| *id == "webcam").count(), 0);
}

#[test]
fn the_echo_of_a_loudspeaker_never_stands_in() {
    let script = Script::new(&["mic"]);
    let mut source = open(&script, &DeviceChoice::Default, &[]);
    listen(&script, &mut source, SECS(1), is_samples);
    script.plug(&["speaker.monitor"]);
    script.tell();
    let (all, ..) = listen(&script, &mut source, SECS(4), is_change);
    assert!(matches!(&all[..], [SourceEvent::InputLost(_)]), "{all:?}");
    script.plug(&["mic", "speaker.monitor"]);
    let (all, ..) = listen(&script, &mut source, SECS(4), is_change);
    assert!(matches!(all.last(), Some(SourceEvent::InputChanged { device, .. }) if device == "mic"), "{all:?}");
}

#[test]
fn an_input_that_comes_and_goes_a_hundred_times_leaves_as_many_gaps_and_no_sample_unaccounted_for() {
    let script = Script::new(&["mic"]);
    let mut source = open(&script, &DeviceChoice::Named("mic".into()), &[]);
    listen(&script, &mut source, SECS(1), is_samples);
    let (begun, mut secs, mut gaps) = (Instant::now(), 0.0, 0);
    for _ in 0..100 {
        script.inner.lock().unwrap().there.clear();
        script.tell();
        let (mut all, samples, _) = listen(&script, &mut source, SECS(4), |heard| matches!(heard, SourceEvent::InputLost(_)));
        secs += samples as f64 / f64::from(RATE_HZ);
        script.plug(&["mic"]);
        let (back, samples, _) = listen(&script, &mut source, SECS(4), is_change);
        all.extend(back);
        secs += samples as f64 / f64::from(RATE_HZ);
        gaps += all.iter().filter(|heard| matches!(heard, SourceEvent::Gap { .. })).count();
        secs += gap(&all).0;
    }
    let really = begun.elapsed().as_secs_f64();
    println!("{gaps} gaps; {secs:.2} s heard or lost in {really:.2} s");
    assert_eq!(gaps, 100);
}
