//! [`Player`]: the open output, resampled to, and what happens when it is lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ring::FarEnd;
use super::{AudioOutput, OpenOutput, Route};
use crate::audio::resample::Resampler;
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::protocol::DeviceChoice;

/// An output that takes nothing for so long is lost.
const STALL: Duration = Duration::from_millis(1_500);
/// The first frames may be taken later: an idle sound server wakes slowly (CRATES.md 3.2).
const FIRST_FRAMES: Duration = Duration::from_secs(3);
/// An output that nothing was played on for so long is closed: it keeps a device awake.
const IDLE: Duration = Duration::from_secs(30);
/// Attempts to open again when an output is lost in mid-sentence, and the pause between them: the system needs a moment to
/// choose another default.
const ATTEMPTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(250);

/// The far end of the output that is open, where the capture thread finds it; a newer one takes the place of an older.
#[derive(Clone, Default)]
pub struct FarEndSlot {
    kept: Arc<Mutex<Kept>>,
    /// Which of the players this is, counted from the first.
    number: u64,
}

#[derive(Default)]
struct Kept {
    far_end: Option<(FarEnd, Route)>,
    newest: u64,
}

impl FarEndSlot {
    /// The far end of an output that was opened since the last time.
    #[must_use]
    pub fn take(&self) -> Option<(FarEnd, Route)> {
        self.lock().far_end.take()
    }

    /// Offers the far end of an output that was just opened, unless another player has taken this one's place.
    pub fn put(&self, far_end: FarEnd, route: Route) {
        let mut kept = self.lock();
        if kept.newest == self.number {
            kept.far_end = Some((far_end, route));
        }
    }

    /// The same slot for a player that takes the place of all before it: what they may yet open is not listened to.
    #[must_use]
    pub fn successor(&self) -> Self {
        let mut kept = self.lock();
        kept.newest += 1;
        Self { kept: Arc::clone(&self.kept), number: kept.newest }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Plays what a voice says.
pub struct Player {
    output: Box<dyn AudioOutput>,
    choice: DeviceChoice,
    far: FarEndSlot,
    open: Option<Open>,
    used_at: Instant,
}

struct Open {
    opened: OpenOutput,
    /// From the rate of the voice, which it is made for.
    resampler: Option<(u32, Resampler)>,
    /// At the device's rate, for the ring.
    waiting: Vec<f32>,
    frames: u64,
    frames_at: Instant,
    /// How long it may take nothing.
    limit: Duration,
}

/// How far playing has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PumpStatus {
    /// There is room for more.
    NeedsMore,
    /// The loudspeaker has enough for now.
    Full,
}

impl Player {
    /// Plays on the output that `choice` means, and offers the far end of it in `far`.
    #[must_use]
    pub fn new(output: Box<dyn AudioOutput>, choice: DeviceChoice, far: FarEndSlot) -> Self {
        Self { output, choice, far, open: None, used_at: Instant::now() }
    }

    /// Plays on another output from now on.
    pub fn choose(&mut self, choice: DeviceChoice) {
        if choice != self.choice {
            self.choice = choice;
            self.open = None;
        }
    }

    /// Opens the output, unless it is open and still the one that is meant. The first sample is played sooner after it.
    ///
    /// # Errors
    /// When it cannot be opened; the message names it.
    pub fn prepare(&mut self) -> Result<()> {
        self.used_at = Instant::now();
        if let Some(open) = &mut self.open {
            let fine = open.failure().is_none() && open.opened.stream.is_outdated() == false;
            if fine {
                return Ok(());
            }
            self.open = None;
        }
        self.open(&self.choice.clone())
    }

    fn open(&mut self, choice: &DeviceChoice) -> Result<()> {
        let (opened, far_end) = self.output.open(choice)?;
        self.far.put(far_end, opened.route);
        let now = Instant::now();
        self.open = Some(Open { opened, resampler: None, waiting: Vec::new(), frames: 0, frames_at: now, limit: FIRST_FRAMES });
        Ok(())
    }

    /// Takes samples of a voice that speaks at `rate_hz`; they wait until [`Self::pump`] finds room for them.
    ///
    /// # Errors
    /// When they cannot be resampled.
    pub fn take(&mut self, samples: &[f32], rate_hz: u32) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let to_hz = open.opened.feeder.rate_hz();
        if open.resampler.as_ref().is_none_or(|(from, _)| *from != rate_hz) {
            open.resampler = Some((rate_hz, Resampler::between(rate_hz, to_hz)?));
        }
        match &mut open.resampler {
            Some((_, resampler)) => resampler.step(samples, &mut open.waiting),
            None => Ok(()),
        }
    }

    /// The sentence has ended: what is left in the resampler is its end.
    ///
    /// # Errors
    /// When it cannot be resampled.
    pub fn end_sentence(&mut self) -> Result<()> {
        let Some(Open { resampler: Some((_, resampler)), waiting, .. }) = &mut self.open else { return Ok(()) };
        resampler.finish(waiting)
    }

    /// Moves what waits to the loudspeaker.
    ///
    /// # Errors
    /// When the output was lost. Where another could be opened instead, playing goes on there ([`Self::is_open`]).
    pub fn pump(&mut self) -> Result<PumpStatus> {
        self.used_at = Instant::now();
        let Some(open) = &mut self.open else { return Err(Error::new(ErrorKind::OutputDevice, "no output is open")) };
        if let Some(why) = open.failure() {
            let lost = open.opened.name.clone();
            let rest = std::mem::take(&mut open.waiting);
            let rate_hz = open.opened.feeder.rate_hz();
            return Err(self.recover(&lost, &why, &rest, rate_hz));
        }
        let written = open.opened.feeder.write(&open.waiting);
        open.waiting.drain(..written);
        Ok(if open.waiting.is_empty() { PumpStatus::NeedsMore } else { PumpStatus::Full })
    }

    /// Opens again what was lost, or what the system plays on now, and says what happened.
    fn recover(&mut self, lost: &str, why: &str, rest: &[f32], rate_hz: u32) -> Error {
        self.open = None;
        let choices = [self.choice.clone(), DeviceChoice::Default];
        for _ in 0..ATTEMPTS {
            std::thread::sleep(PAUSE);
            for choice in &choices {
                if self.open(choice).is_ok() {
                    // What waited goes on at the new output's rate; what the lost one held is lost with it.
                    let taken = self.take(rest, rate_hz);
                    let name = self.open.as_ref().map(|open| open.opened.name.clone()).unwrap_or_default();
                    let more = taken.err().map_or_else(String::new, |e| format!(" ({})", e.message()));
                    return Error::new(
                        ErrorKind::OutputDevice,
                        format!("{lost}: the output is lost: {why}; the voice goes on at {name}{more}"),
                    );
                }
            }
        }
        Error::new(ErrorKind::OutputDevice, format!("{lost}: the output is lost: {why}; replies are shown as text"))
            .with_remedy(Remedy::ChooseOutput)
    }

    /// Whether there is an output to play on.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether everything that was taken has been played, or thrown away.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.open.as_ref().is_none_or(|open| open.waiting.is_empty() && open.opened.feeder.is_empty())
    }

    /// Fades out and throws away what waits.
    pub fn cut(&mut self) {
        if let Some(open) = &mut self.open {
            open.waiting.clear();
            open.opened.feeder.cut();
        }
    }

    /// Whether a cut was asked for, here or at the far end.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.opened.feeder.is_cut())
    }

    /// Waits until a cut has been obeyed, not for ever, and takes samples again.
    pub fn finish_cut(&mut self) {
        let Some(open) = &mut self.open else { return };
        open.waiting.clear();
        open.resampler = None;
        let begun = Instant::now();
        while !open.opened.feeder.is_empty() && begun.elapsed() < STALL {
            std::thread::sleep(Duration::from_millis(5));
        }
        open.opened.feeder.begin_again();
    }

    /// Closes an output that nothing was played on for half a minute.
    pub fn close_if_idle(&mut self) {
        if self.used_at.elapsed() > IDLE {
            self.open = None;
        }
    }
}

impl Open {
    /// Why the output is dead, if it is.
    fn failure(&mut self) -> Option<String> {
        let frames = self.opened.feeder.frames();
        if frames != self.frames {
            (self.frames, self.frames_at, self.limit) = (frames, Instant::now(), STALL);
        }
        let failure = self.opened.stream.failure();
        failure.or_else(|| (self.frames_at.elapsed() > self.limit).then(|| "it takes nothing any more".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::OutputStream;
    use super::super::ring::{PlaybackReader, playback_ring};
    use super::*;

    /// Outputs at these rates, one after the other; then there is none. Their fillers come out at the other end.
    struct Outputs {
        rates: Vec<u32>,
        opened: Arc<AtomicUsize>,
        fillers: Arc<Mutex<Vec<PlaybackReader>>>,
        dead: Arc<AtomicUsize>,
    }

    struct Stream {
        number: usize,
        dead: Arc<AtomicUsize>,
    }

    impl OutputStream for Stream {
        fn failure(&mut self) -> Option<String> {
            (self.number < self.dead.load(Ordering::Relaxed)).then(|| "it is unplugged".to_owned())
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
                return Err(Error::new(ErrorKind::OutputDevice, "there is no output"));
            };
            self.opened.store(number + 1, Ordering::Relaxed);
            let (feeder, filler, far_end) = playback_ring(*rate_hz);
            self.fillers.lock().unwrap().push(filler);
            let stream = Box::new(Stream { number, dead: Arc::clone(&self.dead) });
            Ok((OpenOutput { feeder, route: Route::Room, name: format!("output {number}"), stream }, far_end))
        }
    }

    fn player(rates: &[u32]) -> (Player, Arc<Mutex<Vec<PlaybackReader>>>, Arc<AtomicUsize>, FarEndSlot) {
        let (fillers, dead, far) = (Arc::default(), Arc::default(), FarEndSlot::default());
        let output = Outputs { rates: rates.to_vec(), opened: Arc::default(), fillers: Arc::clone(&fillers), dead: Arc::clone(&dead) };
        (Player::new(Box::new(output), DeviceChoice::Named("mine".into()), far.clone()), fillers, dead, far)
    }

    fn tone(rate_hz: u32, secs: f32) -> Vec<f32> {
        (0..(rate_hz as f32 * secs) as usize).map(|n| 0.5 * (n as f32 * 440.0 * std::f32::consts::TAU / rate_hz as f32).sin()).collect()
    }

    #[test]
    fn without_an_output_the_error_says_so_and_nothing_breaks() {
        let (mut player, ..) = player(&[]);
        assert_eq!(player.prepare().unwrap_err().kind(), ErrorKind::OutputDevice);
        player.take(&[0.1; 100], 22_050).unwrap();
        player.cut();
        player.finish_cut();
        assert!(player.is_done() && !player.is_open() && player.pump().is_err());
    }

    #[test]
    fn a_voice_goes_on_at_another_output_of_another_rate_when_its_own_is_lost() {
        let (mut player, fillers, dead, far) = player(&[48_000, 44_100]);
        player.prepare().unwrap();
        player.take(&tone(22_050, 4.0), 22_050).unwrap();
        assert_eq!(player.pump().unwrap(), PumpStatus::Full, "1.5 s fit");
        let (mut first, _) = far.take().unwrap();
        let mut data = vec![0.0; 48_000];
        fillers.lock().unwrap()[0].fill(&mut data, 1, |x| x);
        assert!(data.iter().any(|x| x.abs() > 0.4) && first.read(&mut Vec::new()) == 0);
        dead.store(1, Ordering::Relaxed);
        let error = player.pump().unwrap_err();
        assert!(error.message().contains("output 0") && error.message().contains("goes on at output 1"), "{error}");
        assert_eq!(player.pump().unwrap(), PumpStatus::Full);
        let mut data = vec![0.0; 44_100];
        fillers.lock().unwrap()[1].fill(&mut data, 1, |x| x);
        assert!(data.iter().any(|x| x.abs() > 0.4) && far.take().is_some_and(|(far, _)| far.rate_hz() == 44_100));
        dead.store(2, Ordering::Relaxed);
        let error = player.pump().unwrap_err();
        assert!(error.message().contains("shown as text") && !player.is_open(), "{error}");
    }

    #[test]
    fn a_player_that_was_replaced_offers_no_far_end_any_more() {
        let first = FarEndSlot::default();
        let second = first.successor();
        second.put(playback_ring(48_000).2, Route::Room);
        first.put(playback_ring(8_000).2, Route::Headphones);
        assert!(first.take().is_some_and(|(far_end, route)| far_end.rate_hz() == 48_000 && route == Route::Room));
        assert!(second.take().is_none());
    }

    #[test]
    fn a_cut_from_the_far_end_is_seen_and_settled() {
        let (mut player, fillers, _, far) = player(&[16_000]);
        player.prepare().unwrap();
        player.take(&tone(16_000, 1.0), 16_000).unwrap();
        player.pump().unwrap();
        far.take().unwrap().0.cut();
        assert!(player.is_cut());
        let mut data = vec![0.0; 3_200];
        fillers.lock().unwrap()[0].fill(&mut data, 1, |x| x);
        player.finish_cut();
        assert!(!player.is_cut() && player.is_done());
        player.take(&tone(16_000, 0.1), 16_000).unwrap();
        assert_eq!(player.pump().unwrap(), PumpStatus::NeedsMore);
    }
}
