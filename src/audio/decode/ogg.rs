//! Finds out whether an Ogg file was cut off: its last page carries the mark of the end (RFC 3533).

use std::io::{Read, Seek, SeekFrom};

use super::container::EndMark;
use super::origin::Section;

/// The largest page, in bytes.
const MAX_PAGE_BYTES: u64 = 65_307;
/// Begins each page.
const CAPTURE: &[u8] = b"OggS";
/// Bit of a page's type that marks the last page of a stream.
const LAST: u8 = 4;

/// Returns whether the last page of an Ogg file is marked as the last; other files count as fine.
pub(super) fn end_mark(mut file: Section) -> EndMark {
    let mut begin = [0; CAPTURE.len()];
    if file.read_exact(&mut begin).is_err() || begin != CAPTURE {
        return EndMark::Fine;
    }
    let mut tail = Vec::new();
    let skipped = (CAPTURE.len() as u64 + file.left()).saturating_sub(MAX_PAGE_BYTES);
    if file.seek(SeekFrom::Start(skipped)).and_then(|_| file.read_to_end(&mut tail)).is_err() {
        return EndMark::Fine;
    }
    let last = tail.windows(6).rfind(|bytes| bytes.starts_with(CAPTURE) && bytes[4] == 0);
    match last {
        Some(page) if page[5] & LAST == 0 => EndMark::Missing,
        _ => EndMark::Fine,
    }
}
