//! A room that is computed: a loudspeaker that plays into it, its echo, and a microphone that hears it. What tests and
//! benchmarks play into; the real thing is [`super::DeviceOutput`].

use std::collections::VecDeque;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::ring::{FarEnd, PlaybackReader, playback_ring};
use super::{AudioOutput, OpenOutput, OutputStream, Route};
use crate::audio::{Source, SourceEvent, tame};
use crate::error::Result;
use crate::protocol::DeviceChoice;
use crate::time::SAMPLE_RATE_HZ;

/// Reflections of a room: sparse, as a ray that bounces between acoustics.
const REFLECTIONS: usize = 60;
/// Length of the answer of a room, in samples: 150 ms.
const LENGTH: usize = 2_400;
/// Samples that the microphone yields at a time: 20 ms, as a sound card does.
const BLOCK: usize = SAMPLE_RATE_HZ as usize / 50;
/// Outputs that may be open: one follows another.
const OPENED: usize = 4;

/// What a room is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoomAcoustics {
    /// Which room of this kind: another number, other reflections.
    pub seed: u64,
    /// From the loudspeaker's line to the microphone's, in milliseconds.
    pub delay_ms: f32,
    /// Loudness of the echo at the microphone, in dB over what was played.
    pub gain_db: f32,
    /// 0 is a perfect loudspeaker; 1 bends the loudest samples by a fifth.
    pub drive: f32,
    /// By how much the loudspeaker's clock is ahead of the microphone's, in parts per million.
    pub drift_ppm: f32,
    /// Loudness of the room itself, in dB below full scale.
    pub noise_db: f32,
}

impl Default for RoomAcoustics {
    fn default() -> Self {
        Self { seed: 1, delay_ms: 60.0, gain_db: -12.0, drive: 0.0, drift_ppm: 0.0, noise_db: -75.0 }
    }
}

/// A room: what is played in, what is heard out, sample by sample at 16 kHz.
#[derive(Clone, Debug)]
pub struct SimulatedRoom {
    acoustics: RoomAcoustics,
    /// Place and loudness of each reflection.
    reflections: Vec<(usize, f32)>,
    /// What was played, newest last.
    played: VecDeque<f32>,
    slip: f64,
    noise: u64,
}

impl SimulatedRoom {
    /// A room with these acoustics.
    #[must_use]
    pub fn new(acoustics: RoomAcoustics) -> Self {
        let mut random = acoustics.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut reflections = vec![(0, 1.0)];
        for n in 0..REFLECTIONS {
            let place = 20 + (next(&mut random) * (LENGTH - 20) as f32) as usize;
            // Falls by 60 dB in 0.3 s: a furnished room.
            let fall = 10_f32.powf(-3.0 * place as f32 / (0.3 * SAMPLE_RATE_HZ as f32));
            reflections.push((place, fall * if n % 2 == 0 { 0.5 } else { -0.5 } * next(&mut random)));
        }
        let power: f32 = reflections.iter().map(|(_, a)| a * a).sum();
        for (_, a) in &mut reflections {
            *a /= power.sqrt();
        }
        let mut room = Self { acoustics, reflections, played: VecDeque::new(), slip: 0.0, noise: random };
        room.move_to(acoustics.delay_ms);
        room
    }

    /// Another delay from now on: the loudspeaker's line got longer or shorter.
    pub fn move_to(&mut self, delay_ms: f32) {
        self.acoustics.delay_ms = delay_ms;
        let kept = LENGTH + self.delay() + 200;
        while self.played.len() < kept {
            self.played.push_front(0.0);
        }
    }

    fn delay(&self) -> usize {
        (self.acoustics.delay_ms * SAMPLE_RATE_HZ as f32 / 1e3) as usize
    }

    /// Plays one sample, and hears one: the echo, what somebody `near` says, and the room itself.
    pub fn step(&mut self, far: f32, near: f32) -> f32 {
        let bent = if self.acoustics.drive > 0.0 {
            (far * (1.0 + self.acoustics.drive)).tanh() / (1.0 + self.acoustics.drive).tanh()
        } else {
            far
        };
        self.played.push_back(bent);
        let kept = LENGTH + self.delay() + 4 + self.slip.abs() as usize + 200;
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
        let noise = (next(&mut self.noise) - 0.5) * 12_f32.sqrt() * 10_f32.powf(self.acoustics.noise_db / 20.0);
        tame(echo * 10_f32.powf(self.acoustics.gain_db / 20.0) + near + noise)
    }
}

/// A number from 0 to 1.
fn next(state: &mut u64) -> f32 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 40) as f32 / 16_777_216.0
}

/// A loudspeaker and a microphone in `room`, at the rate of the model, in which somebody says `near`.
#[must_use]
pub fn speaker_and_microphone(room: SimulatedRoom, near: Vec<f32>) -> (SimulatedSpeaker, SimulatedMicrophone) {
    let (tx, rx) = bounded(OPENED);
    (SimulatedSpeaker { fillers: tx }, SimulatedMicrophone { fillers: rx, filler: None, room, near: near.into(), played: vec![0.0; BLOCK] })
}

/// The loudspeaker of a room.
#[derive(Clone)]
pub struct SimulatedSpeaker {
    fillers: Sender<PlaybackReader>,
}

impl AudioOutput for SimulatedSpeaker {
    fn open(&mut self, _: &DeviceChoice) -> Result<(OpenOutput, FarEnd)> {
        let (feeder, filler, far_end) = playback_ring(SAMPLE_RATE_HZ);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.fillers.try_send(filler) {
            use crate::error::{Error, ErrorKind};
            return Err(Error::new(ErrorKind::OutputDevice, "nobody is in the room"));
        }
        Ok((OpenOutput { feeder, route: Route::Room, name: "a room".to_owned(), stream: Box::new(Still) }, far_end))
    }
}

struct Still;

impl OutputStream for Still {
    fn failure(&mut self) -> Option<String> {
        None
    }

    fn is_outdated(&mut self) -> bool {
        false
    }
}

/// The microphone of a room: the loudspeaker plays as fast as this is listened to.
pub struct SimulatedMicrophone {
    fillers: Receiver<PlaybackReader>,
    filler: Option<PlaybackReader>,
    room: SimulatedRoom,
    near: VecDeque<f32>,
    played: Vec<f32>,
}

impl Source for SimulatedMicrophone {
    fn next(&mut self, out: &mut Vec<f32>) -> Result<SourceEvent> {
        if let Ok(filler) = self.fillers.try_recv() {
            self.filler = Some(filler);
        }
        if self.near.is_empty() {
            return Ok(SourceEvent::End);
        }
        self.played.fill(0.0);
        if let Some(filler) = &mut self.filler {
            filler.fill(&mut self.played, 1, |x| x);
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
    fn an_echo_comes_as_late_and_as_loud_as_the_walls_say() {
        let mut room = SimulatedRoom::new(RoomAcoustics { delay_ms: 100.0, gain_db: -6.0, noise_db: -120.0, ..RoomAcoustics::default() });
        let heard: Vec<f32> = (0..8_000).map(|n| room.step(f32::from(n == 0), 0.0)).collect();
        let first = heard.iter().position(|x| x.abs() > 0.01).unwrap();
        assert_eq!(first, 1_600);
        let power: f32 = heard.iter().map(|x| x * x).sum();
        assert!((10.0 * power.log10() + 6.0).abs() < 1.0, "{power}");
        assert!(heard.iter().filter(|x| x.abs() > 1e-4).count() > 20, "a room answers more than once");
    }

    #[test]
    fn a_clock_that_is_ahead_brings_the_echo_forward() {
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
