//! What the encoder gives and the decoder takes.

use std::sync::Arc;

use candle_core::{DType, Result as CandleResult, Tensor};

/// Memory that is kept for features nobody holds any more: of as many chunks as a lane may be behind and still catch up at once.
const POOL_SIZE: usize = 64;

/// Feature vectors of one chunk, `[10, n_embd]`, or of a whole recording, `[n, n_embd]`. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Features {
    /// Of the float layers: on their device, in the decoder's number type.
    Tensor(Tensor),
    /// Of the packed layers.
    Rows(Arc<FeatureRows>),
}

/// Feature vectors one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureRows {
    numbers: Vec<f32>,
    width: usize,
}

impl FeatureRows {
    /// The vectors of `width` numbers each that `numbers` holds.
    #[must_use]
    pub const fn new(numbers: Vec<f32>, width: usize) -> Self {
        Self { numbers, width }
    }

    /// The feature vectors.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.numbers.chunks_exact(self.width.max(1))
    }
}

impl Features {
    /// Feature vectors that it holds.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            Self::Tensor(features) => features.dims().first().copied().unwrap_or(0),
            Self::Rows(rows) => rows.iter().count(),
        }
    }

    /// All their numbers, row after row.
    ///
    /// # Errors
    /// When candle fails.
    pub fn values(&self) -> CandleResult<Vec<f32>> {
        match self {
            Self::Tensor(features) => features.to_dtype(DType::F32)?.flatten_all()?.to_vec1(),
            Self::Rows(rows) => Ok(rows.numbers.clone()),
        }
    }

    /// All of `parts`, one after the other; they are of one model.
    ///
    /// # Errors
    /// When candle fails, or there are none.
    pub fn cat(parts: &[Self]) -> CandleResult<Self> {
        let tensors: Vec<&Tensor> = parts.iter().filter_map(|part| if let Self::Tensor(part) = part { Some(part) } else { None }).collect();
        if !tensors.is_empty() {
            return Tensor::cat(&tensors, 0).map(Self::Tensor);
        }
        let mut all = FeatureRows::default();
        for part in parts {
            if let Self::Rows(part) = part {
                all.width = part.width;
                all.numbers.extend_from_slice(&part.numbers);
            }
        }
        Ok(Self::Rows(Arc::new(all)))
    }
}

/// Memory of features, which is filled again when nobody holds it any more: a chunk allocates nothing once listening runs.
#[derive(Debug, Default)]
pub(super) struct FeaturePool(Vec<Arc<FeatureRows>>);

impl FeaturePool {
    /// Features of `rows` times `width` numbers, written by `fill`.
    pub(super) fn fill(&mut self, rows: usize, width: usize, fill: impl FnOnce(&mut [f32])) -> Features {
        let pool = &mut self.0;
        let free = pool.iter_mut().position(|buffer| Arc::get_mut(buffer).is_some());
        let mut buffer = free.map(|at| pool.swap_remove(at)).unwrap_or_default();
        if let Some(buffer) = Arc::get_mut(&mut buffer) {
            buffer.width = width;
            buffer.numbers.resize(rows * width, 0.0);
            fill(&mut buffer.numbers);
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
    fn memory_is_used_again_when_nobody_holds_it_and_never_before() {
        let mut pool = FeaturePool::default();
        let ones = |pool: &mut FeaturePool, rows| pool.fill(rows, 2, |numbers| numbers.fill(1.0));
        let at = |features: &Features| if let Features::Rows(rows) = features { Arc::as_ptr(rows) } else { std::ptr::null() };
        let first = ones(&mut pool, 3);
        let (kept, place) = (first.clone(), at(&first));
        drop(first);
        let second = pool.fill(1, 2, |numbers| numbers.fill(2.0));
        assert_ne!(at(&second), place, "somebody holds it still");
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
