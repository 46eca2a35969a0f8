//! Storage types, and the arithmetic of views: the elements of a storage that a tensor covers. Not responsible for reading them.

use candle_core::DType;

use super::vm::TensorView;

/// The element type of a storage: torch's common types, so that an error can name one that is not supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StorageType {
    /// 64-bit floats.
    Double,
    /// 32-bit floats.
    Float,
    /// 16-bit floats.
    Half,
    /// 16-bit brain floats.
    BFloat16,
    /// 64-bit integers.
    Long,
    /// 32-bit integers.
    Int,
    /// 16-bit integers.
    Short,
    /// Signed 8-bit integers.
    Char,
    /// Unsigned 8-bit integers.
    Byte,
    /// Truth values, one byte each.
    Bool,
}

/// Largest number of elements that a view may have beyond those of its storage (a stride of 0 repeats elements): 64 MiB as f32.
const MAX_REPEATED: usize = 1 << 24;

impl StorageType {
    /// Returns the type with torch's class name `name`, such as `FloatStorage`; None for an unknown one.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "DoubleStorage" => Self::Double,
            "FloatStorage" => Self::Float,
            "HalfStorage" => Self::Half,
            "BFloat16Storage" => Self::BFloat16,
            "LongStorage" => Self::Long,
            "IntStorage" => Self::Int,
            "ShortStorage" => Self::Short,
            "CharStorage" => Self::Char,
            "ByteStorage" => Self::Byte,
            "BoolStorage" => Self::Bool,
            _ => return None,
        })
    }

    /// Returns the number of bytes of one element.
    pub(super) const fn size(self) -> usize {
        match self {
            Self::Double | Self::Long => 8,
            Self::Float | Self::Int => 4,
            Self::Half | Self::BFloat16 | Self::Short => 2,
            Self::Char | Self::Byte | Self::Bool => 1,
        }
    }

    /// Returns candle's type for float32, float16 and bfloat16; for other types, torch's name of the type as the error.
    pub(super) const fn dtype(self) -> Result<DType, &'static str> {
        match self {
            Self::Float => Ok(DType::F32),
            Self::Half => Ok(DType::F16),
            Self::BFloat16 => Ok(DType::BF16),
            Self::Double => Err("float64"),
            Self::Long => Err("int64"),
            Self::Int => Err("int32"),
            Self::Short => Err("int16"),
            Self::Char => Err("int8"),
            Self::Byte => Err("uint8"),
            Self::Bool => Err("bool"),
        }
    }
}

/// The stretch of a storage from the first to the last element that a view uses. Counts are in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Index in the storage of the first element used.
    pub(super) start: usize,
    /// Length of the stretch, from the first to the last element used.
    pub(super) len: usize,
    /// Number of elements of the view, the product of its shape; differs from `len` if the view skips or repeats elements.
    pub(super) count: usize,
}

/// Returns the extent of `view` in its storage; that of a view without elements is empty.
///
/// # Errors
/// The reason, as the end of a sentence about the tensor, when `view` reaches beyond its storage or repeats too many elements.
pub(super) fn extent(view: &TensorView) -> Result<Extent, String> {
    let beyond = || format!("reaches beyond its storage of {} elements", view.storage.len);
    // Sizes of 0 are left out, so that later products of the other sizes cannot overflow.
    let count = view.shape.iter().try_fold(1_usize, |count, size| count.checked_mul((*size).max(1)));
    let count = count.ok_or_else(|| "has more elements than any computer holds".to_owned())?;
    if view.shape.contains(&0) {
        return Ok(Extent { start: 0, len: 0, count: 0 });
    }
    let reach = view
        .shape
        .iter()
        .zip(&view.strides)
        .try_fold(0_usize, |reach, (size, stride)| (size - 1).checked_mul(*stride).and_then(|far| reach.checked_add(far)));
    let len = reach.and_then(|reach| reach.checked_add(1)).ok_or_else(beyond)?;
    if view.offset.checked_add(len).is_none_or(|end| end > view.storage.len) {
        return Err(beyond());
    }
    if count > view.storage.len.saturating_add(MAX_REPEATED) {
        return Err(format!("repeats a storage of {} elements to {count}", view.storage.len));
    }
    Ok(Extent { start: view.offset, len, count })
}

/// Returns true if the elements of `view` follow one another in its storage in row-major order.
pub(super) fn is_contiguous(view: &TensorView) -> bool {
    let mut expected = 1;
    view.shape.iter().zip(&view.strides).rev().all(|(size, stride)| {
        let fits = *size == 1 || *stride == expected;
        expected *= size;
        fits
    })
}

/// Copies the `count` elements of `view` in row-major order (the last dimension fastest) from `run`, the stretch of the storage
/// that its [`Extent`] names.
pub(super) fn gather<T: Copy>(view: &TensorView, run: &[T], count: usize) -> Vec<T> {
    let mut gathered = Vec::with_capacity(count);
    let mut index = vec![0_usize; view.shape.len()];
    let mut at = 0;
    // `extent` has checked that every index lies inside.
    while let (true, Some(element)) = (gathered.len() < count, run.get(at)) {
        gathered.push(*element);
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            // Wrapping: an axis of size 1 may have any stride, which is subtracted again at once.
            at = at.wrapping_add(view.strides[axis]);
            if index[axis] < view.shape[axis] {
                break;
            }
            at = at.wrapping_sub(view.strides[axis].wrapping_mul(view.shape[axis]));
            index[axis] = 0;
        }
    }
    gathered
}

#[cfg(test)]
mod tests {
    use super::super::vm::StorageRef;
    use super::*;

    fn view(len: usize, offset: usize, shape: &[usize], strides: &[usize]) -> TensorView {
        let storage = StorageRef { kind: StorageType::Float, key: "0".into(), len };
        TensorView { storage, offset, shape: shape.to_vec(), strides: strides.to_vec() }
    }

    #[test]
    fn transposed_view_is_gathered_in_its_own_order() {
        let transposed = view(6, 0, &[3, 2], &[1, 3]);
        assert!(!is_contiguous(&transposed));
        assert_eq!(gather(&transposed, &[0, 1, 2, 3, 4, 5], 6), [0, 3, 1, 4, 2, 5]);
        assert_eq!(gather(&view(1, 0, &[2, 2], &[0, 0]), &[7], 4), [7, 7, 7, 7]);
        assert_eq!(gather(&view(1, 0, &[], &[]), &[7], 1), [7]);
        assert_eq!(gather(&view(3, 0, &[2, 1], &[2, usize::MAX]), &[7, 8, 9], 2), [7, 9]);
    }

    #[test]
    fn view_beyond_its_storage_is_refused_for_any_sizes_and_strides() {
        assert_eq!(extent(&view(6, 1, &[2, 2], &[3, 1])), Ok(Extent { start: 1, len: 5, count: 4 }));
        assert!(extent(&view(6, 2, &[2, 2], &[3, 1])).is_err());
        assert!(extent(&view(6, usize::MAX, &[2], &[1])).is_err());
        assert!(extent(&view(6, 0, &[usize::MAX, 2], &[0, 0])).is_err());
        assert!(extent(&view(6, 0, &[2, 2], &[usize::MAX, usize::MAX])).is_err());
        assert!(extent(&view(6, 0, &[1 << 30], &[0])).is_err());
        assert!(extent(&view(6, 9, &[0, usize::MAX, 2], &[1, 1, 1])).is_err());
        assert_eq!(extent(&view(6, 9, &[0, 5, 2], &[1, 1, 1])).map(|e| e.count), Ok(0));
    }
}
