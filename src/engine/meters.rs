//! Meters: level, lag and states, written by the engine's threads and read by a window whenever it paints, without locks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use crate::time::{CHUNK_SAMPLES, StreamTime};

/// Number of chunks whose level is kept: thirteen minutes, a little more than the decision strip of the window shows.
const LEVELS: usize = 2_048;

/// The meters of a session: single values without history, except for the levels of the newest chunks.
#[derive(Debug)]
pub struct Meters {
    /// Level of the newest input block, in dBFS, as the bits of an `f32`.
    level_dbfs: AtomicU32,
    /// Largest absolute sample of the newest input block, as the bits of an `f32`.
    peak: AtomicU32,
    /// Level of the newest speech, in dBFS, as the bits of an `f32`.
    speech_dbfs: AtomicU32,
    /// Sound that is captured and not yet decided on, in seconds, as the bits of an `f32`.
    lag_secs: AtomicU32,
    /// Computing time of the newest chunk, in milliseconds, as the bits of an `f32`.
    chunk_ms: AtomicU32,
    /// Audio time at the end of the newest chunk, in samples.
    heard: AtomicU64,
    /// Length of the source, in seconds, as the bits of an `f64`; NaN where it is not known.
    length_secs: AtomicU64,
    /// Number of problems reported so far.
    problems: AtomicU64,
    /// States that are true, one bit for each [`Flag`].
    flags: AtomicU8,
    /// Levels of the newest chunks, each at [`slot`] of the end of the chunk: the low half of the end (in samples), then the bits of the
    /// level.
    levels: Box<[AtomicU64]>,
}

/// One reading of all meters.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Readings {
    /// Level of the newest input block, in dB below full scale (0 is the loudest); -120 for silence; minus infinity before the
    /// first block and while paused.
    pub level_dbfs: f32,
    /// Largest absolute sample of the newest input block; from [`CLIPPING`](crate::level::CLIPPING) on the input clips.
    pub peak: f32,
    /// Level of the newest speech of people (mean of its voiced parts, `audio::speech_detector`), in dB below full scale, while somebody
    /// speaks and for 10 s afterwards; minus infinity without speech, while paused and for files that are not heard in real time.
    pub speech_dbfs: f32,
    /// Audio captured and not yet decided on, in seconds.
    pub lag_secs: f32,
    /// Computing time of the newest chunk (log-mel, encoder and its first pass), in milliseconds.
    pub chunk_ms: f32,
    /// Audio time at the end of the newest chunk that was decided on.
    pub heard: StreamTime,
    /// Length of the file that is heard, in seconds; None for a live source, and where the file does not tell.
    pub length_secs: Option<f64>,
    /// True while the session has something to compute: sound to decide on, or a reply to generate.
    pub busy: bool,
    /// True while capture is paused.
    pub paused: bool,
    /// True while a lane is replying.
    pub replying: bool,
    /// True while a model is being loaded.
    pub loading: bool,
    /// True while an instruction clip is being recorded.
    pub recording_clip: bool,
    /// True while the machine is kept awake until the end of a file or a recording.
    pub kept_awake: bool,
    /// True while the session is being recorded (`Settings::save_audio`, `Command::RecordTo`).
    pub recording: bool,
}

/// A state of the session that is true or false in [`Readings`], with its bit.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Flag {
    /// Capture is paused.
    Paused = 1,
    /// The session has something to compute.
    Busy = 2,
    /// A lane is replying.
    Replying = 4,
    /// A model is being loaded.
    Loading = 8,
    /// An instruction clip is being recorded.
    Clip = 128,
    /// The session is being recorded.
    Recording = 16,
    /// The machine is kept awake.
    KeptAwake = 32,
}

impl Default for Meters {
    /// Returns the meters of a session that has heard nothing.
    fn default() -> Self {
        let zero = || AtomicU32::new(0f32.to_bits());
        Self {
            level_dbfs: AtomicU32::new(f32::NEG_INFINITY.to_bits()),
            peak: zero(),
            speech_dbfs: AtomicU32::new(f32::NEG_INFINITY.to_bits()),
            lag_secs: zero(),
            chunk_ms: zero(),
            heard: AtomicU64::new(0),
            length_secs: AtomicU64::new(f64::NAN.to_bits()),
            problems: AtomicU64::new(0),
            flags: AtomicU8::new(0),
            levels: (0..LEVELS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Meters {
    /// Returns the newest value of each meter; the values may come from different moments.
    #[must_use]
    pub fn read(&self) -> Readings {
        let number = |cell: &AtomicU32| f32::from_bits(cell.load(Ordering::Relaxed));
        let flags = self.flags.load(Ordering::Relaxed);
        let is = |flag: Flag| flags & flag as u8 != 0;
        Readings {
            level_dbfs: number(&self.level_dbfs),
            peak: number(&self.peak),
            speech_dbfs: number(&self.speech_dbfs),
            lag_secs: number(&self.lag_secs),
            chunk_ms: number(&self.chunk_ms),
            heard: StreamTime::from_samples(self.heard.load(Ordering::Relaxed)),
            length_secs: Some(f64::from_bits(self.length_secs.load(Ordering::Relaxed))).filter(|secs| !secs.is_nan()),
            busy: is(Flag::Busy),
            paused: is(Flag::Paused),
            replying: is(Flag::Replying),
            loading: is(Flag::Loading),
            recording_clip: is(Flag::Clip),
            kept_awake: is(Flag::KeptAwake),
            recording: is(Flag::Recording),
        }
    }

    /// Shows the level of the newest input block, in dB below full scale, and its largest absolute sample.
    pub(crate) fn show_level(&self, level_dbfs: f32, peak: f32) {
        self.level_dbfs.store(level_dbfs.to_bits(), Ordering::Relaxed);
        self.peak.store(peak.to_bits(), Ordering::Relaxed);
    }

    /// Shows the level of the newest speech, in dB below full scale. Public for the tests of the window.
    pub fn show_speech_level(&self, level_dbfs: f32) {
        self.speech_dbfs.store(level_dbfs.to_bits(), Ordering::Relaxed);
    }

    /// Returns the level of the chunk that ended at `end`, in dB below full scale; None if no chunk ended there, or the chunk is older than
    /// the newest 2,048.
    #[must_use]
    pub fn level_at(&self, end: StreamTime) -> Option<f32> {
        let found = self.levels[slot(end)].load(Ordering::Relaxed);
        (found != 0 && found >> 32 == end.0.0 & 0xffff_ffff).then(|| f32::from_bits(found as u32))
    }

    /// Notes the level of the chunk that ended at `end`, for [`Self::level_at`]. Public for the tests of the window.
    pub fn note_level(&self, end: StreamTime, level_dbfs: f32) {
        let noted = (end.0.0 & 0xffff_ffff) << 32 | u64::from(level_dbfs.to_bits());
        self.levels[slot(end)].store(noted, Ordering::Relaxed);
    }

    /// Shows the duration of the audio that is captured and not yet decided on, in seconds.
    pub(crate) fn show_lag(&self, secs: f32) {
        self.lag_secs.store(secs.to_bits(), Ordering::Relaxed);
    }

    /// Shows that the sound up to `end` has been decided on.
    pub(crate) fn show_heard(&self, end: StreamTime) {
        self.heard.store(end.0.0, Ordering::Relaxed);
    }

    /// Counts a problem that was reported.
    pub(crate) fn count_problem(&self) {
        self.problems.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of problems reported so far.
    pub(crate) fn problems(&self) -> u64 {
        self.problems.load(Ordering::Relaxed)
    }

    /// Shows the length of the source, in seconds, where it is known.
    pub(crate) fn show_length(&self, secs: Option<f64>) {
        self.length_secs.store(secs.unwrap_or(f64::NAN).to_bits(), Ordering::Relaxed);
    }

    /// Shows the computing time of the newest chunk, in milliseconds.
    pub(crate) fn show_chunk_cost(&self, ms: f32) {
        self.chunk_ms.store(ms.to_bits(), Ordering::Relaxed);
    }

    /// Shows the state `flag` as true.
    pub(crate) fn raise(&self, flag: Flag) {
        self.flags.fetch_or(flag as u8, Ordering::Relaxed);
    }

    /// Shows the state `flag` as false.
    pub(crate) fn lower(&self, flag: Flag) {
        self.flags.fetch_and(!(flag as u8), Ordering::Relaxed);
    }
}

/// The mark that a session has something to compute ([`Readings::busy`]); dropping it takes the mark away, also in a panic.
#[derive(Debug)]
pub(crate) struct BusyMark(Arc<Meters>);

impl BusyMark {
    /// Returns the mark of the session with these meters, which is not set yet.
    pub(crate) const fn new(meters: Arc<Meters>) -> Self {
        Self(meters)
    }

    pub(crate) fn set(&self) {
        self.0.raise(Flag::Busy);
    }

    pub(crate) fn take_away(&self) {
        self.0.lower(Flag::Busy);
    }
}

impl Drop for BusyMark {
    fn drop(&mut self) {
        self.take_away();
    }
}

/// Returns the index of the chunk that ended at `end` among the kept levels; chunks 2,048 apart share an index.
const fn slot(end: StreamTime) -> usize {
    (end.0.0 as usize / CHUNK_SAMPLES) % LEVELS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_ends_in_a_panic_is_busy_no_longer() {
        let meters = Arc::new(Meters::default());
        let mark = BusyMark::new(Arc::clone(&meters));
        mark.set();
        assert!(meters.read().busy);
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _held = mark;
            std::panic::resume_unwind(Box::new("a fault"));
        }));
        assert!(!meters.read().busy);
    }

    #[test]
    fn the_level_of_a_chunk_is_kept_until_a_newer_chunk_takes_its_slot() {
        let meters = Meters::default();
        let end = |chunk: u64| StreamTime::from_samples(chunk * CHUNK_SAMPLES as u64 + 17);
        assert_eq!(meters.level_at(StreamTime::ZERO), None);
        for chunk in 0..3_000 {
            meters.note_level(end(chunk), -(chunk as f32) / 100.0);
        }
        assert_eq!(meters.level_at(end(2_999)), Some(-29.99));
        assert_eq!(meters.level_at(end(1_000)), Some(-10.0));
        assert_eq!(meters.level_at(end(5)), None, "a newer chunk took its slot");
        assert_eq!(meters.level_at(StreamTime::from_samples(end(2_999).0.0 + 1)), None);
    }
}
