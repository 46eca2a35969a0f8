//! Mixes the channels of a source to the one that is heard. Pure: the result does not depend on the sizes of the blocks.
//!
//! Usually that is the mean of all channels. A channel that is wired the wrong way round takes the others away from the mean, so
//! where the mean is far quieter than the channels the loudest of them is heard instead.
//!
//! Allocates nothing in [`Mixer::frame`], which the audio callback calls (`tests/audio_callback.rs`).

use super::sanitize;
use crate::protocol::ChannelChoice;

/// Largest number of channels that are mixed; further ones are left out. PulseAudio and PipeWire's server deliver up to 32.
pub const MAX_CHANNELS: usize = 64;
/// Blocks per second. The mixer decides at the end of each, and a block is the length of a change from one mix to the other.
const BLOCKS_PER_SEC: u32 = 100;
/// Share of a block in the smoothed powers that decide: they follow within 50 ms.
const POWER_SHARE: f64 = 0.18;
/// Share of a block in the constant offset of a channel, which is no sound: it follows within 0.2 s.
const OFFSET_SHARE: f64 = 0.05;
/// Factor by which the loudest power that is remembered falls in each block: to a third in 10 s.
const LOUDEST_DECAY: f64 = 0.999;
/// Least power that decides, as a part of the loudest (-20 dB): pauses tell nothing of the wiring.
const LEAST_SHARE: f64 = 0.01;
/// Least power of a channel that decides, on average (-110 dBFS).
const LEAST_POWER: f64 = 1e-11;
/// Power of the mean below which channels take each other away, as a part of its power if they had nothing in common (-9 dB).
const CANCELLING: f64 = 0.126;
/// Power of the mean above which channels no longer do so, by the same measure (-4 dB).
const AGREEING: f64 = 0.4;
/// Factor by which another channel must be more powerful to be heard in place of the present one (6 dB).
const MUCH_LOUDER: f64 = 4.0;
/// Blocks in a row after which a channel is heard in place of the mean: 30 ms.
const BLOCKS_TO_ONE: u32 = 3;
/// Blocks in a row after which the mean, or another channel, is heard in place of a channel: 1 s.
const BLOCKS_TO_LEAVE: u32 = 100;

/// A mixer of the channels of one source.
#[derive(Debug)]
pub struct Mixer {
    /// Channel that the user chose.
    choice: ChannelChoice,
    /// Channels of the source; the first `count` are in use.
    channels: [Channel; MAX_CHANNELS],
    /// Number of channels of the source; 0 before the first frame.
    count: usize,
    /// Number of channels in a frame; more than `count` where some are none of the source's.
    frame_channels: usize,
    /// The mean of all channels.
    mean: Tally,
    /// Choice of the mixer: it is heard, or becomes so in this block.
    heard: Heard,
    fading: Fading,
    /// Largest sum of the channels' powers of late.
    loudest: f64,
    /// Blocks in a row that spoke for a change.
    blocks_for_change: u32,
    /// Length of a block, in frames.
    block_frames: u32,
    /// Frames of the present block so far.
    frames: u32,
}

/// The choice of the mixer between the channels of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// The mean of all channels.
    Mean,
    /// The channel of this index, the loudest, because the channels take each other away.
    One(usize),
}

/// The change of the mix in the present block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fading {
    /// It stays as it is.
    No,
    /// It changes evenly to what is heard next.
    Yes,
}

/// A channel of the source.
#[derive(Clone, Copy, Debug, Default)]
struct Channel {
    /// Index of its sample in a frame.
    place: usize,
    /// Its part in the mix.
    weight: f32,
    /// Change of `weight` in each frame of the present block.
    step: f32,
    tally: Tally,
}

/// The power of a signal without its constant offset.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Sum of the samples of the present block.
    sum: f64,
    /// Sum of the squares of the samples of the present block.
    squares: f64,
    /// Constant offset; None before the end of the first block.
    offset: Option<f64>,
    /// Smoothed power.
    power: f64,
}

impl Tally {
    fn add(&mut self, sample: f32) {
        let sample = f64::from(sample);
        self.sum += sample;
        self.squares += sample * sample;
    }

    /// Takes the samples of a block of `frames` frames into the power.
    fn end_block(&mut self, frames: u32) {
        let frames = f64::from(frames);
        let mean = self.sum / frames;
        let offset = self.offset.unwrap_or(mean);
        let power = (self.squares / frames - 2.0 * offset * mean + offset * offset).max(0.0);
        self.power += POWER_SHARE * (power - self.power);
        self.offset = Some(offset + OFFSET_SHARE * (mean - offset));
        (self.sum, self.squares) = (0.0, 0.0);
    }
}

impl Mixer {
    /// Returns a mixer for sound of `rate_hz` in which the user chose to hear `choice`.
    #[must_use]
    pub fn new(rate_hz: u32, choice: ChannelChoice) -> Self {
        Self {
            choice,
            channels: [Channel::default(); MAX_CHANNELS],
            count: 0,
            frame_channels: 0,
            mean: Tally::default(),
            heard: Heard::Mean,
            fading: Fading::No,
            loudest: 0.0,
            blocks_for_change: 0,
            block_frames: (rate_hz / BLOCKS_PER_SEC).max(1),
            frames: 0,
        }
    }

    /// Returns the choice of the channels that are heard.
    #[must_use]
    pub const fn choice(&self) -> ChannelChoice {
        self.choice
    }

    /// Hears `choice` from now on.
    pub const fn choose(&mut self, choice: ChannelChoice) {
        self.choice = choice;
    }

    /// Hears only the samples at `places` of each frame of `frame_channels` samples, in this order: the others are none of the
    /// source's channels. Begins anew.
    pub fn hear_places(&mut self, places: impl IntoIterator<Item = usize>, frame_channels: usize) {
        self.frame_channels = frame_channels;
        self.count = 0;
        for (channel, place) in self.channels.iter_mut().zip(places) {
            *channel = Channel { place, ..Channel::default() };
            self.count += 1;
        }
        (self.mean, self.heard, self.fading) = (Tally::default(), Heard::Mean, Fading::No);
        (self.loudest, self.blocks_for_change, self.frames) = (0.0, 0, 0);
    }

    /// Appends the mix of `interleaved` samples of `channels` channels to `out`, in -1 ..= 1; samples that are no numbers count as 0.
    /// An incomplete last frame is left out. Begins anew where the number of channels changes.
    pub fn mix(&mut self, interleaved: &[f32], channels: usize, out: &mut Vec<f32>) {
        out.extend(interleaved.chunks_exact(channels.max(1)).map(|frame| self.frame(frame.len(), |place| frame.get(place).copied())));
    }

    /// Returns the mix of one frame of `channels` samples, of which `sample` returns each.
    pub(super) fn frame(&mut self, channels: usize, sample: impl Fn(usize) -> Option<f32>) -> f32 {
        if channels != self.frame_channels {
            self.hear_places(0..channels, channels);
        }
        let sample = |place| sample(place).map_or(0.0, sanitize);
        match (self.choice, &self.channels[..self.count]) {
            (_, []) => return 0.0,
            (_, [only]) => return sample(only.place),
            (ChannelChoice::Only(number), all) => {
                if let Some(chosen) = all.get(usize::from(number.get()) - 1) {
                    return sample(chosen.place);
                }
            }
            (ChannelChoice::All, _) => {}
        }
        let (mut sum, mut mix) = (0.0, 0.0);
        for channel in &mut self.channels[..self.count] {
            let sample = sample(channel.place);
            channel.tally.add(sample);
            channel.weight += channel.step;
            mix += channel.weight * sample;
            sum += sample;
        }
        let mean = sum / self.count as f32;
        self.mean.add(mean);
        let mixed = if self.heard == Heard::Mean && self.fading == Fading::No { mean } else { mix };
        self.frames += 1;
        if self.frames == self.block_frames {
            self.end_block();
        }
        sanitize(mixed)
    }

    /// Ends a block: completes a change of the mix, decides what is heard next, and begins a change to it.
    fn end_block(&mut self) {
        let frames = std::mem::take(&mut self.frames);
        self.mean.end_block(frames);
        for channel in &mut self.channels[..self.count] {
            channel.tally.end_block(frames);
        }
        let before = self.heard;
        self.heard = self.decide();
        self.fading = if before == self.heard { Fading::No } else { Fading::Yes };
        let count = self.count as f32;
        let weight = |heard: Heard, at: usize| match heard {
            Heard::Mean => 1.0 / count,
            Heard::One(one) => f32::from(u8::from(one == at)),
        };
        for (at, channel) in self.channels[..self.count].iter_mut().enumerate() {
            channel.weight = weight(before, at);
            channel.step = (weight(self.heard, at) - channel.weight) / self.block_frames as f32;
        }
    }

    /// Returns what is heard from the next block on.
    fn decide(&mut self) -> Heard {
        let channels = &self.channels[..self.count];
        let total: f64 = channels.iter().map(|channel| channel.tally.power).sum();
        let count = self.count as f64;
        self.loudest = total.max(self.loudest * LOUDEST_DECAY);
        if total < LEAST_POWER * count || total < LEAST_SHARE * self.loudest {
            return self.heard;
        }
        // The power of the mean of channels that have nothing in common.
        let unrelated = total / (count * count);
        let power = |at: usize| channels.get(at).map_or(0.0, |channel| channel.tally.power);
        let loudest = (0..self.count).max_by(|a, b| power(*a).total_cmp(&power(*b))).unwrap_or(0);
        let (wanted, after) = match self.heard {
            Heard::Mean if self.mean.power < CANCELLING * unrelated => (Heard::One(loudest), BLOCKS_TO_ONE),
            Heard::One(_) if self.mean.power > AGREEING * unrelated => (Heard::Mean, BLOCKS_TO_LEAVE),
            Heard::One(one) if power(loudest) > MUCH_LOUDER * power(one) => (Heard::One(loudest), BLOCKS_TO_LEAVE),
            as_before => (as_before, u32::MAX),
        };
        self.blocks_for_change = if wanted == self.heard { 0 } else { self.blocks_for_change + 1 };
        if self.blocks_for_change < after {
            return self.heard;
        }
        self.blocks_for_change = 0;
        wanted
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;
    use crate::level::dbfs;

    const RATE_HZ: u32 = 16_000;

    /// Returns `secs` seconds of noise of one kind per `seed`, between -0.5 and 0.5.
    fn noise(secs: f64, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).max(1);
        (0..(secs * f64::from(RATE_HZ)) as usize)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                state as f32 / u32::MAX as f32 - 0.5
            })
            .collect()
    }

    /// Returns the frames of channels that are `sound` times each of `gains`.
    fn frames(sound: &[f32], gains: &[f32]) -> Vec<f32> {
        sound.iter().flat_map(|sample| gains.iter().map(move |gain| sample * gain)).collect()
    }

    fn mixed(interleaved: &[f32], channels: usize, choice: ChannelChoice) -> Vec<f32> {
        let mut out = Vec::new();
        Mixer::new(RATE_HZ, choice).mix(interleaved, channels, &mut out);
        out
    }

    fn all(interleaved: &[f32], channels: usize) -> Vec<f32> {
        mixed(interleaved, channels, ChannelChoice::All)
    }

    #[test]
    fn usual_channels_are_averaged_to_the_bit() {
        let (left, right) = (noise(2.0, 1), noise(2.0, 2));
        let unrelated: Vec<f32> = left.iter().zip(&right).flat_map(|(l, r)| [*l, *r]).collect();
        for frames in [frames(&left, &[1.0, 1.0]), frames(&left, &[1.0, 0.0]), frames(&left, &[0.4, 0.9]), unrelated] {
            let mean: Vec<f32> = frames.chunks(2).map(|frame| (frame[0] + frame[1]) / 2.0).collect();
            assert!(all(&frames, 2) == mean);
        }
        let mut one_of_eight = [0.0; 8];
        one_of_eight[5] = 1.0;
        let heard = all(&frames(&left, &one_of_eight), 8);
        assert!((dbfs(&left) - dbfs(&heard) - 18.06).abs() < 0.01);
    }

    #[test]
    fn channels_that_take_each_other_away_are_replaced_by_the_louder_one_within_a_tenth_of_a_second() {
        let sound = noise(2.0, 3);
        for gains in [vec![1.0, -1.0], vec![0.8, -1.0], vec![-0.7, 1.0], vec![0.0, 0.9, -1.0, 0.0]] {
            let heard = all(&frames(&sound, &gains), gains.len());
            let loudest = gains.iter().copied().max_by(|a: &f32, b| a.abs().total_cmp(&b.abs())).unwrap();
            let behind = RATE_HZ as usize / 10;
            let of_channel: Vec<f32> = sound[behind..].iter().map(|sample| sample * loudest).collect();
            let inverse: Vec<f32> = of_channel.iter().map(|sample| -sample).collect();
            assert!(heard[behind..] == of_channel || gains == [1.0, -1.0] && heard[behind..] == inverse, "{gains:?}");
        }
    }

    #[test]
    fn words_behind_pauses_are_whole_once_the_wiring_is_known() {
        let mut mixer = Mixer::new(RATE_HZ, ChannelChoice::All);
        let mut heard = Vec::new();
        for n in 0..20 {
            // Noise of two converters, with nothing in common, in the pauses.
            let (left, right) = (noise(1.0, 100 + n), noise(1.0, 200 + n));
            let pause: Vec<f32> = left.iter().zip(&right).flat_map(|(l, r)| [l * 1e-3, r * 1e-3]).collect();
            mixer.mix(&pause, 2, &mut Vec::new());
            heard.clear();
            mixer.mix(&frames(&noise(0.5, 300 + n), &[1.0, -1.0]), 2, &mut heard);
            let first = dbfs(&heard[..RATE_HZ as usize / 50]);
            assert!(n == 0 || (first - dbfs(&noise(0.5, 300))).abs() < 1.0, "word {n}: {first}");
        }
    }

    #[test]
    fn a_change_of_the_mix_does_not_click_and_the_mean_comes_back_after_a_second() {
        let tone: Vec<f32> = (0..RATE_HZ).map(|n| 0.5 * (n as f32 * 0.05).sin()).collect();
        let mut both = frames(&tone, &[1.0, -1.0]);
        both.extend(frames(&tone, &[1.0, 1.0]));
        both.extend(frames(&tone, &[1.0, 1.0]));
        let heard = all(&both, 2);
        let steepest = heard.windows(2).enumerate().filter(|(at, _)| (at + 1) % RATE_HZ as usize != 0);
        let steepest = steepest.map(|(_, pair)| (pair[1] - pair[0]).abs()).fold(0.0_f32, f32::max);
        assert!(steepest < 0.03, "the tone's own steps reach 0.025: {steepest}");
        assert_eq!(heard[heard.len() - 1], tone[tone.len() - 1]);
    }

    #[test]
    fn offset_of_a_converter_does_not_choose_the_channel() {
        let sound = noise(2.0, 7);
        let frames: Vec<f32> = sound.iter().flat_map(|sample| [0.5, -0.4 + 0.1 * sample]).collect();
        let mean: Vec<f32> = frames.chunks(2).map(|frame| (frame[0] + frame[1]) / 2.0).collect();
        assert!(all(&frames, 2) == mean);
    }

    #[test]
    fn chosen_channel_is_heard_alone_and_one_that_is_missing_leaves_all() {
        let only = |number| ChannelChoice::Only(NonZeroU16::new(number).unwrap());
        let frames = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
        assert_eq!(mixed(&frames, 3, only(2)), [0.2, 0.5]);
        assert_eq!(mixed(&frames, 3, only(4)), mixed(&frames, 3, ChannelChoice::All));
        assert_eq!(mixed(&frames, 1, only(2)), frames);
    }

    #[test]
    fn places_that_are_none_of_the_sources_channels_are_not_heard() {
        let mut mixer = Mixer::new(RATE_HZ, ChannelChoice::All);
        mixer.hear_places([0, 2], 4);
        let mut out = Vec::new();
        mixer.mix(&[0.25, 0.9, 0.75, -0.9, 0.5, 1.0, 0.0, 1.0], 4, &mut out);
        assert_eq!(out, [0.5, 0.25]);
    }

    #[test]
    fn mix_does_not_depend_on_the_sizes_of_the_blocks_and_holds_only_numbers_up_to_one() {
        let mut frames = frames(&noise(1.0, 9), &[1.0, -0.9, 0.1]);
        (frames[30], frames[31], frames[32], frames[33]) = (f32::NAN, f32::INFINITY, 7.0, -1e30);
        let whole = all(&frames, 3);
        let (mut mixer, mut parts) = (Mixer::new(RATE_HZ, ChannelChoice::All), Vec::new());
        for part in frames.chunks(3 * 37) {
            mixer.mix(part, 3, &mut parts);
        }
        assert!(whole == parts && whole.iter().all(|sample| sample.abs() <= 1.0));
        let (mut mixer, mut out) = (Mixer::new(RATE_HZ, ChannelChoice::All), Vec::new());
        mixer.mix(&[0.2, 0.4, 0.9], 2, &mut out);
        mixer.mix(&[0.5; 3], 1, &mut out);
        assert_eq!((out.len(), out[1]), (4, 0.5), "an incomplete frame is left out, and the number of channels may change");
    }
}
