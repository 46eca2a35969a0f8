//! What a lane starts from: its prefix and spoken instruction, already fed. Made once and kept on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use smallvec::SmallVec;

use crate::audio;
use crate::config::{Clip, Mode, Paths, Worth};
use crate::error::{Error, ErrorKind, Result};
use crate::lane::{Ask, CHUNKS_PER_PASS, Goal, Item, Lane, OnLoop, Rules, Waiting};
use crate::mel::{LogMel, MaxOver};
use crate::model::{Input, LaneCache, Model, Segment};
use crate::time::{CHUNK_SAMPLES, ChunkIdx, StreamTime};

/// Raised whenever what is stored, or how it is computed, changes.
const FORMAT: &[u8] = b"hearken opening 4: keys before rotation";

/// The cache and pending tokens that a lane starts from.
#[derive(Debug)]
pub struct Opening {
    cache: LaneCache,
    /// Tokens that are fed before the first chunk.
    pub pending: Vec<u32>,
}

impl Opening {
    /// The opening of `mode`: from disk where it was made before, else made and kept.
    ///
    /// # Errors
    /// When the instruction clip cannot be read, or computing fails. A disk that cannot be written to only costs time.
    pub fn of(model: &Model, mode: &Mode, paths: &Paths) -> Result<Arc<Self>> {
        let prefix = model.vocabulary().prefix()?;
        let Some(clip) = read_clip(&mode.clip).map_err(|e| e.while_doing(format!("the instruction clip of the mode {}", mode.name)))?
        else {
            return Ok(Arc::new(Self { cache: model.new_cache(), pending: prefix }));
        };
        let file = paths.cache.join("openings").join(format!("{}.safetensors", key(model, &prefix, &clip)));
        if let Some(opening) = Self::load(model, &file) {
            return Ok(Arc::new(opening));
        }
        let opening = Self::make(model, prefix, &clip)?;
        opening.save(&file);
        Ok(Arc::new(opening))
    }

    /// A cache of its own for a lane that is fed up to `positions`.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn fork(&self, positions: usize) -> Result<LaneCache> {
        let mut own = self.cache.fork().map_err(|e| Error::new(ErrorKind::Memory, format!("no room for a lane's cache: {e}")))?;
        own.reserve(positions);
        Ok(own)
    }

    /// Positions that its cache holds.
    #[must_use]
    pub const fn positions(&self) -> usize {
        self.cache.positions()
    }

    /// Feeds the prefix and then the clip as a stream of its own with `silent` forced after each chunk; the last stays pending.
    fn make(model: &Model, prefix: Vec<u32>, clip: &[f32]) -> Result<Self> {
        let mut mel = LogMel::new(MaxOver::Everything);
        // Whole chunks, plus a silent one: the speaker has finished.
        let chunks = clip.len().div_ceil(CHUNK_SAMPLES) + 1;
        let mut samples = clip.to_vec();
        samples.resize(chunks * CHUNK_SAMPLES, 0.0);
        let mut features = Vec::with_capacity(chunks);
        for chunk in samples.as_chunks::<CHUNK_SAMPLES>().0 {
            features.push(model.encode(mel.step(chunk).as_slice())?);
        }
        let mut cache = model.new_cache();
        let rules = Rules { catch_up: crate::config::CatchUp::EveryChunk, eagerness: 0.0, reply_limit: 1, on_loop: OnLoop::Stop };
        let mut lane = Lane::new(rules, model.ids().clone(), prefix);
        let waiting: Vec<Waiting> = (0..chunks as u64)
            .map(|n| Waiting { chunk: ChunkIdx(n), at: StreamTime::ZERO, ask: Ask::Forced, worth: Worth::First })
            .collect();
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

    fn load(model: &Model, file: &Path) -> Option<Self> {
        // Anything wrong with the file is answered by making it again.
        Some(Self { cache: model.load_cache(file)?, pending: vec![model.ids().keep_silence] })
    }

    fn save(&self, file: &Path) {
        let save = || -> Option<()> {
            std::fs::create_dir_all(file.parent()?).ok()?;
            let temporary: PathBuf = file.with_extension(format!("{}.tmp", std::process::id()));
            let written = self.cache.save(&temporary).ok().and_then(|()| std::fs::rename(&temporary, file).ok());
            if written.is_none() {
                // A half-written file is of no use; it may also not exist.
                let _ = std::fs::remove_file(&temporary);
            }
            written
        };
        // A full or read-only disk costs only the time to make the opening again.
        let _ = save();
    }
}

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
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_clip(clip: &Clip) -> Result<Option<Vec<f32>>> {
    match clip {
        Clip::None => Ok(None),
        Clip::Builtin(bytes) => audio::read_wav(bytes).map(Some),
        Clip::File(path) => audio::read_file(path).map(Some),
    }
}
