//! Asks typed questions about recordings in the layout that the model was trained with for them (MODEL.md section 5.5): a
//! recording of at most 20 s is encoded as a whole, the question follows it, and the reply begins at once.
//!
//! Encoder, decoder and the rules of a reply are the product's ([`Model`], [`Lane`]); what differs from listening is what is fed.
//! Several replies advance in one batched pass. Not responsible for judging what comes of it.

use std::path::Path;
use std::sync::Arc;

use smallvec::SmallVec;

use super::hear::Sitting;
use super::items::{Item, Prediction, Reply};
use crate::audio::file::FileSource;
use crate::audio::{Source, SourceEvent};
use crate::config::CatchUp;
use crate::error::{Error, ErrorKind, Result};
use crate::lane::{self, Lane, LaneConfig, LaneEvent, OnLoop, Plan};
use crate::mel;
use crate::model::sampler::argmax;
use crate::model::text::StreamingText;
use crate::model::{Features, Input, Inputs, LaneCache, Logits, Model, PassLogits, Read, Segment};
use crate::protocol::{Emotion, StopReason};
use crate::session::REPLY_LIMIT;
use crate::time::{HOP_SAMPLES, SAMPLE_RATE_HZ, StreamTime};

/// Samples of a recording that the layout takes: 20 s (MODEL.md section 5.5).
const MOST_SAMPLES: usize = 20 * SAMPLE_RATE_HZ as usize;

/// What all questions have in common.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The model.
    pub model: Arc<Model>,
    /// Replies that advance together at most.
    pub lanes: usize,
}

impl Asker {
    /// Asks about every item of `sittings`, each on its own; `done` is given the prediction of each when its reply has ended.
    ///
    /// # Errors
    /// When computing fails, or `done` does: what was done before is done. A sound that cannot be heard is no error: its
    /// prediction says so.
    pub fn ask(&self, sittings: impl IntoIterator<Item = Sitting>, mut done: impl FnMut(Vec<Prediction>) -> Result<()>) -> Result<()> {
        let mut waiting = sittings.into_iter().flat_map(|Sitting { condition, context, items }| {
            items.into_iter().map(move |item| (condition.clone(), context.positions, item))
        });
        let mut seats: Vec<Seat> = Vec::new();
        loop {
            while seats.len() < self.lanes.max(1)
                && let Some((condition, positions, item)) = waiting.next()
            {
                let window = positions.min(self.model.block_size());
                match self.sit_down(&item, window)? {
                    Ok(answer) => seats.push(Seat { condition, item, answer }),
                    Err(why) => done(vec![unheard(condition, item, why)])?,
                }
            }
            if seats.is_empty() {
                return Ok(());
            }
            self.advance(&mut seats)?;
            let (ended, going): (Vec<Seat>, Vec<Seat>) = seats.into_iter().partition(|seat| seat.answer.stop.is_some());
            seats = going;
            ended.into_iter().try_for_each(|seat| done(vec![seat.finish(&self.model)]))?;
        }
    }

    /// Hears the recording of `item` and feeds it with the question; or why that cannot be.
    fn sit_down(&self, item: &Item, window: usize) -> Result<std::result::Result<Answer, String>> {
        let recording = match Recording::read(&item.audio) {
            Ok(recording) => recording,
            Err(error) => return Ok(Err(error.message().to_owned())),
        };
        let (inputs, begin) = prompt(&self.model, encode(&self.model, &recording)?, item.question.as_deref())?;
        let takes = inputs.iter().map(Input::rows).sum::<usize>() + begin.len();
        if takes >= window {
            let why = format!("its question takes, with its sound, {takes} of the {window} positions that the model keeps in mind");
            return Ok(Err(why));
        }
        let mut cache = self.model.new_cache();
        cache.reserve(window.min(takes + REPLY_LIMIT));
        self.model.pass(&mut [Segment { cache: &mut cache, inputs, reads: SmallVec::new() }])?;
        let rules = LaneConfig { catch_up: CatchUp::EveryChunk, eagerness: 0.0, reply_limit: REPLY_LIMIT, on_loop: OnLoop::Stop };
        let lane = Lane::replying(rules, self.model.ids().clone(), begin, recording.end());
        Ok(Ok(Answer { lane, cache, window, recording, emotion: None, text: StreamingText::default(), stop: None }))
    }

    /// Chooses the next token of every reply.
    fn advance(&self, seats: &mut [Seat]) -> Result<()> {
        let mut plans: Vec<Option<Plan>> = Vec::with_capacity(seats.len());
        let mut segments = Vec::new();
        for seat in seats.iter_mut() {
            let answer = &mut seat.answer;
            let room = answer.window - answer.cache.positions();
            let plan = answer.lane.plan(&[], usize::MAX).filter(|plan| plan.rows() <= room);
            if let Some(plan) = &plan {
                segments.push(segment(plan, &mut answer.cache));
            }
            plans.push(plan);
        }
        let logits = if segments.is_empty() { PassLogits::new() } else { self.model.pass(&mut segments)? };
        let mut logits = logits.into_iter();
        for (seat, plan) in seats.iter_mut().zip(plans) {
            let said = match plan {
                Some(plan) => {
                    // What it reads is the row of the token that it chooses next; a plan that does not reach so far reads nothing.
                    let token = match plan.reads.first().and_then(|_| logits.next()) {
                        Some(Logits::Row(row)) => Some(argmax(&row) as u32),
                        _ => None,
                    };
                    seat.answer.lane.spoke(&plan, token)
                }
                // It has filled the window.
                None => seat.answer.lane.cut(StopReason::Limit),
            };
            said.into_iter().for_each(|said| seat.answer.take(&said, &self.model));
        }
        Ok(())
    }
}

/// What is fed before a reply to the typed `question` about a recording with these features, and the tokens that begin the
/// reply: its first token is chosen where they end. Without a question the recording is to be answered by itself.
///
/// # Errors
/// When the tokenizer fails.
pub fn prompt(model: &Model, features: Features, question: Option<&str>) -> Result<(Inputs, Vec<u32>)> {
    let (ids, vocabulary) = (model.ids(), model.vocabulary());
    let mut inputs: Inputs = vocabulary.offline_prefix()?.into_iter().map(Input::Token).collect();
    inputs.extend([Input::Token(ids.audio_begin), Input::Features(features), Input::Token(ids.audio_end)]);
    if let Some(question) = question {
        let asked = [vec![ids.user, ids.text_begin], vocabulary.encode(question)?, vec![ids.text_end]];
        inputs.extend(asked.into_iter().flatten().map(Input::Token));
    }
    Ok((inputs, vec![ids.assistant, ids.text_begin]))
}

/// The features of a recording, encoded as a whole.
fn encode(model: &Model, recording: &Recording) -> Result<Features> {
    model.encode_recording(&mel::recording_blocks(&recording.samples))
}

/// What `plan` feeds and reads. A lane that replies is fed nothing but tokens.
fn segment<'a>(plan: &Plan, cache: &'a mut LaneCache) -> Segment<'a> {
    let token = |item: &lane::Item| match item {
        lane::Item::Token(id) => Some(Input::Token(*id)),
        lane::Item::Chunk(_) => None,
    };
    Segment {
        cache,
        inputs: plan.items.iter().filter_map(token).collect(),
        reads: plan.reads.iter().map(|row| (*row, Read::Row)).collect(),
    }
}

/// As much of a sound as the layout takes.
#[derive(Clone, Debug, PartialEq)]
struct Recording {
    /// The first 20 s of it at most, 16 kHz.
    samples: Vec<f32>,
    /// Samples after these, which are not heard.
    left_out: usize,
}

impl Recording {
    /// Reads the sound file at `path` to its end, so that damage anywhere in it is known.
    ///
    /// # Errors
    /// When it is missing, damaged or not audio, naming it.
    fn read(path: &Path) -> Result<Self> {
        let mut source = FileSource::open(&[path.to_owned()])?;
        let (mut recording, mut samples) = (Self { samples: Vec::new(), left_out: 0 }, Vec::new());
        loop {
            samples.clear();
            match source.next(&mut samples)? {
                SourceEvent::Samples(_) => recording.push(&samples),
                SourceEvent::Problem(error) => return Err(error),
                SourceEvent::End if recording.samples.is_empty() => {
                    return Err(Error::at(ErrorKind::AudioFile, path, "there is no sound in it"));
                }
                SourceEvent::End => return Ok(recording),
                SourceEvent::EndOfFile | SourceEvent::Nothing | SourceEvent::Gap { .. } | SourceEvent::InputChanged { .. } => {}
            }
        }
    }

    fn push(&mut self, samples: &[f32]) {
        let (heard, beyond) = samples.split_at(samples.len().min(MOST_SAMPLES - self.samples.len()));
        self.samples.extend_from_slice(heard);
        self.left_out += beyond.len();
    }

    /// Its end as it is heard: padded to whole hops.
    const fn end(&self) -> StreamTime {
        StreamTime::from_samples(self.samples.len().next_multiple_of(HOP_SAMPLES) as u64)
    }

    /// Seconds of it that are not heard, where there are any.
    fn left_out_secs(&self) -> Option<f64> {
        (self.left_out > 0).then(|| StreamTime::from_samples(self.left_out as u64).secs())
    }
}

/// One question that is being answered.
struct Seat {
    condition: String,
    item: Item,
    answer: Answer,
}

/// A reply, as far as it has been given.
struct Answer {
    lane: Lane,
    cache: LaneCache,
    /// Positions that it may take.
    window: usize,
    recording: Recording,
    emotion: Option<Emotion>,
    text: StreamingText,
    /// Why it ended, when it has.
    stop: Option<StopReason>,
}

impl Answer {
    fn take(&mut self, said: &LaneEvent, model: &Model) {
        match said {
            LaneEvent::Started { emotion, .. } => self.emotion = *emotion,
            // What can be shown is shown at the end, all of it.
            LaneEvent::Token(token) => drop(self.text.step(*token, model.vocabulary())),
            LaneEvent::Finished(stop) => self.stop = Some(*stop),
            LaneEvent::Decided { .. } => {}
        }
    }
}

impl Seat {
    fn finish(self, model: &Model) -> Prediction {
        let Answer { recording, emotion, mut text, stop, .. } = self.answer;
        text.finish(model.vocabulary());
        let audio_secs = recording.end().secs();
        let stop = stop.unwrap_or(StopReason::Cut);
        let reply = Reply { at_secs: audio_secs, text: text.text().to_owned(), emotion, stop, first_text_ms: None };
        let left_out_secs = recording.left_out_secs();
        Prediction { audio_secs, left_out_secs, replies: vec![reply], ..blank(self.condition, self.item) }
    }
}

/// The prediction of an item of which nothing could be asked.
fn unheard(condition: String, item: Item, why: String) -> Prediction {
    Prediction { unheard: Some(why), ..blank(condition, item) }
}

fn blank(condition: String, item: Item) -> Prediction {
    let Item { id, class, expected, answers, .. } = item;
    Prediction { condition, id, class, expected, answers, ..Prediction::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_sound_the_first_20_s_are_heard_and_the_rest_is_counted() {
        let mut recording = Recording { samples: Vec::new(), left_out: 0 };
        for _ in 0..21 {
            recording.push(&[0.5; SAMPLE_RATE_HZ as usize - 1]);
        }
        assert_eq!((recording.samples.len(), recording.left_out), (MOST_SAMPLES, SAMPLE_RATE_HZ as usize - 21));
        assert_eq!((recording.end().secs(), recording.left_out_secs()), (20.0, Some(15_979.0 / 16_000.0)));
        let short = Recording { samples: vec![0.5; 161], left_out: 0 };
        assert_eq!((short.end(), short.left_out_secs()), (StreamTime::from_samples(320), None));
    }
}
