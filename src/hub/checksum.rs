//! The checksums in file lists of the hub: SHA-256 for large files, git's SHA-1 for small ones.
//!
//! SHA-1 is needed because git names blobs by it. It shows that a small file is the one listed; it is no protection from forgery.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The checksum of a file that the hub lists, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Checksum {
    /// SHA-256 of the content, for files in git's large file storage.
    Sha256(String),
    /// SHA-1 of the git object: of a header with the size, and the content.
    GitSha1(String),
}

impl Checksum {
    /// Parses a SHA-256; None unless `text` is 64 hexadecimal digits. Strict, because the text becomes a file name.
    #[must_use]
    pub fn sha256(text: &str) -> Option<Self> {
        is_hex(text, 64).then(|| Self::Sha256(text.to_ascii_lowercase()))
    }

    /// Parses a git object id; None unless `text` is 40 hexadecimal digits.
    #[must_use]
    pub fn git_sha1(text: &str) -> Option<Self> {
        is_hex(text, 40).then(|| Self::GitSha1(text.to_ascii_lowercase()))
    }

    /// Parses the name of a blob in the cache: a SHA-256 or a git object id; None for any other text.
    #[must_use]
    pub fn from_blob_name(name: &str) -> Option<Self> {
        Self::sha256(name).or_else(|| Self::git_sha1(name))
    }

    /// Returns the hexadecimal digits, which are also the name of the blob in the cache.
    #[must_use]
    pub fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::GitSha1(hex) => hex,
        }
    }

    /// Returns a hasher of the same kind for a file of `size` bytes; all of its bytes must follow by [`ChecksumHasher::update`].
    #[must_use]
    pub fn hasher(&self, size: u64) -> ChecksumHasher {
        match self {
            Self::Sha256(_) => ChecksumHasher::Sha256(Sha256::new()),
            Self::GitSha1(_) => {
                let mut sha1 = Sha1::new();
                sha1.update(format!("blob {size}\0").as_bytes());
                ChecksumHasher::Sha1(Box::new(sha1))
            }
        }
    }
}

/// Returns true if `text` consists of exactly `digits` hexadecimal digits, in either case.
pub(super) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A hasher for one of the two kinds of checksum.
#[derive(Clone, Debug)]
pub enum ChecksumHasher {
    /// Hasher for [`Checksum::Sha256`].
    Sha256(Sha256),
    /// Hasher for [`Checksum::GitSha1`].
    Sha1(Box<Sha1>),
}

impl ChecksumHasher {
    /// Feeds the next bytes of the file to the hash.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(sum) => sum.update(bytes),
            Self::Sha1(sum) => sum.update(bytes),
        }
    }

    /// Finishes the hash and returns its hexadecimal digits.
    #[must_use]
    pub fn hex(self) -> String {
        match self {
            Self::Sha256(sum) => crate::model::digest::hex(&sum.finalize()),
            Self::Sha1(sum) => crate::model::digest::hex(&sum.finish()),
        }
    }

    /// Finishes the hash and returns true if it equals `checksum`.
    #[must_use]
    pub fn matches(self, checksum: &Checksum) -> bool {
        self.hex() == checksum.hex()
    }
}

/// A SHA-1 hasher (FIPS 180-4, section 6.1).
#[derive(Clone, Debug)]
pub struct Sha1 {
    /// Hash of the full blocks so far.
    state: [u32; 5],
    /// Bytes of the block that is not full yet.
    block: [u8; 64],
    /// Number of bytes in the block that is not full yet.
    filled: usize,
    /// Number of bytes hashed so far.
    bytes: u64,
}

impl Sha1 {
    const fn new() -> Self {
        Self { state: [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0], block: [0; 64], filled: 0, bytes: 0 }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let n = bytes.len().min(64 - self.filled);
            self.block[self.filled..self.filled + n].copy_from_slice(&bytes[..n]);
            (self.filled, bytes) = (self.filled + n, &bytes[n..]);
            if self.filled == 64 {
                self.compress();
                self.filled = 0;
            }
        }
    }

    fn finish(mut self) -> [u8; 20] {
        let bits = self.bytes * 8;
        self.update(&[0x80]);
        while self.filled != 56 {
            self.update(&[0]);
        }
        self.update(&bits.to_be_bytes());
        let mut digest = [0; 20];
        for (out, word) in digest.chunks_exact_mut(4).zip(self.state) {
            out.copy_from_slice(&word.to_be_bytes());
        }
        digest
    }

    /// Mixes the full block of 64 bytes into the hash.
    fn compress(&mut self) {
        let mut w = [0u32; 80];
        for (word, bytes) in w.iter_mut().zip(self.block.as_chunks::<4>().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        for t in 16..80 {
            w[t] = (w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = self.state;
        for (t, word) in w.iter().enumerate() {
            let (f, k) = match t {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
            (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
        }
        for (state, add) in self.state.iter_mut().zip([a, b, c, d, e]) {
            *state = state.wrapping_add(add);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_equal_published_ones() {
        // `printf '' | git hash-object --stdin`, and the same of "hello\n" and of a thousand times "a".
        for (text, id) in [("", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"), ("hello\n", "ce013625030ba8dba906f756967f9e9ca394464a")] {
            let checksum = Checksum::git_sha1(id).unwrap();
            let mut sum = checksum.hasher(text.len() as u64);
            text.bytes().for_each(|byte| sum.update(&[byte]));
            assert!(sum.matches(&checksum), "{text:?}");
        }
        let mut plain = Sha1::new();
        plain.update(&[b'a'; 1_000_000]);
        // FIPS 180-1, appendix C.
        assert_eq!(plain.finish()[..4], [0x34, 0xaa, 0x97, 0x3c]);
        let checksum = Checksum::sha256("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD").unwrap();
        let mut sum = checksum.hasher(3);
        sum.update(b"abc");
        assert!(sum.matches(&checksum));
        let mut other = checksum.hasher(3);
        other.update(b"abd");
        assert!(!other.matches(&checksum));
    }

    #[test]
    fn text_that_could_be_a_path_is_no_checksum() {
        for text in ["", "..", "../../etc/passwd", &"z".repeat(64), &"a".repeat(63)] {
            assert_eq!(Checksum::from_blob_name(text), None, "{text}");
        }
        assert!(matches!(Checksum::from_blob_name(&"a".repeat(40)), Some(Checksum::GitSha1(_))));
    }
}
