//! Typed questions about recordings, in the prompt layout that the model was trained with (`src/model/README.md` section 5.5): a
//! recording of at most 20 s is encoded as a whole, the question follows it, and the reply begins at once.
//!
//! Encoder, decoder and reply rules are the product's ([`Model`], [`Lane`]); only the prompt differs from listening. Several
//! replies advance in one batched pass. Not responsible for scoring.

use std::path::Path;
use std::sync::Arc;

use smallvec::SmallVec;

use super::items::{EvalItem, PredictedReply, Prediction};
use super::sessions::EvalSession;
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

/// Longest recording of the layout, in samples: 20 s (`src/model/README.md` section 5.5).
const MAX_SAMPLES: usize = 20 * SAMPLE_RATE_HZ as usize;

/// The settings shared by all questions that [`TypedQuestionRunner::run`] asks.
#[derive(Clone, Debug)]
pub struct TypedQuestionRunner {
    /// Model that is asked.
    pub model: Arc<Model>,
    /// Maximum number of replies that are generated at the same time in a batched pass; 0 counts as 1.
    pub lanes: usize,
}

impl TypedQuestionRunner {
    /// Asks the question of every item in a context of its own, the grouping into sessions aside, and calls `done` with one
    /// prediction when its reply has ended. Replies may end in another order than the items are given in.
    ///
    /// # Errors
    /// If inference or `done` fails; items passed to `done` earlier stay complete. An unreadable sound, or a question too long for
    /// the context window, is no error: its prediction carries the reason.
    pub fn run(&self, sessions: impl IntoIterator<Item = EvalSession>, mut done: impl FnMut(Vec<Prediction>) -> Result<()>) -> Result<()> {
        let mut waiting = sessions.into_iter().flat_map(|EvalSession { condition, context, items }| {
            items.into_iter().map(move |item| (condition.clone(), context.positions, item))
        });
        let mut pending: Vec<PendingQuestion> = Vec::new();
        loop {
            while pending.len() < self.lanes.max(1)
                && let Some((condition, positions, item)) = waiting.next()
            {
                let window = positions.min(self.model.block_size());
                match self.start(&item, window)? {
                    Ok(reply) => pending.push(PendingQuestion { condition, item, reply }),
                    Err(why) => done(vec![unheard(condition, item, why)])?,
                }
            }
            if pending.is_empty() {
                return Ok(());
            }
            self.advance(&mut pending)?;
            let (ended, going): (Vec<PendingQuestion>, Vec<PendingQuestion>) =
                pending.into_iter().partition(|question| question.reply.stop.is_some());
            pending = going;
            ended.into_iter().try_for_each(|question| done(vec![question.finish(&self.model)]))?;
        }
    }

    /// Feeds the recording and the question of `item` to the model, with a context window of `window` tokens. Returns the reply to
    /// be generated, or the reason why the item is skipped.
    fn start(&self, item: &EvalItem, window: usize) -> Result<std::result::Result<OngoingReply, String>> {
        let recording = match Recording::read(&item.audio) {
            Ok(recording) => recording,
            Err(error) => return Ok(Err(error.message().to_owned())),
        };
        let (inputs, begin) = prompt(&self.model, encode(&self.model, &recording)?, item.question.as_deref())?;
        let takes = inputs.iter().map(Input::rows).sum::<usize>() + begin.len();
        if takes >= window {
            let why = format!("its question takes {takes} tokens together with its sound; the context window has {window}");
            return Ok(Err(why));
        }
        let mut cache = self.model.new_cache();
        cache.reserve(window.min(takes + REPLY_LIMIT));
        self.model.pass(&mut [Segment { cache: &mut cache, inputs, reads: SmallVec::new() }])?;
        let rules = LaneConfig { catch_up: CatchUp::EveryChunk, eagerness: 0.0, reply_limit: REPLY_LIMIT, on_loop: OnLoop::Stop };
        let lane = Lane::replying(rules, self.model.ids().clone(), begin, recording.end());
        Ok(Ok(OngoingReply { lane, cache, window, recording, emotion: None, text: StreamingText::default(), stop: None }))
    }

    /// Generates the next token of every reply of `pending` in one batched pass; ends replies whose context window is full.
    fn advance(&self, pending: &mut [PendingQuestion]) -> Result<()> {
        let mut plans: Vec<Option<Plan>> = Vec::with_capacity(pending.len());
        let mut segments = Vec::new();
        for question in pending.iter_mut() {
            let reply = &mut question.reply;
            let room = reply.window - reply.cache.positions();
            let plan = reply.lane.plan(&[], usize::MAX).filter(|plan| plan.rows() <= room);
            if let Some(plan) = &plan {
                segments.push(segment(plan, &mut reply.cache));
            }
            plans.push(plan);
        }
        let logits = if segments.is_empty() { PassLogits::new() } else { self.model.pass(&mut segments)? };
        let mut logits = logits.into_iter();
        for (question, plan) in pending.iter_mut().zip(plans) {
            let said = match plan {
                Some(plan) => {
                    // A plan reads one row of logits, that of the next token, or none if it does not reach that row.
                    let token = match plan.reads.first().and_then(|_| logits.next()) {
                        Some(Logits::Row(row)) => Some(argmax(&row) as u32),
                        _ => None,
                    };
                    question.reply.lane.spoke(&plan, token)
                }
                // The window is full.
                None => question.reply.lane.cut(StopReason::Limit),
            };
            said.into_iter().for_each(|said| question.reply.take(&said, &self.model));
        }
        Ok(())
    }
}

/// Returns the prompt of the typed `question` about a recording with these features, and the tokens, to be fed after the prompt, that begin
/// the reply. Without a question the model responds to the recording alone.
///
/// # Errors
/// If the tokenizer cannot encode the prompt or the question.
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

/// Encodes a recording as a whole, not chunk by chunk as a stream is.
fn encode(model: &Model, recording: &Recording) -> Result<Features> {
    model.encode_recording(&mel::recording_blocks(&recording.samples))
}

/// Returns the segment, a lane's share of a batched pass, that feeds `plan` to the lane's `cache`. A replying lane is fed tokens only;
/// chunks are left out.
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

/// The part of a recording that a typed question is asked about, and the length of the rest.
#[derive(Clone, Debug, PartialEq)]
struct Recording {
    /// Samples of at most the first 20 s, mono at 16 kHz.
    samples: Vec<f32>,
    /// Number of samples beyond the first 20 s, which are dropped.
    left_out: usize,
}

impl Recording {
    /// Reads the sound file at `path` to its end, beyond 20 s too, so that damage anywhere in it is detected.
    ///
    /// # Errors
    /// If it is missing, damaged, not audio, or holds no samples.
    fn read(path: &Path) -> Result<Self> {
        let mut source = FileSource::open(&[path.to_owned()])?;
        let (mut recording, mut samples) = (Self { samples: Vec::new(), left_out: 0 }, Vec::new());
        loop {
            samples.clear();
            match source.next(&mut samples)? {
                SourceEvent::Samples(_) => recording.push(&samples),
                SourceEvent::Problem(error) | SourceEvent::InputLost(error) => return Err(error),
                SourceEvent::End if recording.samples.is_empty() => {
                    return Err(Error::at(ErrorKind::AudioFile, path, "the file holds no audio"));
                }
                SourceEvent::End => return Ok(recording),
                SourceEvent::EndOfFile
                | SourceEvent::Nothing
                | SourceEvent::Gap { .. }
                | SourceEvent::InputChanged { .. }
                | SourceEvent::InputSilent { .. }
                | SourceEvent::InputAudible => {}
            }
        }
    }

    /// Appends samples up to 20 s in all and counts the samples beyond.
    fn push(&mut self, samples: &[f32]) {
        let (heard, beyond) = samples.split_at(samples.len().min(MAX_SAMPLES - self.samples.len()));
        self.samples.extend_from_slice(heard);
        self.left_out += beyond.len();
    }

    /// Returns the end of the kept samples, padded to whole hops of 10 ms.
    const fn end(&self) -> StreamTime {
        StreamTime::from_samples(self.samples.len().next_multiple_of(HOP_SAMPLES) as u64)
    }

    /// Returns the length in seconds of the sound beyond 20 s; `None` if there is none.
    fn left_out_secs(&self) -> Option<f64> {
        (self.left_out > 0).then(|| StreamTime::from_samples(self.left_out as u64).secs())
    }
}

/// An item whose reply is being generated, with its condition.
struct PendingQuestion {
    condition: String,
    item: EvalItem,
    reply: OngoingReply,
}

/// A reply that is being generated, with the model's context for it.
struct OngoingReply {
    lane: Lane,
    cache: LaneCache,
    /// Size of the context window, in tokens.
    window: usize,
    recording: Recording,
    /// Emotion tag of the reply, if the model wrote one.
    emotion: Option<Emotion>,
    /// Text of the reply so far.
    text: StreamingText,
    /// Reason why the reply ended; `None` until then.
    stop: Option<StopReason>,
}

impl OngoingReply {
    fn take(&mut self, said: &LaneEvent, model: &Model) {
        match said {
            LaneEvent::Started { emotion, .. } => self.emotion = *emotion,
            // The text is taken as a whole at the end.
            LaneEvent::Token(token) => drop(self.text.step(*token, model.vocabulary())),
            LaneEvent::Finished(stop) => self.stop = Some(*stop),
            LaneEvent::Decided { .. } => {}
        }
    }
}

impl PendingQuestion {
    fn finish(self, model: &Model) -> Prediction {
        let OngoingReply { recording, emotion, mut text, stop, .. } = self.reply;
        text.finish(model.vocabulary());
        let audio_secs = recording.end().secs();
        let stop = stop.unwrap_or(StopReason::Cut);
        let reply = PredictedReply { at_secs: audio_secs, text: text.text().to_owned(), emotion, stop, first_text_ms: None };
        let left_out_secs = recording.left_out_secs();
        Prediction { audio_secs, left_out_secs, replies: vec![reply], ..blank(self.condition, self.item) }
    }
}

/// Returns the prediction of an item that is skipped because of `why`.
fn unheard(condition: String, item: EvalItem, why: String) -> Prediction {
    Prediction { unheard: Some(why), ..blank(condition, item) }
}

/// Returns a prediction with the facts of `item` and without results.
fn blank(condition: String, item: EvalItem) -> Prediction {
    let EvalItem { id, class, expected, answers, .. } = item;
    Prediction { condition, id, class, expected, answers, ..Prediction::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_sound_is_cut_at_20_s_and_the_rest_is_counted() {
        let mut recording = Recording { samples: Vec::new(), left_out: 0 };
        for _ in 0..21 {
            recording.push(&[0.5; SAMPLE_RATE_HZ as usize - 1]);
        }
        assert_eq!((recording.samples.len(), recording.left_out), (MAX_SAMPLES, SAMPLE_RATE_HZ as usize - 21));
        assert_eq!((recording.end().secs(), recording.left_out_secs()), (20.0, Some(15_979.0 / 16_000.0)));
        let short = Recording { samples: vec![0.5; 161], left_out: 0 };
        assert_eq!((short.end(), short.left_out_secs()), (StreamTime::from_samples(320), None));
    }
}
