//! The quiet gate in synthetic rooms.

use std::f32::consts::TAU;

use super::*;
use crate::level::amplitude;
use crate::mel::{LogMel, MaxWindow};
use crate::time::{CHUNK_SAMPLES, SAMPLE_RATE_HZ};

/// The colour of a noise: its power per hertz is flat, or falls with 1/f or 1/f².
#[derive(Clone, Copy, Debug)]
enum Colour {
    White,
    Pink,
    Brown,
}

const COLOURS: [Colour; 3] = [Colour::White, Colour::Pink, Colour::Brown];

/// A room with background noise, and a gate.
struct NoisyRoom {
    colour: Colour,
    level_dbfs: f32,
    random: u64,
    pink: [f32; 3],
    brown: f32,
    mel: LogMel,
    gate: QuietGate,
}

impl NoisyRoom {
    fn new(colour: Colour, level_dbfs: f32, seed: u64) -> Self {
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let (mel, gate) = (LogMel::new(MaxWindow::Last45Secs), QuietGate::default());
        Self { colour, level_dbfs, random, pink: [0.0; 3], brown: 0.0, mel, gate }
    }

    /// Returns a random number, uniform in -1 .. 1.
    fn uniform(&mut self) -> f32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }

    /// Returns a sample of noise with a root mean square of about 1.
    fn noise(&mut self) -> f32 {
        let white = self.uniform() * 3.0_f32.sqrt();
        match self.colour {
            Colour::White => white,
            // Three poles: Paul Kellet's economy filter.
            Colour::Pink => {
                for (state, (pole, gain)) in self.pink.iter_mut().zip([(0.997_65, 0.099_046), (0.963, 0.296_516_4), (0.57, 1.052_691_3)]) {
                    *state = pole * *state + gain * white;
                }
                (self.pink.iter().sum::<f32>() + white * 0.1848) / 2.2
            }
            Colour::Brown => {
                self.brown = 0.99 * self.brown + white * (1.0_f32 - 0.99 * 0.99).sqrt();
                self.brown
            }
        }
    }

    /// Returns the decision about a chunk of noise with `sound` added, rounded to 16 bits as by a converter.
    fn hear(&mut self, sound: &[f32]) -> GateStep {
        let rms = amplitude(self.level_dbfs);
        let mut chunk = [0.0; CHUNK_SAMPLES];
        for (i, sample) in chunk.iter_mut().enumerate() {
            let mixed = self.noise() * rms + sound.get(i).copied().unwrap_or(0.0);
            *sample = (mixed * 32_768.0).round().clamp(-32_768.0, 32_767.0) / 32_768.0;
        }
        self.gate.step(&self.mel.step(&chunk))
    }

    /// Returns the decisions about `chunks` chunks of noise.
    fn wait(&mut self, chunks: usize) -> Vec<GateStep> {
        (0..chunks).map(|_| self.hear(&[])).collect()
    }

    /// Returns the number of chunks of noise until the gate is closed; `usize::MAX` if `at_most` chunks are not enough.
    fn until_closed(&mut self, at_most: usize) -> usize {
        (1..=at_most).find(|_| !self.hear(&[]).is_open()).unwrap_or(usize::MAX)
    }

    /// Returns a syllable: a gliding voice of 100 to 240 Hz with two formants, of 120 to 300 ms, at a random position in a chunk.
    fn syllable(&mut self, level_dbfs: f32) -> Vec<f32> {
        let len = 1_920 + ((self.uniform() + 1.0) * 1_440.0) as usize;
        let start = ((self.uniform() + 1.0) / 2.0 * (CHUNK_SAMPLES - len) as f32) as usize;
        let pitch_hz = 170.0 + 70.0 * self.uniform();
        let formants_hz = [550.0 + 250.0 * self.uniform(), 1_600.0 + 600.0 * self.uniform()];
        let mut phase = 0.0;
        let mut sound = vec![0.0; start];
        sound.extend((0..len).map(|i| {
            let t = i as f32 / len as f32;
            phase += pitch_hz * (1.1 - 0.2 * t) / SAMPLE_RATE_HZ as f32;
            let voice = (1..=20).map(|harmonic| {
                let hz = harmonic as f32 * pitch_hz;
                let shape: f32 = formants_hz.iter().map(|formant| 1.0 / (1.0 + ((hz - formant) / 120.0).powi(2))).sum();
                (shape + 0.02) * (TAU * harmonic as f32 * phase).sin()
            });
            voice.sum::<f32>() * (0.5 - 0.5 * (TAU * t).cos())
        }));
        let rms = (sound[start..].iter().map(|s| s * s).sum::<f32>() / len as f32).sqrt();
        sound.iter().map(|s| s * amplitude(level_dbfs) / rms).collect()
    }
}

#[test]
fn word_6_db_over_the_room_opens_the_gate() {
    for (seed, floor) in [-70.0, -60.0, -50.0, -40.0].into_iter().enumerate() {
        for colour in COLOURS {
            let mut room = NoisyRoom::new(colour, floor, seed as u64 + 1);
            for word in 0..67 {
                assert!(room.until_closed(60) <= 60, "{colour:?} at {floor}: never closed before word {word}");
                room.wait(3);
                let syllable = room.syllable(floor + 6.0);
                assert_eq!(room.hear(&syllable), GateStep::OpenedNow, "{colour:?} at {floor}: word {word}");
            }
        }
    }
}

#[test]
fn steady_noise_closes_the_gate_within_10_seconds_and_does_not_open_it_in_10_minutes() {
    for colour in COLOURS {
        for (seed, floor) in [(1, -70.0), (2, -55.0), (3, -40.0), (4, -25.0)] {
            let mut room = NoisyRoom::new(colour, floor, seed);
            let closed_after = room.until_closed(25);
            assert!(closed_after <= 25, "{colour:?} at {floor}");
            let false_opens = room.wait(1_500).iter().filter(|step| **step == GateStep::OpenedNow).count();
            println!("{colour:?} at {floor}: closed after {closed_after} chunks, {false_opens} false opens in 10 minutes");
            assert_eq!(false_opens, 0, "{colour:?} at {floor}");
        }
    }
}

#[test]
fn gate_is_open_for_the_first_6_seconds() {
    let mut room = NoisyRoom::new(Colour::White, -50.0, 9);
    assert!(room.wait(HOLD_CHUNKS as usize).iter().all(|step| *step == GateStep::Open));
    assert_eq!(room.wait(2), [GateStep::ClosedNow, GateStep::Closed]);
}

#[test]
fn gate_stays_open_for_6_seconds_after_the_last_sound() {
    let mut room = NoisyRoom::new(Colour::Pink, -55.0, 5);
    room.until_closed(60);
    room.wait(5);
    let word = room.syllable(-35.0);
    assert_eq!(room.hear(&word), GateStep::OpenedNow);
    room.wait(10);
    assert_eq!(room.hear(&word), GateStep::Open);
    // A sound at the end of a chunk may be detected in the next chunk too.
    let after = room.wait(20);
    let open = after.iter().take_while(|step| **step == GateStep::Open).count();
    assert!((15..=16).contains(&open), "{open}");
    assert_eq!(after[open], GateStep::ClosedNow);
    assert!(after[open + 1..].iter().all(|step| *step == GateStep::Closed));
}

#[test]
fn digital_silence_closes_the_gate_and_the_softest_sound_opens_it() {
    let (mut mel, mut gate) = (LogMel::new(MaxWindow::Last45Secs), QuietGate::default());
    let steps: Vec<GateStep> = (0..40).map(|_| gate.step(&mel.step(&[0.0; CHUNK_SAMPLES]))).collect();
    assert_eq!(steps.iter().position(|step| *step == GateStep::ClosedNow), Some(HOLD_CHUNKS as usize));
    assert!(!gate.is_open());
    // Noise in the last bit of a 16-bit converter does not open the gate.
    let mut random = NoisyRoom::new(Colour::White, 0.0, 3);
    let dither: Vec<f32> = (0..CHUNK_SAMPLES).map(|_| random.uniform().round() / 32_768.0).collect();
    assert_eq!(gate.step(&mel.step(dither[..].try_into().expect("a chunk"))), GateStep::Closed);
    // A voice at -75 dBFS does.
    let mut voice = random.syllable(-75.0);
    voice.resize(CHUNK_SAMPLES, 0.0);
    assert_eq!(gate.step(&mel.step(voice[..].try_into().expect("a chunk"))), GateStep::OpenedNow);
}

#[test]
fn soft_high_click_opens_the_gate() {
    for colour in COLOURS {
        for place in [0, 1_000, 3_000, 6_200, 6_320] {
            let mut room = NoisyRoom::new(colour, -50.0, 11);
            room.until_closed(60);
            room.wait(3);
            // 5 ms at 5 kHz; averaged over the chunk, 13 dB below the room.
            let mut click = vec![0.0; place];
            click.extend((0..80).map(|i| amplitude(-44.0) * 2.0_f32.sqrt() * (TAU * 5_000.0 * i as f32 / 16_000.0).sin()));
            let opened = match room.hear(&click) {
                // Too close to the end of the chunk: detected with the next one.
                GateStep::Closed if place > 6_200 => room.hear(&[]),
                step => step,
            };
            assert_eq!(opened, GateStep::OpenedNow, "{colour:?}, click at sample {place}");
        }
    }
}

#[test]
fn slowly_rising_noise_does_not_open_the_gate() {
    for colour in COLOURS {
        let mut room = NoisyRoom::new(colour, -65.0, 21);
        room.until_closed(60);
        let mut false_opens = 0;
        // 15 dB in two minutes.
        for _ in 0..300 {
            room.level_dbfs += 0.05;
            false_opens += usize::from(room.hear(&[]) == GateStep::OpenedNow);
        }
        assert_eq!(false_opens, 0, "{colour:?}");
        let word = room.syllable(room.level_dbfs + 6.0);
        assert_eq!(room.hear(&word), GateStep::OpenedNow, "{colour:?}");
    }
}

#[test]
fn fan_that_starts_opens_the_gate_and_becomes_the_floor_within_15_seconds() {
    for colour in COLOURS {
        let mut room = NoisyRoom::new(colour, -65.0, 31);
        room.until_closed(60);
        room.wait(30);
        room.level_dbfs = -45.0;
        assert_eq!(room.hear(&[]), GateStep::OpenedNow, "{colour:?}");
        let closed_after = room.until_closed(60);
        assert!(closed_after <= 38, "{colour:?}: {closed_after} chunks");
        let word = room.syllable(-39.0);
        assert_eq!(room.hear(&word), GateStep::OpenedNow, "{colour:?}");
    }
}

#[test]
fn soft_word_opens_the_gate_right_after_a_fan_stops() {
    let mut room = NoisyRoom::new(Colour::Pink, -35.0, 41);
    room.until_closed(60);
    room.wait(30);
    room.level_dbfs = -65.0;
    room.wait(1);
    for word in 0..20 {
        let syllable = room.syllable(-59.0);
        assert!(room.hear(&syllable).is_open(), "word {word}");
    }
    // The floor has fallen with the fan, so the gate closes.
    assert!(room.until_closed(60) <= 20);
}

#[test]
fn two_minutes_of_fluent_speech_do_not_become_the_floor() {
    let mut room = NoisyRoom::new(Colour::Pink, -55.0, 51);
    room.until_closed(60);
    for word in 0..300 {
        // A syllable in each chunk, at a varying level.
        let level = -30.0 + 6.0 * room.uniform();
        let syllable = room.syllable(level);
        assert!(room.hear(&syllable).is_open(), "word {word}");
    }
}

#[test]
fn reset_gate_behaves_like_a_new_one() {
    let mut room = NoisyRoom::new(Colour::White, -50.0, 61);
    room.wait(50);
    room.gate.reset();
    assert!(room.gate.is_open());
    assert!(room.wait(HOLD_CHUNKS as usize).iter().all(|step| *step == GateStep::Open));
    assert_eq!(room.hear(&[]), GateStep::ClosedNow);
}

#[test]
fn more_softer_words_open_the_gate_at_higher_sensitivity_and_clear_words_at_any() {
    let heard = |sensitivity: Sensitivity, over: f32| {
        let mut room = NoisyRoom::new(Colour::Pink, -50.0, 71);
        room.gate = QuietGate::new(sensitivity);
        (0..40)
            .filter(|_| {
                room.until_closed(60);
                room.wait(3);
                let word = room.syllable(-50.0 + over);
                room.hear(&word).is_open()
            })
            .count()
    };
    let soft = [Sensitivity::Low, Sensitivity::Normal, Sensitivity::High]
        .map(|sensitivity| [-3.0, -6.0, -9.0, -12.0].map(|over| heard(sensitivity, over)));
    println!("detected of 40 words 3, 6, 9, 12 dB below the room, at low, normal, high sensitivity: {soft:?}");
    let sums = soft.map(|heard| heard.iter().sum::<usize>());
    assert!(sums[0] < sums[1] && sums[1] < sums[2], "{soft:?}");
    assert_eq!(
        [Sensitivity::Low, Sensitivity::High].map(|sensitivity| heard(sensitivity, 9.0)),
        [40, 40],
        "clear words are detected at any sensitivity"
    );
}
