//! `hearken trace`: writes features, logits and tokens of the model to a file, for comparison with a reference.
//!
//! It uses the same [`Session`] and, on the live path, the same [`FrontEnd`] as a microphone session: one dialog lane, greedy
//! decoding, no gate, no trimming, no repetition stop. Not responsible for the comparison.

use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use crate::audio::chunker::{Chunk, Chunker};
use crate::audio::file::FileSource;
use crate::audio::{Source, SourceEvent, read_file};
use crate::config::modes;
use crate::config::{ComputeDevice, Paths, Precision, SamplingChoice, TraceOptions, TracePath};
use crate::error::{Error, Result};
use crate::hub;
use crate::lane::{Ask, ChunkMeta, Follows, Goal, OnLoop, Priority};
use crate::mel::{self, LogMelChunk, MaxWindow};
use crate::model::sampler::argmax;
use crate::model::{Model, TensorData, save_tensors};
use crate::protocol::Language;
use crate::session::EncodedChunk;
use crate::session::front_end::FrontEnd;
use crate::session::prompt::PromptCache;
use crate::session::{Call, REPLY_LIMIT, Reading, Session, SessionConfig, WhenFull};
use crate::time::{CHUNK_FEATURES, CHUNK_FRAMES, CHUNK_SAMPLES, ChunkIdx, StreamTime};

/// Samples of silence after each file in the reference's file mode, before rounding up to whole chunks (`src/model/README.md`
/// section 5.4).
const OFFLINE_SILENCE: usize = 16_000;
/// Limit of model calls plus pending tokens for a segment (a file, or the silence after it) in the reference's file mode
/// (`src/model/README.md` section 5.4).
const OFFLINE_CALLS: usize = 4_096;
/// Most log-mel frames in the tensor `mel_first`, which holds the beginning of the input.
const MEL_FIRST_FRAMES: usize = 160;

/// Runs the model over the files of `options` and writes the trace: tensors to `options.out`, prefix and texts to a `.json` file
/// beside it. Computes in f32 on the CPU.
///
/// # Errors
/// If a sound file or the model cannot be read, the context window is full, or the output cannot be written.
pub fn run(options: &TraceOptions) -> Result<()> {
    let found = hub::find(&options.model, &Paths::find()?)?;
    let model = Arc::new(Model::load(&found.folder, &found.name, Some(Precision::F32), ComputeDevice::Cpu)?);
    let mut trace = Tracer::new(&model, options.path)?;
    match options.path {
        TracePath::Offline => trace.offline(&options.files)?,
        TracePath::Live => trace.live(&options.files)?,
    }
    trace.write(&options.out)
}

/// A session whose intermediate values are recorded for the trace.
struct Tracer {
    /// Model that is traced.
    model: Arc<Model>,
    session: Session,
    /// Token ids that every session begins with.
    prefix: Vec<u32>,
    /// Number of the next chunk of the offline path.
    next: ChunkIdx,
    /// Decisions and reply tokens, in order, with their logits.
    calls: Vec<Call>,
    /// Features of all chunks, `[chunks][10][n_embd]`.
    features: Vec<f32>,
    /// The first chunks of log-mel.
    mel_first: Vec<LogMelChunk>,
}

impl Tracer {
    fn new(model: &Arc<Model>, path: TracePath) -> Result<Self> {
        let paths = Paths::find()?;
        let config = SessionConfig {
            sampling: SamplingChoice::GREEDY,
            reading: Reading::Every,
            on_loop: OnLoop::GoOn,
            reply_limit: if path == TracePath::Live { REPLY_LIMIT } else { usize::MAX },
            max_rows: usize::MAX,
            when_full: WhenFull::Fail,
        };
        let mut session = Session::new(Arc::clone(model), config)?;
        let dialog = modes::builtin(Language::Chinese, &paths.instructions()).into_iter().find(|m| m.name == modes::DIALOG);
        let dialog = dialog.ok_or_else(|| Error::internal("there is no dialog mode"))?;
        session.switch_on(&dialog, &PromptCache::of(model, &dialog, &paths)?)?;
        let prefix = model.vocabulary().prefix()?;
        let (calls, features, mel_first) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { model: Arc::clone(model), session, prefix, next: ChunkIdx(0), calls, features, mel_first })
    }

    /// Traces the reference's file mode: each file, padded to whole chunks, has a log-mel maximum of its own, and so has the second
    /// of zeros (1.2 s in whole chunks) that follows each file.
    fn offline(&mut self, files: &[std::path::PathBuf]) -> Result<()> {
        let mut pending = self.prefix.len();
        for file in files {
            let mut samples = read_file(file)?;
            samples.resize(samples.len().next_multiple_of(CHUNK_SAMPLES), 0.0);
            self.segment(&samples, pending)?;
            pending = 1;
            let silence = OFFLINE_SILENCE.next_multiple_of(CHUNK_SAMPLES);
            self.segment(&vec![0.0; silence], pending)?;
        }
        Ok(())
    }

    /// Feeds `samples` as a segment with a log-mel maximum of its own. After [`OFFLINE_CALLS`] less `pending` model calls, stops
    /// without feeding the rest.
    fn segment(&mut self, samples: &[f32], pending: usize) -> Result<()> {
        self.session.begin_segment();
        let mut budget = OFFLINE_CALLS.saturating_sub(pending);
        for chunk in mel::recording_chunks(samples) {
            if self.mel_first.len() * CHUNK_FRAMES < MEL_FIRST_FRAMES {
                self.mel_first.push(chunk.clone());
            }
            let features = self.model.encode(chunk.as_slice())?;
            let at = StreamTime::from_samples((self.next.0 + 1) * CHUNK_SAMPLES as u64);
            let meta = ChunkMeta { chunk: self.next, at, ask: Ask::Decide, priority: Priority::Heard, follows: Follows::Chunk };
            let encoded = EncodedChunk { meta, features };
            self.next = self.next.next();
            self.feed(encoded, &mut budget)?;
            if budget == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Traces the live path: `files` as one stream through the microphone's front end without a gate, with the log-mel maximum over
    /// the whole stream.
    fn live(&mut self, files: &[std::path::PathBuf]) -> Result<()> {
        let mut source = FileSource::open(files)?;
        let (mut chunker, mut front_end) = (Chunker::new(), FrontEnd::new(MaxWindow::WholeStream, None));
        let mut mel = mel::LogMel::new(MaxWindow::WholeStream);
        let (mut samples, mut cut) = (Vec::new(), Vec::<Chunk>::new());
        loop {
            samples.clear();
            let heard = source.next(&mut samples)?;
            match heard {
                SourceEvent::Samples(_) => chunker.push(&samples, &mut cut),
                SourceEvent::EndOfFile => chunker.end_of_file(&mut cut),
                SourceEvent::Problem(error) | SourceEvent::InputLost(error) => return Err(error),
                SourceEvent::End => return Ok(()),
                SourceEvent::Nothing
                | SourceEvent::Gap { .. }
                | SourceEvent::InputChanged { .. }
                | SourceEvent::InputSilent { .. }
                | SourceEvent::InputAudible => {}
            }
            for chunk in cut.drain(..).collect::<VecDeque<_>>() {
                if self.mel_first.len() * CHUNK_FRAMES < MEL_FIRST_FRAMES {
                    self.mel_first.push(mel.step(&chunk.samples));
                }
                for encoded in front_end.step(&chunk, &self.model)?.encoded {
                    let mut unbounded = usize::MAX;
                    self.feed(encoded, &mut unbounded)?;
                }
            }
        }
    }

    /// Feeds a chunk and generates the reply to it; each model call takes one from `budget`, and none is made at 0. Records
    /// features and calls.
    fn feed(&mut self, encoded: EncodedChunk, budget: &mut usize) -> Result<()> {
        self.features.extend(self.model.features_f32(&encoded.features)?);
        self.session.push(encoded);
        let mut events = Vec::new();
        while *budget > 0 && self.session.pass(&mut events)? {
            *budget -= 1;
            events.clear();
        }
        for call in self.session.take_calls() {
            self.report_impossible_winner(&call);
            self.calls.push(call);
        }
        Ok(())
    }

    /// Reports on stderr a decision in which a token other than KEEP_SILENCE and TEXT_BEGIN has the largest logit.
    fn report_impossible_winner(&self, call: &Call) {
        let best = argmax(&call.logits) as u32;
        let ids = self.model.ids();
        if call.goal == Goal::Decide && best != ids.keep_silence && best != ids.text_begin {
            // A closed stderr must not stop the trace.
            let _ = writeln!(std::io::stderr(), "chunk {}: token {best} would have won the decision; treated as silence", call.chunk.0);
        }
    }

    /// Writes the tensors to `out` (safetensors), and the prefix and the texts of the replies to the file of the same name with the
    /// ending `.json`.
    fn write(&self, out: &Path) -> Result<()> {
        let calls = self.calls.len();
        let width = self.calls.first().map_or(0, |c| c.logits.len());
        let logits: Vec<f32> = self.calls.iter().flat_map(|c| c.logits.iter().copied()).collect();
        let n_embd = self.model.decoder().n_embd();
        let chunks = self.features.len() / (CHUNK_FEATURES * n_embd);
        let whole = |f: fn(&Call) -> i64| self.calls.iter().map(f).collect::<Vec<i64>>();
        let frames = (self.mel_first.len() * CHUNK_FRAMES).min(MEL_FIRST_FRAMES);
        let mut mel_first = Vec::with_capacity(mel::N_MELS * frames);
        for bin in 0..mel::N_MELS {
            for chunk in &self.mel_first {
                mel_first.extend_from_slice(&chunk.as_slice()[bin * CHUNK_FRAMES..(bin + 1) * CHUNK_FRAMES]);
            }
        }
        let tensors = [
            ("features", TensorData::F32(&self.features, vec![chunks, CHUNK_FEATURES, n_embd])),
            ("logits", TensorData::F32(&logits, vec![calls, width])),
            ("tokens", TensorData::I64(whole(|c| i64::from(c.token)), vec![calls])),
            ("state", TensorData::I64(whole(|c| i64::from(c.goal == Goal::Speak)), vec![calls])),
            ("chunk", TensorData::I64(whole(|c| c.chunk.0 as i64), vec![calls])),
            ("mel_first", TensorData::F32(&mel_first, vec![mel::N_MELS, frames])),
        ];
        save_tensors(&tensors, out)?;
        let beside = out.with_extension("json");
        let json = json!({ "prefix": self.prefix, "text": self.texts() });
        std::fs::write(&beside, format!("{json:#}\n")).map_err(|e| Error::cannot_write(&beside, &e))
    }

    /// Returns the text of each reply, in order.
    fn texts(&self) -> Vec<String> {
        let mut replies: Vec<Vec<u32>> = Vec::new();
        for call in &self.calls {
            match call.goal {
                Goal::Decide if call.token == self.model.ids().text_begin => replies.push(Vec::new()),
                Goal::Speak => replies.last_mut().map_or((), |reply| reply.push(call.token)),
                Goal::Decide => {}
            }
        }
        replies.iter().map(|ids| self.model.vocabulary().decode(ids)).collect()
    }
}
