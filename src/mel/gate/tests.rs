//! Synthetic rooms. Every test states what a person in that room would notice.

use std::f32::consts::TAU;

use super::*;
use crate::mel::{LogMel, MaxWindow};
use crate::time::{CHUNK_SAMPLES, SAMPLE_RATE_HZ};

/// Colours of noise: power per hertz that is flat, falls as 1/f, or as 1/f².
#[derive(Clone, Copy, Debug)]
enum Colour {
    White,
    Pink,
    Brown,
}

const COLOURS: [Colour; 3] = [Colour::White, Colour::Pink, Colour::Brown];

/// A room with a gate in it.
struct Room {
    colour: Colour,
    level_dbfs: f32,
    random: u64,
    pink: [f32; 3],
    brown: f32,
    mel: LogMel,
    gate: QuietGate,
}

impl Room {
    fn new(colour: Colour, level_dbfs: f32, seed: u64) -> Self {
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let (mel, gate) = (LogMel::new(MaxWindow::Last45Secs), QuietGate::default());
        Self { colour, level_dbfs, random, pink: [0.0; 3], brown: 0.0, mel, gate }
    }

    /// Uniform in -1 .. 1.
    fn uniform(&mut self) -> f32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }

    /// Noise of a root mean square of about 1.
    fn noise(&mut self) -> f32 {
        let white = self.uniform() * 3.0_f32.sqrt();
        match self.colour {
            Colour::White => white,
            // Three poles, as in Paul Kellet's economy filter.
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

    /// The gate's answer to a chunk of the room's noise with `sound` in it (added, 16-bit rounding as from a real converter).
    fn hear(&mut self, sound: &[f32]) -> GateStep {
        let rms = rms_of(self.level_dbfs);
        let mut chunk = [0.0; CHUNK_SAMPLES];
        for (i, sample) in chunk.iter_mut().enumerate() {
            let heard = self.noise() * rms + sound.get(i).copied().unwrap_or(0.0);
            *sample = (heard * 32_768.0).round().clamp(-32_768.0, 32_767.0) / 32_768.0;
        }
        self.gate.step(&self.mel.step(&chunk))
    }

    /// So many chunks of nothing but noise.
    fn wait(&mut self, chunks: usize) -> Vec<GateStep> {
        (0..chunks).map(|_| self.hear(&[])).collect()
    }

    /// Waits until the gate is closed; the number of chunks that it took.
    fn until_closed(&mut self, at_most: usize) -> usize {
        (1..=at_most).find(|_| !self.hear(&[]).is_open()).unwrap_or(usize::MAX)
    }

    /// A syllable: a gliding voice of 100 to 240 Hz with two formants, 120 to 300 ms, somewhere within a chunk.
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
        sound.iter().map(|s| s * rms_of(level_dbfs) / rms).collect()
    }
}

fn rms_of(level_dbfs: f32) -> f32 {
    10.0_f32.powf(level_dbfs / 20.0)
}

#[test]
fn no_word_is_clipped_when_it_is_6_db_over_the_room() {
    for (seed, floor) in [-70.0, -60.0, -50.0, -40.0].into_iter().enumerate() {
        for colour in COLOURS {
            let mut room = Room::new(colour, floor, seed as u64 + 1);
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
fn steady_noise_closes_the_gate_within_10_seconds_and_never_opens_it_in_10_minutes() {
    for colour in COLOURS {
        // Once run with twelve times as many seeds: no false open in 24 hours.
        for (seed, floor) in [(1, -70.0), (2, -55.0), (3, -40.0), (4, -25.0)] {
            let mut room = Room::new(colour, floor, seed);
            let closed_after = room.until_closed(25);
            assert!(closed_after <= 25, "{colour:?} at {floor}");
            let false_opens = room.wait(1_500).iter().filter(|step| **step == GateStep::OpenedNow).count();
            println!("{colour:?} at {floor}: closed after {closed_after} chunks, {false_opens} false opens in 10 minutes");
            assert_eq!(false_opens, 0, "{colour:?} at {floor}");
        }
    }
}

#[test]
fn the_first_seconds_are_always_heard() {
    let mut room = Room::new(Colour::White, -50.0, 9);
    assert!(room.wait(HOLD_CHUNKS as usize).iter().all(|step| *step == GateStep::Open));
    assert_eq!(room.wait(2), [GateStep::ClosedNow, GateStep::Closed]);
}

#[test]
fn it_stays_open_for_6_seconds_after_the_last_sound() {
    let mut room = Room::new(Colour::Pink, -55.0, 5);
    room.until_closed(60);
    room.wait(5);
    let word = room.syllable(-35.0);
    assert_eq!(room.hear(&word), GateStep::OpenedNow);
    room.wait(10);
    assert_eq!(room.hear(&word), GateStep::Open);
    // A sound at the end of a chunk may still be seen across the border by the next one.
    let after = room.wait(20);
    let open = after.iter().take_while(|step| **step == GateStep::Open).count();
    assert!((15..=16).contains(&open), "{open}");
    assert_eq!(after[open], GateStep::ClosedNow);
    assert!(after[open + 1..].iter().all(|step| *step == GateStep::Closed));
}

#[test]
fn digital_silence_closes_it_and_the_softest_sound_opens_it() {
    let (mut mel, mut gate) = (LogMel::new(MaxWindow::Last45Secs), QuietGate::default());
    let steps: Vec<GateStep> = (0..40).map(|_| gate.step(&mel.step(&[0.0; CHUNK_SAMPLES]))).collect();
    assert_eq!(steps.iter().position(|step| *step == GateStep::ClosedNow), Some(HOLD_CHUNKS as usize));
    assert!(!gate.is_open());
    // The last bit of a 16-bit converter is no sound ...
    let mut random = Room::new(Colour::White, 0.0, 3);
    let dither: Vec<f32> = (0..CHUNK_SAMPLES).map(|_| random.uniform().round() / 32_768.0).collect();
    assert_eq!(gate.step(&mel.step(dither[..].try_into().expect("a chunk"))), GateStep::Closed);
    // ... but a voice at -75 dBFS is.
    let mut voice = random.syllable(-75.0);
    voice.resize(CHUNK_SAMPLES, 0.0);
    assert_eq!(gate.step(&mel.step(voice[..].try_into().expect("a chunk"))), GateStep::OpenedNow);
}

#[test]
fn a_soft_high_click_opens_it() {
    for colour in COLOURS {
        for place in [0, 1_000, 3_000, 6_200, 6_320] {
            let mut room = Room::new(colour, -50.0, 11);
            room.until_closed(60);
            room.wait(3);
            // 5 ms at 5 kHz, whose level over the chunk is that of the room less 13 dB.
            let mut click = vec![0.0; place];
            click.extend((0..80).map(|i| rms_of(-44.0) * 2.0_f32.sqrt() * (TAU * 5_000.0 * i as f32 / 16_000.0).sin()));
            let opened = match room.hear(&click) {
                // Too close to the end to stand out there: the next chunk sees it across the border.
                GateStep::Closed if place > 6_200 => room.hear(&[]),
                step => step,
            };
            assert_eq!(opened, GateStep::OpenedNow, "{colour:?}, click at sample {place}");
        }
    }
}

#[test]
fn noise_that_rises_slowly_is_followed_without_opening() {
    for colour in COLOURS {
        let mut room = Room::new(colour, -65.0, 21);
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
fn a_fan_that_starts_opens_it_and_is_part_of_the_room_15_seconds_later() {
    for colour in COLOURS {
        let mut room = Room::new(colour, -65.0, 31);
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
fn when_a_fan_stops_the_next_soft_word_is_heard() {
    let mut room = Room::new(Colour::Pink, -35.0, 41);
    room.until_closed(60);
    room.wait(30);
    room.level_dbfs = -65.0;
    room.wait(1);
    for word in 0..20 {
        let syllable = room.syllable(-59.0);
        assert!(room.hear(&syllable).is_open(), "word {word}");
    }
    // One chunk after the fan has stopped, and with a closed gate: the floor falls at once.
    assert!(room.until_closed(60) <= 20);
}

#[test]
fn words_that_go_on_without_end_do_not_become_the_floor() {
    let mut room = Room::new(Colour::Pink, -55.0, 51);
    room.until_closed(60);
    for word in 0..300 {
        // Fluent speech: a syllable in every chunk for two minutes, its level going up and down.
        let level = -30.0 + 6.0 * room.uniform();
        let syllable = room.syllable(level);
        assert!(room.hear(&syllable).is_open(), "word {word}");
    }
}

#[test]
fn a_reset_gate_is_a_new_one() {
    let mut room = Room::new(Colour::White, -50.0, 61);
    room.wait(50);
    room.gate.reset();
    assert!(room.gate.is_open());
    assert!(room.wait(HOLD_CHUNKS as usize).iter().all(|step| *step == GateStep::Open));
    assert_eq!(room.hear(&[]), GateStep::ClosedNow);
}

#[test]
fn a_more_sensitive_gate_hears_softer_words_and_a_less_sensitive_one_none_of_them() {
    let heard = |sensitivity: Sensitivity, over: f32| {
        let mut room = Room::new(Colour::Pink, -50.0, 71);
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
    println!("of 40 words 3, 6, 9, 12 dB below the room: low, normal, high hear {soft:?}");
    let sums = soft.map(|heard| heard.iter().sum::<usize>());
    assert!(sums[0] < sums[1] && sums[1] < sums[2], "{soft:?}");
    assert_eq!([Sensitivity::Low, Sensitivity::High].map(|sensitivity| heard(sensitivity, 9.0)), [40, 40], "clear ones are heard by all");
}
