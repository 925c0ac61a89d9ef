//! SHA-256 digests in lower-case hexadecimal, which identify configurations, objects and lines of the trail.

use aws_lc_rs::digest::{SHA256, digest};

/// SHA-256 of `bytes` as 64 hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// Decodes hexadecimal digits; an invalid pair counts as zero.
pub(crate) fn unhex(digits: &str) -> impl Iterator<Item = u8> {
    let pair = |at| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..digits.len() / 2).map(move |position| pair(position * 2).unwrap_or_default())
}

/// Encodes bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = Vec::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    String::from_utf8(text).unwrap_or_default()
}
