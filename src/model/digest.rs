//! Hexadecimal text of digests: the form of checksums and of the names of caches.

/// Returns `bytes` in lower-case hexadecimal, two digits each.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
