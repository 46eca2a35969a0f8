//! [`Player`]: an open output with resampling, and recovery from its loss.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::ring::FarEnd;
use super::{AudioOutput, OpenOutput, Route};
use crate::audio::resample::Resampler;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::protocol::DeviceChoice;
use crate::supervise::lock;

/// Time without a callback after which an output counts as lost.
const STALL: Duration = Duration::from_millis(1_500);
/// Time to the first callback after which an opened output counts as lost: an idle sound server wakes slowly
/// (`src/audio/README.md`).
const FIRST_FRAMES: Duration = Duration::from_secs(3);
/// Time without playback after which an open output is closed, so that the device can sleep.
const IDLE: Duration = Duration::from_secs(30);
/// Attempts to reopen an output that was lost during a reply; each tries the chosen output, then the default.
const ATTEMPTS: usize = 4;
/// Pause before each attempt to reopen a lost output: the system needs a moment to choose another default.
const PAUSE: Duration = Duration::from_millis(250);
/// Interval between two checks for the end of a fade.
const FADE_POLL: Duration = Duration::from_millis(5);

/// The handover of the played samples (far end) from the player to the capture thread: holds the far end of the output opened last.
#[derive(Clone, Default)]
pub struct FarEndSlot {
    /// Content, which all handles share.
    newest: Arc<Mutex<NewestFarEnd>>,
    /// Number of the player that this handle belongs to.
    player: u64,
}

/// The content of a [`FarEndSlot`].
#[derive(Default)]
struct NewestFarEnd {
    /// Played samples of the output opened last, and the place where it is heard; None once taken.
    far_end: Option<(FarEnd, Route)>,
    /// Number of the newest player.
    player: u64,
}

impl FarEndSlot {
    /// Takes the far end of an output that was opened since the last call; None if no output was opened.
    #[must_use]
    pub fn take(&self) -> Option<(FarEnd, Route)> {
        lock(&self.newest).far_end.take()
    }

    /// Puts the far end of a newly opened output into the slot, unless a newer player has replaced the one of this handle.
    pub fn put(&self, far_end: FarEnd, route: Route) {
        let mut newest = lock(&self.newest);
        if newest.player == self.player {
            newest.far_end = Some((far_end, route));
        }
    }

    /// Returns a handle for a player that replaces all earlier ones; the far ends of earlier players are no longer accepted.
    #[must_use]
    pub fn successor(&self) -> Self {
        let mut newest = lock(&self.newest);
        newest.player += 1;
        Self { newest: Arc::clone(&self.newest), player: newest.player }
    }
}

/// The player of a voice's samples: resamples and queues them, plays them on an output, and reopens an output that is lost.
pub struct Player {
    /// Sound system that outputs are opened on.
    output: Box<dyn AudioOutput>,
    /// Output that the user chose.
    choice: DeviceChoice,
    /// Slot for the far end of each opened output.
    far: FarEndSlot,
    /// Open output; None while none is needed or none works.
    open: Option<ActiveOutput>,
    /// Time of the last preparation or playback.
    used_at: Instant,
}

/// An open output with its resampler, its queued samples and the time of its newest callback.
struct ActiveOutput {
    output: OpenOutput,
    /// The resampler, with the rate of the voice that it converts from, in Hz.
    resampler: Option<(u32, Resampler)>,
    /// Samples at the device's rate that did not fit into the ring yet.
    waiting: Vec<f32>,
    /// Number of frames that the device had taken at the last check.
    frames: u64,
    /// Time at which the number of frames last grew.
    frames_at: Instant,
    /// Time without a callback after which the output counts as lost.
    limit: Duration,
}

/// The state of an output's ring after a call of [`Player::pump`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PumpStatus {
    /// All queued samples are in the ring; the player can take more.
    NeedsMore,
    /// The ring is full, or a cut is in progress; a later call moves the rest.
    Full,
}

impl Player {
    /// Creates a player for the output that `choice` names; the far end of each output that the player opens goes to `far`. Opens no output
    /// yet.
    #[must_use]
    pub fn new(output: Box<dyn AudioOutput>, choice: DeviceChoice, far: FarEndSlot) -> Self {
        Self { output, choice, far, open: None, used_at: Instant::now() }
    }

    /// Switches to another output: closes the open one, with the samples queued on it. Does nothing if `choice` is chosen already.
    pub fn choose(&mut self, choice: DeviceChoice) {
        if choice != self.choice {
            self.choice = choice;
            self.open = None;
        }
    }

    /// Opens the output, so that the first sample plays without delay. Keeps an open output that works and is not outdated.
    ///
    /// # Errors
    /// [`ErrorKind::OutputDevice`], naming the device, when it cannot be opened.
    pub fn prepare(&mut self) -> Result<()> {
        self.used_at = Instant::now();
        if let Some(open) = &mut self.open {
            let usable = open.failure().is_none() && !open.output.stream.is_outdated();
            if usable {
                return Ok(());
            }
            self.open = None;
        }
        self.open(&self.choice.clone())
    }

    fn open(&mut self, choice: &DeviceChoice) -> Result<()> {
        let (output, far_end) = self.output.open(choice)?;
        self.far.put(far_end, output.route);
        let now = Instant::now();
        self.open = Some(ActiveOutput { output, resampler: None, waiting: Vec::new(), frames: 0, frames_at: now, limit: FIRST_FRAMES });
        Ok(())
    }

    /// Queues samples at `rate_hz`, to be played by [`Self::pump`]. Drops them if no output is open.
    ///
    /// # Errors
    /// [`ErrorKind::AudioFile`] when the rate is not supported, [`ErrorKind::Internal`] when resampling fails.
    pub fn take(&mut self, samples: &[f32], rate_hz: u32) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let to_hz = open.output.writer.rate_hz();
        if open.resampler.as_ref().is_none_or(|(from, _)| *from != rate_hz) {
            open.resampler = Some((rate_hz, Resampler::between(rate_hz, to_hz)?));
        }
        match &mut open.resampler {
            Some((_, resampler)) => resampler.step(samples, &mut open.waiting),
            None => Ok(()),
        }
    }

    /// Queues the end of a sentence, which the resampler still holds. Does nothing without an open output.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when resampling fails.
    pub fn end_sentence(&mut self) -> Result<()> {
        let Some(ActiveOutput { resampler: Some((_, resampler)), waiting, .. }) = &mut self.open else { return Ok(()) };
        resampler.finish(waiting)
    }

    /// Moves as many queued samples to the ring of the output as fit. The returned status tells if samples are left.
    ///
    /// # Errors
    /// [`ErrorKind::OutputDevice`] when no output is open or it was lost. Another one is then sought for a second or more; if it
    /// was found ([`Self::is_open`]), playback continues there.
    pub fn pump(&mut self) -> Result<PumpStatus> {
        self.used_at = Instant::now();
        let Some(open) = &mut self.open else { return Err(Error::new(ErrorKind::OutputDevice, "no output is open")) };
        if let Some(why) = open.failure() {
            let lost = format!("{}: the output was lost ({why})", open.output.name);
            let rest = std::mem::take(&mut open.waiting);
            let rate_hz = open.output.writer.rate_hz();
            return Err(self.recover(&lost, &rest, rate_hz));
        }
        let written = open.output.writer.write(&open.waiting);
        open.waiting.drain(..written);
        Ok(if open.waiting.is_empty() { PumpStatus::NeedsMore } else { PumpStatus::Full })
    }

    /// Reopens the lost output, or opens the default one, and queues the samples `rest` (at `rate_hz`) there. Returns the error to report,
    /// which begins with `lost`. Leaves no output open if all attempts fail.
    fn recover(&mut self, lost: &str, rest: &[f32], rate_hz: u32) -> Error {
        self.open = None;
        let choices = [self.choice.clone(), DeviceChoice::Default];
        for _ in 0..ATTEMPTS {
            std::thread::sleep(PAUSE);
            for choice in &choices {
                if self.open(choice).is_ok() {
                    // The samples in the ring of the lost output are lost with it.
                    let queued = self.take(rest, rate_hz);
                    let name = self.open.as_ref().map(|open| open.output.name.clone()).unwrap_or_default();
                    let failed = queued.err().map_or_else(String::new, |e| format!(" ({})", e.message()));
                    return Error::new(ErrorKind::OutputDevice, format!("{lost}; the voice continues on {name}{failed}"));
                }
            }
        }
        Error::new(ErrorKind::OutputDevice, format!("{lost}; replies are shown as text")).with_remedy(Remedy::ChooseOutput)
    }

    /// Returns true if an output is open.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Returns true if all samples have been played or dropped, or no output is open.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.open.as_ref().is_none_or(|open| open.waiting.is_empty() && open.output.writer.is_empty())
    }

    /// Fades out the playback within 20 ms and drops queued samples; nothing more is played until [`Self::finish_cut`].
    pub fn cut(&mut self) {
        if let Some(open) = &mut self.open {
            open.waiting.clear();
            open.output.writer.cut();
        }
    }

    /// Returns true from a cut, by this player or at the far end, until [`Self::finish_cut`].
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.output.writer.is_cut())
    }

    /// Waits until the fade of a cut has ended, at most 1.5 s, drops queued samples and accepts samples again.
    pub fn finish_cut(&mut self) {
        let Some(open) = &mut self.open else { return };
        open.waiting.clear();
        open.resampler = None;
        let begun = Instant::now();
        while !open.output.writer.is_empty() && begun.elapsed() < STALL {
            std::thread::sleep(FADE_POLL);
        }
        open.output.writer.end_cut();
    }

    /// Closes the output if neither [`Self::prepare`] nor [`Self::pump`] was called for 30 s.
    pub fn close_if_idle(&mut self) {
        if self.used_at.elapsed() > IDLE {
            self.open = None;
        }
    }
}

impl ActiveOutput {
    /// Returns the cause if the stream has failed or takes no samples (for 3 s at its start, later for 1.5 s); None while it works.
    fn failure(&mut self) -> Option<String> {
        let frames = self.output.writer.frames();
        if frames != self.frames {
            (self.frames, self.frames_at, self.limit) = (frames, Instant::now(), STALL);
        }
        let failure = self.output.stream.failure();
        failure.or_else(|| (self.frames_at.elapsed() > self.limit).then(|| "the device accepts no more sound".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::OutputStream;
    use super::super::ring::{PlaybackReader, playback_ring};
    use super::*;

    /// A sound system whose outputs have these rates, in the order of opening. The ring of each is left in `readers`; the first
    /// `dead` of them are dead.
    struct Outputs {
        rates: Vec<u32>,
        opened: Arc<AtomicUsize>,
        readers: Arc<Mutex<Vec<PlaybackReader>>>,
        dead: Arc<AtomicUsize>,
    }

    struct Stream {
        number: usize,
        dead: Arc<AtomicUsize>,
    }

    impl OutputStream for Stream {
        fn failure(&mut self) -> Option<String> {
            (self.number < self.dead.load(Ordering::Relaxed)).then(|| "unplugged".to_owned())
        }

        fn is_outdated(&mut self) -> bool {
            false
        }
    }

    impl AudioOutput for Outputs {
        fn open(&mut self, choice: &DeviceChoice) -> Result<(OpenOutput, FarEnd)> {
            let number = self.opened.load(Ordering::Relaxed);
            let named = *choice != DeviceChoice::Default && number > 0;
            let Some(rate_hz) = self.rates.get(number).filter(|_| !named) else {
                return Err(Error::new(ErrorKind::OutputDevice, "no output"));
            };
            self.opened.store(number + 1, Ordering::Relaxed);
            let (writer, reader, far_end) = playback_ring(*rate_hz);
            self.readers.lock().unwrap().push(reader);
            let stream = Box::new(Stream { number, dead: Arc::clone(&self.dead) });
            Ok((OpenOutput { writer, route: Route::Room, name: format!("output {number}"), stream }, far_end))
        }
    }

    fn player(rates: &[u32]) -> (Player, Arc<Mutex<Vec<PlaybackReader>>>, Arc<AtomicUsize>, FarEndSlot) {
        let (readers, dead, far) = (Arc::default(), Arc::default(), FarEndSlot::default());
        let output = Outputs { rates: rates.to_vec(), opened: Arc::default(), readers: Arc::clone(&readers), dead: Arc::clone(&dead) };
        (Player::new(Box::new(output), DeviceChoice::Named("mine".into()), far.clone()), readers, dead, far)
    }

    fn tone(rate_hz: u32, secs: f32) -> Vec<f32> {
        (0..(rate_hz as f32 * secs) as usize).map(|n| 0.5 * (n as f32 * 440.0 * std::f32::consts::TAU / rate_hz as f32).sin()).collect()
    }

    #[test]
    fn player_without_an_output_reports_the_error_and_ignores_samples() {
        let (mut player, ..) = player(&[]);
        assert_eq!(player.prepare().unwrap_err().kind(), ErrorKind::OutputDevice);
        player.take(&[0.1; 100], 22_050).unwrap();
        player.cut();
        player.finish_cut();
        assert!(player.is_done() && !player.is_open() && player.pump().is_err());
    }

    #[test]
    fn playback_continues_on_another_output_of_another_rate_after_a_loss() {
        let (mut player, readers, dead, far) = player(&[48_000, 44_100]);
        player.prepare().unwrap();
        player.take(&tone(22_050, 4.0), 22_050).unwrap();
        assert_eq!(player.pump().unwrap(), PumpStatus::Full, "1.5 s fit");
        let (mut first, _) = far.take().unwrap();
        let mut data = vec![0.0; 48_000];
        readers.lock().unwrap()[0].fill(&mut data, 1, |x| x);
        assert!(data.iter().any(|x| x.abs() > 0.4) && first.read(&mut Vec::new()) == 0);
        dead.store(1, Ordering::Relaxed);
        let error = player.pump().unwrap_err();
        assert!(error.message().contains("output 0") && error.message().contains("continues on output 1"), "{error}");
        assert_eq!(player.pump().unwrap(), PumpStatus::Full);
        let mut data = vec![0.0; 44_100];
        readers.lock().unwrap()[1].fill(&mut data, 1, |x| x);
        assert!(data.iter().any(|x| x.abs() > 0.4) && far.take().is_some_and(|(far, _)| far.rate_hz() == 44_100));
        dead.store(2, Ordering::Relaxed);
        let error = player.pump().unwrap_err();
        assert!(error.message().contains("shown as text") && !player.is_open(), "{error}");
    }

    #[test]
    fn far_end_of_a_replaced_player_is_not_accepted() {
        let first = FarEndSlot::default();
        let second = first.successor();
        second.put(playback_ring(48_000).2, Route::Room);
        first.put(playback_ring(8_000).2, Route::Headphones);
        assert!(first.take().is_some_and(|(far_end, route)| far_end.rate_hz() == 48_000 && route == Route::Room));
        assert!(second.take().is_none());
    }

    #[test]
    fn cut_from_the_far_end_is_noticed_and_finished() {
        let (mut player, readers, _, far) = player(&[16_000]);
        player.prepare().unwrap();
        player.take(&tone(16_000, 1.0), 16_000).unwrap();
        player.pump().unwrap();
        far.take().unwrap().0.cut();
        assert!(player.is_cut());
        let mut data = vec![0.0; 3_200];
        readers.lock().unwrap()[0].fill(&mut data, 1, |x| x);
        player.finish_cut();
        assert!(!player.is_cut() && player.is_done());
        player.take(&tone(16_000, 0.1), 16_000).unwrap();
        assert_eq!(player.pump().unwrap(), PumpStatus::NeedsMore);
    }
}
