//! Detection of speech among other sounds, by the shape of its voicing. Pure.
//!
//! Frames of 10 ms that are loud and voiced form a stretch. A stretch is speech if enough of the sound is voiced, the pitch is that of a
//! grown-up or child who talks rather than cries, and pitch, level and zero crossings of the voiced frames move as much as those of words do:
//! tones, engines and music hold still, barks and coughs are not voiced for long. The bounds were fitted to recordings of people and noises
//! (`src/audio/README.md` "Speech detection").

use super::echo::voicing::{FrameFeatures, VoicingMeter};
use crate::time::{HOP_SAMPLES, StreamTime};

/// Frames without speech after which a stretch has ended: 0.8 s.
const PAUSE_FRAMES: u32 = 80;
/// Shortest stretch that can be told from noise, in frames: 1.5 s.
const SHORTEST_FRAMES: u32 = 150;
/// Longest period that counts as a high pitch, in samples at 8 kHz: 333 Hz.
const HIGH_PERIOD: usize = 24;
/// Share of a period beyond which a change from one frame to the next is a jump.
const JUMP: f32 = 0.2;

/// Bounds of the share of voiced frames in a stretch.
const VOICED_SHARE: (f32, f32) = (0.34, 0.92);
/// Largest share of voiced frames with a high pitch.
const MOST_HIGH: f32 = 0.25;
/// Bounds of the share of voiced frames whose period equals that of the frame before: tones hold the pitch.
const STEADY_SHARE: (f32, f32) = (0.3, 0.8);
/// Largest share of voiced frames at which the pitch jumps.
const MOST_JUMPS: f32 = 0.235;
/// Least standard deviation of the zero crossings in a voiced frame: vowels differ.
const LEAST_CROSSINGS_DEVIATION: f32 = 4.7;
/// Bounds of the standard deviation of the level of voiced frames, as a share of their distance to the noise floor.
const LEVEL_DEVIATION: (f32, f32) = (0.11, 0.3);
/// Largest distance to the noise floor that counts, in dB: below speech by more lies only the digital silence of a muted line, or of a
/// device or a canceller that removes noise.
const MOST_ABOVE_FLOOR_DB: f32 = 45.0;
/// Least mean change of the level from frame to frame, as a share of the same distance.
const LEAST_LEVEL_CHANGE: f32 = 0.054;

/// A stretch of sound that was found to be speech.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpeechStretch {
    /// Stream time at the start of the first voiced frame.
    pub from: StreamTime,
    /// Stream time at the end of the last voiced frame.
    pub to: StreamTime,
    /// Mean level of the voiced frames, in dBFS.
    pub level_dbfs: f32,
}

/// A detector of speech in a stream of samples.
#[derive(Clone, Debug, Default)]
pub struct SpeechDetector {
    meter: VoicingMeter,
    /// The stretch in progress.
    stretch: Option<Stretch>,
}

impl SpeechDetector {
    /// Takes the next samples (16 kHz, whole frames of 10 ms), which end at the stream time `end`; returns a stretch of speech that has
    /// ended in them. A stretch ends after 0.8 s without voiced sound.
    pub fn step(&mut self, samples: &[f32], end: StreamTime) -> Option<SpeechStretch> {
        let mut ended = None;
        let begin = end.0.0.saturating_sub(samples.len() as u64);
        for (number, frame) in samples.as_chunks::<HOP_SAMPLES>().0.iter().enumerate() {
            let features = self.meter.measure(frame);
            if self.stretch.is_none() && features.is_speech() {
                self.stretch = Some(Stretch::begin(StreamTime::from_samples(begin + (number * HOP_SAMPLES) as u64)));
            }
            let Some(stretch) = &mut self.stretch else { continue };
            stretch.push(&features, crossings(frame), StreamTime::from_samples(begin + ((number + 1) * HOP_SAMPLES) as u64));
            if stretch.pause_frames() > PAUSE_FRAMES {
                ended = self.speech_in_progress().or(ended);
                self.stretch = None;
            }
        }
        ended
    }

    /// Returns the stretch in progress if that is speech already.
    #[must_use]
    pub fn speech_in_progress(&self) -> Option<SpeechStretch> {
        self.stretch.as_ref().filter(|stretch| stretch.is_speech()).map(Stretch::summary)
    }

    /// Drops the stretch in progress: sound is missing from here on, or is not that of a person.
    pub fn interrupt(&mut self) {
        self.stretch = None;
    }
}

/// Returns the number of zero crossings in a frame.
fn crossings(frame: &[f32]) -> f32 {
    frame.windows(2).filter(|pair| (pair[0] < 0.0) != (pair[1] < 0.0)).count() as f32
}

/// The sums over a stretch of frames that its shape follows from.
#[derive(Clone, Debug)]
struct Stretch {
    from: StreamTime,
    /// End of the last voiced frame.
    to: StreamTime,
    /// Frames so far, and up to the last voiced one.
    frames: u32,
    frames_to: u32,
    /// Sum of the changes of the level from frame to frame, in dB; so far, and up to the last voiced frame.
    change_db: f32,
    change_to_db: f32,
    voiced: Moments,
    crossings: Moments,
    /// Sum of the noise floor over voiced frames, in dBFS.
    floor_db: f32,
    high: u32,
    steady: u32,
    jumps: u32,
    /// Features of the newest frame.
    last: Option<FrameFeatures>,
}

impl Stretch {
    fn begin(from: StreamTime) -> Self {
        let (frames, frames_to, high, steady, jumps) = (0, 0, 0, 0, 0);
        let (change_db, change_to_db, floor_db) = (0.0, 0.0, 0.0);
        let (voiced, crossings, last) = (Moments::default(), Moments::default(), None);
        Self { from, to: from, frames, frames_to, change_db, change_to_db, voiced, crossings, floor_db, high, steady, jumps, last }
    }

    /// Adds a frame that ends at `end`.
    fn push(&mut self, features: &FrameFeatures, crossings: f32, end: StreamTime) {
        self.frames += 1;
        let last = self.last.replace(*features);
        self.change_db += last.map_or(0.0, |last| (features.level_db - last.level_db).abs());
        if !features.is_speech() {
            return;
        }
        (self.to, self.frames_to, self.change_to_db) = (end, self.frames, self.change_db);
        self.voiced.push(features.level_db);
        self.crossings.push(crossings);
        self.floor_db += features.floor_db;
        self.high += u32::from(features.period <= HIGH_PERIOD);
        if let Some(last) = last.filter(FrameFeatures::is_speech) {
            let change = (features.period as f32 - last.period as f32).abs();
            self.steady += u32::from(features.period == last.period);
            self.jumps += u32::from(change > JUMP * last.period as f32);
        }
    }

    /// Returns the number of frames since the last voiced one.
    const fn pause_frames(&self) -> u32 {
        self.frames - self.frames_to
    }

    fn is_speech(&self) -> bool {
        let within = |value: f32, (least, most): (f32, f32)| value >= least && value <= most;
        let voiced = self.voiced.count as f32;
        let above_floor_db = (self.voiced.mean() - self.floor_db / voiced).min(MOST_ABOVE_FLOOR_DB);
        self.frames_to >= SHORTEST_FRAMES
            && within(voiced / self.frames_to as f32, VOICED_SHARE)
            && self.high as f32 / voiced <= MOST_HIGH
            && within(self.steady as f32 / voiced, STEADY_SHARE)
            && self.jumps as f32 / voiced <= MOST_JUMPS
            && self.crossings.deviation() >= LEAST_CROSSINGS_DEVIATION
            && within(self.voiced.deviation() / above_floor_db, LEVEL_DEVIATION)
            && self.change_to_db / self.frames_to as f32 / above_floor_db >= LEAST_LEVEL_CHANGE
    }

    fn summary(&self) -> SpeechStretch {
        SpeechStretch { from: self.from, to: self.to, level_dbfs: self.voiced.mean() }
    }
}

/// Count, mean and deviation of numbers.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    count: u32,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn push(&mut self, x: f32) {
        self.count += 1;
        self.sum += f64::from(x);
        self.squares += f64::from(x) * f64::from(x);
    }

    /// Returns the mean; 0 without numbers.
    fn mean(&self) -> f32 {
        (self.sum / f64::from(self.count.max(1))) as f32
    }

    /// Returns the standard deviation.
    fn deviation(&self) -> f32 {
        let count = f64::from(self.count.max(1));
        (self.squares / count - (self.sum / count).powi(2)).max(0.0).sqrt() as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::read_file;

    /// Samples of quiet before and after a recording: 2 s.
    const QUIET: usize = 32_000;

    fn noise(n: usize) -> f32 {
        let mut x = (n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x ^= x >> 29;
        x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (x >> 40) as f32 / 8_388_608.0 - 1.0
    }

    /// Returns the stretches of speech in `sound`, heard in a quiet room.
    fn stretches(sound: &[f32]) -> Vec<SpeechStretch> {
        stretches_over(sound, 0.001)
    }

    /// Returns the stretches of speech in `sound`, heard over noise of an amplitude.
    fn stretches_over(sound: &[f32], amplitude: f32) -> Vec<SpeechStretch> {
        let mut room: Vec<f32> = vec![0.0; QUIET];
        room.extend(sound);
        room.resize((room.len() + QUIET).next_multiple_of(HOP_SAMPLES), 0.0);
        room.iter_mut().enumerate().for_each(|(n, sample)| *sample += amplitude * noise(n));
        let mut detector = SpeechDetector::default();
        let mut end = 0;
        let step = |piece: &[f32]| {
            end += piece.len() as u64;
            detector.step(piece, StreamTime::from_samples(end))
        };
        room.chunks(40 * HOP_SAMPLES).filter_map(step).collect()
    }

    #[test]
    fn sentence_is_found_over_digital_silence_too() {
        let sentence = read_file("tests/golden/wav/d1_speech_7p3s.wav".as_ref()).unwrap();
        let loud: Vec<f32> = sentence.iter().map(|sample| sample * 4.0).collect();
        for amplitude in [0.0, 1e-6, 1e-5, 1e-4] {
            assert!(!stretches_over(&loud, amplitude).is_empty(), "over noise of {amplitude}");
        }
    }

    #[test]
    fn spoken_sentence_is_found_at_its_place_and_with_its_level() {
        let speech = read_file("tests/golden/wav/d1_speech_7p3s.wav".as_ref()).unwrap();
        let found = stretches(&speech);
        assert!(!found.is_empty());
        for stretch in &found {
            let (from, to) = (stretch.from.secs(), stretch.to.secs());
            assert!(to - from >= 1.5 && from >= 1.9 && to <= 2.1 + speech.len() as f64 / 16_000.0, "{found:?}");
            assert!((-40.0..0.0).contains(&stretch.level_dbfs), "{found:?}");
        }
    }

    #[test]
    fn tones_noise_and_short_sounds_are_no_speech() {
        let secs = |n: usize| n as f32 / 16_000.0;
        let tone = |hz: f32| move |n: usize| 0.2 * (secs(n) * hz * std::f32::consts::TAU).sin();
        let siren = |n: usize| 0.2 * ((secs(n) * 300.0 + 20.0 * (secs(n) * 2.0).sin()) * std::f32::consts::TAU).sin();
        let beeps = |n: usize| if n % 8_000 < 4_000 { 0.2 * (secs(n) * 200.0 * std::f32::consts::TAU).sin() } else { 0.0 };
        let (hum, whistle, rain) = (tone(100.0), tone(900.0), |n| 0.1 * noise(n));
        let clicks = |n: usize| if n % 4_000 < 60 { 0.5 * noise(n) } else { 0.0 };
        let sounds: [(&str, &dyn Fn(usize) -> f32); 6] =
            [("hum", &hum), ("whistle", &whistle), ("siren", &siren), ("beeps", &beeps), ("rain", &rain), ("clicks", &clicks)];
        for (name, sound) in sounds {
            assert_eq!(stretches(&(0..5 * 16_000).map(sound).collect::<Vec<_>>()), [], "{name}");
        }
        let speech = read_file("tests/golden/wav/d1_speech_7p3s.wav".as_ref()).unwrap();
        let word = speech.iter().position(|sample| sample.abs() > 0.05).unwrap();
        assert_eq!(stretches(&speech[word..word + 8_000]), [], "half a second tells nothing");
    }

    #[test]
    fn interrupted_stretch_is_dropped() {
        let speech = read_file("tests/golden/wav/d1_speech_7p3s.wav".as_ref()).unwrap();
        let mut detector = SpeechDetector::default();
        let whole = speech.len() / HOP_SAMPLES * HOP_SAMPLES;
        detector.step(&speech[..whole], StreamTime::from_samples(whole as u64));
        detector.interrupt();
        assert_eq!(detector.step(&[0.0; 16_000], StreamTime::from_samples(whole as u64 + 16_000)), None);
    }
}
