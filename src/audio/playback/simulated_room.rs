//! A simulated room with a loudspeaker, its echo, and a microphone, for tests and benchmarks; [`super::DeviceOutput`] is the
//! real output.

use std::collections::VecDeque;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::ring::{FarEnd, PlaybackReader, playback_ring};
use super::{AudioOutput, OpenOutput, OutputStream, Route};
use crate::audio::{Source, SourceEvent, sanitize};
use crate::error::Result;
use crate::level::amplitude;
use crate::protocol::DeviceChoice;
use crate::time::SAMPLE_RATE_HZ;

/// Number of reflections in the impulse response.
const REFLECTIONS: usize = 60;
/// Length of the impulse response, in samples: 150 ms.
const LENGTH: usize = 2_400;
/// Delay of the earliest reflection after the direct sound, in samples.
const FIRST_REFLECTION: usize = 20;
/// Reverberation time (decay by 60 dB) of the room, in seconds: a furnished room.
const REVERBERATION_SECS: f32 = 0.3;
/// Samples kept beyond the impulse response and the delay, for drift and interpolation.
const SPARE: usize = 200;
/// Samples delivered by the microphone at a time: 20 ms, as by a sound card.
const BLOCK: usize = SAMPLE_RATE_HZ as usize / 50;
/// Capacity of the channel of opened outputs.
const OUTPUTS: usize = 4;

/// The acoustic properties of a room.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoomAcoustics {
    /// Seed of the reflections and of the noise.
    pub seed: u64,
    /// Delay from writing a sample to the output until the microphone delivers it, in milliseconds.
    pub delay_ms: f32,
    /// Level of the echo at the microphone relative to the played sound, in dB.
    pub gain_db: f32,
    /// Distortion of the loudspeaker: 0 is linear; 1 doubles quiet samples and leaves full scale as it is.
    pub drive: f32,
    /// Excess of the loudspeaker's clock over the microphone's, in parts per million.
    pub drift_ppm: f32,
    /// Level of the background noise, in dBFS.
    pub noise_db: f32,
}

impl Default for RoomAcoustics {
    fn default() -> Self {
        Self { seed: 1, delay_ms: 60.0, gain_db: -12.0, drive: 0.0, drift_ppm: 0.0, noise_db: -75.0 }
    }
}

/// A simulated room: maps played samples to microphone samples, one by one at 16 kHz.
#[derive(Clone, Debug)]
pub struct SimulatedRoom {
    acoustics: RoomAcoustics,
    /// Delay in samples and amplitude of each reflection.
    reflections: Vec<(usize, f32)>,
    /// Played samples, newest last.
    played: VecDeque<f32>,
    /// Drift of the loudspeaker's clock since the start, in samples.
    slip: f64,
    /// State of the noise generator.
    noise: u64,
}

impl SimulatedRoom {
    /// Creates a room with these acoustics.
    #[must_use]
    pub fn new(acoustics: RoomAcoustics) -> Self {
        let mut random = acoustics.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut reflections = vec![(0, 1.0)];
        for n in 0..REFLECTIONS {
            let place = FIRST_REFLECTION + (uniform(&mut random) * (LENGTH - FIRST_REFLECTION) as f32) as usize;
            let decay = 10_f32.powf(-3.0 * place as f32 / (REVERBERATION_SECS * SAMPLE_RATE_HZ as f32));
            reflections.push((place, decay * if n % 2 == 0 { 0.5 } else { -0.5 } * uniform(&mut random)));
        }
        let power: f32 = reflections.iter().map(|(_, a)| a * a).sum();
        for (_, a) in &mut reflections {
            *a /= power.sqrt();
        }
        let mut room = Self { acoustics, reflections, played: VecDeque::new(), slip: 0.0, noise: random };
        room.move_to(acoustics.delay_ms);
        room
    }

    /// Changes the delay to `delay_ms`, in milliseconds, as if the loudspeaker were moved; the reflections stay.
    pub fn move_to(&mut self, delay_ms: f32) {
        self.acoustics.delay_ms = delay_ms;
        let kept = LENGTH + self.delay() + SPARE;
        while self.played.len() < kept {
            self.played.push_front(0.0);
        }
    }

    /// Returns the delay of the direct sound, in samples (16 kHz).
    fn delay(&self) -> usize {
        (self.acoustics.delay_ms * SAMPLE_RATE_HZ as f32 / 1e3) as usize
    }

    /// Plays the sample `far` and returns a microphone sample: the echo, the sample `near` of a person, and noise.
    pub fn step(&mut self, far: f32, near: f32) -> f32 {
        let bent = if self.acoustics.drive > 0.0 {
            (far * (1.0 + self.acoustics.drive)).tanh() / (1.0 + self.acoustics.drive).tanh()
        } else {
            far
        };
        self.played.push_back(bent);
        let kept = LENGTH + self.delay() + 4 + self.slip.abs() as usize + SPARE;
        while self.played.len() > kept {
            self.played.pop_front();
        }
        self.slip += f64::from(self.acoustics.drift_ppm) * 1e-6;
        let back = self.delay() as f64 - self.slip;
        let (whole, part) = (back.floor(), (back - back.floor()) as f32);
        let newest = self.played.len() as i64 - 1 - whole as i64;
        let at = |place: i64| usize::try_from(place).ok().and_then(|place| self.played.get(place)).copied().unwrap_or(0.0);
        let mut echo = 0.0;
        for (place, a) in &self.reflections {
            let n = newest - *place as i64;
            echo += a * ((1.0 - part) * at(n) + part * at(n - 1));
        }
        let noise = (uniform(&mut self.noise) - 0.5) * 12_f32.sqrt() * amplitude(self.acoustics.noise_db);
        sanitize(echo * amplitude(self.acoustics.gain_db) + near + noise)
    }
}

/// Returns the next number of a xorshift generator, uniform in 0 .. 1.
fn uniform(state: &mut u64) -> f32 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 40) as f32 / 16_777_216.0
}

/// Returns the loudspeaker and the microphone of `room`, at 16 kHz. The microphone hears the samples `near` in addition to the echo, and
/// ends with `near`.
#[must_use]
pub fn speaker_and_microphone(room: SimulatedRoom, near: Vec<f32>) -> (SimulatedSpeaker, SimulatedMicrophone) {
    let (tx, rx) = bounded(OUTPUTS);
    (SimulatedSpeaker { rings: tx }, SimulatedMicrophone { rings: rx, ring: None, room, near: near.into(), played: vec![0.0; BLOCK] })
}

/// The loudspeaker of a simulated room.
#[derive(Clone)]
pub struct SimulatedSpeaker {
    /// Sender of the ring of each opened output to the microphone.
    rings: Sender<PlaybackReader>,
}

impl AudioOutput for SimulatedSpeaker {
    fn open(&mut self, _: &DeviceChoice) -> Result<(OpenOutput, FarEnd)> {
        let (writer, reader, far_end) = playback_ring(SAMPLE_RATE_HZ);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.rings.try_send(reader) {
            use crate::error::{Error, ErrorKind};
            return Err(Error::new(ErrorKind::OutputDevice, "the simulated room has no microphone"));
        }
        Ok((OpenOutput { writer, route: Route::Room, name: "a room".to_owned(), stream: Box::new(SimulatedStream) }, far_end))
    }
}

/// A stream that never fails.
struct SimulatedStream;

impl OutputStream for SimulatedStream {
    fn failure(&mut self) -> Option<String> {
        None
    }

    fn is_outdated(&mut self) -> bool {
        false
    }
}

/// The microphone of a simulated room. The loudspeaker plays as fast as the microphone is read.
pub struct SimulatedMicrophone {
    /// Receiver of the ring of each opened output.
    rings: Receiver<PlaybackReader>,
    /// The ring of the output that plays.
    ring: Option<PlaybackReader>,
    room: SimulatedRoom,
    /// Samples (16 kHz) of the person in the room that are still to be heard.
    near: VecDeque<f32>,
    /// Buffer of played samples.
    played: Vec<f32>,
}

impl Source for SimulatedMicrophone {
    fn next(&mut self, out: &mut Vec<f32>) -> Result<SourceEvent> {
        if let Ok(ring) = self.rings.try_recv() {
            self.ring = Some(ring);
        }
        if self.near.is_empty() {
            return Ok(SourceEvent::End);
        }
        self.played.fill(0.0);
        if let Some(ring) = &mut self.ring {
            ring.fill(&mut self.played, 1, |x| x);
        }
        for far in &self.played {
            out.push(self.room.step(*far, self.near.pop_front().unwrap_or(0.0)));
        }
        Ok(SourceEvent::Samples(BLOCK))
    }

    fn name(&self) -> String {
        "a room".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echo_has_the_delay_and_the_level_of_the_acoustics() {
        let mut room = SimulatedRoom::new(RoomAcoustics { delay_ms: 100.0, gain_db: -6.0, noise_db: -120.0, ..RoomAcoustics::default() });
        let heard: Vec<f32> = (0..8_000).map(|n| room.step(f32::from(n == 0), 0.0)).collect();
        let first = heard.iter().position(|x| x.abs() > 0.01).unwrap();
        assert_eq!(first, 1_600);
        let power: f32 = heard.iter().map(|x| x * x).sum();
        assert!((10.0 * power.log10() + 6.0).abs() < 1.0, "{power}");
        assert!(heard.iter().filter(|x| x.abs() > 1e-4).count() > 20, "the room reflects more than once");
    }

    #[test]
    fn faster_loudspeaker_clock_shortens_the_delay() {
        let mut room =
            SimulatedRoom::new(RoomAcoustics { delay_ms: 100.0, drift_ppm: 1_000.0, noise_db: -120.0, ..RoomAcoustics::default() });
        for _ in 0..160_000 {
            room.step(0.0, 0.0);
        }
        let heard: Vec<f32> = (0..8_000).map(|n| room.step(f32::from(n == 0), 0.0)).collect();
        let first = heard.iter().position(|x| x.abs() > 0.01).unwrap();
        assert!(first.abs_diff(1_600 - 160) <= 2, "{first}");
    }
}
