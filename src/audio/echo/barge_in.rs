//! Barge-in detection: detects a person who speaks over a reply. Pure: one frame of 10 ms in, one verdict out.
//!
//! A frame is evidence of a person if the sound that the canceller leaves is louder than its residue of echo alone, and voiced.
//! Enough such frames within 300 ms decide, unless the sound correlates with the far end: then it is echo on a path that the
//! canceller has not learnt. Both outputs of the canceller are used. The linear filter keeps all of a person, and counts once it
//! is known to remove the echo. The suppressor removes far more of the echo, and some of the person. The level of the echo in
//! the microphone and of its residues is learnt from the frames without a person; until then only sound louder than the whole
//! echo counts.
//!
//! The linear filter's output alone is not enough evidence: the filter is shorter than the room's reverberation, and the
//! reverberant tail of a loud word looks like a second talker. The suppressor removes that tail.

use std::collections::VecDeque;

use super::voicing::FrameFeatures;

/// Number of frames (10 ms each) within which the echo of a played frame arrives: a delay of at most 300 ms, and the early reverberation.
const ECHO_FRAMES: usize = 42;
/// Number of frames before a known delay of the echo from which the echo is expected: 30 ms.
const BEFORE_DELAY: usize = 3;
/// Number of frames after a known delay of the echo until which the echo is expected: 120 ms.
const AFTER_DELAY: usize = 12;
/// Length of a frame, in milliseconds.
const FRAME_MS: i32 = 10;
/// Level of the played sound below which it makes no audible echo, in dBFS.
const FAR_SILENT_DB: f32 = -65.0;
/// Level by which a frame must exceed the learnt residue of the echo, in dB: the residue varies from frame to frame.
const MARGIN_DB: f32 = 4.0;
/// Decay of the echo after the played sound has ended, in dB per frame: 60 dB in 0.3 s, as in a furnished room.
const DECAY_DB: f32 = 2.0;
/// Greatest distance of the filter's estimate of the echo below the usual echo, in dB; a lower estimate is raised to this distance.
const ESTIMATE_RANGE_DB: f32 = 15.0;
/// Attenuation by the linear filter from which a frame shows that the filter removes the echo, in dB.
const REMOVES_DB: f32 = 4.0;
/// Number of frames in which the filter removed the echo, less those in which it did not, from which the filter counts as adapted.
const ADAPTED: u32 = 30;
/// Upper bound of the number of frames in which the filter removed the echo, less those in which it did not.
const ADAPTED_MOST: u32 = 100;
/// Level of the microphone below which a frame does not show whether the filter removes the echo, in dBFS.
const AUDIBLE_DB: f32 = -60.0;
/// Number of the newest frames (10 ms each) whose evidence of a person is counted: 300 ms.
const WINDOW: usize = 30;
/// Number of frames with evidence among the newest 300 ms from which a person is suspected: 40 ms.
const SUSPECTED: usize = 4;
/// Number of frames with evidence among the newest 300 ms from which a person is certain: 80 ms. The voiced end of a cough is shorter, a
/// keystroke has none.
const CERTAIN: usize = 8;
/// Number of frames with evidence in the suppressor's output that a certain person needs among the newest 300 ms: excludes the word endings
/// of the reply, and delayed none of 200 interruptions.
const CERTAIN_IN_CLEAN: usize = 4;
/// Level above the suppressor's residue from which a voiced frame is strong evidence, in dB.
const STRONG_DB: f32 = 8.0;
/// Voicing (0 to 1) above which a loud frame is strong evidence; the end of a cough is less voiced.
const STRONG_VOICING: f32 = 0.6;
/// Number of frames of strong evidence within 150 ms that make a person certain by themselves: a "Stop!" has no more.
const STRONG: usize = 5;
/// Number of the newest frames (10 ms each) among which strong evidence is counted: 150 ms.
const STRONG_WINDOW: usize = 15;
/// Correlation (0 to 1) of the canceller's output with the played sound above which the sound is echo. A person over an echo exceeds it in
/// one case of twenty; echo on an unknown path has a median of 0.72.
const ECHO_CORRELATION: f32 = 0.55;
/// Correlation (0 to 1) of the canceller's output with the played sound above which the echo path has changed and the filter must adapt
/// again.
const PATH_CHANGED_CORRELATION: f32 = 0.68;
/// Number of frames (10 ms each) after a change of the echo path for which the filter is not trusted: 1.5 s, the time it needs to adapt.
const READAPTATION: u32 = 150;
/// Correlation (0 to 1) with the played sound above which the sound is echo, while the filter adapts to a changed echo path.
const READAPTATION_CORRELATION: f32 = 0.4;
/// Number of frames (10 ms each) for which a suspicion lasts after its last evidence: 400 ms.
const SUSPICION: u32 = 40;
/// Number of frames with evidence, less those without, from which the residue of the echo is learnt from frames with evidence too: sound
/// that lasts 1.5 s is the canceller's residue.
const LEARN_ANYWAY: u32 = 150;
/// Number of the newest frames (10 ms each) by which [`BargeInDetector::hears_speech`] decides: 80 ms.
const NOW_WINDOW: usize = 8;
/// Number of frames with evidence among the newest 80 ms from which a person speaks at this moment.
const NOW_FRAMES: usize = 3;
/// Increase of the learnt residues at the start of a reply, in dB: the room may have changed since the last one.
const RESTART_MARGIN_DB: f32 = 6.0;
/// Number of learnt frames after which the coupling (echo at the microphone relative to the played sound) is learnt in small steps.
const COUPLING_FAST_FRAMES: u32 = 50;
/// Factor on the steps of the coupling after the first 50 learnt frames.
const COUPLING_SLOW: f32 = 0.2;
/// Step of the coupling for a frame that exceeds it, in dB: with the smaller step down, the coupling settles where three frames in ten
/// exceed it, because the echo is loudest with the played sound.
const COUPLING_UP_DB: f32 = 0.7;
/// Step of the coupling for a frame that does not exceed it, in dB.
const COUPLING_DOWN_DB: f32 = 0.3;
/// Step of a learnt residue of the echo for a frame that exceeds it, in dB: with the smaller step down, the residue settles where one frame
/// in twenty exceeds it.
const RESIDUE_UP_DB: f32 = 0.95 * 3.0;
/// Step of a learnt residue of the echo for a frame that does not exceed it, in dB.
const RESIDUE_DOWN_DB: f32 = 0.05 * 3.0;
/// Range to which a learnt residue of the echo is clamped, in dB relative to the echo.
const RESIDUE_RANGE_DB: std::ops::RangeInclusive<f32> = -45.0..=6.0;

/// The levels of a frame of 10 ms: at the microphone, after the canceller, and of the played sound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameLevels {
    /// Level of the microphone, in dBFS.
    pub raw_db: f32,
    /// Level of the echo as the canceller estimates it, in dBFS.
    pub echo_db: f32,
    /// Level and voicing of the canceller's linear filter's output.
    pub linear: FrameFeatures,
    /// Level and voicing of the canceller's suppressor's output.
    pub clean: FrameFeatures,
    /// Level of the played sound, in dBFS.
    pub far_db: f32,
    /// Delay of the echo, in milliseconds; None while the canceller does not know it.
    pub delay_ms: Option<i32>,
}

/// The decision about who speaks in a frame of 10 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody speaks but Hearken.
    EchoOnly,
    /// A person may be speaking.
    Suspected,
    /// A person is speaking.
    Speech,
}

/// The detector of a person who speaks over a reply: follows the far end and the canceller's outputs, and decides for each frame.
#[derive(Clone, Debug)]
pub struct BargeInDetector {
    /// Levels of the played sound in the newest 420 ms, in dBFS, newest first.
    far_db: VecDeque<f32>,
    /// Usual level of the echo at the microphone relative to the played sound, in dB.
    coupling_db: f32,
    /// Number of frames from which the coupling was learnt.
    coupled_frames: u32,
    /// Level of the echo as the canceller estimates it, with its decay, in dBFS.
    echo_db: f32,
    /// Levels of the canceller's outputs for echo alone, which one frame in twenty exceeds.
    residue: ResidueLevels,
    /// Number of frames in which the filter removed the echo, less those in which it did not: 0 to 100.
    adapted: u32,
    /// Number of frames left of a readaptation, during which a lower correlation rejects evidence.
    readapting: u32,
    /// Evidence of a person in the newest 300 ms, oldest first.
    evidence: VecDeque<Evidence>,
    /// Number of frames left of a suspicion.
    suspicion: u32,
    /// Number of frames with evidence, less those without, while the far end plays; at least 0.
    evidence_run: u32,
}

/// The levels of the canceller's two outputs relative to the echo, in dB.
#[derive(Clone, Copy, Debug, Default)]
struct ResidueLevels {
    /// The suppressor's output, relative to the whole echo.
    clean_db: f32,
    /// The filter's output, relative to the echo as the canceller estimates it.
    linear_db: f32,
}

impl ResidueLevels {
    /// Moves each level a step towards that of a frame.
    fn learn(&mut self, frame: Self) {
        for (residue, level) in [(&mut self.clean_db, frame.clean_db), (&mut self.linear_db, frame.linear_db)] {
            *residue += if level > *residue { RESIDUE_UP_DB } else { -RESIDUE_DOWN_DB };
            *residue = residue.clamp(*RESIDUE_RANGE_DB.start(), *RESIDUE_RANGE_DB.end());
        }
    }
}

/// The evidence of a person in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    /// No evidence.
    Nothing,
    /// Speech in the filter's output.
    Linear,
    /// Speech in the suppressor's output.
    Clean,
    /// Loud and clearly voiced speech in the suppressor's output.
    Strong,
}

impl Default for BargeInDetector {
    fn default() -> Self {
        Self {
            far_db: VecDeque::with_capacity(ECHO_FRAMES),
            coupling_db: 0.0,
            coupled_frames: 0,
            echo_db: f32::NEG_INFINITY,
            residue: ResidueLevels::default(),
            adapted: 0,
            readapting: 0,
            evidence: VecDeque::with_capacity(WINDOW),
            suspicion: 0,
            evidence_run: 0,
        }
    }
}

impl BargeInDetector {
    /// Begins a reply: keeps the learnt levels of the room, drops the evidence of a person.
    pub fn begin(&mut self) {
        self.far_db.clear();
        self.evidence.clear();
        self.suspicion = 0;
        // The room may have changed, and the canceller has to find the delay again.
        self.residue.clean_db = (self.residue.clean_db + RESTART_MARGIN_DB).min(0.0);
        self.residue.linear_db = (self.residue.linear_db + RESTART_MARGIN_DB).min(0.0);
    }

    /// Judges the next frame of 10 ms. Calls `correlation`, which returns the correlation (0 to 1) of the canceller's output with the
    /// played sound, only on suspicion.
    pub fn step(&mut self, frame: &FrameLevels, correlation: impl FnOnce() -> f32) -> Verdict {
        if self.far_db.len() == ECHO_FRAMES {
            self.far_db.pop_back();
        }
        self.far_db.push_front(frame.far_db);
        let far_db = self.far_loudest(frame.delay_ms);
        let plays = far_db > FAR_SILENT_DB;
        let usual_db = far_db + self.coupling_db;
        self.echo_db = frame.echo_db.max(self.echo_db - DECAY_DB);
        let level = ResidueLevels {
            clean_db: frame.clean.level_db - usual_db,
            linear_db: frame.linear.level_db - self.echo_db.max(usual_db - ESTIMATE_RANGE_DB),
        };
        let evidence = self.evidence_in(frame, level, far_db);
        if plays {
            self.learn(frame, far_db, level, evidence);
        }
        self.note(evidence);
        self.readapting = self.readapting.saturating_sub(1);
        // The far end on any path, also on one that the canceller does not know.
        if self.far_loudest(None) > FAR_SILENT_DB && self.evidence_frames() >= SUSPECTED {
            self.reject_echo(correlation());
        }
        self.conclude()
    }

    /// Returns true if a person speaks at this moment: at least 3 of the last 8 frames (80 ms) hold evidence.
    #[must_use]
    pub fn hears_speech(&self) -> bool {
        self.evidence.iter().rev().take(NOW_WINDOW).filter(|of| **of != Evidence::Nothing).count() >= NOW_FRAMES
    }

    /// Returns the evidence of a person in `frame`, whose outputs have `level` relative to the echo of a sound played at `far_db` dBFS.
    fn evidence_in(&self, frame: &FrameLevels, level: ResidueLevels, far_db: f32) -> Evidence {
        let plays = far_db > FAR_SILENT_DB;
        let in_clean = frame.clean.is_speech() && (!plays || level.clean_db > self.residue.clean_db + MARGIN_DB);
        let adapted = self.adapted >= ADAPTED;
        let in_linear = frame.linear.is_speech() && (!plays || adapted && level.linear_db > self.residue.linear_db + MARGIN_DB);
        let strong = frame.clean.voicing > STRONG_VOICING && level.clean_db > self.residue.clean_db + STRONG_DB;
        match (in_clean, in_linear) {
            (true, _) if strong => Evidence::Strong,
            (true, _) => Evidence::Clean,
            (false, true) => Evidence::Linear,
            (false, false) => Evidence::Nothing,
        }
    }

    /// Returns the loudest level of the played frames whose echo may arrive now, in dBFS; if the delay is unknown, the loudest of 420 ms.
    fn far_loudest(&self, delay_ms: Option<i32>) -> f32 {
        let (from, to) = match delay_ms.and_then(|ms| usize::try_from(ms / FRAME_MS).ok()) {
            Some(frames) => (frames.saturating_sub(BEFORE_DELAY), frames + AFTER_DELAY),
            None => (0, ECHO_FRAMES),
        };
        self.far_db.iter().skip(from).take(to - from).copied().fold(f32::NEG_INFINITY, f32::max)
    }

    /// Learns the levels of the echo from a frame without evidence of a person. Once frames with evidence outnumber the others by
    /// 1.5 s, learns from every frame: sound of that length is residue of the echo.
    fn learn(&mut self, frame: &FrameLevels, far_db: f32, level: ResidueLevels, evidence: Evidence) {
        let speech = evidence != Evidence::Nothing;
        self.evidence_run = if speech { self.evidence_run + 1 } else { self.evidence_run.saturating_sub(1) };
        if speech && self.evidence_run < LEARN_ANYWAY {
            return;
        }
        let ratio_db = frame.raw_db - far_db;
        if self.coupled_frames == 0 {
            self.coupling_db = ratio_db;
        }
        self.coupled_frames = self.coupled_frames.saturating_add(1);
        let step = if self.coupled_frames < COUPLING_FAST_FRAMES { 1.0 } else { COUPLING_SLOW };
        self.coupling_db += if ratio_db > self.coupling_db { COUPLING_UP_DB * step } else { -COUPLING_DOWN_DB * step };
        if frame.raw_db > AUDIBLE_DB {
            let removes = frame.linear.level_db < frame.raw_db - REMOVES_DB;
            self.adapted = if removes { (self.adapted + 1).min(ADAPTED_MOST) } else { self.adapted.saturating_sub(1) };
        }
        self.residue.learn(level);
    }

    fn note(&mut self, evidence: Evidence) {
        if self.evidence.len() == WINDOW {
            self.evidence.pop_front();
        }
        self.evidence.push_back(evidence);
    }

    /// Returns the number of frames with evidence of a person among the newest 300 ms.
    fn evidence_frames(&self) -> usize {
        self.evidence.iter().filter(|of| **of != Evidence::Nothing).count()
    }

    /// Drops the evidence of a person if `correlation` (of the canceller's output with the played sound) shows Hearken's own voice; a still
    /// higher correlation also starts a readaptation.
    fn reject_echo(&mut self, correlation: f32) {
        if correlation > if self.readapting > 0 { READAPTATION_CORRELATION } else { ECHO_CORRELATION } {
            self.evidence.clear();
        }
        if correlation > PATH_CHANGED_CORRELATION {
            self.readapting = READAPTATION;
            self.adapted = 0;
            self.residue.linear_db = 0.0;
        }
    }

    /// Returns the verdict on the newest 300 ms of evidence.
    fn conclude(&mut self) -> Verdict {
        let frames = self.evidence_frames();
        let in_clean = self.evidence.iter().filter(|of| matches!(of, Evidence::Clean | Evidence::Strong)).count();
        let strong = self.evidence.iter().rev().take(STRONG_WINDOW).filter(|of| **of == Evidence::Strong).count();
        if strong >= STRONG || frames >= CERTAIN && in_clean >= CERTAIN_IN_CLEAN {
            return Verdict::Speech;
        }
        self.suspicion = if frames >= SUSPECTED { SUSPICION } else { self.suspicion.saturating_sub(1) };
        if self.suspicion > 0 { Verdict::Suspected } else { Verdict::EchoOnly }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(raw_db: f32, clean_db: f32, far_db: f32, voicing: f32) -> FrameLevels {
        let clean = FrameFeatures { level_db: clean_db, floor_db: -70.0, voicing, period: 80 };
        let linear = FrameFeatures { level_db: clean_db + 10.0, ..clean };
        FrameLevels { raw_db, echo_db: raw_db, linear, clean, far_db, delay_ms: Some(60) }
    }

    /// Returns the correlation of a person with the far end.
    fn person() -> f32 {
        0.2
    }

    /// Returns a detector that has learnt from three seconds of echo, of which the canceller removes 30 dB.
    fn settled() -> BargeInDetector {
        let mut detector = BargeInDetector::default();
        detector.begin();
        for n in 0..300 {
            let ripple = (n % 7) as f32 - 3.0;
            assert_ne!(detector.step(&frame(-35.0 + ripple, -65.0 + ripple, -15.0, 0.9), person), Verdict::Speech, "frame {n} is echo");
        }
        detector
    }

    /// Returns the number of frames before the one with the verdict `wanted`.
    fn until(detector: &mut BargeInDetector, wanted: Verdict, frames: impl Fn(usize) -> FrameLevels) -> Option<usize> {
        (0..200).find(|n| detector.step(&frames(*n), person) == wanted)
    }

    #[test]
    fn speech_as_loud_as_the_echo_is_certain_within_80_ms_and_a_clear_vowel_within_50_ms() {
        for (voicing, frames) in [(0.5, CERTAIN), (0.9, STRONG)] {
            let speech = |_| frame(-32.0, -38.0, -15.0, voicing);
            assert_eq!(until(&mut settled(), Verdict::Suspected, speech), Some(SUSPECTED - 1), "suspicion comes first");
            assert_eq!(until(&mut settled(), Verdict::Speech, speech), Some(frames - 1));
        }
    }

    #[test]
    fn unvoiced_or_short_sounds_are_not_speech() {
        assert_eq!(until(&mut settled(), Verdict::Speech, |_| frame(-20.0, -22.0, -15.0, 0.3)), None, "noise");
        let cough = |n: usize| frame(-20.0, -22.0, -15.0, if (20..27).contains(&n) { 0.55 } else { 0.4 });
        assert_eq!(until(&mut settled(), Verdict::Speech, cough), None, "a cough with 70 ms of a rough voice");
        let key = |n: usize| if n % 20 < 2 { frame(-20.0, -22.0, -15.0, 0.2) } else { frame(-35.0, -65.0, -15.0, 0.9) };
        assert_eq!(until(&mut settled(), Verdict::Speech, key), None, "keystrokes");
    }

    #[test]
    fn leaked_echo_is_not_speech_while_the_canceller_adapts() {
        let mut detector = BargeInDetector::default();
        detector.begin();
        // The attenuation of the canceller grows from 0 by 10 dB every half second.
        let leak = |n: usize| frame(-35.0, -35.0 - n as f32 / 5.0, -15.0, 0.95);
        assert_eq!(until(&mut detector, Verdict::Speech, leak), None);
        let mut detector = BargeInDetector::default();
        detector.begin();
        assert!(
            until(&mut detector, Verdict::Speech, |n| if n < 30 { leak(n) } else { frame(-20.0, -21.0, -15.0, 0.9) }).is_some(),
            "a person 15 dB over the echo"
        );
    }

    #[test]
    fn reverberation_beyond_the_filter_is_suspected_but_not_speech() {
        let mut detector = settled();
        // A loud word has ended; the suppressor removes its reverberation, the filter does not.
        let tail = |n: usize| {
            let fading = frame(-35.0 - n as f32, -90.0, -120.0, 0.7);
            let linear = FrameFeatures { level_db: -41.0 - n as f32 / 2.0, ..fading.linear };
            FrameLevels { linear, ..fading }
        };
        let verdicts: Vec<Verdict> = (0..40).map(|n| detector.step(&tail(n), person)).collect();
        assert!(verdicts.contains(&Verdict::Suspected) && !verdicts.contains(&Verdict::Speech), "{verdicts:?}");
    }

    #[test]
    fn suspicion_ends_without_further_evidence() {
        let mut detector = settled();
        let syllable = |n: usize| if n < 5 { frame(-32.0, -38.0, -15.0, 0.5) } else { frame(-35.0, -65.0, -15.0, 0.9) };
        assert_eq!(until(&mut detector, Verdict::Speech, syllable), None);
        assert_eq!(detector.step(&syllable(9), person), Verdict::EchoOnly);
    }

    #[test]
    fn sound_that_correlates_with_the_far_end_is_echo_and_the_room_is_learnt_again() {
        let mut detector = settled();
        let jumped = |_: usize| frame(-35.0, -36.0, -15.0, 0.9);
        for n in 0..100 {
            assert_ne!(detector.step(&jumped(n), || 0.8), Verdict::Speech, "frame {n}");
        }
        assert_eq!(
            until(&mut detector, Verdict::Speech, |_| frame(-20.0, -21.0, -15.0, 0.9)),
            Some(STRONG - 1),
            "a person 15 dB over the echo"
        );
    }
}
