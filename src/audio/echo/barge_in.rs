//! Whether somebody speaks over a reply. Pure: one frame of 10 ms in, one verdict out.
//!
//! Is what is left of the microphone louder than what is left of the echo alone; is it voiced; has it been so for long
//! enough; and is it not the far end itself, by a way that the canceller has not learnt? Two outputs of the canceller are
//! looked at: its filter's, in which a person is whole, once the filter is known to take the echo away; and its
//! suppressor's, in which less of a person is left and far less of the echo. How much of the echo reaches the microphone, and
//! how much of it is left in either, is learnt from the frames in which nobody speaks; until it is learnt, only what is louder
//! than the whole echo counts. The filter alone convicts nobody: it ends before the room's answer does, and when a loud word
//! of the reply has ended, what is left of that answer stands out like a person. The suppressor takes it away.

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
/// An echo that has ended fades by so much a frame in a furnished room (60 dB in 0.3 s), in dB.
const FADE_DB: f32 = 2.0;
/// The filter's echo is not taken for quieter than the usual echo by more than this, in dB: it may not know yet.
const KNOWN_DB: f32 = 15.0;
/// The filter takes the echo away when it leaves so much less, in dB, ...
const TAKES_DB: f32 = 4.0;
/// ... and knows the room when it did in so many frames more than it did not; more than so many are not counted.
const KNOWS: u32 = 30;
const KNOWS_WELL: u32 = 100;
/// A frame of the microphone below this, in dB below full scale, does not show what the filter takes away.
const AUDIBLE_DB: f32 = -60.0;
/// Frames that are looked at together: 300 ms.
const WINDOW: usize = 30;
/// Voiced frames among them after which somebody may be speaking: 40 ms.
const PERHAPS: usize = 4;
/// Voiced frames after which somebody speaks: 80 ms. What a cough has of a voice is too rough to count for longer, a key has none.
const SPEAKS: usize = 8;
/// Of which so many have to be heard through the suppressor: of 200 people who spoke over a reply none was heard later or less
/// for it, and of the ends of Hearken's own words none is heard there.
const SPEAKS_IN_CLEAN: usize = 4;
/// A vowel that is so much louder than what the suppressor leaves of the echo, in dB, and so voiced is a person's for sure, ...
const SURELY_DB: f32 = 8.0;
const SURELY_VOICED: f32 = 0.6;
/// ... and so many frames of it within 150 ms are enough: a "Stop!" has no more. The end of a cough is too rough.
const SURE: usize = 5;
const SURE_WINDOW: usize = 15;
/// What is so like the far end (measured: a person over an echo reaches 0.55 in one case of twenty, an echo that the canceller
/// does not know 0.72 in every second) is no person, ...
const OWN: f32 = 0.55;
/// ... and what is so like it shows that the canceller does not know the room any more.
const SURELY_OWN: f32 = 0.68;
/// For so many frames after that (1.5 s: by then it knows the room again) less likeness is enough.
const ESTRANGED: u32 = 150;
const OWN_WHILE_ESTRANGED: f32 = 0.4;
/// Frames that a doubt lasts after its last cause: 400 ms.
const DOUBT: u32 = 40;
/// Frames in which frames that might be speech are not learnt from: 1.5 s. A residue that stays so long is the canceller's.
const TRUST: u32 = 150;

/// One frame, 10 ms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    /// What the microphone heard, in dB below full scale.
    pub raw_db: f32,
    /// The echo in it as the canceller understands it, in dB below full scale.
    pub echo_db: f32,
    /// What the canceller's filter left.
    pub linear: HeardFrame,
    /// What its suppressor left of that.
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
    /// The echo as the canceller understands it, and as it fades, in dB below full scale.
    echo_db: f32,
    /// What the suppressor leaves, over the whole echo, in dB: a value that it seldom exceeds.
    clean_residue_db: f32,
    /// The same of the filter, over the echo as the canceller understands it.
    linear_residue_db: f32,
    knows: u32,
    /// Frames that are left of the time after the canceller lost the room.
    estranged: u32,
    evidence: VecDeque<Evidence>,
    doubt: u32,
    distrust: u32,
}

/// What a frame has of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    Nothing,
    /// Speech that the filter leaves.
    Linear,
    /// Speech that the suppressor leaves as well.
    Clean,
    /// The same, and so loud and voiced that there is no doubt.
    Sure,
}

impl Default for BargeIn {
    fn default() -> Self {
        Self {
            far_db: VecDeque::with_capacity(ECHO_FRAMES),
            coupling_db: 0.0,
            coupled_frames: 0,
            echo_db: f32::NEG_INFINITY,
            clean_residue_db: 0.0,
            linear_residue_db: 0.0,
            knows: 0,
            estranged: 0,
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
        self.clean_residue_db = (self.clean_residue_db + 6.0).min(0.0);
        self.linear_residue_db = (self.linear_residue_db + 6.0).min(0.0);
    }

    /// Judges the next frame. `likeness` says how like the far end what is left is, 0 to 1; it is asked only in doubt.
    pub fn step(&mut self, frame: &Frame, likeness: impl FnOnce() -> f32) -> Verdict {
        if self.far_db.len() == ECHO_FRAMES {
            self.far_db.pop_back();
        }
        self.far_db.push_front(frame.far_db);
        let far_db = self.far_loudest(frame.delay_ms);
        let plays = far_db > FAR_SILENT_DB;
        let usual_db = far_db + self.coupling_db;
        self.echo_db = frame.echo_db.max(self.echo_db - FADE_DB);
        let clean_db = frame.clean.level_db - usual_db;
        let linear_db = frame.linear.level_db - self.echo_db.max(usual_db - KNOWN_DB);
        let in_clean = frame.clean.is_speech() && (!plays || clean_db > self.clean_residue_db + MARGIN_DB);
        let knows = self.knows >= KNOWS;
        let in_linear = frame.linear.is_speech() && (!plays || knows && linear_db > self.linear_residue_db + MARGIN_DB);
        let sure = frame.clean.voicing > SURELY_VOICED && clean_db > self.clean_residue_db + SURELY_DB;
        let evidence = match (in_clean, in_linear) {
            (true, _) if sure => Evidence::Sure,
            (true, _) => Evidence::Clean,
            (false, true) => Evidence::Linear,
            (false, false) => Evidence::Nothing,
        };
        if plays {
            self.learn(frame, far_db, (clean_db, linear_db), evidence != Evidence::Nothing);
        }
        self.note(evidence);
        self.estranged = self.estranged.saturating_sub(1);
        // By whatever way: also by one that the canceller does not know.
        if self.far_loudest(None) > FAR_SILENT_DB && self.voiced() >= PERHAPS {
            self.doubt_it(likeness());
        }
        self.conclude()
    }

    /// Whether somebody speaks at this very moment, as far as 80 ms show it.
    #[must_use]
    pub fn hears_speech(&self) -> bool {
        self.evidence.iter().rev().take(8).filter(|of| **of != Evidence::Nothing).count() >= 3
    }

    fn far_loudest(&self, delay_ms: Option<i32>) -> f32 {
        let (from, to) = match delay_ms.and_then(|ms| usize::try_from(ms / 10).ok()) {
            Some(frames) => (frames.saturating_sub(BEFORE_DELAY), frames + AFTER_DELAY),
            None => (0, ECHO_FRAMES),
        };
        self.far_db.iter().skip(from).take(to - from).copied().fold(f32::NEG_INFINITY, f32::max)
    }

    fn learn(&mut self, frame: &Frame, far_db: f32, (clean_db, linear_db): (f32, f32), speech: bool) {
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
        if frame.raw_db > AUDIBLE_DB {
            let takes = frame.linear.level_db < frame.raw_db - TAKES_DB;
            self.knows = if takes { (self.knows + 1).min(KNOWS_WELL) } else { self.knows.saturating_sub(1) };
        }
        // What is left exceeds these in one frame of twenty.
        for (residue, left_db) in [(&mut self.clean_residue_db, clean_db), (&mut self.linear_residue_db, linear_db)] {
            *residue += if left_db > *residue { 0.95 * 3.0 } else { -0.05 * 3.0 };
            *residue = residue.clamp(-45.0, 6.0);
        }
    }

    fn note(&mut self, evidence: Evidence) {
        if self.evidence.len() == WINDOW {
            self.evidence.pop_front();
        }
        self.evidence.push_back(evidence);
    }

    fn voiced(&self) -> usize {
        self.evidence.iter().filter(|of| **of != Evidence::Nothing).count()
    }

    /// What is like the far end is Hearken's own voice.
    fn doubt_it(&mut self, likeness: f32) {
        if likeness > if self.estranged > 0 { OWN_WHILE_ESTRANGED } else { OWN } {
            self.evidence.clear();
        }
        if likeness > SURELY_OWN {
            self.estranged = ESTRANGED;
            self.knows = 0;
            self.linear_residue_db = 0.0;
        }
    }

    fn conclude(&mut self) -> Verdict {
        let voiced = self.voiced();
        let in_clean = self.evidence.iter().filter(|of| matches!(of, Evidence::Clean | Evidence::Sure)).count();
        let sure = self.evidence.iter().rev().take(SURE_WINDOW).filter(|of| **of == Evidence::Sure).count();
        if sure >= SURE || voiced >= SPEAKS && in_clean >= SPEAKS_IN_CLEAN {
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
        let linear = HeardFrame { level_db: clean_db + 10.0, ..clean };
        Frame { raw_db, echo_db: raw_db, linear, clean, far_db, delay_ms: Some(60) }
    }

    /// Somebody else than the far end.
    fn another() -> f32 {
        0.2
    }

    /// A detector that has heard three seconds of its own echo, 30 dB of which the canceller takes away.
    fn settled() -> BargeIn {
        let mut detector = BargeIn::default();
        detector.begin();
        for n in 0..300 {
            let ripple = (n % 7) as f32 - 3.0;
            assert_ne!(
                detector.step(&frame(-35.0 + ripple, -65.0 + ripple, -15.0, 0.9), another),
                Verdict::Speaking,
                "its own echo, frame {n}"
            );
        }
        detector
    }

    /// Frames until the verdict is `wanted`.
    fn until(detector: &mut BargeIn, wanted: Verdict, frames: impl Fn(usize) -> Frame) -> Option<usize> {
        (0..200).find(|n| detector.step(&frames(*n), another) == wanted)
    }

    #[test]
    fn speech_as_loud_as_the_echo_cuts_within_80_ms_and_a_clear_vowel_within_50_ms() {
        for (voicing, frames) in [(0.5, SPEAKS), (0.9, SURE)] {
            let speech = |_| frame(-32.0, -38.0, -15.0, voicing);
            assert_eq!(until(&mut settled(), Verdict::Perhaps, speech), Some(PERHAPS - 1), "it is suspected before");
            assert_eq!(until(&mut settled(), Verdict::Speaking, speech), Some(frames - 1));
        }
    }

    #[test]
    fn what_is_not_voiced_or_too_short_cuts_nothing() {
        assert_eq!(until(&mut settled(), Verdict::Speaking, |_| frame(-20.0, -22.0, -15.0, 0.3)), None, "noise");
        let cough = |n: usize| frame(-20.0, -22.0, -15.0, if (20..27).contains(&n) { 0.55 } else { 0.4 });
        assert_eq!(until(&mut settled(), Verdict::Speaking, cough), None, "70 ms of a rough voice in a cough");
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
    fn the_end_of_a_loud_word_that_the_filter_does_not_reach_is_no_person() {
        let mut detector = settled();
        // The word has ended; the room answers on, the suppressor takes that away.
        let answer = |n: usize| {
            let fading = frame(-35.0 - n as f32, -90.0, -120.0, 0.7);
            let linear = HeardFrame { level_db: -41.0 - n as f32 / 2.0, ..fading.linear };
            Frame { linear, ..fading }
        };
        let verdicts: Vec<Verdict> = (0..40).map(|n| detector.step(&answer(n), another)).collect();
        assert!(verdicts.contains(&Verdict::Perhaps) && !verdicts.contains(&Verdict::Speaking), "{verdicts:?}");
    }

    #[test]
    fn a_doubt_passes() {
        let mut detector = settled();
        let syllable = |n: usize| if n < 5 { frame(-32.0, -38.0, -15.0, 0.5) } else { frame(-35.0, -65.0, -15.0, 0.9) };
        assert_eq!(until(&mut detector, Verdict::Speaking, syllable), None);
        assert_eq!(detector.step(&syllable(9), another), Verdict::Alone);
    }

    #[test]
    fn what_is_like_the_far_end_is_its_own_voice_by_another_way_and_the_room_is_learnt_anew() {
        let mut detector = settled();
        let jumped = |_: usize| frame(-35.0, -36.0, -15.0, 0.9);
        for n in 0..100 {
            assert_ne!(detector.step(&jumped(n), || 0.8), Verdict::Speaking, "frame {n}");
        }
        assert_eq!(until(&mut detector, Verdict::Speaking, |_| frame(-20.0, -21.0, -15.0, 0.9)), Some(SURE - 1), "a person, 15 dB over it");
    }
}
