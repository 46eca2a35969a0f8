//! Edit distance between a reference and a transcript: substitutions, deletions and insertions of words or characters.
//!
//! Pure. Of several alignments of least cost it takes the one of rapidfuzz 3.14 (and jiwer 4.0), so that the three counts match
//! theirs, and not only the sum.

use serde::{Deserialize, Serialize};

/// Largest cost table of an alignment, in cells of 4 bytes: 160 MB, about 6,000 words on both sides (equal beginnings and ends need no
/// cells).
const MAX_CELLS: usize = 40_000_000;

/// The edit counts between a reference and a transcript. The units, called words here, may also be characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edits {
    /// Words that match.
    pub hits: u64,
    /// Words replaced by other words.
    pub substitutions: u64,
    /// Words of the reference missing in the transcript.
    pub deletions: u64,
    /// Words of the transcript that stand for none of the reference.
    pub insertions: u64,
}

impl Edits {
    /// Returns the number of words of the reference.
    #[must_use]
    pub const fn reference_len(self) -> u64 {
        self.hits + self.substitutions + self.deletions
    }

    /// Returns the number of errors: substitutions, deletions and insertions.
    #[must_use]
    pub const fn errors(self) -> u64 {
        self.substitutions + self.deletions + self.insertions
    }

    /// Returns errors per word of the reference, above 1 with many insertions; `None` for an empty reference.
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        (self.reference_len() > 0).then(|| self.errors() as f64 / self.reference_len() as f64)
    }
}

impl std::ops::AddAssign for Edits {
    fn add_assign(&mut self, other: Self) {
        self.hits += other.hits;
        self.substitutions += other.substitutions;
        self.deletions += other.deletions;
        self.insertions += other.insertions;
    }
}

/// Returns the edit counts between the reference `said` and the transcript `heard`, each a list of words or characters; `None` if
/// the table of the alignment would have more than 40 million cells.
#[must_use]
pub fn align<T: PartialEq>(said: &[T], heard: &[T]) -> Option<Edits> {
    align_with(said, heard, |_, _| {})
}

/// Aligns as [`align`] does, and calls `pair` with the index in `said` and the index in `heard` of each pair of aligned words,
/// equal or not, in no particular order.
#[must_use]
pub fn align_with<T: PartialEq>(said: &[T], heard: &[T], mut pair: impl FnMut(usize, usize)) -> Option<Edits> {
    let (all_said, all_heard) = (said.len(), heard.len());
    let front = said.iter().zip(heard).take_while(|(a, b)| a == b).count();
    let (said, heard) = (&said[front..], &heard[front..]);
    let back = said.iter().rev().zip(heard.iter().rev()).take_while(|(a, b)| a == b).count();
    let (said, heard) = (&said[..said.len() - back], &heard[..heard.len() - back]);
    let width = said.len() + 1;
    if width.checked_mul(heard.len() + 1).is_none_or(|cells| cells > MAX_CELLS) {
        return None;
    }
    (0..front).for_each(|at| pair(at, at));
    (1..=back).for_each(|at| pair(all_said - at, all_heard - at));
    let mut edits = trace_back(said, heard, &cost_table(said, heard), |at, heard_at| pair(front + at, front + heard_at));
    edits.hits += (front + back) as u64;
    Some(edits)
}

/// Returns the table of least costs between prefixes of both lists, `[heard.len() + 1, said.len() + 1]` in row-major order.
fn cost_table<T: PartialEq>(said: &[T], heard: &[T]) -> Vec<u32> {
    let width = said.len() + 1;
    let mut cost: Vec<u32> = (0..width as u32).collect();
    cost.resize(width * (heard.len() + 1), 0);
    for (row, word) in heard.iter().enumerate() {
        let (above, here) = (row * width, (row + 1) * width);
        cost[here] = row as u32 + 1;
        for (column, other) in said.iter().enumerate() {
            let changed = cost[above + column] + u32::from(word != other);
            cost[here + column + 1] = changed.min(cost[above + column + 1] + 1).min(cost[here + column] + 1);
        }
    }
    cost
}

/// Walks the table `cost` of [`cost_table`] from the end to the beginning and returns the edits; prefers a deletion, then an
/// insertion, then the diagonal, for which `pair` is called.
fn trace_back<T: PartialEq>(said: &[T], heard: &[T], cost: &[u32], mut pair: impl FnMut(usize, usize)) -> Edits {
    let width = said.len() + 1;
    let at = |column: usize, row: usize| cost[row * width + column];
    let (mut column, mut row, mut edits) = (said.len(), heard.len(), Edits::default());
    while column > 0 && row > 0 {
        if at(column, row) == at(column - 1, row) + 1 {
            edits.deletions += 1;
            column -= 1;
            continue;
        }
        row -= 1;
        if row > 0 && at(column, row) + 1 == at(column - 1, row) {
            edits.insertions += 1;
            continue;
        }
        column -= 1;
        pair(column, row);
        if said[column] == heard[row] {
            edits.hits += 1;
        } else {
            edits.substitutions += 1;
        }
    }
    edits.deletions += column as u64;
    edits.insertions += row as u64;
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(said: &str, heard: &str) -> Edits {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        align(&words(said), &words(heard)).expect("short")
    }

    #[test]
    fn each_kind_of_error_is_counted() {
        assert_eq!(of("a b c d", "a x c d e"), Edits { hits: 3, substitutions: 1, deletions: 0, insertions: 1 });
        assert_eq!(of("a b c", ""), Edits { deletions: 3, ..Edits::default() });
        assert_eq!(of("", "a b").rate(), None);
        assert_eq!(of("a b", "b a").errors(), 2);
    }

    #[test]
    fn align_with_reports_both_indices_of_equal_and_of_substituted_words() {
        let (said, heard) = (["a", "x", "b", "y", "c"], ["a", "z", "b", "c"]);
        let mut pairs = Vec::new();
        let edits = align_with(&said, &heard, |at, heard_at| pairs.push((at, heard_at))).expect("short");
        pairs.sort_unstable();
        assert_eq!((pairs.as_slice(), edits.hits), (&[(0, 0), (1, 1), (2, 2), (4, 3)][..], 3));
    }

    #[test]
    fn texts_too_long_to_align_are_refused() {
        let (ones, twos) = (vec![1; 7_000], vec![2; 7_000]);
        assert_eq!(align(&ones, &twos), None);
        assert_eq!(align(&ones, &ones).expect("equal texts need no table").hits, 7_000);
    }
}
