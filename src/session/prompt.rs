//! The prompt cache: the key/value cache of a mode's system prefix and spoken instruction. Computed once and kept on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use smallvec::SmallVec;

use crate::audio;
use crate::config::{CatchUp, InstructionClip, Mode, Paths};
use crate::error::{Error, ErrorKind, Remedy, Result};
use crate::lane::{Ask, CHUNKS_PER_PASS, ChunkMeta, Follows, Goal, Item, Lane, LaneConfig, OnLoop, Priority};
use crate::mel::{LogMel, MaxWindow};
use crate::model::{Input, LaneCache, Model, Segment};
use crate::time::{CHUNK_SAMPLES, ChunkIdx, StreamTime};

/// Version of the stored prompt caches, a part of the key of each. Changed whenever the stored data, or the way it is computed, changes.
const FORMAT: &[u8] = b"hearken opening 4: keys before rotation";

/// The cache and the pending tokens from which the lane of a mode starts: its system prefix and spoken instruction.
#[derive(Debug)]
pub struct PromptCache {
    cache: LaneCache,
    /// Tokens of the prompt that are still to be fed, before the first chunk.
    pub pending: Vec<u32>,
}

impl PromptCache {
    /// Loads the prompt cache of `mode` from disk, or computes and stores it.
    ///
    /// # Errors
    /// When the instruction clip cannot be read, or computing fails. A disk that cannot be written to only costs time.
    pub fn of(model: &Model, mode: &Mode, paths: &Paths) -> Result<Arc<Self>> {
        let prefix = model.vocabulary().prefix()?;
        let clip = read_clip(&mode.clip).map_err(|e| e.while_doing(format!("the instruction clip of the mode {}", mode.name)))?;
        let Some(clip) = clip else {
            return Ok(Arc::new(Self { cache: model.new_cache(), pending: prefix }));
        };
        let file = paths.cache.join("openings").join(format!("{}.safetensors", key(model, &prefix, &clip)));
        if let Some(prompt) = Self::load(model, &file) {
            return Ok(Arc::new(prompt));
        }
        let prompt = Self::compute(model, prefix, &clip)?;
        prompt.save(&file);
        Ok(Arc::new(prompt))
    }

    /// Returns a copy of the cache for a lane, with memory reserved for `positions` positions.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn fork(&self, positions: usize) -> Result<LaneCache> {
        let no_memory = |e| {
            Error::new(ErrorKind::Memory, format!("there is no memory for the context of a mode: {e}")).with_remedy(Remedy::ReduceMemory)
        };
        let mut own = self.cache.fork().map_err(no_memory)?;
        own.reserve(positions);
        Ok(own)
    }

    /// Returns the number of positions in the cache.
    #[must_use]
    pub const fn positions(&self) -> usize {
        self.cache.positions()
    }

    /// Computes the prompt cache: feeds the prefix and then the clip as a stream of its own, with `silent` forced after each chunk; the
    /// last `silent` stays pending. In training nobody answers an instruction.
    fn compute(model: &Model, prefix: Vec<u32>, clip: &[f32]) -> Result<Self> {
        let mut mel = LogMel::new(MaxWindow::WholeStream);
        // Whole chunks, and a silent one after the end of speech.
        let chunks = clip.len().div_ceil(CHUNK_SAMPLES) + 1;
        let mut samples = clip.to_vec();
        samples.resize(chunks * CHUNK_SAMPLES, 0.0);
        let mut features = Vec::with_capacity(chunks);
        for chunk in samples.as_chunks::<CHUNK_SAMPLES>().0 {
            features.push(model.encode(mel.step(chunk).as_slice())?);
        }
        let mut cache = model.new_cache();
        let config = LaneConfig { catch_up: CatchUp::EveryChunk, eagerness: 0.0, reply_limit: 1, on_loop: OnLoop::Stop };
        let mut lane = Lane::new(config, model.ids().clone(), prefix);
        let meta = |n| ChunkMeta {
            chunk: ChunkIdx(n),
            at: StreamTime::ZERO,
            ask: Ask::Forced,
            priority: Priority::First,
            follows: Follows::Chunk,
        };
        let waiting: Vec<ChunkMeta> = (0..chunks as u64).map(meta).collect();
        let mut next = 0;
        while next < chunks {
            let end = chunks.min(next + CHUNKS_PER_PASS);
            let Some(plan) = lane.plan(&waiting[next..end], usize::MAX) else { break };
            debug_assert_eq!(plan.goal, Goal::Decide);
            let input = |item: &Item| match item {
                Item::Token(id) => Input::Token(*id),
                Item::Chunk(chunk) => Input::Features(features[chunk.0 as usize].clone()),
            };
            let inputs = plan.items.iter().map(input).collect();
            model.pass(&mut [Segment { cache: &mut cache, inputs, reads: SmallVec::new() }])?;
            lane.heard(&plan, &[]);
            next += plan.chunks();
        }
        Ok(Self { cache, pending: vec![model.ids().keep_silence] })
    }

    /// Loads the stored cache `file`; None for a file that is missing or damaged, whose cache is computed again.
    fn load(model: &Model, file: &Path) -> Option<Self> {
        Some(Self { cache: model.load_cache(file)?, pending: vec![model.ids().keep_silence] })
    }

    /// Stores the cache in `file`. A full or read-only disk only costs the time to compute the cache again.
    fn save(&self, file: &Path) {
        /// Number of caches stored by this process: two sessions may store the same one at the same time.
        static STORED: AtomicU64 = AtomicU64::new(0);
        let save = || -> Option<()> {
            std::fs::create_dir_all(file.parent()?).ok()?;
            let number = STORED.fetch_add(1, Ordering::Relaxed);
            let temporary: PathBuf = file.with_extension(format!("{}-{number}.tmp", std::process::id()));
            let written = self.cache.save(&temporary).ok().and_then(|()| std::fs::rename(&temporary, file).ok());
            if written.is_none() {
                // Half-written, or never created.
                let _ = std::fs::remove_file(&temporary);
            }
            written
        };
        let _ = save();
    }
}

/// Returns the file name of a stored cache: a hash of weights, precision, prefix and clip.
fn key(model: &Model, prefix: &[u32], clip: &[f32]) -> String {
    let mut hash = Sha256::new();
    hash.update(FORMAT);
    hash.update(model.fingerprint());
    for id in prefix {
        hash.update(id.to_le_bytes());
    }
    for sample in clip {
        hash.update(sample.to_le_bytes());
    }
    crate::model::digest::hex(&hash.finalize())
}

/// Reads an instruction clip as 16 kHz mono; None for a mode without instruction.
fn read_clip(clip: &InstructionClip) -> Result<Option<Vec<f32>>> {
    match clip {
        InstructionClip::None => Ok(None),
        InstructionClip::Builtin(bytes) => audio::read_wav(bytes).map(Some),
        InstructionClip::File(path) => audio::read_file(path).map(Some),
    }
}
