//! Whether somebody speaks over a reply. Pure: one frame of 10 ms in, one verdict out.
//!
//! Three questions: is what the canceller leaves louder than what it leaves of the echo alone; is it voiced; has it been so
//! for long enough. How much of the echo reaches the microphone, and how much of that the canceller leaves, is learnt from the
//! frames in which nobody speaks; until it is learnt, only what is louder than the whole echo counts.

use std::collections::VecDeque;

use super::voicing::HeardFrame;

/// Frames in which the echo of a far-end frame may arrive: the delay, 300 ms at most, and the room's first answer.
const ECHO_FRAMES: usize = 42;
/// Frames around a known delay in which its echo arrives: from 30 ms before to 120 ms after.
const BEFORE_DELAY: usize = 3;
const AFTER_DELAY: usize = 12;
/// Far end below this, in dB below full scale, makes no echo worth the name.
const FAR_SILENT_DB: f32 = -65.0;
/// What is left has to exceed what is left of the echo by so much, in dB: the canceller's residue varies from frame to frame.
const MARGIN_DB: f32 = 4.0;
/// Frames that are looked at together: 300 ms.
const WINDOW: usize = 30;
/// Voiced frames among them after which somebody may be speaking: 40 ms.
const PERHAPS: usize = 4;
/// Voiced frames after which somebody speaks: 90 ms. A cough has less, a key none.
const SPEAKS: usize = 9;
/// Frames that a doubt lasts after its last cause: 400 ms.
const DOUBT: u32 = 40;
/// Frames in which frames that might be speech are not learnt from: 1.5 s. A residue that stays so long is the canceller's.
const TRUST: u32 = 150;

/// One frame, 10 ms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    /// What the microphone heard, in dB below full scale.
    pub raw_db: f32,
    /// What the canceller left of it.
    pub clean: HeardFrame,
    /// What was played, in dB below full scale.
    pub far_db: f32,
    /// How long its echo takes, where the canceller knows.
    pub delay_ms: Option<i32>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Hearken alone.
    Alone,
    /// Perhaps somebody else as well.
    Perhaps,
    /// Somebody else as well, for certain.
    Speaking,
}

/// Follows the frames of what is played and heard.
#[derive(Clone, Debug)]
pub struct BargeIn {
    /// Newest first.
    far_db: VecDeque<f32>,
    /// By how much the echo is quieter (or louder) than what was played, in dB.
    coupling_db: f32,
    coupled_frames: u32,
    /// What the canceller leaves, over the whole echo, in dB: a value that it seldom exceeds.
    residue_db: f32,
    evidence: VecDeque<bool>,
    doubt: u32,
    distrust: u32,
}

impl Default for BargeIn {
    fn default() -> Self {
        Self {
            far_db: VecDeque::with_capacity(ECHO_FRAMES),
            coupling_db: 0.0,
            coupled_frames: 0,
            residue_db: 0.0,
            evidence: VecDeque::with_capacity(WINDOW),
            doubt: 0,
            distrust: 0,
        }
    }
}

impl BargeIn {
    /// A reply begins to be played: what was learnt of the room stays, what was suspected does not.
    pub fn begin(&mut self) {
        self.far_db.clear();
        self.evidence.clear();
        self.doubt = 0;
        // The room may have changed, and the canceller has to find its delay again.
        self.residue_db = (self.residue_db + 6.0).min(0.0);
    }

    /// Judges the next frame.
    pub fn step(&mut self, frame: &Frame) -> Verdict {
        if self.far_db.len() == ECHO_FRAMES {
            self.far_db.pop_back();
        }
        self.far_db.push_front(frame.far_db);
        let far_db = self.far_loudest(frame.delay_ms);
        let echo_db = far_db + self.coupling_db;
        let residue_db = frame.clean.level_db - echo_db;
        let stands_out = far_db < FAR_SILENT_DB || residue_db > self.residue_db + MARGIN_DB;
        let speech = frame.clean.is_speech() && stands_out;
        if far_db > FAR_SILENT_DB {
            self.learn(frame, far_db, residue_db, speech);
        }
        self.conclude(speech)
    }

    /// Whether somebody speaks at this very moment, as far as 80 ms show it.
    #[must_use]
    pub fn hears_speech(&self) -> bool {
        self.evidence.iter().rev().take(8).filter(|speech| **speech).count() >= 3
    }

    fn far_loudest(&self, delay_ms: Option<i32>) -> f32 {
        let (from, to) = match delay_ms.and_then(|ms| usize::try_from(ms / 10).ok()) {
            Some(frames) => (frames.saturating_sub(BEFORE_DELAY), frames + AFTER_DELAY),
            None => (0, ECHO_FRAMES),
        };
        self.far_db.iter().skip(from).take(to - from).copied().fold(f32::NEG_INFINITY, f32::max)
    }

    fn learn(&mut self, frame: &Frame, far_db: f32, residue_db: f32, speech: bool) {
        self.distrust = if speech { self.distrust + 1 } else { self.distrust.saturating_sub(1) };
        if speech && self.distrust < TRUST {
            return;
        }
        // The echo is loudest where the far end is: a value that three frames in ten exceed. Steps get smaller as it settles.
        let ratio_db = frame.raw_db - far_db;
        if self.coupled_frames == 0 {
            self.coupling_db = ratio_db;
        }
        self.coupled_frames = self.coupled_frames.saturating_add(1);
        let step = if self.coupled_frames < 50 { 1.0 } else { 0.2 };
        self.coupling_db += if ratio_db > self.coupling_db { 0.7 * step } else { -0.3 * step };
        // What the canceller leaves exceeds this in one frame of twenty.
        self.residue_db += if residue_db > self.residue_db { 0.95 * 3.0 } else { -0.05 * 3.0 };
        self.residue_db = self.residue_db.clamp(-45.0, 6.0);
    }

    fn conclude(&mut self, speech: bool) -> Verdict {
        if self.evidence.len() == WINDOW {
            self.evidence.pop_front();
        }
        self.evidence.push_back(speech);
        let voiced = self.evidence.iter().filter(|speech| **speech).count();
        if voiced >= SPEAKS {
            return Verdict::Speaking;
        }
        self.doubt = if voiced >= PERHAPS { DOUBT } else { self.doubt.saturating_sub(1) };
        if self.doubt > 0 { Verdict::Perhaps } else { Verdict::Alone }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(raw_db: f32, clean_db: f32, far_db: f32, voicing: f32) -> Frame {
        let clean = HeardFrame { level_db: clean_db, floor_db: -70.0, voicing };
        Frame { raw_db, clean, far_db, delay_ms: Some(60) }
    }

    /// A detector that has heard three seconds of its own echo, 30 dB of which the canceller takes away.
    fn settled() -> BargeIn {
        let mut detector = BargeIn::default();
        detector.begin();
        for n in 0..300 {
            let ripple = (n % 7) as f32 - 3.0;
            assert_ne!(detector.step(&frame(-35.0 + ripple, -65.0 + ripple, -15.0, 0.9)), Verdict::Speaking, "its own echo, frame {n}");
        }
        detector
    }

    /// Frames until the verdict is `wanted`.
    fn until(detector: &mut BargeIn, wanted: Verdict, frames: impl Fn(usize) -> Frame) -> Option<usize> {
        (0..200).find(|n| detector.step(&frames(*n)) == wanted)
    }

    #[test]
    fn speech_as_loud_as_the_echo_cuts_within_150_ms_and_is_suspected_before() {
        let speech = |_| frame(-32.0, -38.0, -15.0, 0.9);
        assert_eq!(until(&mut settled(), Verdict::Perhaps, speech), Some(PERHAPS - 1));
        assert_eq!(until(&mut settled(), Verdict::Speaking, speech), Some(SPEAKS - 1));
    }

    #[test]
    fn what_is_not_voiced_or_too_short_cuts_nothing() {
        assert_eq!(until(&mut settled(), Verdict::Speaking, |_| frame(-20.0, -22.0, -15.0, 0.3)), None, "noise");
        let cough = |n: usize| frame(-20.0, -22.0, -15.0, if (20..27).contains(&n) { 0.8 } else { 0.4 });
        assert_eq!(until(&mut settled(), Verdict::Speaking, cough), None, "70 ms of voice in a cough");
        let key = |n: usize| if n % 20 < 2 { frame(-20.0, -22.0, -15.0, 0.2) } else { frame(-35.0, -65.0, -15.0, 0.9) };
        assert_eq!(until(&mut settled(), Verdict::Speaking, key), None, "keys");
    }

    #[test]
    fn before_the_canceller_has_learnt_the_room_its_leak_is_not_taken_for_a_person() {
        let mut detector = BargeIn::default();
        detector.begin();
        // The canceller takes 10 dB more away every half second, from nothing.
        let leak = |n: usize| frame(-35.0, -35.0 - n as f32 / 5.0, -15.0, 0.95);
        assert_eq!(until(&mut detector, Verdict::Speaking, leak), None);
        let mut detector = BargeIn::default();
        detector.begin();
        assert!(
            until(&mut detector, Verdict::Speaking, |n| if n < 30 { leak(n) } else { frame(-20.0, -21.0, -15.0, 0.9) }).is_some(),
            "15 dB over it"
        );
    }

    #[test]
    fn a_doubt_passes() {
        let mut detector = settled();
        let syllable = |n: usize| if n < 5 { frame(-32.0, -38.0, -15.0, 0.9) } else { frame(-35.0, -65.0, -15.0, 0.9) };
        assert_eq!(until(&mut detector, Verdict::Speaking, syllable), None);
        assert_eq!(detector.step(&syllable(9)), Verdict::Alone);
    }
}
