//! Helpers of the tests of hands-free listening: spoken words, disturbances, and a rig of voice, simulated room and microphone.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "a helper of a test fails as a test does"
)]

use std::process::{Command, Stdio};

use hearken::audio::echo::{EchoPath, VoiceActivity};
use hearken::audio::file::FileSource;
use hearken::audio::playback::ring::{PlaybackReader, PlaybackWriter, playback_ring};
use hearken::audio::playback::simulated_room::{RoomAcoustics, SimulatedRoom};
use hearken::audio::playback::{FarEndSlot, Route};
use hearken::audio::{Source, SourceEvent};
use hearken::level::{amplitude, dbfs};
use hearken::protocol::VoiceSettings;

/// Sample rate, in Hz.
pub const RATE: usize = 16_000;
/// Samples of a block: 20 ms, as from a sound card.
pub const BLOCK: usize = 320;

/// Replies of Hearken: the far end.
pub const REPLIES: [&str; 6] = [
    "The weather is fine today, with a light wind from the west and no rain before the evening.",
    "My name is Hearken. I listen all the time, and I answer when somebody asks me something.",
    "That was a dog. It has been barking for about two minutes, so perhaps somebody should look after it.",
    "You can boil the eggs for six minutes, then put them into cold water, and they will be just right.",
    "I did not understand that very well. Could you say it once more, please, a little louder than before?",
    "The meeting begins at ten o'clock, and you should leave the house about half an hour earlier than that.",
];

/// Interruptions by a person.
pub const INTERRUPTIONS: [&str; 8] = [
    "Stop, I know that.",
    "Wait a moment, please.",
    "No, that is not what I meant.",
    "Be quiet now.",
    "Okay, enough of that.",
    "Hey, listen to me.",
    "Please do not go on.",
    "What about tomorrow?",
];

/// Returns `text` spoken by a voice of espeak-ng, at 16 kHz and -20 dBFS.
pub fn spoken(text: &str, voice: &str, pitch: u32) -> Vec<f32> {
    let out = Command::new("espeak-ng")
        .args(["--stdout", "-b", "1", "-v", voice, "-p", &pitch.to_string(), text])
        .stdin(Stdio::null())
        .output()
        .expect("apt-get install espeak-ng");
    let mut source = FileSource::stream(std::io::Cursor::new(out.stdout), "espeak-ng", None).unwrap();
    let mut samples = Vec::new();
    while !matches!(source.next(&mut samples).unwrap(), SourceEvent::End) {}
    let begin = samples.iter().position(|x| x.abs() > 0.01).unwrap();
    let end = samples.iter().rposition(|x| x.abs() > 0.01).unwrap();
    at_level(&samples[begin..=end], -20.0)
}

/// Returns `samples` scaled so that their parts other than silence have the level `db`, in dBFS.
pub fn at_level(samples: &[f32], db: f32) -> Vec<f32> {
    let loud: Vec<f32> = samples.iter().copied().filter(|x| x.abs() > 1e-3).collect();
    let gain = amplitude(db - dbfs(&loud));
    samples.iter().map(|x| (x * gain).clamp(-1.0, 1.0)).collect()
}

/// A xorshift generator of random numbers.
pub struct Random(pub u64);

impl Random {
    /// Returns the next number, uniform in 0 .. 1.
    pub fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / 16_777_216.0
    }

    pub fn between(&mut self, least: f32, most: f32) -> f32 {
        least + (most - least) * self.next()
    }

    fn noise(&mut self) -> f32 {
        2.0 * self.next() - 1.0
    }
}

/// Returns a cough: a burst, breath, and the short voiced end that some coughs have.
pub fn cough(random: &mut Random, db: f32) -> Vec<f32> {
    let (burst, breath, voiced) = (random.between(0.03, 0.06), random.between(0.12, 0.25), random.between(0.0, 0.11));
    let (pitch, bright) = (random.between(110.0, 260.0), random.between(0.3, 0.8));
    let (mut out, mut low) = (Vec::new(), 0.0);
    for n in 0..((burst + breath + voiced) * RATE as f32) as usize {
        let t = n as f32 / RATE as f32;
        low += bright * (random.noise() - low);
        out.push(if t < burst {
            random.noise()
        } else if t < burst + breath {
            0.35 * low * (1.0 - 0.7 * (t - burst) / breath)
        } else {
            // A rough voice, whose period is not steady.
            let rough = 1.0 + 0.04 * random.noise();
            0.3 * ((t * pitch * rough * std::f32::consts::TAU).sin() + 0.5 * low) * (1.0 - (t - burst - breath) / voiced)
        });
    }
    at_level(&out, db)
}

/// Returns a second of typing: each key goes down and up.
pub fn keys(random: &mut Random, db: f32) -> Vec<f32> {
    let mut out = vec![0.0; RATE];
    let mut at = 0.02;
    while at < 0.9 {
        for (place, loud) in [(at, 1.0), (at + random.between(0.05, 0.09), 0.5)] {
            let (tone, begin) = (random.between(900.0, 4_500.0), (place * RATE as f32) as usize);
            for n in 0..(0.02 * RATE as f32) as usize {
                let t = n as f32 / RATE as f32;
                let click = (-t * 350.0).exp() * ((t * tone * std::f32::consts::TAU).sin() + random.noise());
                if let Some(slot) = out.get_mut(begin + n) {
                    *slot += loud * click;
                }
            }
        }
        at += random.between(0.09, 0.22);
    }
    at_level(&out, db)
}

/// A voice that plays into a simulated room, and the echo path of the microphone in it.
pub struct Rig {
    writer: PlaybackWriter,
    reader: PlaybackReader,
    pub room: SimulatedRoom,
    pub path: EchoPath,
    waiting: Vec<f32>,
    /// All samples of the microphone.
    pub raw: Vec<f32>,
    /// All samples behind the echo path.
    pub clean: Vec<f32>,
    /// Lengths of `raw` when a barge-in was detected.
    pub interruptions: Vec<usize>,
    /// Lengths of `raw` when the voice had faded after a barge-in.
    pub faded: Vec<usize>,
}

impl Rig {
    pub fn new(acoustics: RoomAcoustics, settings: VoiceSettings) -> Self {
        let (writer, reader, far_end) = playback_ring(RATE as u32);
        let slot = FarEndSlot::default();
        slot.put(far_end, Route::Room);
        Self {
            writer,
            reader,
            room: SimulatedRoom::new(acoustics),
            path: EchoPath::new(slot, settings),
            waiting: Vec::new(),
            raw: Vec::new(),
            clean: Vec::new(),
            interruptions: Vec::new(),
            faded: Vec::new(),
        }
    }

    /// Plays `far`, after the far end of earlier calls, while a person says `near`. Lasts `secs` seconds.
    pub fn play(&mut self, far: &[f32], near: &[f32], secs: f32) {
        self.waiting.extend_from_slice(far);
        let mut near = near.iter().copied();
        let begin = self.raw.len();
        while self.raw.len() < begin + (secs * RATE as f32) as usize {
            if self.writer.is_cut() {
                self.waiting.clear();
                if self.writer.is_empty() {
                    self.faded.push(self.raw.len());
                    self.writer.end_cut();
                }
            }
            let written = self.writer.write(&self.waiting);
            self.waiting.drain(..written);
            let mut played = [0.0; BLOCK];
            self.reader.fill(&mut played, 1, |x| x);
            let mut block: Vec<f32> = played.iter().map(|far| self.room.step(*far, near.next().unwrap_or(0.0))).collect();
            self.raw.extend_from_slice(&block);
            if self.path.step(&mut block) == VoiceActivity::BargeIn {
                self.interruptions.push(self.raw.len());
            }
            self.clean.extend(block);
        }
    }
}

/// Returns the echo return loss enhancement from second `from` to second `to`, in dB.
pub fn erle(rig: &Rig, from: f32, to: f32) -> f32 {
    let range = (from * RATE as f32) as usize..((to * RATE as f32) as usize).min(rig.clean.len());
    dbfs(&rig.raw[range.clone()]) - dbfs(&rig.clean[range])
}

/// Returns replies from number `first` on, of at least `secs` seconds.
pub fn talk(secs: f32, first: usize) -> Vec<f32> {
    let mut all = Vec::new();
    for n in first.. {
        all.extend(spoken(REPLIES[n % REPLIES.len()], "en", 50));
        all.extend(vec![0.0; RATE / 4]);
        if all.len() as f32 > secs * RATE as f32 {
            return all;
        }
    }
    all
}
