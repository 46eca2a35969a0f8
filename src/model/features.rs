//! Audio features: the encoder's output and the decoder's input.

use std::sync::Arc;

use candle_core::{DType, Result as CandleResult, Tensor};

/// Largest number of buffers in a pool: one for each chunk that a lane may lag and still catch up at once. With more chunks in use, each
/// further chunk allocates a buffer.
const POOL_SIZE: usize = 64;

/// The feature vectors of one chunk, `[10, n_embd]`, or of a whole recording, `[n, n_embd]`. A clone shares them.
#[derive(Clone, Debug)]
pub enum Features {
    /// From the float encoder: on its device, in the decoder's number type.
    Tensor(Tensor),
    /// From the packed encoder: f32 in main memory.
    Rows(Arc<FeatureRows>),
}

/// Feature vectors in main memory, f32, `[rows][width]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureRows {
    /// Values, row after row.
    values: Vec<f32>,
    /// Number of values of a feature vector.
    width: usize,
}

impl FeatureRows {
    /// Makes feature vectors of `width` values each from `values`; a remainder of fewer than `width` values is ignored.
    #[must_use]
    pub const fn new(values: Vec<f32>, width: usize) -> Self {
        Self { values, width }
    }

    /// Returns the feature vectors in order, each of `width` values.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width.max(1))
    }
}

impl Features {
    /// Returns the number of feature vectors.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            Self::Tensor(features) => features.dims().first().copied().unwrap_or(0),
            Self::Rows(rows) => rows.iter().count(),
        }
    }

    /// Returns all values as f32, row after row.
    ///
    /// # Errors
    /// When candle fails.
    pub fn values(&self) -> CandleResult<Vec<f32>> {
        match self {
            Self::Tensor(features) => features.to_dtype(DType::F32)?.flatten_all()?.to_vec1(),
            Self::Rows(rows) => Ok(rows.values.clone()),
        }
    }

    /// Concatenates the rows of `parts`, which must all come from the same model.
    ///
    /// # Errors
    /// When candle fails. No `parts` give features without rows.
    pub fn cat(parts: &[Self]) -> CandleResult<Self> {
        let tensors: Vec<&Tensor> = parts.iter().filter_map(|part| if let Self::Tensor(part) = part { Some(part) } else { None }).collect();
        if !tensors.is_empty() {
            return Tensor::cat(&tensors, 0).map(Self::Tensor);
        }
        let mut all = FeatureRows::default();
        for part in parts {
            if let Self::Rows(part) = part {
                all.width = part.width;
                all.values.extend_from_slice(&part.values);
            }
        }
        Ok(Self::Rows(Arc::new(all)))
    }
}

/// A pool of feature buffers, each reused once its features are dropped, so that a chunk allocates nothing once listening runs.
#[derive(Debug, Default)]
pub(super) struct FeaturePool(Vec<Arc<FeatureRows>>);

impl FeaturePool {
    /// Returns features of `rows` vectors of `width` values, in a free buffer of the pool or a new one. `fill` must write all
    /// values, `[rows][width]`: the buffer may hold old ones.
    pub(super) fn fill(&mut self, rows: usize, width: usize, fill: impl FnOnce(&mut [f32])) -> Features {
        let pool = &mut self.0;
        let free = pool.iter_mut().position(|buffer| Arc::get_mut(buffer).is_some());
        let mut buffer = free.map(|at| pool.swap_remove(at)).unwrap_or_default();
        if let Some(buffer) = Arc::get_mut(&mut buffer) {
            buffer.width = width;
            buffer.values.resize(rows * width, 0.0);
            fill(&mut buffer.values);
        }
        if pool.len() < POOL_SIZE {
            pool.push(Arc::clone(&buffer));
        }
        Features::Rows(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_is_reused_once_its_features_are_dropped_and_never_before() {
        let mut pool = FeaturePool::default();
        let ones = |pool: &mut FeaturePool, rows| pool.fill(rows, 2, |numbers| numbers.fill(1.0));
        let at = |features: &Features| if let Features::Rows(rows) = features { Arc::as_ptr(rows) } else { std::ptr::null() };
        let first = ones(&mut pool, 3);
        let (kept, place) = (first.clone(), at(&first));
        drop(first);
        let second = pool.fill(1, 2, |numbers| numbers.fill(2.0));
        assert_ne!(at(&second), place, "the first buffer is still held");
        assert_eq!((kept.values().unwrap(), kept.rows()), (vec![1.0; 6], 3));
        drop(kept);
        let third = pool.fill(2, 2, |numbers| numbers.fill(3.0));
        assert_eq!((at(&third), third.values().unwrap(), third.rows()), (place, vec![3.0; 4], 2));
        assert_eq!(Features::cat(&[second, third]).unwrap().values().unwrap(), [2.0, 2.0, 3.0, 3.0, 3.0, 3.0]);
        let many: Vec<Features> = (0..2 * POOL_SIZE).map(|_| ones(&mut pool, 1)).collect();
        drop(many);
        assert!(pool.0.len() <= POOL_SIZE);
    }
}
